//! Replies to messages, and what a sender that does not read them may take: of the socket's send
//! buffer, of time, and of the handlers that wait for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, sleep_until, timeout};

use super::counters::Counters;
use super::shares::{Share, Shares};
use crate::aio::{Datagram, Pause, Receiver, wait_for_room};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::send_quota::{SendQuota, Verdict};
use crate::{Address, packet};

/// How long a reply waits for its receiver unless told otherwise.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The way back to all senders.
#[derive(Debug)]
pub(super) struct Replies {
    quota: SendQuota,
    /// How many replies may wait for their receivers at once.
    waiting: Semaphore,
    waiting_for: Arc<Shares<Address>>,
    timeout: Duration,
    counters: Counters,
}

impl Replies {
    /// For a server that handles so many messages at once: half of its handlers may wait for
    /// senders that do not read, and a quarter for one of them.
    pub(super) fn new(in_flight: usize, timeout: Duration, counters: Counters) -> Replies {
        Replies {
            quota: SendQuota::new(),
            waiting: Semaphore::new((in_flight / 2).clamp(1, Semaphore::MAX_PERMITS)),
            waiting_for: Shares::new((in_flight / 4).max(1)),
            timeout,
            counters,
        }
    }

    /// Whether so many replies wait for this sender that nothing more is to be heard from it.
    pub(super) fn is_mute(&self, sender: &Address) -> bool {
        self.waiting_for.is_used_up(sender)
    }

    fn place(&self, to: &Address) -> Option<(SemaphorePermit<'_>, Share<Address>)> {
        Some((self.waiting.try_acquire().ok()?, self.waiting_for.take(to)?))
    }

    /// Sends one, waiting for its receiver if it may.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub(super) async fn send(&self, socket: &Datagram, message: &[u8], to: &To<'_>) -> Result<()> {
        match timeout(self.timeout, self.send_in_time(socket, message, to)).await {
            Ok(result) => result,
            Err(_) => {
                self.counters.cells().replies_timed_out.fetch_add(1, Relaxed);
                let detail = format!("the receiver did not read for {:?}", self.timeout);
                Err(Error::new(Operation::Send, ErrorKind::TimedOut, detail).on(to.address))
            }
        }
    }

    async fn send_in_time(&self, socket: &Datagram, message: &[u8], to: &To<'_>) -> Result<()> {
        let (since, mut place, mut pause) = (Instant::now(), None, Pause::new());
        loop {
            tokio::task::coop::consume_budget().await;
            let obstacle = match self.try_send(socket, message, to, since)? {
                Sent::Yes => return Ok(()),
                // That is known soon, whoever waits.
                Sent::Unsure(until) => {
                    sleep_until(until.into()).await;
                    continue;
                }
                obstacle => obstacle,
            };
            if place.is_none() {
                place = Some(self.place(to.address).ok_or_else(|| self.refused(to.address))?);
            }
            match obstacle {
                Sent::Full => wait_for_room(socket, to.receiver).await,
                _ => sleep(pause.next()).await,
            }
        }
    }

    fn refused(&self, to: &Address) -> Error {
        self.counters.cells().replies_refused.fetch_add(1, Relaxed);
        let detail = "the receiver does not read, and as many replies wait already as may";
        Error::new(Operation::Send, ErrorKind::WouldBlock, detail).on(to)
    }

    fn try_send(&self, socket: &Datagram, message: &[u8], to: &To<'_>, since: Instant) -> Result<Sent> {
        // A sender without an address has no queue either: the send says why nothing can be sent to it.
        if !to.address.is_unnamed() {
            match self.quota.ask(socket, to.address, to.uid, message.len(), since)? {
                Verdict::Allowed => {}
                Verdict::Unsure(until) => return Ok(Sent::Unsure(until)),
                Verdict::Refused => return Ok(Sent::OverQuota),
            }
        }
        let sent = match to.receiver {
            Receiver::At(address) => socket.try_send_to(message, address),
            Receiver::Held(target) => {
                packet::send(socket, message, Some(&target.raw)).map_err(|error| error.on(to.address))
            }
        };
        match sent {
            Err(error) if error.is_would_block() => return Ok(Sent::Full),
            result => result?,
        }
        self.quota.record(to.address, to.uid, message.len());
        Ok(Sent::Yes)
    }
}

/// Where a reply goes.
pub(super) struct To<'a> {
    pub(super) receiver: Receiver<'a>,
    /// The sender's own word for it, under which its share is counted.
    pub(super) address: &'a Address,
    pub(super) uid: Option<u32>,
}

/// What became of a reply.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Yes,
    /// Its receiver may hold its share of the send buffer.
    Unsure(Instant),
    /// It does.
    OverQuota,
    /// Its receiver's queue is full, or the send buffer.
    Full,
}
