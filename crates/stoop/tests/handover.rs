//! Hand-over between real processes: upgrades under load, a `kill -9` at every step, and hostile
//! company.

use std::io::{Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stoop::handover::{self, Item, Next, Server};
use stoop::{
    Bind, Connect, Datagram, Error, ErrorKind, Holder, Listener, Outgoing, Packet, Policy, SeqPacket, Stream,
};
use stoop_testkit::{
    KillOnDrop, NOBODY, Role, allow_descriptors, deadline, descriptors_of, eventually, is_root,
    open_descriptors, public_tempdir, role, skip, tempdir,
};

/// Longer than anything here takes.
const SOON: Duration = Duration::from_secs(20);

const GENERATIONS: u32 = 25;

/// The protocol's fixed words, as its description gives them.
const HELLO: &[u8] = b"STHO\x01\x01\x01";
const READY: &[u8] = b"STHO\x03";
const DONE: &[u8] = b"STHO\x04";

// ---- a server that can be upgraded, as a process of its own ----

fn paths(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("app.sock"), dir.join("app.handover"))
}

/// The part `serve`: answers every client with `GENERATION`, and ends when a successor has taken
/// over or a client says so.
fn serve() {
    let (path, control) = paths(Path::new(&std::env::var("DIR").unwrap()));
    let generation = std::env::var("GENERATION").unwrap();
    let patience = Duration::from_millis(std::env::var("PATIENCE").unwrap().parse().unwrap());
    let mut server: Server = Server::start(&Bind::new(path), control, patience).unwrap();
    println!("serving {}", if server.took_over() { "on" } else { "first" });
    loop {
        match server.accept().unwrap() {
            Next::Client(mut client) => {
                let mut word = String::new();
                client.read_to_string(&mut word).unwrap();
                client.write_all(generation.as_bytes()).unwrap();
                if word == "end" {
                    return;
                }
            }
            Next::NotHandedOver(error) => println!("kept {:?}", error.kind()),
            Next::HandedOver => return println!("handed over"),
        }
    }
}

fn server(test: &str, dir: &Path, generation: u32, patience: Duration) -> KillOnDrop {
    let [generation, patience] = [generation.to_string(), patience.as_millis().to_string()];
    let role = Role::new(test, "serve").env("DIR", dir.to_str().unwrap());
    role.env("GENERATION", &generation).env("PATIENCE", &patience).spawn()
}

/// Asks the server who it is.
fn ask(path: &Path, word: &str) -> Result<u32, Error> {
    let broken = |error: std::io::Error| -> Error { panic!("dropped: {error}") };
    let mut client = Stream::connect(path)?;
    client.set_read_timeout(Some(SOON))?;
    client.write_all(word.as_bytes()).unwrap_or_else(|error| drop(broken(error)));
    client.shutdown(std::net::Shutdown::Write)?;
    let mut answer = String::new();
    client.read_to_string(&mut answer).map_err(broken)?;
    Ok(answer.parse().unwrap_or_else(|_| panic!("dropped: '{answer}'")))
}

fn stop(child: &KillOnDrop) {
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    kill_process(pid, Signal::STOP).unwrap();
    let stat = format!("/proc/{}/stat", child.id());
    eventually(SOON, || std::fs::read_to_string(&stat).unwrap().contains(") T "));
}

fn go_on(child: &KillOnDrop) {
    kill_process(Pid::from_raw(child.id() as i32).unwrap(), Signal::CONT).unwrap();
}

// ---- upgrades ----

#[test]
fn no_client_is_refused_or_dropped_over_many_generations() {
    const TEST: &str = "no_client_is_refused_or_dropped_over_many_generations";
    if role().is_some() {
        return serve();
    }
    let dir = tempdir();
    let (path, control) = paths(dir.path());
    let mut running = server(TEST, dir.path(), 1, SOON);
    assert_eq!(running.line("serving", SOON), "first");

    let (over, newest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (over, newest, path) = (over.clone(), newest.clone(), path.clone());
            std::thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let answer = ask(&path, "who?").unwrap_or_else(|error| panic!("refused: {error}"));
                    newest.fetch_max(answer, Ordering::Relaxed);
                }
            })
        })
        .collect();

    for generation in 2..=GENERATIONS {
        let mut successor = server(TEST, dir.path(), generation, SOON);
        assert_eq!(successor.line("serving", SOON), "on");
        running.line("handed over", SOON);
        assert!(running.finish(SOON).success());
        running = successor;
        eventually(SOON, || {
            newest.load(Ordering::Relaxed) == generation || clients.iter().any(|c| c.is_finished())
        });
    }
    over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| deadline(SOON, move || client.join().unwrap()));

    assert_eq!(ask(&path, "end").unwrap(), GENERATIONS);
    assert!(running.finish(SOON).success());
    assert!(!path.exists() && !control.exists(), "the last one removes what the first one made");
}

