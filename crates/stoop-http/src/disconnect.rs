//! Detects that an HTTP/1.1 client has disconnected while its request is handled.
//!
//! hyper notices the end of a client's bytes, but not whether the client still reads: a client may
//! shut down its write half after its request, and wait for the response. So hyper is told not to
//! close such connections, and then reads nothing while a request is handled. Whether the client
//! has closed both directions is detected here.

use std::sync::Weak;
use std::task::{Context, Poll, ready};

use stoop::aio;

use crate::idle::IdleTracker;

/// Detects the disconnection of one client.
pub(crate) struct DisconnectWatch {
    stream: Weak<aio::Stream>,
    idle: IdleTracker,
}

impl DisconnectWatch {
    /// Watches a stream whose reads are reported to `idle`.
    pub(crate) fn new(stream: Weak<aio::Stream>, idle: IdleTracker) -> DisconnectWatch {
        DisconnectWatch { stream, idle }
    }

    /// Polls until the client can read no response any more, and has sent nothing that is still
    /// unread. Must be polled by the connection's own task, after the connection.
    pub(crate) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        // While hyper reads, it notices the end by itself.
        if self.idle.awaits_bytes() {
            return Poll::Pending;
        }
        let Some(stream) = self.stream.upgrade() else { return Poll::Pending };
        if ready!(stoop::internal::poll_hang_up(&stream, cx)).is_err() {
            return Poll::Pending;
        }
        // A client may close without waiting for the response, and its request is then read to the
        // end. This is polled again after each read.
        match stream.get_ref().peek(&mut [0]) {
            Ok(1..) => Poll::Pending,
            _ => Poll::Ready(()),
        }
    }
}
