//! The successors that have connected and not taken over: which of them is answered next, and how
//! much of a server's time all of them together get.
//!
//! Several may be connected, and one at a time is offered the sockets: if the predecessor died with
//! two of them ready, both would serve. One that connects and says nothing takes nobody's turn; one
//! that was offered the sockets and does not go on holds the others up for one step at most.
//! Accepts nothing itself, and waits for nothing.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::offer::{Item, Offering};
use super::pace::Pace;
use crate::bind::wait::end_of;
use crate::error::Result;
use crate::{SeqPacket, sys};

/// How many may be connected before they have said anything. A real successor speaks as soon as it
/// has connected, so that one more takes the place of the one that has been silent longest.
const WAITING_MAX: usize = 8;

/// A connection at which a successor is heard: blocking, or driven by a runtime.
pub(crate) trait Line {
    fn line(&self) -> &SeqPacket;
}

impl Line for SeqPacket {
    fn line(&self) -> &SeqPacket {
        self
    }
}

#[cfg(feature = "tokio")]
impl Line for crate::aio::SeqPacket {
    fn line(&self) -> &SeqPacket {
        self.get_ref()
    }
}

#[derive(Debug)]
struct Successor<L> {
    line: L,
    offering: Offering,
}

impl<L: Line> Successor<L> {
    /// Whether it has said something, or has gone, or its time is up.
    fn has_word(&self, now: Instant) -> bool {
        // An error shows again in the step.
        sys::is_readable(self.line.line().as_fd()).unwrap_or(true)
            || self.offering.end.is_some_and(|end| end <= now)
    }
}

/// Those that are connected.
#[derive(Debug)]
pub(crate) struct Successors<L> {
    /// Has copies of the sockets, and prepares.
    offered: Option<Successor<L>>,
    /// Have said nothing that was heard, in the order in which they came.
    waiting: Vec<Successor<L>>,
    /// For each step.
    timeout: Duration,
    /// Of accepting more of them.
    pub(crate) pace: Pace,
}

impl<L: Line> Successors<L> {
    pub(crate) fn new(timeout: Duration) -> Successors<L> {
        Successors { offered: None, waiting: Vec::new(), timeout, pace: Pace::default() }
    }

    /// Returns the limit of each step.
    #[cfg(feature = "tokio")]
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Those whose next word is to be waited for: nobody else's while one is preparing.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = &L> {
        let waiting = if self.offered.is_some() { &[][..] } else { &self.waiting[..] };
        self.offered.iter().chain(waiting).map(|successor| &successor.line)
    }

    /// When the patience with one of them ends.
    pub(crate) fn end(&self) -> Option<Instant> {
        match &self.offered {
            Some(offered) => offered.offering.end,
            None => self.waiting.iter().filter_map(|successor| successor.offering.end).min(),
        }
    }

    /// One more.
    ///
    /// # Errors
    /// Returns an error if it may not have our sockets; it has been told.
    pub(crate) fn join(&mut self, line: L) -> Result<()> {
        let offering = Offering::begin(line.line(), self.timeout)?;
        if self.waiting.len() >= WAITING_MAX {
            let now = Instant::now();
            let silent = self.waiting.iter().position(|successor| !successor.has_word(now));
            drop(self.waiting.remove(silent.unwrap_or(0)));
        }
        self.waiting.push(Successor { line, offering });
        Ok(())
    }

    /// Hears the next word of one of them, if there is one. True if it has taken over.
    ///
    /// # Errors
    /// Returns an error if it never will. The others are still there.
    pub(crate) fn step(&mut self, items: &mut [Item<'_>]) -> Result<bool> {
        let now = Instant::now();
        let next = match self.offered.take_if(|offered| offered.has_word(now)) {
            None if self.offered.is_none() => {
                let next = self.waiting.iter().position(|successor| successor.has_word(now));
                next.map(|index| self.waiting.remove(index))
            }
            next => next,
        };
        let Some(mut next) = next else { return Ok(false) };
        if next.offering.step(next.line.line(), items)? {
            return Ok(true);
        }
        // It has the offer, and all of the time to prepare, however long it had to wait for others.
        next.offering.end = end_of(self.timeout);
        self.offered = Some(next);
        Ok(false)
    }

    /// Whether [`Successors::step`] has something to do.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_word(&self) -> bool {
        let now = Instant::now();
        match &self.offered {
            Some(offered) => offered.has_word(now),
            None => self.waiting.iter().any(|successor| successor.has_word(now)),
        }
    }
}