#[test]
fn every_kind_goes_over_with_what_is_queued() {
    let dir = tempdir();
    let [stream, packets, datagrams] = ["stream", "packets", "datagrams"].map(|name| dir.path().join(name));
    let mut listener = Bind::new(&stream).listen().unwrap();
    let mut seqpacket = Bind::new(&packets).listen_seqpacket().unwrap();
    let mut datagram = Bind::new(&datagrams).datagram().unwrap();
    let mut waiting = Stream::connect(&stream).unwrap();
    waiting.write_all(b"queued").unwrap();
    SeqPacket::connect(&packets).unwrap().send(b"queued").unwrap();
    Datagram::client(&datagrams).unwrap().send(b"queued").unwrap();

    let (old, new) = SeqPacket::pair().unwrap();
    let offering = std::thread::spawn(move || {
        let items = vec![
            Item::listener("stream", &mut listener),
            Item::listener("packets", &mut seqpacket),
            Item::datagram("datagrams", &mut datagram),
        ];
        handover::offer(&old, items, SOON).unwrap();
        assert!(listener.file().is_none() && datagram.file().is_none());
    });
    let taken = handover::take(&new, SOON).unwrap();
    let known: Vec<_> =
        taken.sockets().map(|(name, path)| (name.to_owned(), path.unwrap().to_owned())).collect();
    let expected = [("stream", &stream), ("packets", &packets), ("datagrams", &datagrams)];
    assert_eq!(known, expected.map(|(name, path)| (name.to_owned(), path.clone())));
    let mut sockets = taken.ready(SOON).unwrap();
    deadline(SOON, move || offering.join().unwrap());

    assert_eq!(sockets.listener::<Stream>("nothing").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(sockets.listener::<Stream>("packets").unwrap_err().kind(), ErrorKind::WrongKind);
    let listener: Listener<Stream> = sockets.listener("stream").unwrap();
    let mut heard = [0; 6];
    listener.accept().unwrap().0.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"queued");
    let seqpacket: Listener<SeqPacket> = sockets.listener("packets").unwrap();
    assert_eq!(seqpacket.accept().unwrap().0.recv(&mut heard).unwrap(), Packet::Message(6));
    // What nobody asks for is closed and removed.
    drop(sockets);
    assert!(stream.exists() && packets.exists() && !datagrams.exists());
    drop((listener, seqpacket));
    assert!(!stream.exists() && !packets.exists());
}

#[test]
fn a_long_path_goes_over() {
    let dir = tempdir();
    let path = dir.path().join("d".repeat(200)).join("app.sock");
    let mut listener = Bind::new(&path).create_parents(0o700).listen().unwrap();
    let (old, new) = SeqPacket::pair().unwrap();
    let offering = std::thread::spawn(move || {
        handover::offer(&old, vec![Item::listener("app", &mut listener)], SOON).unwrap();
    });
    let mut sockets = handover::take(&new, SOON).unwrap().ready(SOON).unwrap();
    deadline(SOON, move || offering.join().unwrap());
    let listener: Listener = sockets.listener("app").unwrap();
    let _client = Stream::connect(&path).unwrap();
    listener.accept().unwrap();
    drop(listener);
    assert!(!path.exists());
}

#[test]
fn a_file_that_was_replaced_is_nobodys_to_remove() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let mut listener = Bind::new(&path).listen().unwrap();
    let (old, new) = SeqPacket::pair().unwrap();
    let offering = std::thread::spawn(move || {
        handover::offer(&old, vec![Item::listener("app", &mut listener)], SOON).unwrap();
    });
    let taken = handover::take(&new, SOON).unwrap();
    let usurper = Bind::new(&path).replace(true).listen().unwrap();
    let mut sockets = taken.ready(SOON).unwrap();
    deadline(SOON, move || offering.join().unwrap());
    let listener: Listener = sockets.listener("app").unwrap();
    assert!(listener.file().is_none());
    drop(listener);
    assert!(usurper.file().unwrap().is_in_place());
}

