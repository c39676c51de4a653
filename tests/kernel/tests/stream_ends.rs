//! Facts about the end of streams, and about full streams: half-close, reset, SIGPIPE, write space,
//! urgent bytes.

use std::ffi::c_int;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rustix::event::{PollFlags, Timespec, epoll};
use stoop_kernel_facts::libc::{
    MSG_DONTWAIT, MSG_OOB, SHUT_RD, SHUT_WR, SO_SNDBUF, SO_SNDTIMEO, SYS_recvfrom,
};
use stoop_kernel_facts::*;
use stoop_testkit::{Role, close, role, skip};

/// K-END-1
#[test]
fn half_close_leaves_the_other_half() {
    let (one, other) = pair(STREAM);
    send(&one, b"last words").unwrap();
    shutdown(&one, SHUT_WR);
    assert_eq!(send(&one, b"x"), Err(Errno::PIPE));
    assert_eq!(recv(&other, 100).unwrap(), b"last words");
    assert_eq!(recv(&other, 100).unwrap(), b"");
    send(&other, b"answer").unwrap();
    assert_eq!(recv(&one, 100).unwrap(), b"answer");
}

/// K-END-2
#[test]
fn writing_to_a_peer_that_shut_down_reading_is_epipe() {
    let (one, other) = pair(STREAM);
    shutdown(&other, SHUT_RD);
    assert_eq!(send(&one, b"x"), Err(Errno::PIPE));
    assert_eq!(send(&other, b"x"), Ok(1), "the other direction is open");
    close(other);

    let (one, other) = pair(STREAM);
    close(other);
    assert_eq!(send(&one, b"x"), Err(Errno::PIPE));
}

/// K-END-3
#[test]
fn closing_with_unread_data_resets_once() {
    let (one, other) = pair(STREAM);
    send(&one, b"never read").unwrap();
    close(other);
    assert_eq!(recv(&one, 1), Err(Errno::CONNRESET));
    assert_eq!(recv(&one, 1).unwrap(), b"");

    let (one, other) = pair(STREAM);
    close(other);
    assert_eq!(recv(&one, 1).unwrap(), b"", "without unread data there is no reset");
}

/// K-END-4
#[test]
fn data_before_the_close_is_kept() {
    let (one, other) = pair(STREAM);
    send(&one, b"last words").unwrap();
    close(one);
    assert_eq!(recv(&other, 4).unwrap(), b"last");
    assert_eq!(recv(&other, 100).unwrap(), b" words");
    assert_eq!(recv(&other, 100).unwrap(), b"");

    let (one, other) = pair(STREAM);
    send(&one, b"kept").unwrap();
    send(&other, b"never read").unwrap();
    close(one);
    assert_eq!(recv(&other, 100).unwrap(), b"kept", "before the reset");
    assert_eq!(recv(&other, 100), Err(Errno::CONNRESET));
    assert_eq!(recv(&other, 100).unwrap(), b"");
}

/// K-END-5
#[test]
fn epoll_distinguishes_half_closed_from_closed() {
    use epoll::EventFlags as On;
    let (one, other) = pair(STREAM);
    let watch = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let wanted = On::IN | On::OUT | On::RDHUP;
    epoll::add(&watch, &one, epoll::EventData::new_u64(0), wanted).unwrap();
    let seen = || {
        let mut events = Vec::with_capacity(1);
        epoll::wait(&watch, rustix::buffer::spare_capacity(&mut events), Some(&Timespec::default())).unwrap();
        events[0].flags
    };
    assert_eq!(seen(), On::OUT);
    shutdown(&other, SHUT_WR);
    assert_eq!(seen(), On::IN | On::OUT | On::RDHUP);
    close(other);
    assert_eq!(seen(), On::IN | On::OUT | On::RDHUP | On::HUP);
}

/// K-END-6
#[test]
fn only_streams_raise_sigpipe() {
    const TEST: &str = "only_streams_raise_sigpipe";
    if let Some(role) = role() {
        let kind: c_int = role.parse().unwrap();
        let (one, other) = pair(kind);
        shutdown(&other, SHUT_RD);
        die_of_sigpipe();
        assert_eq!(send_with(&one, b"x", libc::MSG_NOSIGNAL), Err(Errno::PIPE));
        assert_eq!(send_with(&one, b"x", 0), Err(Errno::PIPE), "and alive");
        return;
    }
    for (kind, signal) in [(STREAM, Some(libc::SIGPIPE)), (DATAGRAM, None), (SEQPACKET, None)] {
        let status = Role::new(TEST, &kind.to_string()).spawn().finish(SOON);
        assert_eq!(status.signal(), signal, "kind {kind}");
        assert_eq!(status.success(), signal.is_none(), "kind {kind}");
    }
}

