//! Connecting: to full backlogs, through signals, to servers that come later, and the errors that
//! say what is wrong.

mod background;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use background::while_repeating;
use stoop::internal::Connection;
use stoop::{Address, Bind, Connect, ErrorKind, Kind, Listener, Result, Stream};
use stoop_kernel_facts::libc::{SHUT_RD, SYS_connect};
use stoop_kernel_facts::{
    Blocked, DATAGRAM, Name, SEQPACKET, SOON, STREAM, blocked, bound, listen, listener, on_interrupt,
    shutdown,
};
use stoop_testkit::{
    NOBODY, Role, TempDir, close, deadline, eventually, is_root, public_tempdir, role, skip, tempdir,
};

/// A server that takes one client into its queue, and that client.
struct Full {
    path: std::path::PathBuf,
    listener: Listener,
    _filler: Stream,
    _dir: TempDir,
}

fn full() -> Full {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let listener = Bind::new(&path).backlog(0).listen().unwrap();
    let filler = Stream::connect(&path).unwrap();
    Full { path, listener, _filler: filler, _dir: dir }
}

/// A connect to it that sleeps, on a thread of its own.
fn sleeping(connect: Connect) -> Blocked<Result<Stream>> {
    blocked(SYS_connect, move || connect.stream())
}

fn talks(mut client: Stream, mut end: Stream) {
    client.write_all(b"?").unwrap();
    end.read_exact(&mut [0]).unwrap();
    end.write_all(b"!").unwrap();
    client.read_exact(&mut [0]).unwrap();
}

#[test]
fn a_full_backlog_is_waited_for() {
    for connect in [|connect: Connect| connect, |connect: Connect| connect.timeout(SOON)] {
        let full = full();
        let client = sleeping(connect(Connect::new(&full.path)));
        full.listener.accept().unwrap();
        let client = client.join().unwrap();
        assert_eq!(client.peer_addr().unwrap().as_pathname(), Some(&*full.path));
        assert_eq!(client.write_timeout().unwrap(), None, "the connect's limit is not the stream's");
        talks(client, full.listener.accept().unwrap().0);
    }
}

#[test]
fn a_full_backlog_is_not_waited_for_beyond_the_deadline() {
    let full = full();
    for wait in [Duration::ZERO, Duration::from_millis(200)] {
        let started = Instant::now();
        let path = full.path.clone();
        let error = deadline(SOON, move || Connect::new(&path).timeout(wait).stream().unwrap_err());
        assert!(error.is_timed_out(), "{error}");
        assert!(error.to_string().contains("backlog"), "{error}");
        assert!(started.elapsed() >= wait);
    }
    full.listener.accept().unwrap();
    full.listener.set_nonblocking(true).unwrap();
    assert!(full.listener.accept().unwrap_err().is_would_block(), "who gave up is not in the queue");
    Connect::new(&full.path).timeout(Duration::ZERO).stream().unwrap();
}

#[test]
fn a_server_that_ends_meanwhile_refuses() {
    let full = full();
    let client = sleeping(Connect::new(&full.path).timeout(SOON));
    drop(OwnedFd::from(full.listener));
    assert!(client.join().unwrap_err().is_refused());
}

#[test]
fn signals_do_not_disturb_it() {
    if role().is_none() {
        return Role::new("signals_do_not_disturb_it", "target").run();
    }
    on_interrupt(0);
    for connect in [|connect: Connect| connect, |connect: Connect| connect.timeout(SOON)] {
        let full = full();
        let client = sleeping(connect(Connect::new(&full.path)));
        for _ in 0..100 {
            client.interrupt();
            client.wait();
        }
        full.listener.accept().unwrap();
        talks(client.join().unwrap(), full.listener.accept().unwrap().0);
    }
    let full = full();
    let (connect, ended) =
        (Connect::new(&full.path).timeout(Duration::from_millis(300)), Arc::new(AtomicBool::new(false)));
    let client = blocked(SYS_connect, {
        let ended = Arc::clone(&ended);
        move || {
            let outcome = connect.stream();
            ended.store(true, Ordering::Relaxed);
            // A signal may be on its way to this thread still.
            thread::sleep(Duration::from_millis(200));
            outcome
        }
    });
    // Signals come more often than the deadline is long: one that began anew with each of them would
    // never be over.
    eventually(SOON, || {
        if !ended.load(Ordering::Relaxed) {
            client.interrupt();
        }
        ended.load(Ordering::Relaxed)
    });
    assert!(client.join().unwrap_err().is_timed_out());
}

