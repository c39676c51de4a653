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
use super::throttle::Throttle;
use crate::bind::wait::deadline_after;
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

#[derive(Debug)]
struct Successor<L> {
    connection: L,
    offering: Offering,
}

impl<L: AsSeqPacket> Successor<L> {
    /// Returns whether it has sent a message, has closed its end, or has timed out.
    fn is_ready(&self, now: Instant) -> bool {
        // If polling fails, report it as readable: the step then sees the error.
        sys::is_readable(self.connection.as_seqpacket().as_fd()).unwrap_or(true)
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
    pub(crate) throttle: Throttle,
}

impl<L: AsSeqPacket> Successors<L> {
    pub(crate) fn new(timeout: Duration) -> Successors<L> {
        Successors { offered: None, waiting: Vec::new(), timeout, throttle: Throttle::default() }
    }

    /// Returns the limit of each step.
    #[cfg(feature = "tokio")]
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Returns the connections to wait for: only the one that holds an offer, if there is one.
    pub(crate) fn awaited(&self) -> impl Iterator<Item = &L> {
        let waiting = if self.offered.is_some() { &[][..] } else { &self.waiting[..] };
        self.offered.iter().chain(waiting).map(|successor| &successor.connection)
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
        self.throttle.record(began, Instant::now());
        match result {
            Ok(Arrival::Accepted(successor)) => self.join(successor),
            Ok(Arrival::Refused { .. }) => Ok(()),
            Err(error) if error.is_would_block() => Ok(()),
            Err(error) => {
                self.throttle.back_off(Instant::now());
                Err(error)
            }
        }
    }

    /// Adds a connection.
    ///
    /// # Errors
    /// Returns an error if its process may not receive the sockets. It has been sent a refusal.
    fn join(&mut self, connection: L) -> Result<()> {
        let offering = Offering::begin(connection.as_seqpacket(), self.timeout)?;
        if self.waiting.len() >= WAITING_MAX {
            let now = Instant::now();
            let silent = self.waiting.iter().position(|successor| !successor.is_ready(now));
            drop(self.waiting.remove(silent.unwrap_or(0)));
        }
        self.waiting.push(Successor { connection, offering });
        Ok(())
    }

    /// Processes the next message of one successor, if there is one. Returns `true` if it has taken
    /// over.
    ///
    /// # Errors
    /// Returns an error if that successor never will take over. The others stay connected.
    pub(crate) fn step(&mut self, items: &mut [Item<'_>]) -> Result<bool> {
        let now = Instant::now();
        let next = match self.offered.take_if(|offered| offered.is_ready(now)) {
            None if self.offered.is_none() => {
                let next = self.waiting.iter().position(|successor| successor.is_ready(now));
                next.map(|index| self.waiting.remove(index))
            }
            next => next,
        };
        let Some(mut next) = next else { return Ok(false) };
        if next.offering.step(next.connection.as_seqpacket(), items)? {
            return Ok(true);
        }
        // The time to initialize begins with the offer, however long it waited for others.
        next.offering.end = deadline_after(self.timeout);
        self.offered = Some(next);
        Ok(false)
    }

    /// Returns whether [`Successors::step`] has something to do.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_ready(&self) -> bool {
        let now = Instant::now();
        match &self.offered {
            Some(offered) => offered.is_ready(now),
            None => self.waiting.iter().any(|successor| successor.is_ready(now)),
        }
    }
}