// ---- kill -9 of the successor ----

/// The successor's part up to `step`; then it says so and waits for its end.
fn succeed_up_to(step: &str) {
    let (_, control) = paths(Path::new(&std::env::var("DIR").unwrap()));
    let connection = SeqPacket::connect(control).unwrap();
    if step == "hello" {
        connection.send(HELLO).unwrap();
    }
    let taken = (step == "holding" || step == "ready").then(|| handover::take(&connection, SOON).unwrap());
    println!("there");
    if step == "ready" {
        wait_for_word();
        connection.send(READY).unwrap();
        println!("said");
    }
    std::thread::sleep(SOON);
    drop(taken);
}

/// Until the parent writes a line.
fn wait_for_word() {
    std::io::stdin().read_line(&mut String::new()).unwrap();
}

fn give_word(child: &mut KillOnDrop) {
    child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
}

#[test]
fn a_successor_killed_at_any_step_changes_nothing() {
    const TEST: &str = "a_successor_killed_at_any_step_changes_nothing";
    match role().as_deref() {
        None => {}
        Some("serve") => return serve(),
        Some(step) => return succeed_up_to(step),
    }
    let dir = tempdir();
    let (path, control) = paths(dir.path());
    let mut old = server(TEST, dir.path(), 1, SOON);
    old.line("serving", SOON);
    let descriptors = descriptors_of(old.id());
    for step in ["connected", "hello", "holding", "ready"] {
        let mut successor = Role::new(TEST, step).env("DIR", dir.path().to_str().unwrap()).spawn();
        successor.line("there", SOON);
        assert_eq!(ask(&path, "").unwrap(), 1, "serves while the successor is at '{step}'");
        if step == "ready" {
            // Ready was said, and nobody hears that the predecessor agrees: it has to notice.
            stop(&old);
            give_word(&mut successor);
            successor.line("said", SOON);
        }
        drop(successor);
        go_on(&old);
        assert_eq!(old.line("kept", SOON), "PeerClosed", "at '{step}'");
        assert_eq!(ask(&path, "").unwrap(), 1);
        assert_eq!(descriptors_of(old.id()), descriptors);
    }
    assert_eq!(ask(&path, "end").unwrap(), 1);
    assert!(old.finish(SOON).success());
    assert!(!path.exists() && !control.exists(), "the files were its own all the time");
}

#[test]
fn a_successor_that_waits_too_long_leaves_without_harm() {
    const TEST: &str = "a_successor_that_waits_too_long_leaves_without_harm";
    if role().is_some() {
        return serve();
    }
    let dir = tempdir();
    let (path, control) = paths(dir.path());
    let mut old = server(TEST, dir.path(), 1, SOON);
    old.line("serving", SOON);
    let connection = SeqPacket::connect(control).unwrap();
    let taken = handover::take(&connection, SOON).unwrap();
    stop(&old);
    let error = taken.ready(Duration::from_millis(100)).unwrap_err();
    assert!(error.is_timed_out(), "{error}");
    go_on(&old);
    // The connection is still open here, and all the same the predecessor must not believe that we
    // serve.
    assert_eq!(old.line("kept", SOON), "PeerClosed");
    assert_eq!(ask(&path, "end").unwrap(), 1);
    assert!(old.finish(SOON).success() && !path.exists());
}

// ---- kill -9 of the predecessor ----

#[test]
fn a_predecessor_killed_before_it_offers_is_replaced() {
    const TEST: &str = "a_predecessor_killed_before_it_offers_is_replaced";
    if role().is_some() {
        return serve();
    }
    let dir = tempdir();
    let (path, control) = paths(dir.path());
    let mut old = server(TEST, dir.path(), 1, SOON);
    old.line("serving", SOON);
    stop(&old);
    let successor = std::thread::spawn({
        let dir = dir.path().to_owned();
        move || {
            let mut successor = server(TEST, &dir, 2, SOON);
            (successor.line("serving", SOON), successor)
        }
    });
    // It has connected, and waits for the offer of a process that does not run.
    let queued = || {
        // Lossily: the names of other sockets need not be UTF-8.
        let table = std::fs::read("/proc/net/unix").unwrap();
        String::from_utf8_lossy(&table).matches(control.to_str().unwrap()).count()
    };
    eventually(SOON, || queued() == 2);
    drop(old);
    let (how, mut successor) = deadline(SOON, move || successor.join().unwrap());
    assert_eq!(how, "first");
    assert_eq!(ask(&path, "end").unwrap(), 2);
    assert!(successor.finish(SOON).success() && !path.exists());
}

