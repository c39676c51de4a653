//! Facts about sizes and other options: buffers, queue counts, attributes of socket files.

use std::ffi::c_int;
use std::fs;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{XattrFlags, setxattr};
use rustix::io::{read, write};
use rustix::pipe::{PipeFlags, pipe_with};
use stoop_kernel_facts::libc::{FIONREAD, SO_SNDBUF, SO_SNDBUFFORCE, TIOCOUTQ};
use stoop_kernel_facts::*;
use stoop_testkit::{is_root, skip, tempdir};

/// Since Linux 6.17; the control message has the same number.
const SO_INQ: c_int = 84;

/// K-LIMIT-1
#[test]
fn the_send_buffer_is_doubled() {
    let limit: c_int = fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap().trim().parse().unwrap();
    let socket = socket(STREAM);
    set_option(&socket, SO_SNDBUF, 20_000).unwrap();
    assert_eq!(option(&socket, SO_SNDBUF), Ok(40_000));
    set_option(&socket, SO_SNDBUF, limit + 1).unwrap();
    assert_eq!(option(&socket, SO_SNDBUF), Ok(2 * limit), "limited without an error");
}

/// K-LIMIT-2
#[test]
fn unread_bytes_and_next_message() {
    for (kind, expected) in [(STREAM, 7), (SEQPACKET, 7), (DATAGRAM, 3)] {
        let (one, other) = pair(kind);
        assert_eq!(queue_bytes(&other, FIONREAD), Ok(0));
        send(&one, b"one").unwrap();
        send(&one, b"four").unwrap();
        assert_eq!(queue_bytes(&other, FIONREAD), Ok(expected), "kind {kind}");
    }
    let listener = listener(STREAM, &Name::unique("inq"), 8);
    assert_eq!(queue_bytes(&listener, FIONREAD), Err(Errno::INVAL));
}

/// K-LIMIT-3
#[test]
fn unsent_counts_overhead() {
    let (one, other) = pair(STREAM);
    assert_eq!(queue_bytes(&one, TIOCOUTQ), Ok(0));
    send(&one, b"x").unwrap();
    assert!(queue_bytes(&one, TIOCOUTQ).unwrap() > 100);
    recv(&other, 1).unwrap();
    assert_eq!(queue_bytes(&one, TIOCOUTQ), Ok(0));
}

/// K-LIMIT-4
#[test]
fn inq_reports_the_bytes_left() {
    let (one, other) = pair(STREAM);
    if set_option(&other, SO_INQ, 1).is_err() {
        skip!("lacks SO_INQ for Unix sockets (Linux 6.17)");
    }
    send(&one, b"0123456789").unwrap();
    let received = receive(&other, 4).unwrap();
    assert_eq!(received.others, [(SO_INQ, 6_u32.to_ne_bytes().to_vec())]);
}

/// K-LIMIT-5
#[test]
fn user_attributes_are_refused() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let _socket = bound(STREAM, &Name::path(&path));
    match setxattr(&path, c"user.stoop", b"x", XattrFlags::empty()) {
        Err(error) => assert_eq!(error, Errno::PERM),
        Ok(()) => skip!("lacks a kernel that refuses"),
    }
}

/// K-LIMIT-6
#[test]
fn a_send_buffer_can_be_forced() {
    let limit: c_int = fs::read_to_string("/proc/sys/net/core/wmem_max").unwrap().trim().parse().unwrap();
    let socket = socket(STREAM);
    match set_option(&socket, SO_SNDBUFFORCE, limit + 4096) {
        Ok(()) => assert_eq!(option(&socket, SO_SNDBUF), Ok(2 * (limit + 4096))),
        Err(errno) => {
            assert_eq!(errno, Errno::PERM);
            assert!(!is_root() || option(&socket, SO_SNDBUF).unwrap() <= 2 * limit, "root without the right");
        }
    }
}

/// K-PIPE-1
#[test]
fn a_writable_pipe_takes_4096_bytes() {
    let (reader, writer) = pipe_with(PipeFlags::NONBLOCK).unwrap();
    let is_writable = || {
        let mut entries = [PollFd::new(&writer, PollFlags::OUT)];
        poll(&mut entries, Some(&Timespec::default())).unwrap() > 0
    };
    let mut times = 0;
    for small in [1, 100, 4095, 4096] {
        for _ in 0..64 {
            while is_writable() {
                assert_eq!(write(&writer, &[0; 4096]), Ok(4096));
                times += 1;
                let _ = write(&writer, &vec![0; small]);
            }
            read(&reader, &mut vec![0; small]).unwrap();
        }
    }
    assert!(times > 4);
}