#[test]
fn crowds_are_all_served() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let listener = Bind::new(&path).backlog(0).listen().unwrap();
        listener.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let serve = || {
            // Where nobody comes for a while it looks whether the crowd has gone.
            if let Ok((mut end, _)) = listener.accept() {
                end.read_exact(&mut [0]).unwrap();
                end.write_all(b"!").unwrap();
            }
        };
        while_repeating(serve, || {
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| {
                        for _ in 0..50 {
                            let mut client = Connect::new(&path).timeout(SOON).stream().unwrap();
                            client.write_all(b"?").unwrap();
                            client.read_exact(&mut [0]).unwrap();
                        }
                    });
                }
            });
        });
    });
}

fn a_path_and_a_name(dir: &TempDir) -> [Address; 2] {
    let name = format!("stoop-connect-{}-{:?}", std::process::id(), thread::current().id());
    [Address::path(dir.path().join("socket")).unwrap(), Address::abstract_name(name).unwrap()]
}

#[test]
fn servers_that_come_later_are_waited_for() {
    for kind in Kind::ALL {
        let dir = tempdir();
        for address in a_path_and_a_name(&dir) {
            let to = Connect::new(&address).wait_for_server(SOON);
            let waiting = thread::spawn(move || match kind {
                Kind::Stream => to.stream().map(drop),
                Kind::SeqPacket => to.seqpacket().map(drop),
                _ => to.datagram().map(drop),
            });
            thread::sleep(Duration::from_millis(30));
            if let Some(path) = address.as_pathname() {
                // On the way to a server there may be a dead file; it is made elsewhere, where nobody meets
                // it alive.
                let elsewhere = dir.path().join("elsewhere");
                close(bound(STREAM, &Name::path(&elsewhere)));
                fs::rename(&elsewhere, path).unwrap();
                thread::sleep(Duration::from_millis(30));
                fs::remove_file(path).unwrap();
            }
            assert!(!waiting.is_finished());
            let bind = Bind::new(&address);
            let _server: Box<dyn std::any::Any> = match kind {
                Kind::Stream => Box::new(bind.listen().unwrap()),
                Kind::SeqPacket => Box::new(bind.listen_seqpacket().unwrap()),
                _ => Box::new(bind.datagram().unwrap()),
            };
            deadline(SOON, move || waiting.join().unwrap().unwrap());
        }
    }
}

#[test]
fn a_server_that_is_slow_to_listen_is_waited_for() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let slow = bound(STREAM, &Name::path(&path));
    let to = Connect::new(&path).wait_for_server(SOON);
    let waiting = thread::spawn(move || to.stream());
    thread::sleep(Duration::from_millis(30));
    assert!(!waiting.is_finished());
    listen(&slow, 1).unwrap();
    deadline(SOON, move || drop(waiting.join().unwrap().unwrap()));
}

/// Connects as an ordinary user, and says when permission was denied first.
fn connect_as_a_stranger() {
    let path = std::env::var("SOCKET").unwrap();
    assert_eq!(Connect::new(&path).stream().unwrap_err().kind(), ErrorKind::PermissionDenied);
    println!("denied");
    let result = Connect::new(&path).wait_for_server(Duration::from_secs(3600)).stream();
    println!("then {:?}", result.map(drop).map_err(|error| error.kind()));
}