/// Takes over by hand: says `there` while it holds the sockets, is ready at a word, and serves one
/// client.
fn succeed_slowly() {
    let (_, control) = paths(Path::new(&std::env::var("DIR").unwrap()));
    let connection = SeqPacket::connect(control).unwrap();
    let taken = handover::take(&connection, SOON).unwrap();
    println!("there");
    wait_for_word();
    println!("ready");
    let mut sockets = taken.ready(SOON).unwrap();
    let listener: Listener = sockets.listener("clients").unwrap();
    assert!(listener.file().is_some());
    let (mut client, _) = listener.accept().unwrap();
    client.read_to_string(&mut String::new()).unwrap();
    client.write_all(b"2").unwrap();
}

#[test]
fn a_predecessor_killed_after_its_offer_is_succeeded() {
    const TEST: &str = "a_predecessor_killed_after_its_offer_is_succeeded";
    match role().as_deref() {
        None => {}
        Some("serve") => return serve(),
        Some(_) => return succeed_slowly(),
    }
    for killed_after_ready in [false, true] {
        let dir = tempdir();
        let (path, control) = paths(dir.path());
        let mut old = server(TEST, dir.path(), 1, SOON);
        old.line("serving", SOON);
        let mut successor = Role::new(TEST, "succeed").env("DIR", dir.path().to_str().unwrap()).spawn();
        successor.line("there", SOON);
        stop(&old);
        // A client that knocks now is answered by whoever serves in the end.
        let client = std::thread::spawn({
            let path = path.clone();
            move || ask(&path, "").unwrap()
        });
        if killed_after_ready {
            give_word(&mut successor);
            successor.line("ready", SOON);
            drop(old);
        } else {
            drop(old);
            give_word(&mut successor);
        }
        assert_eq!(deadline(SOON, move || client.join().unwrap()), 2);
        assert!(successor.finish(SOON).success());
        assert!(!path.exists() && !control.exists(), "the files went over as well");
    }
}

// ---- hostile company ----

/// What a hostile successor does once it is connected.
type Act<'a> = &'a dyn Fn(&SeqPacket);

