//! How much one call may refuse before it returns: strangers who keep coming must not keep a caller
//! inside.
//!
//! Refuses nothing itself. A call that waits indefinitely goes on refusing, since its thread has
//! nothing else to do.

use std::time::Instant;

use crate::error::{Error, Operation, Result};
use crate::socket::Socket;

/// How many clients or messages a nonblocking call refuses before it returns. Refusing as many
/// takes some ten microseconds: little beside what it costs a task to yield, and little for the
/// others that wait meanwhile.
pub(crate) const REFUSALS_PER_CALL: usize = 16;

/// What one call has refused so far, and how much more it may.
#[derive(Debug)]
pub(crate) struct Refusals {
    operation: Operation,
    count: usize,
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// Nothing has been refused, and so nothing asked.
    Unknown,
    None,
    Count,
    Until(Instant),
}

impl Refusals {
    pub(crate) fn of(operation: Operation) -> Refusals {
        Refusals { operation, count: 0, limit: Limit::Unknown }
    }

    /// Counts refusals on this socket.
    ///
    /// # Errors
    /// Returns an error if the call has to return: see [`Error::is_refusal_limit`].
    pub(crate) fn add(&mut self, socket: &Socket, count: usize) -> Result<()> {
        self.count += count;
        if matches!(self.limit, Limit::Unknown) {
            self.limit = Limit::on(socket)?;
        }
        let is_over = match self.limit {
            Limit::Unknown | Limit::None => false,
            Limit::Count => self.count >= REFUSALS_PER_CALL,
            Limit::Until(end) => Instant::now() >= end,
        };
        if is_over { Err(Error::refusal_limit(self.operation, self.count)) } else { Ok(()) }
    }
}

impl Limit {
    /// The time that a blocking socket was given counts from the first refusal: no clock is read
    /// for what is not refused.
    fn on(socket: &Socket) -> Result<Limit> {
        if socket.is_nonblocking()? {
            return Ok(Limit::Count);
        }
        let end = socket.read_timeout()?.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(end.map_or(Limit::None, Limit::Until))
    }
}
