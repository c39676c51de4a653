//! The ring under loom: two ends in modelled memory, run in every order of their accesses that the
//! memory model permits (`cargo xtask models`).
//!
//! Replaces the mapping, the clock and the futex, and nothing else: `end.rs` is the code that is
//! shipped. A sleep here never ends by itself, so a lost wake is a deadlock, which loom reports.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::{self, Relaxed};
use std::time::Duration;

pub(super) use loom::sync::atomic::fence;
use loom::sync::{Arc, Condvar, Mutex};
use rustix::io::Errno;

use super::end::{End, HEADER_BYTES};
use super::{Receiver, Sender};
use crate::waiting::{Step, Waiting};
use crate::{ErrorKind, Result};

/// The distance of the words in the header.
const HEADER_STEP_BYTES: usize = 128;
const HEADER_WORDS: usize = 4;
const WORD_BYTES: usize = size_of::<u32>();

/// A word of loom's, whose stores are exchanges. Loom does not know that a store is ordered after a
/// concurrent exchange that has read the value before it: it would let a later load return the
/// exchanged value again.
#[derive(Debug)]
pub(super) struct AtomicU32(loom::sync::atomic::AtomicU32);

impl AtomicU32 {
    pub(super) fn load(&self, ordering: Ordering) -> u32 {
        self.0.load(ordering)
    }

    pub(super) fn store(&self, value: u32, ordering: Ordering) {
        self.0.swap(value, ordering);
    }

    pub(super) fn compare_exchange(
        &self,
        current: u32,
        new: u32,
        success: Ordering,
        failure: Ordering,
    ) -> std::result::Result<u32, u32> {
        self.0.compare_exchange(current, new, success, failure)
    }
}

/// Memory in words: those of the header, then those of the messages, whose lengths therefore have
/// to be multiples of four.
#[derive(Clone, Debug)]
pub(super) struct Mapping(Arc<Vec<AtomicU32>>);

impl Mapping {
    pub(super) fn new(_: BorrowedFd<'_>, _: usize) -> io::Result<Mapping> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn with_capacity(bytes: u32) -> Mapping {
        let words = HEADER_WORDS + bytes as usize / WORD_BYTES;
        Mapping(Arc::new((0..words).map(|_| AtomicU32(loom::sync::atomic::AtomicU32::new(0))).collect()))
    }

    pub(super) fn word(&self, at: usize) -> &AtomicU32 {
        match at.checked_sub(HEADER_BYTES) {
            None => &self.0[at / HEADER_STEP_BYTES],
            Some(behind) => &self.0[HEADER_WORDS + behind / WORD_BYTES],
        }
    }

    pub(super) fn write(&self, at: usize, bytes: &[u8]) {
        for (n, word) in bytes.as_chunks().0.iter().enumerate() {
            self.word(at + n * WORD_BYTES).store(u32::from_ne_bytes(*word), Relaxed);
        }
    }

    pub(super) fn read(&self, at: usize, len_bytes: usize, into: &mut Vec<u8>) {
        for n in 0..len_bytes / WORD_BYTES {
            into.extend(self.word(at + n * WORD_BYTES).load(Relaxed).to_ne_bytes());
        }
    }
}

/// A wait that sleeps at once.
pub(super) struct Wait;

impl Wait {
    pub(super) fn new(_: Waiting, _: Duration) -> Wait {
        Wait
    }

    pub(super) fn step(&mut self, _: &'static str) -> Result<Step> {
        Ok(Step::Sleep(Duration::MAX))
    }
}

loom::lazy_static! {
    // The kernel compares and sleeps under a lock that the waker takes, too. One queue is enough:
    // there are two ends, and an end never wakes itself.
    static ref FUTEX: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
}

pub(super) fn sleep(word: &AtomicU32, was: u32, _: Duration) -> std::result::Result<(), Errno> {
    let locked = FUTEX.0.lock().unwrap();
    if word.load(Relaxed) == was {
        drop(FUTEX.1.wait(locked).unwrap());
    }
    Ok(())
}

pub(super) fn wake(_: &AtomicU32) {
    let _locked = FUTEX.0.lock().unwrap();
    FUTEX.1.notify_one();
}

fn ring(capacity_bytes: u32) -> (Sender, Receiver) {
    let memory = Mapping::with_capacity(capacity_bytes);
    let end = |is_sender| {
        End::over(memory.clone(), capacity_bytes, is_sender, Waiting::Futex, Duration::MAX, "test a ring")
    };
    (Sender(end(true)), Receiver(end(false)))
}

/// Runs every order with at most this many involuntary switches between the two threads.
fn explore(switches: usize, model: fn()) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(model);
}

/// A message of four bytes takes sixteen.
const RECORD_BYTES: u32 = 16;

#[test]
fn each_message_arrives_once_and_in_order() {
    explore(3, || {
        let (mut sender, mut receiver) = ring(2 * RECORD_BYTES);
        let sending = loom::thread::spawn(move || {
            for n in 1..=3_u32 {
                sender.send(&n.to_ne_bytes()).unwrap();
            }
        });
        let mut message = Vec::new();
        for n in 1..=3_u32 {
            receiver.recv(&mut message).unwrap();
            assert_eq!(message, n.to_ne_bytes());
        }
        assert_eq!(receiver.recv(&mut message).unwrap_err().kind(), ErrorKind::Closed);
        sending.join().unwrap();
    });
}

#[test]
fn a_message_that_wraps_around_arrives_whole() {
    explore(3, || {
        let (mut sender, mut receiver) = ring(2 * RECORD_BYTES);
        // A record of 24 bytes begins at 16 and ends at 8.
        let long = [1_u32, 2, 3, 4].map(u32::to_ne_bytes).concat();
        let sent = long.clone();
        let sending = loom::thread::spawn(move || {
            sender.send(&[0; 4]).unwrap();
            sender.send(&sent).unwrap();
        });
        let mut message = Vec::new();
        receiver.recv(&mut message).unwrap();
        receiver.recv(&mut message).unwrap();
        assert_eq!(message, long);
        sending.join().unwrap();
    });
}

#[test]
fn a_receiver_that_closes_wakes_its_sender() {
    explore(4, || {
        let (mut sender, receiver) = ring(RECORD_BYTES);
        let closing = loom::thread::spawn(move || drop(receiver));
        sender.send(&[0; 4]).unwrap();
        // The ring is full, and stays so.
        assert_eq!(sender.send(&[0; 4]).unwrap_err().kind(), ErrorKind::Closed);
        closing.join().unwrap();
    });
}
