//! A System V message queue: messages in the kernel, addressed by a number.
//!
//! The kernel has no timeout for such a queue, and signals belong to the program. A wait that
//! exceeds its limit is therefore ended by a thread ([`Watchdog`]) that removes the queue: every
//! waiting process is woken at once ([K-SYSV-1]). After that the queue is of no more use. With a
//! peer that does not answer within the limit it would be of none anyway.
//!
//! [K-SYSV-1]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-SYSV-1

use std::io;
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::sys::queue::{self as sys, MessageBuffer};
use crate::watchdog::Watchdog;
use crate::{Error, ErrorKind, Result};

/// The default of `kernel.msgmax`, in bytes.
const USUAL_MESSAGE_BYTES: usize = 8192;

const CREATE: &str = "create a System V queue";
const OPEN: &str = "open a System V queue";
const SEND: &str = "send to a System V queue";
const RECEIVE: &str = "receive from a System V queue";

/// A handle to a message queue. If this process created the queue, dropping the handle removes it.
///
/// A process that is killed leaves its queue behind until it is removed with `ipcrm`: System V
/// queues outlive their creator.
#[doc(alias("msgget", "msgctl"))]
#[derive(Debug)]
pub struct Queue {
    id: i32,
    is_ours: bool,
    message_max_bytes: usize,
    limit: Duration,
    buffer: MessageBuffer,
    watchdog: Watchdog,
}

impl Queue {
    /// Creates a queue that processes of this user may use. `limit` applies to each wait on it.
    ///
    /// Does not block. Starts a thread.
    ///
    /// # Errors
    /// Returns an error if there are `kernel.msgmni` queues already ([`ErrorKind::LimitReached`]),
    /// or if the kernel has no message queues ([`ErrorKind::Unsupported`]).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop_memory::{ErrorKind, Queue};
    ///
    /// let limit = Duration::from_secs(1);
    /// let mut queue = Queue::new(limit)?;
    /// let mut peer = Queue::open(queue.id(), limit)?; // in practice, in another process
    /// peer.send(b"hello")?;
    /// let mut message = Vec::new();
    /// queue.recv(&mut message)?;
    /// assert_eq!(message, b"hello");
    ///
    /// drop(queue); // removes the queue: this handle created it
    /// assert_eq!(peer.send(b"late").unwrap_err().kind(), ErrorKind::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(limit: Duration) -> Result<Queue> {
        let id = sys::create().map_err(|error| Error::os(CREATE, error))?;
        Queue::with(id, true, limit).inspect_err(|_| drop(sys::remove(id)))
    }

    /// Opens a queue that another process has created, by its [`id`](Queue::id).
    ///
    /// Does not block. Starts a thread.
    ///
    /// # Errors
    /// Returns an error if the queue has been removed ([`ErrorKind::Closed`]) or belongs to another
    /// user ([`ErrorKind::Failed`]).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop_memory::{ErrorKind, Queue};
    ///
    /// let id = Queue::new(Duration::from_secs(1))?.id(); // removed at once
    /// assert_eq!(Queue::open(id, Duration::from_secs(1)).unwrap_err().kind(), ErrorKind::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn open(id: i32, limit: Duration) -> Result<Queue> {
        Queue::with(id, false, limit)
    }

    fn with(id: i32, is_ours: bool, limit: Duration) -> Result<Queue> {
        let capacity = sys::capacity_bytes(id).map_err(|error| closed_if_removed(OPEN, error))?;
        let message_max_bytes = limit_bytes().min(capacity);
        // If another process has removed the queue meanwhile, there is nothing left to do.
        let watchdog =
            Watchdog::start(move || drop(sys::remove(id))).map_err(|error| Error::os(OPEN, error))?;
        Ok(Queue {
            id,
            is_ours,
            message_max_bytes,
            limit,
            buffer: MessageBuffer::new(message_max_bytes),
            watchdog,
        })
    }

    /// Returns the number by which the other process opens the queue.
    pub fn id(&self) -> i32 {
        self.id
    }

    /// Returns the maximum length of a message: `kernel.msgmax`, or the capacity of the queue.
    pub fn message_max_bytes(&self) -> usize {
        self.message_max_bytes
    }

    /// Sends one message, which may be empty.
    ///
    /// Blocks while the queue is full. `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if the message is longer than
    /// [`message_max_bytes`](Queue::message_max_bytes) ([`ErrorKind::TooLarge`]), if the limit
    /// expires, which removes the queue ([`ErrorKind::TimedOut`]), or if the queue has been removed
    /// ([`ErrorKind::Closed`]).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop_memory::{ErrorKind, Queue};
    ///
    /// let mut queue = Queue::new(Duration::from_secs(1))?;
    /// let too_long = vec![0; queue.message_max_bytes() + 1];
    /// assert_eq!(queue.send(&too_long).unwrap_err().kind(), ErrorKind::TooLarge);
    /// queue.send(b"")?; // an empty message is a message
    /// let mut message = b"overwritten".to_vec();
    /// queue.recv(&mut message)?;
    /// assert!(message.is_empty());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msgsnd")]
    pub fn send(&mut self, message: &[u8]) -> Result<()> {
        if message.len() > self.message_max_bytes {
            return Err(Error::new(SEND, ErrorKind::TooLarge));
        }
        self.watchdog.arm(Instant::now().checked_add(self.limit));
        let sent = retry_interrupted(|| sys::send(self.id, message, &mut self.buffer));
        self.settle(SEND, sent)
    }

    /// Receives the oldest message into `message`, replacing its contents.
    ///
    /// Blocks while the queue is empty. `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if the limit expires, which removes the queue ([`ErrorKind::TimedOut`]), or
    /// if the queue and the messages in it have been removed ([`ErrorKind::Closed`]).
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop_memory::{ErrorKind, Queue};
    ///
    /// let mut queue = Queue::new(Duration::from_millis(1))?;
    /// let mut peer = Queue::open(queue.id(), Duration::from_secs(1))?;
    /// let error = queue.recv(&mut Vec::new()).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::TimedOut);
    /// // The expired wait has removed the queue.
    /// assert_eq!(peer.send(b"late").unwrap_err().kind(), ErrorKind::Closed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "msgrcv")]
    pub fn recv(&mut self, message: &mut Vec<u8>) -> Result<()> {
        message.clear();
        self.watchdog.arm(Instant::now().checked_add(self.limit));
        let received = retry_interrupted(|| {
            let bytes = sys::receive(self.id, &mut self.buffer)?;
            message.extend_from_slice(bytes);
            Ok(())
        });
        self.settle(RECEIVE, received)
    }

    /// Ends a wait and evaluates its outcome. A message that arrived just as the wait was being
    /// ended counts as received.
    fn settle(&self, operation: &'static str, outcome: io::Result<()>) -> Result<()> {
        let was_ended = self.watchdog.disarm();
        outcome.map_err(|error| match closed_if_removed(operation, error) {
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
            // If this fails, the queue has already been removed.
            let _ = sys::remove(self.id);
        }
    }
}

/// Returns the error of a call with valid arguments. A number that the kernel does not know is that
/// of a removed queue ([K-SYSV-1]).
///
/// [K-SYSV-1]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-SYSV-1
fn closed_if_removed(operation: &'static str, error: io::Error) -> Error {
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::INVAL | Errno::IDRM) => Error::new(operation, ErrorKind::Closed),
        _ => Error::os(operation, error),
    }
}

/// Retries after `EINTR`: the kernel never restarts these calls by itself.
fn retry_interrupted(mut call: impl FnMut() -> io::Result<()>) -> io::Result<()> {
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
