//! The successors that have connected and not taken over: which one is served next, and how much of
//! a server's time they all get.
//!
//! Several may be connected, but only one at a time is offered the sockets. Otherwise, if the
//! predecessor died while two were ready, both would serve. A successor that connects and sends
//! nothing delays no other. One that was offered the sockets and then stalls delays the others by
//! one step at most. This module accepts nothing itself and never blocks.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::offer::{Item, Offering};
use super::pace::Pace;
use crate::bind::wait::end_of;
use crate::error::Result;
use crate::{Arrival, SeqPacket, sys};

/// How many may be connected before they have sent a message. A real successor does so as soon as
/// it has connected, so a further connection replaces the one that has been silent longest.
const WAITING_MAX: usize = 8;

/// A connection to a successor: blocking, or driven by an async runtime.
pub(crate) trait AsSeqPacket {
    fn as_seqpacket(&self) -> &SeqPacket;
}

impl AsSeqPacket for SeqPacket {
    fn as_seqpacket(&self) -> &SeqPacket {
        self
    }
}

#[cfg(feature = "tokio")]
impl AsSeqPacket for crate::aio::SeqPacket {
    fn as_seqpacket(&self) -> &SeqPacket {
        self.get_ref()
    }
}

#[derive(Debug)]
struct Successor<L> {
    line: L,
    offering: Offering,
}

impl<L: AsSeqPacket> Successor<L> {
    /// Returns whether it has sent a message, has closed its end, or has timed out.
    fn has_word(&self, now: Instant) -> bool {
        // If polling fails, report it as readable: the step then sees the error.
        sys::is_readable(self.line.as_seqpacket().as_fd()).unwrap_or(true)
            || self.offering.end.is_some_and(|end| end <= now)
    }
}

/// The connected successors.
#[derive(Debug)]
pub(crate) struct Successors<L> {
    /// Holds copies of the sockets and initializes itself.
    offered: Option<Successor<L>>,
    /// Successors of which no message has been processed yet, in the order of their connections.
    waiting: Vec<Successor<L>>,
    /// The limit of each step.
    timeout: Duration,
    /// Limits how fast more of them are accepted.
    pub(crate) pace: Pace,
}

impl<L: AsSeqPacket> Successors<L> {
    pub(crate) fn new(timeout: Duration) -> Successors<L> {
        Successors { offered: None, waiting: Vec::new(), timeout, pace: Pace::default() }
    }

    /// Returns the limit of each step.
    #[cfg(feature = "tokio")]
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the connections to wait for: only the one that holds an offer, if there is one.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = &L> {
        let waiting = if self.offered.is_some() { &[][..] } else { &self.waiting[..] };
        self.offered.iter().chain(waiting).map(|successor| &successor.line)
    }

    /// Returns the earliest deadline of any of them.
    pub(crate) fn end(&self) -> Option<Instant> {
        match &self.offered {
            Some(offered) => offered.offering.end,
            None => self.waiting.iter().filter_map(|successor| successor.offering.end).min(),
        }
    }

    /// Handles the result of an accept at the control address that began at `began`.
    ///
    /// # Errors
    /// Returns an error if the accept failed for another reason than that no process waits, or if
    /// the process may not receive the sockets.
    pub(crate) fn accepted(&mut self, result: Result<Arrival<L>>, began: Instant) -> Result<()> {
        self.pace.note(began, Instant::now());
        match result {
            Ok(Arrival::Admitted(successor)) => self.join(successor),
            Ok(Arrival::Refused { .. }) => Ok(()),
            Err(error) if error.is_would_block() => Ok(()),
            Err(error) => {
                self.pace.give_way(Instant::now());
                Err(error)
            }
        }
    }

    /// Adds a connection.
    ///
    /// # Errors
    /// Returns an error if its process may not receive the sockets. It has been sent a refusal.
    fn join(&mut self, line: L) -> Result<()> {
        let offering = Offering::begin(line.as_seqpacket(), self.timeout)?;
        if self.waiting.len() >= WAITING_MAX {
            let now = Instant::now();
            let silent = self.waiting.iter().position(|successor| !successor.has_word(now));
            drop(self.waiting.remove(silent.unwrap_or(0)));
        }
        self.waiting.push(Successor { line, offering });
        Ok(())
    }

    /// Processes the next message of one successor, if there is one. Returns `true` if it has taken
    /// over.
    ///
    /// # Errors
    /// Returns an error if that successor never will take over. The others stay connected.
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
        if next.offering.step(next.line.as_seqpacket(), items)? {
            return Ok(true);
        }
        // The time to initialize begins with the offer, however long it waited for others.
        next.offering.end = end_of(self.timeout);
        self.offered = Some(next);
        Ok(false)
    }

    /// Returns whether [`Successors::step`] has something to do.
    #[cfg(feature = "tokio")]
    pub(crate) fn has_word(&self) -> bool {
        let now = Instant::now();
        match &self.offered {
            Some(offered) => offered.has_word(now),
            None => self.waiting.iter().any(|successor| successor.has_word(now)),
        }
    }
}
