//! Known bytes, sent and received in every way: each is reported once, in order, or counted as
//! lost.

use std::collections::BTreeMap;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::fstat;
use rustix::net::sockopt::socket_cookie;
use rustix::net::{RecvFlags, SendFlags};
use stoop_kernel_facts::{Control, STREAM, libc, pair, send_message};
use stoop_tap::{CaptureOptions, Key, Piece, Tap, Unavailable, What};
use stoop_testkit::{Role, is_root, role, skip};

const LIMIT: Duration = Duration::from_secs(100);
const PAIRS: usize = 4;
const ROUNDS: usize = 120;

/// The content of a direction: bytes that depend on it and on their position.
fn content(seed: u64, at: usize) -> u8 {
    let mixed = (seed + at as u64 / 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u8 ^ at as u8
}

fn filled(seed: u64, from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| content(seed, at)).collect()
}

fn number(socket: &OwnedFd) -> (u32, u64) {
    (fstat(socket).unwrap().st_ino as u32, socket_cookie(socket).unwrap())
}

/// Sends to the end in every way, and returns how many bytes.
fn send_all(socket: &OwnedFd, seed: u64, kind: i32) -> usize {
    let (pipe_out, pipe_in) = rustix::pipe::pipe().unwrap();
    let mut sent = 0;
    for round in 0..ROUNDS {
        let len = 1 + (seed as usize * 37 + round * 613) % 9000;
        let bytes = filled(seed, sent, len);
        match round % 6 {
            0 => assert_eq!(rustix::io::write(socket, &bytes).unwrap(), len),
            1 => {
                let (one, other) = bytes.split_at(len / 3);
                let parts = [IoSlice::new(one), IoSlice::new(other)];
                assert_eq!(rustix::io::writev(socket, &parts).unwrap(), len);
            }
            2 => {
                let rights = Control::Rights(&[pipe_out.as_fd()]);
                assert_eq!(send_message(socket, &bytes, &[rights], 0, None).unwrap(), len);
            }
            3 => {
                let file = rustix::fs::memfd_create("content", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
                rustix::io::write(&file, &bytes).unwrap();
                let mut offset = 0;
                while (offset as usize) < len {
                    let left = len - offset as usize;
                    rustix::fs::sendfile(socket, &file, Some(&mut offset), left).unwrap();
                }
            }
            4 => {
                rustix::io::write(&pipe_in, &bytes).unwrap();
                let mut left = len;
                while left > 0 {
                    let flags = rustix::pipe::SpliceFlags::empty();
                    left -= rustix::pipe::splice(&pipe_out, None, socket, None, left, flags).unwrap();
                }
            }
            _ => assert_eq!(rustix::net::send(socket, &bytes, SendFlags::empty()).unwrap(), len),
        }
        sent += len;
    }
    if kind == STREAM {
        // Longer than what one buffer takes.
        let bytes = filled(seed, sent, 150_000);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            rest = &rest[rustix::io::write(socket, rest).unwrap()..];
        }
        sent += bytes.len();
    }
    sent
}

/// Receives to the end: peeking, and in parts of all sizes.
fn receive_all(socket: &OwnedFd, seed: u64, kind: i32) {
    let mut buffer = vec![0; 200_000];
    let mut received = 0;
    for round in 0.. {
        let max = if kind == STREAM { 1 + (round * 7919) % 5000 } else { buffer.len() };
        if round % 3 == 0 {
            rustix::net::recv(socket, &mut buffer[..max.min(100)], RecvFlags::PEEK).unwrap();
        }
        let (len, _) = rustix::net::recv(socket, &mut buffer[..max], RecvFlags::empty()).unwrap();
        if len == 0 {
            return;
        }
        assert_eq!(buffer[..len], filled(seed, received, len)[..]);
        received += len;
    }
}

