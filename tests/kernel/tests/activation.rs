//! Facts about sockets from other processes: inherited over exec or received in a message.

use std::os::fd::AsFd;

use rustix::io::{FdFlags, fcntl_setfd};
use stoop_kernel_facts::libc::{SO_ACCEPTCONN, SO_DOMAIN, SO_TYPE};
use stoop_kernel_facts::*;
use stoop_testkit::{Role, close, role};

/// K-ACT-1
#[test]
fn options_identify_a_descriptor() {
    let tell = |fd: &dyn Fn(i32) -> Result<i32>| [SO_DOMAIN, SO_TYPE, SO_ACCEPTCONN].map(fd);
    let (listener, client, accepted) = connection(STREAM, &Name::unique("tell"));
    let unix = |kind, listening| [Ok(libc::AF_UNIX), Ok(kind), Ok(listening)];
    assert_eq!(tell(&|name| option(&listener, name)), unix(STREAM, 1));
    assert_eq!(tell(&|name| option(&client, name)), unix(STREAM, 0));
    assert_eq!(tell(&|name| option(&accepted, name)), unix(STREAM, 0));
    let bound = bound(SEQPACKET, &Name::unique("tell"));
    assert_eq!(tell(&|name| option(&bound, name)), unix(SEQPACKET, 0));
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    assert_eq!(tell(&|name| option(&tcp, name)), [Ok(libc::AF_INET), Ok(STREAM), Ok(1)]);
    let file = std::fs::File::open("/dev/null").unwrap();
    assert_eq!(tell(&|name| option(&file, name)), [Err(Errno::NOTSOCK); 3]);
}

/// K-ACT-2
#[test]
fn accepting_on_the_wrong_socket() {
    let (_listener, client, accepted) = connection(STREAM, &Name::unique("wrong"));
    assert_eq!(accept(&client).unwrap_err(), Errno::INVAL);
    assert_eq!(accept(&accepted).unwrap_err(), Errno::INVAL);
    assert_eq!(accept(&bound(STREAM, &Name::unique("wrong"))).unwrap_err(), Errno::INVAL);
    assert_eq!(accept(&bound(DATAGRAM, &Name::unique("wrong"))).unwrap_err(), Errno::OPNOTSUPP);
    assert_eq!(listen(&bound(DATAGRAM, &Name::unique("wrong")), 8), Err(Errno::OPNOTSUPP));
    assert_eq!(listen(&client, 8), Err(Errno::INVAL));
}

/// K-ACT-3
#[test]
fn a_listener_survives_exec() {
    const TEST: &str = "a_listener_survives_exec";
    match role().as_deref() {
        None => Role::new(TEST, "launcher").run(),
        Some("launcher") => {
            let name = Name::unique("exec");
            let listener = listener(STREAM, &name, 8);
            let queued = client(STREAM, &name);
            send(&queued, b"before").unwrap();
            fcntl_setfd(&listener, FdFlags::empty()).unwrap();
            let mut server = Role::new(TEST, "server").env("FD", &raw(&listener).to_string()).spawn();
            close(listener);
            server.line("waiting", SOON);
            let late = client(STREAM, &name);
            send(&late, b"after").unwrap();
            assert!(server.finish(SOON).success());
        }
        Some(_) => {
            let listener = inherited();
            println!("waiting");
            for expected in [&b"before"[..], b"after"] {
                let accepted = accept(&listener).unwrap();
                assert_eq!(recv_with(&accepted, 100, 0).unwrap().0, expected);
            }
        }
    }
}

/// K-ACT-4
#[test]
fn a_listener_can_be_sent() {
    let name = Name::unique("sent");
    let mine = listener(STREAM, &name, 8);
    let (one, other) = pair(SEQPACKET);
    let _queued = client(STREAM, &name);
    send_message(&one, b"x", &[Control::Rights(&[mine.as_fd()])], 0, None).unwrap();
    let received = receive(&other, 1).unwrap();
    let theirs = &received.fds[0];
    accept(theirs).unwrap();
    let _clients = [client(STREAM, &name), client(STREAM, &name)];
    accept(theirs).unwrap();
    accept(&mine).unwrap();
    close(mine);
    let _last = client(STREAM, &name);
    accept(theirs).unwrap();
}