/// A pair whose first end has the default send buffer of most machines.
fn usual_pair() -> (OwnedFd, OwnedFd) {
    usual_pair_of(STREAM)
}

fn usual_pair_of(kind: c_int) -> (OwnedFd, OwnedFd) {
    let (one, other) = pair(kind);
    set_option(&one, SO_SNDBUF, 106_496).unwrap();
    assert_eq!(option(&one, SO_SNDBUF), Ok(212_992));
    (one, other)
}

/// Writes pieces of `size` until the buffer is full; returns the number of bytes.
fn fill(socket: &OwnedFd, size: usize) -> usize {
    let piece = vec![0; size];
    let mut total = 0;
    while let Ok(sent) = send_now(socket, &piece) {
        total += sent;
    }
    total
}

/// K-END-7
#[test]
fn small_writes_fill_the_buffer() {
    let (one, _other) = usual_pair();
    let small = fill(&one, 1);
    let (one, _other) = usual_pair();
    let large = fill(&one, 65_536);
    assert!(small < 1000, "{small} bytes in writes of one");
    assert!(large > 100_000, "{large} bytes in large writes");
}

/// K-END-8
#[test]
fn writable_again_comes_late() {
    for kind in [STREAM, SEQPACKET] {
        let (one, other) = usual_pair_of(kind);
        let total = fill(&one, 1);
        recv(&other, 1).unwrap();
        assert_eq!(polled(&one, PollFlags::OUT), PollFlags::empty());
        assert_eq!(send_now(&one, b"x"), Ok(1), "although one more would fit");
        recv(&other, 1).unwrap();
        let mut read = 2;
        while polled(&one, PollFlags::OUT).is_empty() {
            recv(&other, 1).unwrap();
            read += 1;
        }
        assert!((total / 2..total).contains(&read), "writable after {read} of {total}");
    }
}

/// K-END-9
#[test]
fn a_timed_out_send_is_partial() {
    let (one, _other) = usual_pair();
    set_timeout(&one, SO_SNDTIMEO, Duration::from_millis(50));
    let sent = send(&one, &vec![0; 1 << 20]).unwrap();
    assert!(0 < sent && sent < 1 << 20, "{sent} sent");
    assert_eq!(send(&one, b"x"), Err(Errno::AGAIN), "nothing was sent");
}

/// K-END-10
#[test]
fn an_urgent_byte_splits_reads() {
    let (one, other) = pair(STREAM);
    send(&one, b"A").unwrap();
    if send_with(&one, b"!", MSG_OOB) == Err(Errno::OPNOTSUPP) {
        skip!("lacks MSG_OOB (Linux 5.15 with AF_UNIX_OOB)");
    }
    send(&one, b"B").unwrap();
    assert!(polled(&other, PollFlags::PRI).contains(PollFlags::PRI));
    assert_eq!(recv(&other, 100).unwrap(), b"A");
    assert_eq!(recv(&other, 100).unwrap(), b"B");
    assert_eq!(recv(&other, 100), Err(Errno::AGAIN));

    send_with(&one, b"xyz!", MSG_OOB).unwrap();
    assert_eq!(
        recv_with(&other, 100, MSG_OOB | MSG_DONTWAIT).unwrap().0,
        b"!",
        "the last byte is the urgent one"
    );
    assert_eq!(recv(&other, 100).unwrap(), b"xyz");
}

/// K-END-11
#[test]
fn a_killed_peer_is_a_closed_peer() {
    if role().is_some() {
        let _connection = client(STREAM, &Name::from_text(&std::env::var("NAME").unwrap()));
        println!("connected");
        std::thread::sleep(SOON);
        return;
    }
    let name = Name::unique("killed");
    let listener = listener(STREAM, &name, 8);
    let mut child =
        Role::new("a_killed_peer_is_a_closed_peer", "client").env("NAME", &name.to_text()).spawn();
    child.line("connected", SOON);
    let accepted = accept(&listener).unwrap();
    let reading = blocked(SYS_recvfrom, move || recv_with(&accepted, 1, 0));
    child.kill().unwrap();
    assert_eq!(reading.join().unwrap().0, b"");
}
