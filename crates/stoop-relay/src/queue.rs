//! Clients that something else has accepted, on their way to the relay.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::event::{EventfdFlags, eventfd};

use stoop::Peer;

use crate::end::End;

/// A client that something else has accepted.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) end: End,
    pub(crate) introduction: Introduction,
}

/// Who a client is, as far as its own end does not say so.
#[derive(Clone, Debug, Default)]
pub(crate) struct Introduction {
    /// The process for which this process has connected.
    pub(crate) peer: Option<Peer>,
    /// The names in its certificate.
    pub(crate) names: Vec<String>,
}

impl From<End> for Newcomer {
    fn from(end: End) -> Newcomer {
        Newcomer { end, introduction: Introduction::default() }
    }
}

/// The clients that wait.
#[derive(Debug)]
pub(crate) struct Queue {
    waiting: Mutex<VecDeque<io::Result<Newcomer>>>,
    ready: OwnedFd,
}

impl Queue {
    pub(crate) fn new() -> io::Result<Queue> {
        let ready = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Queue { waiting: Mutex::default(), ready })
    }

    /// Adds a client, or why there is none.
    pub(crate) fn push(&self, client: io::Result<Newcomer>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push_back(client);
        let _ = rustix::io::write(&self.ready, &1u64.to_ne_bytes());
    }

    /// Returns how many wait.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS adds more than one"))]
    pub(crate) fn len(&self) -> usize {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    pub(crate) fn pop(&self) -> Option<io::Result<Newcomer>> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let client = waiting.pop_front();
        if waiting.is_empty() {
            let _ = rustix::io::read(&self.ready, &mut [0; 8]);
        }
        client
    }
}

/// A queue as a listener, and what fills it: dropped, it accepts no more.
pub(crate) struct Queued {
    pub(crate) queue: Arc<Queue>,
    pub(crate) filler: Option<Box<dyn Any + Send>>,
}

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.queue.fmt(f)
    }
}

impl AsFd for Queued {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.ready.as_fd()
    }
}
