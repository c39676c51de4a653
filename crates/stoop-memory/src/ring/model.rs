//! What an end of a ring is built on, under loom: the mapping, the clock and the futex.
//!
//! Replaces nothing else: `end.rs` is the code that is shipped. A sleep here never ends by itself,
//! so a lost wake is a deadlock, which loom reports.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::Ordering::{self, Relaxed};
use std::time::Duration;

pub(super) use loom::sync::atomic::fence;
use loom::sync::{Arc, Condvar, Mutex};
use rustix::io::Errno;

use crate::Result;
use crate::waiting::{Step, Waiting};

/// The size of the header, in which only a few words are used.
pub(super) const HEADER_BYTES: usize = 4096;

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

    pub(super) fn with_capacity(bytes: u32) -> Mapping {
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
