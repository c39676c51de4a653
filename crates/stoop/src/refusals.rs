//! A limit on how many clients or messages one call refuses before it returns. Unwanted senders
//! cannot keep a caller inside a call.
//!
//! This module refuses nothing itself. A call that blocks indefinitely has no limit, since its
//! thread has nothing else to do.

use std::time::Instant;

use crate::error::{Error, Operation, Result};
use crate::socket::Socket;
use crate::socket_ext::SocketExt;

/// How many clients or messages a nonblocking call refuses before it returns.
///
/// Refusing this many takes some ten microseconds. This is little compared with the cost of a
/// task's yield, and a short delay for other tasks.
pub(crate) const REFUSALS_PER_CALL: usize = 16;

/// How much one call has refused so far, and how much more it may refuse.
#[derive(Debug)]
pub(crate) struct Refusals {
    operation: Operation,
    count: usize,
    limit: Limit,
}

#[derive(Clone, Copy, Debug)]
enum Limit {
    /// Nothing has been refused yet, so the socket's mode has not been queried.
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
    /// Returns the limit that the socket's mode and read timeout imply.
    ///
    /// The timeout counts from the first refusal, so that the clock is not read for calls that
    /// refuse nothing.
    fn on(socket: &Socket) -> Result<Limit> {
        if socket.is_nonblocking()? {
            return Ok(Limit::Count);
        }
        let end = socket.read_timeout()?.and_then(|timeout| Instant::now().checked_add(timeout));
        Ok(end.map_or(Limit::None, Limit::Until))
    }
}
