//! Facts about a socket accessed through a copy of another process's file descriptor.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use libc::{MSG_DONTWAIT, MSG_PEEK, SHUT_RDWR, SO_COOKIE, SO_PEEK_OFF};
use rustix::event::PollFlags;
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use stoop_kernel_facts::*;

/// Copies a file descriptor as another process would.
fn copy(socket: &OwnedFd) -> OwnedFd {
    let process = pidfd_open(getpid(), PidfdFlags::empty()).unwrap();
    pidfd_getfd(process, socket.as_raw_fd(), PidfdGetfdFlags::empty()).unwrap()
}

fn look(socket: &OwnedFd, room: usize) -> Vec<u8> {
    recv_with(socket, room, MSG_PEEK | MSG_DONTWAIT).unwrap().0
}

/// K-HELD-1
#[test]
fn a_shutdown_through_a_copy_ends_the_connection_for_all() {
    for kind in [STREAM, SEQPACKET] {
        let (one, other) = pair(kind);
        send(&other, b"left").unwrap();
        shutdown(&copy(&one), SHUT_RDWR);
        assert_eq!(send_now(&one, b"x"), Err(Errno::PIPE));
        assert_eq!(send_now(&other, b"x"), Err(Errno::PIPE));
        assert_eq!(recv(&one, 10).unwrap(), b"left", "earlier data can still be read");
        assert_eq!(recv(&one, 10).unwrap(), b"");
        assert_eq!(recv(&other, 10).unwrap(), b"");
    }
}

/// K-HELD-2
#[test]
fn a_plain_peek_removes_neither_bytes_nor_descriptors() {
    for kind in [STREAM, DATAGRAM, SEQPACKET] {
        let (one, other) = pair(kind);
        let passed = [one.as_fd()];
        send_message(&one, b"bytes", &[Control::Rights(&passed)], 0, None).unwrap();
        for _ in 0..2 {
            assert_eq!(look(&copy(&other), 10), b"bytes");
        }
        let received = receive(&other, 10).unwrap();
        assert_eq!((received.data.as_slice(), received.fds.len()), (&b"bytes"[..], 1));
    }
}

/// K-HELD-3
#[test]
fn a_peek_offset_is_moved_by_every_peek() {
    let (one, other) = pair(STREAM);
    assert_eq!(option(&other, SO_PEEK_OFF), Ok(-1));
    send(&one, b"123456").unwrap();
    set_option(&other, SO_PEEK_OFF, 0).unwrap();
    assert_eq!((look(&copy(&other), 2), look(&other, 2)), (b"12".to_vec(), b"34".to_vec()));
    assert_eq!(option(&other, SO_PEEK_OFF), Ok(4));
}

/// K-HELD-4
#[test]
fn a_copy_has_the_cookie_of_the_socket_alone() {
    let (one, other) = pair(STREAM);
    let cookie = |socket: &OwnedFd| option_bytes(socket, SO_COOKIE, 8).unwrap();
    assert_eq!(cookie(&copy(&one)), cookie(&one));
    assert_ne!(cookie(&one), cookie(&other));
}

/// K-HELD-5
#[test]
fn reading_so_error_clears_the_pending_error() {
    let (one, other) = pair(SEQPACKET);
    send(&one, b"bytes").unwrap();
    send(&other, b"never read").unwrap();
    drop(one);
    for _ in 0..2 {
        assert!(polled(&other, PollFlags::IN).contains(PollFlags::ERR));
    }
    assert_eq!(recv_with(&copy(&other), 10, MSG_PEEK | MSG_DONTWAIT).map(drop), Err(Errno::CONNRESET));
    assert!(!polled(&other, PollFlags::IN).contains(PollFlags::ERR));
    assert_eq!(recv(&other, 10).unwrap(), b"bytes");
}
