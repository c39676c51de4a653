//! Facts about TCP, as far as connections are relayed to and from it: resets.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use stoop_testkit::eventually;

const SOON: Duration = Duration::from_secs(30);

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (other, _) = listener.accept().unwrap();
    other.set_read_timeout(Some(SOON)).unwrap();
    (one, other)
}

/// Closes it, and waits until its peer knows of the reset, as an error that has not been taken.
fn reset(stream: TcpStream, peer: &TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
    let flags = rustix::event::PollFlags::ERR;
    let is_reset = || {
        let mut entries = [rustix::event::PollFd::new(peer, flags)];
        rustix::event::poll(&mut entries, Some(&Default::default())).unwrap();
        entries[0].revents().contains(flags)
    };
    eventually(SOON, is_reset);
}

/// K-TCP-1
#[test]
fn a_close_that_lingers_for_no_time_resets() {
    let (one, mut other) = pair();
    reset(one, &other);
    assert_eq!(other.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    assert_eq!(other.read(&mut [0]).unwrap(), 0, "once");

    let (one, mut other) = pair();
    (&one).write_all(b"before").unwrap();
    let mut bytes = [0; 6];
    eventually(SOON, || other.peek(&mut bytes).unwrap() == 6);
    reset(one, &other);
    assert_eq!(other.read(&mut bytes).unwrap(), 6, "what has come is read before");
    assert_eq!(other.read(&mut bytes).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

/// K-TCP-2
#[test]
fn a_write_takes_the_error_of_a_reset() {
    let (one, mut other) = pair();
    reset(one, &other);
    let error = other.write(b"x").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    assert_eq!(other.read(&mut [0]).unwrap(), 0, "it reads as an end");
}
