//! The process that transfers known bytes with every call there is.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{RecvFlags, SendFlags, recv};
use rustix::pipe::{SpliceFlags, splice};
use stoop_kernel_facts::{
    Control, STREAM, Uring, libc, pair, receive_many, send_many, send_message, send_with, set_option,
    splice_memory,
};

use super::number;

pub const PAIRS: usize = 4;
/// How often each sender goes through all its calls.
const TURNS: usize = 10;
/// The calls of a sender; see [`Sender::send`].
const CALLS: usize = 12;
/// How many messages of each direction have a file descriptor.
pub const WITH_FDS: usize = TURNS;

/// Returns a byte of a direction, which depends on it and on its position.
pub fn content(seed: u64, at: usize) -> u8 {
    let mixed = (seed + at as u64 / 7).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u8 ^ at as u8
}

fn filled(seed: u64, from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| content(seed, at)).collect()
}

/// Keeps this thread on a processor, if there is one with this number.
pub fn stay_on(processor: usize) {
    let allowed = rustix::thread::sched_getaffinity(None).unwrap();
    let processors: Vec<usize> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|processor| allowed.is_set(*processor)).collect();
    let mut here = rustix::thread::CpuSet::new();
    here.set(processors[processor % processors.len()]);
    rustix::thread::sched_setaffinity(None, &here).unwrap();
}

struct Sender<'s> {
    socket: &'s OwnedFd,
    /// Another file descriptor of it.
    duplicate: OwnedFd,
    kind: i32,
    pipe: (OwnedFd, OwnedFd),
    ring: Option<Uring>,
    seed: u64,
    sent: usize,
}

impl<'s> Sender<'s> {
    fn new(socket: &'s OwnedFd, seed: u64, kind: i32) -> Sender<'s> {
        let duplicate = socket.try_clone().unwrap();
        let pipe = rustix::pipe::pipe().unwrap();
        Sender { socket, duplicate, kind, pipe, ring: Uring::new(), seed, sent: 0 }
    }

    /// Sends to the end, and returns how many bytes.
    fn send_all(mut self) -> usize {
        for round in 0..TURNS * CALLS {
            let len = 1 + (self.seed as usize * 37 + round * 613) % 9000;
            let bytes = filled(self.seed, self.sent, len);
            self.send(round % CALLS, &bytes);
            self.sent += len;
        }
        if self.kind == STREAM {
            // Longer than what one buffer takes; then by a process that inherits the socket.
            self.write(&filled(self.seed, self.sent, 150_000));
            self.sent += 150_000;
            self.inherited(&filled(self.seed, self.sent, 5_000));
            self.sent += 5_000;
        }
        self.sent
    }

    fn send(&mut self, call: usize, bytes: &[u8]) {
        let len = bytes.len();
        match (call, &mut self.ring) {
            (0, _) => self.write(bytes),
            (1, _) => {
                let (one, other) = bytes.split_at(len / 3);
                let parts = [IoSlice::new(one), IoSlice::new(other)];
                assert_eq!(rustix::io::writev(self.socket, &parts).unwrap(), len);
            }
            (2, _) => {
                let rights = Control::Rights(&[self.pipe.0.as_fd()]);
                assert_eq!(send_message(self.socket, bytes, &[rights], 0, None).unwrap(), len);
            }
            (3, _) => self.send_file(bytes),
            (4, _) => {
                rustix::io::write(&self.pipe.1, bytes).unwrap();
                self.splice(len);
            }
            (5, _) => {
                assert_eq!(splice_memory(&self.pipe.1, bytes.to_vec().leak()).unwrap(), len);
                self.splice(len);
            }
            (6, _) => {
                let (one, other) = bytes.split_at(len / 2);
                let messages: Vec<&[u8]> = [one, other].into_iter().filter(|part| !part.is_empty()).collect();
                assert_eq!(send_many(self.socket, &messages).unwrap().iter().sum::<usize>(), len);
            }
            (7, Some(ring)) => assert_eq!(ring.send(self.socket, bytes).unwrap(), len),
            (8, Some(ring)) => assert_eq!(ring.write(self.socket, bytes).unwrap(), len),
            (9, _) => assert_eq!(rustix::io::write(&self.duplicate, bytes).unwrap(), len),
            // The last byte is urgent, if the kernel knows that (5.15).
            (10, _) if self.kind == STREAM => {
                if send_with(self.socket, bytes, libc::MSG_OOB) != Ok(len) {
                    self.write(bytes);
                }
            }
            _ => assert_eq!(rustix::net::send(self.socket, bytes, SendFlags::empty()).unwrap(), len),
        }
    }

    fn write(&self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            bytes = &bytes[rustix::io::write(self.socket, bytes).unwrap()..];
        }
    }