/// The process that transfers. Its input starts it, and ends it.
fn generate() {
    let kinds = [STREAM, libc::SOCK_SEQPACKET, STREAM, libc::SOCK_DGRAM];
    let pairs: Vec<_> = kinds.iter().map(|kind| (*kind, pair(*kind))).collect();
    for (seed, (_, (one, other))) in pairs.iter().enumerate() {
        let ((inode, cookie), (other_inode, other_cookie)) = (number(one), number(other));
        println!("pair {seed} {inode} {cookie} {other_inode} {other_cookie}");
    }
    println!("ready");
    io::stdin().read_line(&mut String::new()).unwrap();
    let totals: Vec<usize> = thread::scope(|scope| {
        let threads: Vec<_> = pairs
            .iter()
            .enumerate()
            .map(|(seed, (kind, (one, other)))| {
                scope.spawn(move || receive_all(other, seed as u64, *kind));
                scope.spawn(move || {
                    let sent = send_all(one, seed as u64, *kind);
                    match *kind {
                        libc::SOCK_DGRAM => assert_eq!(rustix::io::write(one, b"").unwrap(), 0),
                        _ => rustix::net::shutdown(one, rustix::net::Shutdown::Write).unwrap(),
                    }
                    sent
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (seed, total) in totals.iter().enumerate() {
        println!("sent {seed} {total}");
    }
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// What was reported of the data that a socket sent.
#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    len: usize,
    fds: usize,
    ends: usize,
}

fn numbers(line: &str) -> Vec<u64> {
    line.split(' ').map(|number| number.parse().unwrap()).collect()
}

#[test]
fn every_byte_is_reported_once_and_in_order() {
    const TEST: &str = "every_byte_is_reported_once_and_in_order";
    use std::io::Write;
    if role().is_some() {
        return generate();
    }
    let mut options = CaptureOptions::default();
    // More than all of it, so that nothing is lost on a loaded machine.
    options.buffer_bytes = 32 << 20;
    let mut tap = match Tap::start(options) {
        Ok(tap) => tap,
        Err(Unavailable::No(missing)) if is_root() => skip!("lacks the capture programs: {missing}"),
        Err(unavailable) => skip!("lacks the capture programs: {unavailable}"),
    };
    let sees_receives = tap.sees_receives();
    let mut child = Role::new(TEST, "generator").spawn();
    let mut senders = BTreeMap::new();
    for _ in 0..PAIRS {
        let pair = numbers(&child.line("pair", LIMIT));
        tap.want(Key::Cookie(pair[2])).unwrap();
        senders.insert(pair[2], pair[0]);
    }
    child.line("ready", LIMIT);
    writeln!(child.stdin.as_mut().unwrap(), "go").unwrap();
    let mut seen: BTreeMap<u64, Seen> = BTreeMap::new();
    let end = Instant::now() + LIMIT;
    // Two streams report their ends; the other two pairs may be slower.
    let ends = |seen: &BTreeMap<u64, Seen>| seen.values().map(|seen| seen.ends).sum::<usize>();
    while sees_receives && ends(&seen) < 2 && Instant::now() < end {
        let pieces = tap.next(Duration::from_millis(100)).unwrap();
        note(&tap, &senders, pieces, &mut seen);
    }
    let sent: Vec<Vec<u64>> = (0..PAIRS).map(|_| numbers(&child.line("sent", LIMIT))).collect();
    let rest = tap.flush();
    note(&tap, &senders, rest, &mut seen);
    if !sees_receives {
        skip!("lacks the tracepoint sock_recv_length (Linux 6.3)");
    }
    for sent in sent {
        let (seed, total) = (sent[0], sent[1] as usize);
        let seen = &seen[&seed];
        assert_eq!((seen.len, seen.bytes.len()), (total, total), "of {seed}");
        let wrong = seen.bytes.iter().enumerate().position(|(at, byte)| *byte != content(seed, at));
        assert_eq!(wrong, None, "of {seed}");
        assert_eq!(seen.fds, ROUNDS / 6, "of {seed}");
    }
}

fn note(tap: &Tap, senders: &BTreeMap<u64, u64>, pieces: Vec<Piece>, seen: &mut BTreeMap<u64, Seen>) {
    for piece in pieces {
        let Some(flow) = tap.flow(piece.flow) else { panic!("{piece:?}") };
        let sender = flow.ends[piece.from.index()].socket.cookie.unwrap();
        let seen = seen.entry(senders[&sender]).or_default();
        match piece.what {
            What::Data(data) => {
                seen.len += data.len as usize;
                seen.fds += usize::from(data.fds);
                seen.bytes.extend(data.bytes);
            }
            What::End => seen.ends += 1,
            other => panic!("{other:?}"),
        }
    }
}
