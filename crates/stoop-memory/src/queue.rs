//! A System V message queue: messages in the kernel, under a number.
//!
//! The kernel has no time limit for waiting on such a queue, and signals belong to the program. So
//! a wait that takes too long is ended by removing the queue, which a thread does ([`Watch`]):
//! whoever waits on it learns of it at once (K-SYSV-1). After that the queue is of no more use to
//! anybody, which is what a peer that does not answer within the limit makes of it anyway.

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::sys::queue::{self as sys, Parcel};
use crate::watch::Watch;
use crate::{Error, ErrorKind, Result};

/// What `kernel.msgmax` is on a machine where nobody has changed it, in bytes.
const USUAL_MESSAGE_BYTES: usize = 8192;

const MAKE: &str = "make a System V queue";
const OPEN: &str = "open a System V queue";
const SEND: &str = "send to a System V queue";
const RECEIVE: &str = "receive from a System V queue";

/// One process's hold on a queue. Who made it removes it when dropping this.
///
/// A process that is killed leaves its queue behind, until somebody removes it (`ipcrm`): that is
/// how the kernel has it.
#[derive(Debug)]
pub struct Queue {
    id: i32,
    is_ours: bool,
    message_max_bytes: usize,
    limit: Duration,
    parcel: Parcel,
    watch: Watch,
}

impl Queue {
    /// Makes a queue that processes of this user may use, with the longest time that anything here
    /// may wait on it.
    ///
    /// Does not block; starts a thread.
    ///
    /// # Errors
    /// [`ErrorKind::LimitReached`] where there are `kernel.msgmni` queues already,
    /// [`ErrorKind::Unsupported`] where the kernel has none.
    pub fn new(limit: Duration) -> Result<Queue> {
        let id = sys::create().map_err(|error| Error::os(MAKE, error))?;
        Queue::with(id, true, limit).inspect_err(|_| drop(sys::remove(id)))
    }

    /// Opens the queue that another process has made, by its [`id`](Queue::id). Does not block;
    /// starts a thread.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`] where it is gone; [`ErrorKind::Failed`] where it is another user's.
    pub fn open(id: i32, limit: Duration) -> Result<Queue> {
        Queue::with(id, false, limit)
    }

    fn with(id: i32, is_ours: bool, limit: Duration) -> Result<Queue> {
        let capacity = sys::capacity_bytes(id).map_err(|error| gone(OPEN, error))?;
        let message_max_bytes = limit_bytes().min(capacity);
        // It may have been removed by somebody else meanwhile: nothing more can be wanted.
        let watch = Watch::start(move || drop(sys::remove(id))).map_err(|error| Error::os(OPEN, error))?;
        Ok(Queue { id, is_ours, message_max_bytes, limit, parcel: Parcel::new(message_max_bytes), watch })
    }

    /// The number that the other process opens it by.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// The longest message: `kernel.msgmax`, or what the queue as a whole may hold.
    pub fn message_max_bytes(&self) -> usize {
        self.message_max_bytes
    }

    /// Sends one message; it may be empty.
    ///
    /// Waits for room. `EINTR` is tried again.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for one longer than
    /// [`message_max_bytes`](Queue::message_max_bytes), [`ErrorKind::TimedOut`] where the limit has
    /// passed, after which the queue is gone, [`ErrorKind::Closed`] where it is gone already.
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        if message.len() > self.message_max_bytes {
            return Err(Error::new(SEND, ErrorKind::TooLarge));
        }
        self.watch.arm(Instant::now().checked_add(self.limit));
        let sent = retried(|| sys::send(self.id, message, &mut self.parcel));
        self.settle(SEND, sent)
    }

    /// Receives the oldest message, which replaces what is in `message`.
    ///
    /// Waits for one. `EINTR` is tried again.
    ///
    /// # Errors
    /// [`ErrorKind::TimedOut`] where the limit has passed, after which the queue is gone,
    /// [`ErrorKind::Closed`] where it is gone already, with what was in it.
    pub fn recv(&mut self, message: &mut Vec<u8>) -> Result<()> {
        message.clear();
        self.watch.arm(Instant::now().checked_add(self.limit));
        let received = retried(|| {
            let bytes = sys::receive(self.id, &mut self.parcel)?;
            message.extend_from_slice(bytes);
            Ok(())
        });
        self.settle(RECEIVE, received)
    }

    /// Ends a wait, and says what its outcome means. One that came in the moment in which it was to
    /// be ended has come.
    fn settle(&self, operation: &'static str, outcome: io::Result<()>) -> Result<()> {
        let was_ended = self.watch.disarm();
        outcome.map_err(|error| match gone(operation, error) {
            error if was_ended && error.kind() == ErrorKind::Closed => {
                Error::new(operation, ErrorKind::TimedOut)
            }
            error => error,
        })
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        if self.is_ours {
            // It is gone already, then.
            let _ = sys::remove(self.id);
        }
    }
}

/// An error of a call whose arguments are right: a number that the kernel does not know is that of
/// a queue that was removed (K-SYSV-1).
fn gone(operation: &'static str, error: io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::INVAL | Errno::IDRM) => Error::new(operation, ErrorKind::Closed),
        _ => Error::os(operation, error),
    }
}

/// The kernel never restarts these calls by itself.
fn retried(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

fn limit_bytes() -> usize {
    let text = std::fs::read_to_string("/proc/sys/kernel/msgmax").unwrap_or_default();
    text.trim().parse().unwrap_or(USUAL_MESSAGE_BYTES)
}
