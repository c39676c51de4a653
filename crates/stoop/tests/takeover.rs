//! A server replaces another while clients connect: no client is refused, and no server removes
//! another's file.

use std::fs;
use std::io::{self, BufRead, Read, Write, stdin};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use stoop::{Bind, Datagram, ErrorKind, Kind, Listener, Stream};
use stoop_kernel_facts::{SOON, in_child};
use stoop_testkit::{KillOnDrop, Role, deadline, role, tempdir};

const TAKEOVERS: usize = 500;
const CLIENTS: usize = 2;

/// How long a server that was taken over stays for clients that have found its file but not its
/// queue yet.
const STAY: Duration = Duration::from_millis(100);

fn told() -> PathBuf {
    std::env::var_os("SOCKET").expect("SOCKET is set").into()
}

#[test]
fn clients_notice_nothing_of_five_hundred_takeovers() {
    const TEST: &str = "clients_notice_nothing_of_five_hundred_takeovers";
    match role().as_deref() {
        Some("serve") => return serve_in_turns(),
        Some(_) => return knock(),
        None => {}
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    let start = |role| Role::new(TEST, role).env("SOCKET", path.to_str().unwrap()).spawn();
    let mut servers: Vec<KillOnDrop> = (0..2).map(|_| start("serve")).collect();
    take_over(&mut servers[0]);
    let mut clients: Vec<KillOnDrop> = (0..CLIENTS).map(|_| start("knock")).collect();
    clients.iter_mut().for_each(|client| drop(client.line("first", SOON)));
    for turn in 1..=TAKEOVERS {
        take_over(&mut servers[turn % 2]);
    }
    for client in &mut clients {
        drop(client.stdin.take());
        let served: usize = client.line("served", SOON).parse().unwrap();
        assert!(served >= TAKEOVERS / 5, "{served} connections are too few to show anything");
        assert!(client.finish(SOON).success());
    }
    for server in &mut servers {
        assert!(server.finish(SOON).success());
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn take_over(server: &mut KillOnDrop) {
    writeln!(server.stdin.as_mut().unwrap(), "take over").unwrap();
    server.line("taken", SOON);
}

/// Takes the name over each time it is told to; what it had before serves its clients to the end
/// and goes.
fn serve_in_turns() {
    let over = Arc::new(AtomicBool::new(false));
    let mut serving: Vec<JoinHandle<()>> = Vec::new();
    for _ in stdin().lock().lines() {
        let listener = Bind::new(told()).replace(true).listen().unwrap();
        println!("\ntaken");
        let over = Arc::clone(&over);
        serving.push(thread::spawn(move || echo_until_replaced(listener, &over)));
        serving.retain(|server| !server.is_finished());
    }
    over.store(true, Ordering::Relaxed);
    serving.into_iter().for_each(|server| server.join().unwrap());
}

fn echo_until_replaced(listener: Listener, over: &AtomicBool) {
    listener.set_read_timeout(Some(STAY)).unwrap();
    let is_ours = || listener.file().unwrap().is_in_place() && !over.load(Ordering::Relaxed);
    loop {
        // Asked first: whoever found our file before that is in the queue by the time an accept has waited
        // in vain.
        let was_ours = is_ours();
        match listener.accept() {
            Ok((client, _)) => echo(client),
            Err(error) if error.is_would_block() && !was_ours => return listener.close().unwrap(),
            Err(error) => assert!(error.is_would_block(), "{error}"),
        }
    }
}

fn echo(mut client: Stream) {
    let mut byte = [0];
    client.read_exact(&mut byte).unwrap();
    client.write_all(&byte).unwrap();
}

/// Connects and asks again and again, until its stdin ends. Any refusal at all is a failure.
fn knock() {
    let end = thread::spawn(|| io::stdin().read_to_end(&mut Vec::new()).unwrap());
    let mut served = 0;
    while !end.is_finished() {
        let mut client = Stream::connect(told()).unwrap_or_else(|error| panic!("after {served}: {error}"));
        client.write_all(b"?").unwrap();
        let mut answer = [0];
        client.read_exact(&mut answer).unwrap_or_else(|error| panic!("no answer after {served}: {error}"));
        if served == 0 {
            println!("\nfirst");
        }
        served += 1;
    }
    println!("\nserved {served}");
}

/// Runs one promise for the two ways in which a server can come to own a file, and for the two
/// kinds of server.
fn for_each_kind(promise: impl Fn(&dyn Fn(bool) -> Server) + Send + 'static) {
    deadline(SOON, move || {
        for kind in [Kind::Stream, Kind::SeqPacket, Kind::Datagram] {
            let dir = tempdir();
            let bind = Bind::new(dir.path().join("socket"));
            promise(&|replace| {
                let bind = bind.clone().replace(replace);
                match kind {
                    Kind::Stream => Server::Stream(bind.listen().unwrap()),
                    Kind::Datagram => Server::Datagram(bind.datagram().unwrap()),
                    _ => Server::SeqPacket(bind.listen_seqpacket().unwrap()),
                }
            });
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    });
}

enum Server {
    Stream(Listener<Stream>),
    SeqPacket(Listener<stoop::SeqPacket>),
    Datagram(Datagram),
}

impl Server {
    fn is_in_place(&self) -> bool {
        match self {
            Server::Stream(server) => server.file(),
            Server::SeqPacket(server) => server.file(),
            Server::Datagram(server) => server.file(),
        }
        .unwrap()
        .is_in_place()
    }

    fn close(self) -> stoop::Result<()> {
        match self {
            Server::Stream(server) => server.close(),
            Server::SeqPacket(server) => server.close(),
            Server::Datagram(server) => server.close(),
        }
    }

    fn into_fd(self) -> std::os::fd::OwnedFd {
        match self {
            Server::Stream(server) => server.into(),
            Server::SeqPacket(server) => server.into(),
            Server::Datagram(server) => server.into(),
        }
    }

    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;
        match self {
            Server::Stream(server) => server.as_fd(),
            Server::SeqPacket(server) => server.as_fd(),
            Server::Datagram(server) => server.as_fd(),
        }
    }
}

#[test]
fn a_predecessor_leaves_its_successors_file() {
    for_each_kind(|bind| {
        let first = bind(false);
        let second = bind(true);
        assert!(!first.is_in_place() && second.is_in_place());
        first.close().unwrap();
        let third = bind(true);
        drop(second);
        assert!(third.is_in_place());
    });
}

#[test]
fn a_copy_of_the_descriptor_owns_no_file() {
    for_each_kind(|bind| {
        let server = bind(false);
        let copy = server.fd().try_clone_to_owned().unwrap();
        drop(server);
        // The copy keeps the socket alive, but the name is free: the one who made the file has taken it
        // away.
        let next = bind(false);
        drop(copy);
        assert!(next.is_in_place());
    });
}

#[test]
fn a_descriptor_given_away_keeps_its_file() {
    for_each_kind(|bind| {
        let fd = bind(false).into_fd();
        let next = bind(true);
        drop(fd);
        assert!(next.is_in_place());
    });
}

#[test]
fn a_forked_child_removes_nothing() {
    if role().is_none() {
        return Role::new("a_forked_child_removes_nothing", "parent").run();
    }
    for_each_kind(|bind| {
        let mut server = Some(bind(false));
        let (_, ended) = in_child(|| {
            drop(server.take());
            0
        });
        assert!(ended.success());
        assert!(server.unwrap().is_in_place());
    });
}

#[test]
fn clients_in_the_old_queue_are_served_by_the_old_server() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let old = Bind::new(&path).listen().unwrap();
        let mut early = Stream::connect(&path).unwrap();
        let new = Bind::new(&path).replace(true).listen().unwrap();
        let mut late = Stream::connect(&path).unwrap();
        for (server, client) in [(&old, &mut early), (&new, &mut late)] {
            let (mut end, _) = server.accept().unwrap();
            end.write_all(b"hello").unwrap();
            client.read_exact(&mut [0; 5]).unwrap();
        }
        assert_eq!(old.drain().unwrap().count(), 0);
    });
}

/// A takeover may change the kind: who connects with the old one is told so.
#[test]
fn another_kind_may_take_over() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let _stream = Bind::new(&path).listen().unwrap();
        let datagram = Bind::new(&path).replace(true).datagram().unwrap();
        assert_eq!(Stream::connect(&path).unwrap_err().kind(), ErrorKind::WrongKind);
        Datagram::client(&path).unwrap().send(b"here").unwrap();
        assert_eq!(datagram.recv(&mut [0; 8]).unwrap(), 4);
    });
}

/// A name too long for any direct bind is taken over as well.
#[test]
fn long_names_are_taken_over_too() {
    deadline(SOON, || {
        let dir = tempdir();
        for len in [100, 200, 255] {
            let path = dir.path().join("n".repeat(len));
            let old = Bind::new(&path).listen().unwrap();
            let new = Bind::new(&path).replace(true).listen().unwrap();
            drop(old);
            Stream::connect(&path).unwrap();
            new.accept().unwrap();
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    });
}