#[test]
fn permissions_that_a_server_sets_later_are_waited_for() {
    const TEST: &str = "permissions_that_a_server_sets_later_are_waited_for";
    if role().is_some() {
        return connect_as_a_stranger();
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("socket");
    let _server = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let set = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    for (mode, result) in [(0o666, "Ok(())"), (0o600, "Err(PermissionDenied)")] {
        set(0o600);
        let stranger = Role::new(TEST, "stranger").env("SOCKET", path.to_str().unwrap());
        let mut stranger = stranger.user(NOBODY, NOBODY).spawn();
        stranger.line("denied", SOON);
        // Meanwhile it has begun to wait.
        thread::sleep(Duration::from_millis(100));
        set(mode);
        assert_eq!(stranger.line("then", SOON), result);
    }
}

#[test]
fn waiting_for_a_server_ends() {
    let dir = tempdir();
    let [path, name] = a_path_and_a_name(&dir);
    let wait = Duration::from_millis(50);
    let started = Instant::now();
    let errors = deadline(SOON, move || {
        [path, name].map(|to| Connect::new(to).wait_for_server(wait).stream().unwrap_err())
    });
    assert!(started.elapsed() >= 2 * wait);
    assert!(errors[0].is_not_found() && errors[1].is_refused(), "{errors:?}");
    // An answer that no waiting changes comes at once.
    let _server = Bind::new(dir.path().join("datagram")).datagram().unwrap();
    let to = Connect::new(dir.path().join("datagram")).wait_for_server(Duration::from_secs(3600));
    assert_eq!(deadline(SOON, move || to.stream().unwrap_err()).kind(), ErrorKind::WrongKind);
}

#[test]
fn any_kind_is_found() {
    let dir = tempdir();
    for address in a_path_and_a_name(&dir) {
        assert!(Connect::new(&address).any().is_err());
        for kind in Kind::ALL {
            let bind = Bind::new(&address);
            let _server: Box<dyn std::any::Any> = match kind {
                Kind::Stream => Box::new(bind.listen().unwrap()),
                Kind::SeqPacket => Box::new(bind.listen_seqpacket().unwrap()),
                _ => Box::new(bind.datagram().unwrap()),
            };
            let connection = Connect::new(&address).any().unwrap();
            assert_eq!(connection.kind(), kind);
            if let Connection::Datagram(client) = connection {
                client.send(b"hello").unwrap();
            }
        }
    }
}

#[test]
fn links_and_long_ways_lead_there() {
    let dir = tempdir();
    let real = dir.path().join("real");
    let deep = (0..3).fold(real.clone(), |path, _| path.join("d".repeat(80)));
    fs::create_dir_all(&deep).unwrap();
    let listener = Bind::new(real.join("socket")).listen().unwrap();
    symlink(&real, dir.path().join("way")).unwrap();
    symlink(real.join("socket"), deep.join("link")).unwrap();
    let ways = [dir.path().join("way/socket"), deep.join("link"), deep.join("../../../socket")];
    for way in ways {
        Connect::new(&way).stream().unwrap_or_else(|error| panic!("{error}"));
        listener.accept().unwrap();
    }
}

/// Every wrong setup gives its own class of error, and words that name the path and the symbol.
#[test]
fn what_is_wrong_is_said() {
    let dir = tempdir();
    let at = |name: &str| dir.path().join(name);
    let name = |name: &str| Name::path(at(name));
    fs::write(at("file"), "").unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    symlink(at("loop"), at("loop")).unwrap();
    close(listener(STREAM, &name("dead"), 1));
    let _bound = bound(STREAM, &name("bound"));
    let ended = listener(STREAM, &name("ended"), 1);
    shutdown(&ended, SHUT_RD);
    let _datagram = bound(DATAGRAM, &name("datagram"));
    let _seqpacket = bound(SEQPACKET, &name("seqpacket"));
    let long = "n".repeat(256);
    for (way, kind, symbol) in [
        ("nothing", ErrorKind::NotFound, "ENOENT"),
        ("dangling", ErrorKind::NotFound, "ENOENT"),
        ("file/socket", ErrorKind::NotFound, "ENOTDIR"),
        ("file", ErrorKind::Refused, "ECONNREFUSED"),
        (".", ErrorKind::Refused, "ECONNREFUSED"),
        ("dead", ErrorKind::Refused, "ECONNREFUSED"),
        ("bound", ErrorKind::Refused, "ECONNREFUSED"),
        ("ended", ErrorKind::Refused, "ECONNREFUSED"),
        ("datagram", ErrorKind::WrongKind, "EPROTOTYPE"),
        ("seqpacket", ErrorKind::WrongKind, "EPROTOTYPE"),
        ("loop", ErrorKind::Other, "ELOOP"),
        (&long, ErrorKind::InvalidAddress, "ENAMETOOLONG"),
    ] {
        let error = Stream::connect(at(way)).unwrap_err();
        assert_eq!((error.kind(), error.errno_symbol()), (kind, Some(symbol)), "{way}");
        let text = error.to_string();
        let start = format!("cannot connect to '{}': ", at(way).display());
        assert!(text.starts_with(&start) && text.ends_with(&format!(" ({symbol})")), "{text}");
        assert_eq!(
            (error.subject().unwrap().as_pathname(), error.socket_kind()),
            (Some(&*at(way)), Some(Kind::Stream))
        );
    }
    assert_eq!(Stream::connect(Path::new("")).unwrap_err().kind(), ErrorKind::InvalidAddress);
}