    fn splice(&self, mut left: usize) {
        while left > 0 {
            left -= splice(&self.pipe.0, None, self.socket, None, left, SpliceFlags::empty()).unwrap();
        }
    }

    fn send_file(&self, bytes: &[u8]) {
        let file = memfd_create("content", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&file, bytes).unwrap();
        let mut offset = 0;
        while (offset as usize) < bytes.len() {
            let left = bytes.len() - offset as usize;
            rustix::fs::sendfile(self.socket, &file, Some(&mut offset), left).unwrap();
        }
    }

    fn inherited(&self, bytes: &[u8]) {
        let file = memfd_create("content", MemfdFlags::CLOEXEC).unwrap();
        rustix::io::write(&file, bytes).unwrap();
        rustix::fs::seek(&file, rustix::fs::SeekFrom::Start(0)).unwrap();
        let socket = Stdio::from(self.socket.try_clone().unwrap());
        assert!(Command::new("cat").stdin(file).stdout(socket).status().unwrap().success());
    }
}

struct Receiver<'s> {
    socket: &'s OwnedFd,
    kind: i32,
    /// Whether peeking goes on where it ended (`SO_PEEK_OFF`).
    peeks_on: bool,
    ring: Option<Uring>,
    seed: u64,
    received: usize,
    buffer: Vec<u8>,
}

impl Receiver<'_> {
    fn new(socket: &OwnedFd, seed: u64, kind: i32) -> Receiver<'_> {
        let peeks_on = kind == STREAM && seed > 0;
        if peeks_on {
            set_option(socket, libc::SO_PEEK_OFF, 0).unwrap();
        }
        if kind == STREAM {
            // What is urgent is received in its place.
            set_option(socket, libc::SO_OOBINLINE, 1).unwrap();
        }
        let buffer = vec![0; 200_000];
        Receiver { socket, kind, peeks_on, ring: Uring::new(), seed, received: 0, buffer }
    }

    /// Receives to the end, in parts of all sizes.
    fn receive_all(mut self) {
        for round in 0.. {
            let max = if self.kind == STREAM { 1 + (round * 7919) % 5000 } else { self.buffer.len() };
            if round % 3 == 0 {
                self.peek(max);
            }
            for len in self.receive(round % 7, max) {
                if len == 0 {
                    return;
                }
                self.received += len;
            }
        }
    }

    fn peek(&mut self, max: usize) {
        let room = &mut self.buffer[..max.min(100)];
        if self.peeks_on {
            // Waits for what was not peeked at before, of which there may be nothing.
            let _ = recv(self.socket, room, RecvFlags::PEEK | RecvFlags::DONTWAIT);
        } else if self.kind != STREAM && self.received.is_multiple_of(2) {
            recv(self.socket, room, RecvFlags::PEEK | RecvFlags::TRUNC).unwrap();
        } else {
            recv(self.socket, room, RecvFlags::PEEK).unwrap();
        }
    }

    /// Receives, checks, and returns the lengths.
    fn receive(&mut self, call: usize, max: usize) -> Vec<usize> {
        let room = &mut self.buffer[..max];
        let len = match (call, &mut self.ring) {
            (0, _) => rustix::io::read(self.socket, &mut *room).unwrap(),
            (1, Some(ring)) => ring.recv(self.socket, room, 0).unwrap(),
            (2, Some(ring)) => ring.read(self.socket, room).unwrap(),
            (3, _) => {
                let received = receive_many(self.socket, 3, max, libc::MSG_WAITFORONE).unwrap();
                let expected = filled(self.seed, self.received, received.concat().len());
                assert_eq!(received.concat(), expected);
                return received.iter().map(Vec::len).collect();
            }
            (4, _) if self.kind != STREAM => {
                // Only the beginning; the result is the whole length.
                let (kept, len) = recv(self.socket, &mut room[..10], RecvFlags::TRUNC).unwrap();
                assert_eq!(room[..kept], filled(self.seed, self.received, kept)[..]);
                return vec![len];
            }
            _ => recv(self.socket, &mut *room, RecvFlags::empty()).unwrap().1,
        };
        assert_eq!(room[..len], filled(self.seed, self.received, len)[..]);
        vec![len]
    }
}

