//! The counting programs on the running kernel: what they count of each kind of socket.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::fs::fstat;
use rustix::net::sockopt::socket_cookie;
use stoop_bpf::{Counters, Latencies, Missing, SocketCounts, TaskFiles, Unavailable};
use stoop_kernel_facts::{
    Name, STREAM, accept, client, libc, listener, nonblocking, pair, recv, recv_with, send, send_now,
    send_to, socket,
};
use stoop_testkit::{is_root, skip};

/// Loads the programs, or skips the test. A rejection by the verifier is a bug in this crate.
macro_rules! loaded {
    () => {
        match Counters::load() {
            Ok(counters) => counters,
            Err(Unavailable::No(missing @ Missing::Verifier(_))) if is_root() => panic!("{missing}"),
            Err(missing) => skip!("lacks the counting programs: {missing}"),
        }
    };
}

fn counts(counters: &mut Counters, socket: &OwnedFd) -> SocketCounts {
    let cookie = socket_cookie(socket).unwrap();
    let mut all = Vec::new();
    counters.read(&mut all).unwrap();
    let mut own = all.into_iter().filter(|counts| counts.cookie == cookie);
    let counts = own.next().unwrap_or_default();
    assert_eq!(own.next(), None, "a socket is counted once");
    counts
}

/// Events that were missed may belong to these sockets: of `truth`, that many may be missing.
fn close_to(counted: u64, truth: u64, counters: &Counters) {
    let missed = counters.uncounted().unwrap().missed;
    assert!(counted <= truth && counted + missed >= truth, "{counted} of {truth}, {missed} missed");
}

/// [K-TAP-3], K-TOP-1
///
/// [K-TAP-3]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-TAP-3
#[test]
fn calls_and_bytes_are_counted_at_both_ends() {
    let mut counters = loaded!();
    for kind in [STREAM, libc::SOCK_SEQPACKET, libc::SOCK_DGRAM] {
        let (one, other) = pair(kind);
        let mut bytes = 0;
        for len in 1..=100usize {
            send(&one, &vec![b'x'; len]).unwrap();
            recv_with(&other, 2 * len, libc::MSG_PEEK).unwrap();
            assert_eq!(recv(&other, 2 * len).unwrap().len(), len);
            bytes += len as u64;
        }
        send(&other, b"answer").unwrap();
        let (sent, received) = (counts(&mut counters, &one), counts(&mut counters, &other));
        close_to(sent.sent_calls, 100, &counters);
        close_to(received.received_calls, 100, &counters);
        assert!(sent.sent_bytes <= bytes && received.received_bytes <= bytes);
        if counters.uncounted().unwrap().missed == 0 {
            assert_eq!((sent.sent_bytes, received.received_bytes), (bytes, bytes));
            assert_eq!((received.sent_calls, received.sent_bytes), (1, 6));
        }
        assert_eq!((sent.received_calls, sent.received_bytes, sent.send_errors), (0, 0, 0));
        assert_eq!(sent.kind.map(|kind| i32::from(kind.0)), Some(kind));
        assert_eq!(sent.inode.map(u64::from), Some(fstat(&one).unwrap().st_ino));
        assert_eq!(sent.peer_inode.map(u64::from), Some(fstat(&other).unwrap().st_ino));
        assert_eq!(sent.process.map(|(pid, _)| pid), Some(std::process::id()));
        assert!(sent.unread_since_ns.is_some() && received.unread_since_ns.is_none());
    }
}

/// Ends and empty messages: only a datagram can be empty.
#[test]
fn an_end_is_no_message() {
    let mut counters = loaded!();
    let (one, other) = pair(STREAM);
    send(&one, b"").unwrap();
    drop(one);
    assert_eq!(recv(&other, 10).unwrap(), b"");
    assert_eq!(counts(&mut counters, &other).received_calls, 0);
    let (one, other) = pair(libc::SOCK_DGRAM);
    send(&one, b"").unwrap();
    assert_eq!(recv(&other, 10).unwrap(), b"");
    close_to(counts(&mut counters, &other).received_calls, 1, &counters);
    close_to(counts(&mut counters, &one).sent_calls, 1, &counters);
}

/// K-TOP-1
#[test]
fn failures_are_counted_apart_from_full_queues() {
    let mut counters = loaded!();
    let (one, other) = pair(STREAM);
    nonblocking(&one);
    while send_now(&one, &[0; 4096]).is_ok() {}
    assert!(send_now(&one, &[0; 4096]).is_err());
    nonblocking(&other);
    drop(other);
    assert!(send_now(&one, b"x").is_err());
    let counts = counts(&mut counters, &one);
    close_to(counts.send_waits, 2, &counters);
    close_to(counts.send_errors, 1, &counters);
}

