//! Replies to messages, and limits on what a sender that does not read them can occupy: the
//! socket's send buffer, time, and handlers that wait for it.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{sleep, sleep_until, timeout};

use super::counters::Counters;
use super::keyed_semaphore::{KeyedPermit, KeyedSemaphore};
use crate::aio::{Backoff, Datagram, Receiver, wait_send_ready};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::send_quota::{SendQuota, Verdict};
use crate::{Address, packet};

/// The default time that a reply waits for room in its receiver's queue.
pub(super) const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// Sends replies within the limits, for one server.
#[derive(Debug)]
pub(super) struct Replies {
    quota: SendQuota,
    /// Limits how many replies wait for their receivers at once.
    waiting: Semaphore,
    waiting_for: Arc<KeyedSemaphore<Address>>,
    timeout: Duration,
    counters: Counters,
}

impl Replies {
    /// Creates the limits for a server that handles this many messages at once. Half of its
    /// handlers may wait for senders that do not read, and a quarter for one of them.
    pub(super) fn new(in_flight: usize, timeout: Duration, counters: Counters) -> Replies {
        Replies {
            quota: SendQuota::new(),
            waiting: Semaphore::new((in_flight / 2).clamp(1, Semaphore::MAX_PERMITS)),
            waiting_for: KeyedSemaphore::new((in_flight / 4).max(1)),
            timeout,
            counters,
        }
    }

    /// Returns whether so many replies wait for this sender that its messages are to be dropped.
    pub(super) fn reads_no_replies(&self, sender: &Address) -> bool {
        self.waiting_for.is_used_up(sender)
    }

    fn permit(&self, to: &Address) -> Option<(SemaphorePermit<'_>, KeyedPermit<Address>)> {
        Some((self.waiting.try_acquire().ok()?, self.waiting_for.take(to)?))
    }

    /// Sends a reply, waiting for room in its receiver's queue within the limits.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    pub(super) async fn send(&self, socket: &Datagram, message: &[u8], to: &Destination<'_>) -> Result<()> {
        match timeout(self.timeout, self.send_in_time(socket, message, to)).await {
            Ok(result) => result,
            Err(_) => {
                self.counters.cells().replies_timed_out.fetch_add(1, Relaxed);
                let detail = format!("the receiver did not read for {:?}", self.timeout);
                Err(Error::new(Operation::Send, ErrorKind::TimedOut, detail).on(to.address))
            }
        }
    }

    async fn send_in_time(&self, socket: &Datagram, message: &[u8], to: &Destination<'_>) -> Result<()> {
        let (since, mut permit, mut backoff) = (Instant::now(), None, Backoff::new());
        loop {
            tokio::task::coop::consume_budget().await;
            let obstacle = match self.try_send(socket, message, to, since)? {
                Sent::Yes => return Ok(()),
                // The quota's verdict is known soon, so this wait does not count against the
                // limits.
                Sent::Unsure(until) => {
                    sleep_until(until.into()).await;
                    continue;
                }
                obstacle => obstacle,
            };
            if permit.is_none() {
                permit = Some(self.permit(to.address).ok_or_else(|| self.refused(to.address))?);
            }
            match obstacle {
                Sent::Full => wait_send_ready(socket, to.receiver).await,
                _ => sleep(backoff.next()).await,
            }
        }
    }

    fn refused(&self, to: &Address) -> Error {
        self.counters.cells().replies_refused.fetch_add(1, Relaxed);
        let detail = "the receiver does not read, and the limit on waiting replies is reached";
        Error::new(Operation::Send, ErrorKind::WouldBlock, detail).on(to)
    }

    fn try_send(
        &self,
        socket: &Datagram,
        message: &[u8],
        to: &Destination<'_>,
        since: Instant,
    ) -> Result<Sent> {
        // A sender without an address has no queue either: the send itself returns the right
        // error.
        if !to.address.is_unnamed() {
            match self.quota.ask(socket.as_ref(), to.address, to.uid, message.len(), since)? {
                Verdict::Allowed => {}
                Verdict::Unsure(until) => return Ok(Sent::Unsure(until)),
                Verdict::Refused => return Ok(Sent::OverQuota),
            }
        }
        let sent = match to.receiver {
            Receiver::At(address) => socket.try_send_to(message, address).map(drop),
            Receiver::Held(target) => packet::send(socket.as_ref(), message, Some(&target.raw))
                .map_err(|error| error.on(to.address)),
        };
        match sent {
            Err(error) if error.is_would_block() => return Ok(Sent::Full),
            result => result?,
        }
        self.quota.record(to.address, to.uid, message.len());
        Ok(Sent::Yes)
    }
}

/// The destination of a reply.
pub(super) struct Destination<'a> {
    pub(super) receiver: Receiver<'a>,
    /// The address as the sender bound it, under which its limits are counted.
    pub(super) address: &'a Address,
    pub(super) uid: Option<u32>,
}

/// The outcome of an attempt to send a reply.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Yes,
    /// The receiver may occupy its share of the send buffer; known at this instant.
    Unsure(Instant),
    /// The receiver occupies its share of the send buffer.
    OverQuota,
    /// The receiver's queue is full, or the send buffer is.
    Full,
}