/// Transfers. The input starts it, and ends it.
pub fn generate() {
    let kinds = [STREAM, libc::SOCK_SEQPACKET, STREAM, libc::SOCK_DGRAM];
    let pairs: Vec<_> = kinds.iter().map(|kind| (*kind, pair(*kind))).collect();
    for (seed, (_, (one, other))) in pairs.iter().enumerate() {
        let ((inode, cookie), (other_inode, other_cookie)) = (number(one), number(other));
        println!("pair {seed} {inode} {cookie} {other_inode} {other_cookie}");
    }
    println!("ready");
    io::stdin().read_line(&mut String::new()).unwrap();
    let transfer = |seed: usize, kind: i32, one: &OwnedFd, other: &OwnedFd| {
        thread::scope(|scope| {
            scope.spawn(|| {
                stay_on(seed / 2);
                Receiver::new(other, seed as u64, kind).receive_all();
            });
            stay_on(seed);
            let sent = Sender::new(one, seed as u64, kind).send_all();
            match kind {
                libc::SOCK_DGRAM => assert_eq!(rustix::io::write(one, b"").unwrap(), 0),
                _ => rustix::net::shutdown(one, rustix::net::Shutdown::Write).unwrap(),
            }
            sent
        })
    };
    let totals: Vec<usize> = thread::scope(|scope| {
        let threads = pairs.iter().enumerate();
        let threads: Vec<_> = threads
            .map(|(seed, (kind, (one, other)))| scope.spawn(move || transfer(seed, *kind, one, other)))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (seed, total) in totals.iter().enumerate() {
        println!("sent {seed} {total}");
    }
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// Sends pages, which the kernel adds to a message of which a part was received.
pub fn grow() {
    let (one, other) = pair(STREAM);
    println!("pair 0 {} {}", number(&one).1, number(&other).1);
    println!("ready");
    io::stdin().read_line(&mut String::new()).unwrap();
    let file = memfd_create("content", MemfdFlags::CLOEXEC).unwrap();
    rustix::io::write(&file, &filled(0, 0, 3000)).unwrap();
    for mut from in [0, 1000, 2000] {
        assert_eq!(rustix::fs::sendfile(&one, &file, Some(&mut from), 1000).unwrap(), 1000);
        recv(&other, &mut [0; 600][..], RecvFlags::empty()).unwrap();
    }
    recv(&other, &mut [0; 3000][..], RecvFlags::empty()).unwrap();
    println!("sent all");
    io::stdin().read_line(&mut String::new()).unwrap();
}

/// Sends numbered messages from several threads on each processor, as fast as they go.
pub fn flood(messages: u64) {
    let pairs: Vec<_> = (0..PAIRS).map(|_| pair(libc::SOCK_SEQPACKET)).collect();
    for (seed, (one, other)) in pairs.iter().enumerate() {
        println!("pair {seed} {} {}", number(one).1, number(other).1);
    }
    println!("ready");
    io::stdin().read_line(&mut String::new()).unwrap();
    thread::scope(|scope| {
        for (seed, (one, other)) in pairs.iter().enumerate() {
            scope.spawn(move || {
                stay_on(seed / 2);
                for _ in 0..messages {
                    recv(other, &mut [0; 64][..], RecvFlags::empty()).unwrap();
                }
            });
            scope.spawn(move || {
                stay_on(seed);
                for number in 0..messages {
                    let mut bytes = [0; 64];
                    bytes[..8].copy_from_slice(&number.to_le_bytes());
                    assert_eq!(rustix::net::send(one, &bytes, SendFlags::empty()).unwrap(), 64);
                }
            });
        }
    });
    println!("sent all");
    io::stdin().read_line(&mut String::new()).unwrap();
}