/// K-TOP-2
#[test]
fn how_long_a_message_waits_is_measured() {
    const PAUSE: Duration = Duration::from_millis(40);
    let mut counters = loaded!();
    for kind in [STREAM, libc::SOCK_SEQPACKET, libc::SOCK_DGRAM] {
        let (one, other) = pair(kind);
        let start = Instant::now();
        send(&one, b"in two parts").unwrap();
        assert!(counts(&mut counters, &other).unread_since_ns.is_some());
        std::thread::sleep(PAUSE);
        if kind == STREAM {
            // The message is measured until all of it was received.
            recv(&other, 5).unwrap();
            assert!(counts(&mut counters, &other).unread_since_ns.is_some());
        }
        recv(&other, 100).unwrap();
        let spent = start.elapsed().as_nanos() as u64;
        let latencies = counts(&mut counters, &other).latencies;
        assert_eq!(latencies.count(), 1, "{latencies:?}");
        let (least, most) = (PAUSE.as_nanos() as u64, spent);
        assert!((least..=most).contains(&latencies.sum_ns), "{latencies:?}");
        let range = latencies.ranges.iter().position(|count| *count == 1).unwrap();
        assert!(Latencies::upper_ns(range).unwrap() > latencies.sum_ns);
        assert!(Latencies::upper_ns(range - 1).unwrap() <= latencies.sum_ns);
        assert!(counts(&mut counters, &other).unread_since_ns.is_none());
    }
}

/// A message behind others is measured until it is received itself, not until the queue is empty.
#[test]
fn a_message_behind_others_is_measured_alone() {
    let mut counters = loaded!();
    let (one, other) = pair(libc::SOCK_SEQPACKET);
    // These were not seen to arrive.
    drop(counters);
    send(&one, b"1").unwrap();
    send(&one, b"2").unwrap();
    counters = loaded!();
    send(&one, b"3, measured").unwrap();
    send(&one, b"4").unwrap();
    let measured = |counters: &mut Counters| counts(counters, &other).latencies.count();
    recv(&other, 100).unwrap();
    recv(&other, 100).unwrap();
    assert_eq!(measured(&mut counters), 0);
    recv(&other, 100).unwrap();
    assert_eq!(measured(&mut counters), 1);
}

/// [K-TAP-5]
///
/// [K-TAP-5]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-TAP-5
#[test]
fn connects_are_counted_at_the_listener() {
    let mut counters = loaded!();
    let name = Name::unique("counted");
    let server = listener(STREAM, &name, 10);
    let clients: Vec<OwnedFd> = (0..5).map(|_| client(STREAM, &name)).collect();
    close_to(counts(&mut counters, &server).connects, 5, &counters);
    let accepted = accept(&server).unwrap();
    send(&clients[0], b"question").unwrap();
    recv(&accepted, 100).unwrap();
    send(&accepted, b"answer").unwrap();
    let (asks, serves) = (counts(&mut counters, &clients[0]), counts(&mut counters, &accepted));
    assert_eq!(asks.name, None);
    assert!(asks.peer_name.is_some() && asks.peer_name == serves.name, "the name of the listener");
    let sockets = TaskFiles::load().unwrap().read().unwrap();
    let inode = fstat(&server).unwrap().st_ino as u32;
    let record = sockets.iter().find(|record| record.inode == inode).unwrap();
    if let Some(name) = record.name {
        assert_eq!(serves.name, Some(name));
    }
}

#[test]
fn counts_of_a_closed_socket_are_kept_until_they_are_taken() {
    let mut counters = loaded!();
    let name = Name::unique("closed");
    let receiver = stoop_kernel_facts::bound(libc::SOCK_DGRAM, &name);
    let sender = socket(libc::SOCK_DGRAM);
    send_to(&sender, b"only one", &name).unwrap();
    let cookie = socket_cookie(&sender).unwrap();
    drop(sender);
    let taken = counters.take(cookie).unwrap().unwrap();
    close_to(taken.sent_bytes, 8, &counters);
    assert_eq!(counters.take(cookie).unwrap(), None);
    recv(&receiver, 100).unwrap();
    close_to(counts(&mut counters, &receiver).received_bytes, 8, &counters);
}

/// Threads on all processors use the same sockets: nothing is lost but what is said to be.
#[test]
fn concurrent_calls_are_all_counted() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 5_000;
    let mut counters = loaded!();
    let (one, other) = pair(libc::SOCK_SEQPACKET);
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| (0..CALLS).for_each(|_| assert_eq!(send(&one, b"12345678"), Ok(8))));
            scope.spawn(|| (0..CALLS).for_each(|_| assert_eq!(recv_with(&other, 8, 0).unwrap().1, 8)));
        }
    });
    let (sent, received) = (counts(&mut counters, &one), counts(&mut counters, &other));
    for (calls, bytes) in
        [(sent.sent_calls, sent.sent_bytes), (received.received_calls, received.received_bytes)]
    {
        close_to(calls, THREADS * CALLS, &counters);
        assert_eq!(bytes, 8 * calls);
    }
    assert!(received.latencies.count() > 0);
    assert_eq!(received.unread_since_ns, None, "the queue is empty");
}