#[test]
fn a_server_survives_hostile_successors() {
    const TEST: &str = "a_server_survives_hostile_successors";
    if role().is_some() {
        return serve();
    }
    let dir = tempdir();
    let (path, control) = paths(dir.path());
    let mut old = server(TEST, dir.path(), 1, Duration::from_millis(300));
    old.line("serving", SOON);
    let descriptors = descriptors_of(old.id());
    let null = std::fs::File::open("/dev/null").unwrap();
    let hostile: [(&str, Act<'_>); 8] = [
        ("Protocol", &|peer| peer.send(b"garbage").unwrap()),
        ("Protocol", &|peer| peer.send(&HELLO[..5]).unwrap()),
        ("Protocol", &|peer| peer.send(&vec![0; 100_000]).unwrap()),
        ("Protocol", &|peer| peer.send(READY).unwrap()),
        ("Unsupported", &|peer| peer.send(b"STHO\x01\x02\xff").unwrap()),
        ("Protocol", &|peer| {
            let fds = [null.as_fd(); 253];
            peer.send_with(&[std::io::IoSlice::new(HELLO)], &Outgoing::new().descriptors(&fds)).unwrap();
        }),
        ("Protocol", &|peer| {
            peer.send(HELLO).unwrap();
            peer.send(DONE).unwrap();
        }),
        ("TimedOut", &|peer| peer.send(HELLO).unwrap()),
    ];
    for (index, (kind, act)) in hostile.iter().enumerate() {
        let peer = SeqPacket::connect(&control).unwrap();
        act(&peer);
        assert_eq!(ask(&path, "").unwrap(), 1, "serves while {index} is there");
        assert_eq!(&old.line("kept", SOON), kind, "{index}");
        assert_eq!(ask(&path, "").unwrap(), 1);
        drop(peer);
        assert_eq!(descriptors_of(old.id()), descriptors, "{index}");
    }
    // And then an honest one.
    let mut successor = server(TEST, dir.path(), 2, SOON);
    assert_eq!(successor.line("serving", SOON), "on");
    assert!(old.finish(SOON).success());
    assert_eq!(ask(&path, "end").unwrap(), 2);
}

#[test]
fn clients_do_not_prolong_a_silent_successor() {
    const TEST: &str = "clients_do_not_prolong_a_silent_successor";
    if role().is_some() {
        return serve();
    }
    let dir = tempdir();
    let (path, control) = paths(dir.path());
    let mut old = server(TEST, dir.path(), 1, Duration::from_millis(200));
    old.line("serving", SOON);
    let _silent = SeqPacket::connect(&control).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let clients = std::thread::spawn({
        let over = over.clone();
        move || {
            while !over.load(Ordering::Relaxed) {
                assert_eq!(ask(&path, "").unwrap(), 1);
            }
        }
    });
    assert_eq!(old.line("kept", SOON), "TimedOut");
    over.store(true, Ordering::Relaxed);
    deadline(SOON, move || clients.join().unwrap());
}

/// An offer by hand, of one stream socket named `x`.
const OFFER: &[u8] = b"STHO\x02\x01\x01\x00\x01\x01x\x00";

#[test]
fn a_successor_survives_hostile_predecessors() {
    const TEST: &str = "a_successor_survives_hostile_predecessors";
    if role().is_none() {
        return Role::new(TEST, "count").run();
    }
    let dir = tempdir();
    let listener = Bind::new(dir.path().join("s")).listen().unwrap();
    let datagram = Bind::new(dir.path().join("d")).datagram().unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let null = std::fs::File::open("/dev/null").unwrap();
    let (connected, _peer) = Stream::pair().unwrap();
    let too_many = [null.as_fd(); 253];
    // What is offered, with what beside it.
    let offers: [(&[u8], &[BorrowedFd<'_>]); 10] = [
        (b"garbage", &[]),
        (DONE, &[]),
        (HELLO, &[]),
        (&OFFER[..9], &[listener.as_fd()]),
        (OFFER, &[]),
        (OFFER, &too_many),
        (OFFER, &[null.as_fd()]),
        (OFFER, &[tcp.as_fd()]),
        (OFFER, &[datagram.as_fd()]),
        (OFFER, &[connected.as_fd()]),
    ];
    let before = open_descriptors();
    for (index, (message, fds)) in offers.iter().enumerate() {
        let (old, new) = SeqPacket::pair().unwrap();
        old.send_with(&[std::io::IoSlice::new(message)], &Outgoing::new().descriptors(fds)).unwrap();
        let error = handover::take(&new, SOON).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol, "{index}: {error}");
        drop((old, new));
        assert_eq!(open_descriptors(), before, "{index}");
    }
    let (_old, new) = SeqPacket::pair().unwrap();
    assert!(handover::take(&new, Duration::from_millis(50)).unwrap_err().is_timed_out());

    // Held, and then the predecessor talks nonsense instead of giving up: it is left serving.
    let (old, new) = SeqPacket::pair().unwrap();
    let fds = [listener.as_fd()];
    old.send_with(&[std::io::IoSlice::new(OFFER)], &Outgoing::new().descriptors(&fds)).unwrap();
    let taken = handover::take(&new, SOON).unwrap();
    old.send(b"garbage").unwrap();
    assert_eq!(taken.ready(SOON).unwrap_err().kind(), ErrorKind::Protocol);
    assert!(listener.file().unwrap().is_in_place());
}

#[test]
fn another_user_gets_nothing() {
    const TEST: &str = "another_user_gets_nothing";
    if role().is_some() {
        let connection = Connect::new(std::env::var("CONTROL").unwrap().as_str()).seqpacket().unwrap();
        // Even by hand, and whatever it says: no descriptor comes. It may be refused before it says
        // anything, and what it says may go unread, which shows as one reset.
        let _ = connection.send(HELLO);
        let mut room = [0; 100];
        let allow = stoop::Allow::descriptors(253);
        let mut receive = || connection.recv_with(&mut [std::io::IoSliceMut::new(&mut room)], allow);
        let answer = receive().or_else(|_| receive()).unwrap();
        assert!(answer.descriptors.is_empty());
        assert_eq!(&room[..answer.len], b"STHO\x05\x03");
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let control = dir.path().join("control");
    // A door as wide as can be: the check is not left to the file's mode.
    let door = Bind::new(&control).mode(0o666).policy(Policy::everyone()).listen_seqpacket().unwrap();
    let mut listener = Bind::new(dir.path().join("app.sock")).listen().unwrap();
    let mut stranger =
        Role::new(TEST, "stranger").env("CONTROL", control.to_str().unwrap()).user(NOBODY, NOBODY).spawn();
    let (connection, _) = door.accept().unwrap();
    let error = handover::offer(&connection, vec![Item::listener("app", &mut listener)], SOON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted);
    assert!(error.to_string().contains("user 65534"), "{error}");
    assert!(stranger.finish(SOON).success());
    assert!(listener.file().unwrap().is_in_place());
}

#[test]
fn what_cannot_be_handed_over_is_said_and_nothing_changes() {
    const TEST: &str = "what_cannot_be_handed_over_is_said_and_nothing_changes";
    // It opens a thousand descriptors, which is what many systems allow: none were left to the tests
    // beside it.
    if role().is_none() {
        return Role::new(TEST, "offer").run();
    }
    allow_descriptors(2000);
    let dir = tempdir();
    let mut listeners: Vec<Listener> =
        (0..254).map(|index| Bind::new(dir.path().join(index.to_string())).listen().unwrap()).collect();
    let mut attempt = |names: &dyn Fn(usize) -> String, count: usize| {
        let (old, new) = SeqPacket::pair().unwrap();
        let successor = std::thread::spawn(move || handover::take(&new, SOON).map(drop).unwrap_err());
        let named = listeners.iter_mut().take(count).enumerate();
        let items = named.map(|(index, listener)| Item::listener(names(index), listener)).collect();
        let error = handover::offer(&old, items, SOON).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        let told = deadline(SOON, move || successor.join().unwrap());
        assert_eq!(told.kind(), ErrorKind::PeerClosed, "{told}");
    };
    attempt(&|index| index.to_string(), 254);
    attempt(&|_| "twice".into(), 2);
    attempt(&|_| String::new(), 1);
    attempt(&|_| "x".repeat(256), 1);
    assert!(listeners.iter().all(|listener| listener.file().unwrap().is_in_place()));

    // One fewer fits.
    listeners.pop();
    let (old, new) = SeqPacket::pair().unwrap();
    let successor =
        std::thread::spawn(move || handover::take(&new, SOON).unwrap().ready(SOON).map(drop).unwrap());
    let items = listeners.iter_mut().enumerate();
    let items = items.map(|(index, listener)| Item::listener(index.to_string(), listener)).collect();
    handover::offer(&old, items, SOON).unwrap();
    deadline(SOON, move || successor.join().unwrap());
    assert!(!dir.path().join("0").exists());
}

#[test]
fn a_server_that_cannot_hand_over_keeps_its_address() {
    let dir = tempdir();
    let (path, control) = paths(dir.path());
    let listener = Bind::new(&path).listen().unwrap();
    let error = Server::<Stream>::start(&Bind::new(&path), &control, SOON).unwrap_err();
    assert!(error.is_in_use() && Holder::find(error.subject().unwrap(), None).is_some(), "{error}");
    assert!(listener.file().unwrap().is_in_place() && !control.exists());
}

#[test]
fn servers_started_at_once_take_turns() {
    const TEST: &str = "servers_started_at_once_take_turns";
    if role().is_some() {
        return serve();
    }
    let dir = tempdir();
    let (path, _) = paths(dir.path());
    let mut servers: Vec<_> = (1..=4).map(|generation| server(TEST, dir.path(), generation, SOON)).collect();
    let first = servers
        .iter_mut()
        .filter_map(|server| (server.line("serving", SOON) == "first").then_some(()))
        .count();
    assert_eq!(first, 1);
    let last = ask(&path, "end").unwrap();
    assert!((1..=4).contains(&last));
    assert!(servers.iter_mut().all(|server| server.finish(SOON).success()));
    assert!(!path.exists());
}

#[test]
fn a_successor_for_another_path_is_told() {
    const TEST: &str = "a_successor_for_another_path_is_told";
    if role().is_some() {
        return serve();
    }
    let dir = tempdir();
    let (path, control) = paths(dir.path());
    let mut old = server(TEST, dir.path(), 1, SOON);
    old.line("serving", SOON);
    let error = Server::<Stream>::start(&Bind::new(dir.path().join("other")), &control, SOON).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.to_string().contains("app.sock"), "{error}");
    assert_eq!(old.line("kept", SOON), "PeerClosed");
    assert_eq!(ask(&path, "end").unwrap(), 1);
}
