//! Tracing a program that is started here: what it and its children send and receive, without a
//! privilege.
//!
//! A filter of system calls (seccomp) stops the processes at calls that can move data, and no
//! other; ptrace reads their results, and the bytes from their memory. Calls on anything but Unix
//! sockets go on at once.

mod call;
mod filter;
mod flows;
mod message;
mod order;
mod sys;
mod tracer;

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use stoop_bpf::End;

use crate::follow::{Flow, FlowId, Piece};
use crate::tap::{Clock, now_ns};
use flows::Flows;
use message::Message;
pub use message::{Ended, TraceError};
use order::Order;
pub use sys::Step;

/// A program that is traced, with its children and their threads.
///
/// Dropping the value does not end it; the end of this process does: without its tracer, its calls
/// would fail.
#[derive(Debug)]
pub struct Trace {
    messages: Receiver<Message>,
    flows: Flows,
    order: Order,
    clock: Clock,
    main: Option<OwnedFd>,
    ended: Option<Ended>,
}

impl Trace {
    /// Starts a program, found in `PATH`, with its arguments, and traces it. Of each message, at
    /// most `payload_max` bytes are read.
    ///
    /// Programs that it runs do not gain privileges (`PR_SET_NO_NEW_PRIVS`) unless this process
    /// may set the filter without that.
    ///
    /// # Errors
    /// Returns an error if the program cannot be run or traced.
    pub fn start(program: &[OsString], payload_max: usize) -> Result<Trace, TraceError> {
        let words = program.iter().map(|word| CString::new(word.clone().into_vec()));
        let execute = |error: std::ffi::NulError| TraceError { step: Step::Execute, error: error.into() };
        let words: Vec<CString> = words.collect::<Result<_, _>>().map_err(execute)?;
        if words.is_empty() {
            let error = io::Error::new(io::ErrorKind::InvalidInput, "no program");
            return Err(TraceError { step: Step::Execute, error });
        }
        let (sender, messages) = channel();
        // Only the thread that traces a process may control it.
        std::thread::spawn(move || tracer::run(&words, payload_max, &sender));
        let mut trace = Trace {
            messages,
            flows: Flows::default(),
            order: Order::default(),
            clock: Clock::now(),
            main: None,
            ended: None,
        };
        match trace.messages.recv() {
            Ok(Message::Started(pid)) => {
                let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
                trace.main = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
                Ok(trace)
            }
            Ok(Message::Failed(error)) => Err(error),
            _ => Err(TraceError { step: Step::Fork, error: io::Error::other("the tracing thread ended") }),
        }
    }
}

impl Trace {
    /// Returns what happened, in order; nothing if nothing happened within this time; `None` after
    /// the program and its children have ended.
    pub fn next(&mut self, timeout: Duration) -> Option<Vec<Piece>> {
        let end = Instant::now() + timeout;
        let mut pieces = Vec::new();
        loop {
            // What is there is taken together.
            let left = if pieces.is_empty() {
                end.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            match self.messages.recv_timeout(left) {
                Ok(message) => pieces.extend(self.take(message)),
                Err(RecvTimeoutError::Timeout) => {
                    pieces.extend(self.give_up(now_ns()));
                    return Some(pieces);
                }
                Err(RecvTimeoutError::Disconnected) => {
                    pieces.extend(self.give_up(u64::MAX));
                    return Some(pieces).filter(|pieces| !pieces.is_empty());
                }
            }
        }
    }

    fn take(&mut self, message: Message) -> Vec<Piece> {
        let ready = match message {
            Message::Begins(inode) => {
                self.order.begins(inode);
                Vec::new()
            }
            Message::Returns(inode, observed) => self.order.returns(inode, observed),
            Message::Observed(observed) => self.order.take(observed).into_iter().collect(),
            Message::Ended(ended) => {
                self.ended = Some(ended);
                Vec::new()
            }
            Message::Started(_) | Message::Failed(_) => Vec::new(),
        };
        ready.into_iter().flat_map(|observed| self.flows.next(observed)).collect()
    }

    /// Shows what has waited until then.
    fn give_up(&mut self, now_ns: u64) -> Vec<Piece> {
        let ready = self.order.give_up(now_ns);
        ready.into_iter().flat_map(|observed| self.flows.next(observed)).collect()
    }

    /// Returns how the program has ended, if it has.
    pub fn ended(&self) -> Option<Ended> {
        self.ended
    }

    /// Asks the program to end, with `SIGTERM`.
    pub fn terminate(&self) {
        if let Some(main) = &self.main {
            // It may have ended: then there is nothing to do.
            let _ = pidfd_send_signal(main, Signal::TERM);
        }
    }

    /// Returns a connection.
    pub fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.flows.flow(id)
    }

    /// Returns the address of an end whose socket is not known: a path, or a zero byte and an
    /// abstract name, as the program gave it to the kernel.
    pub fn address(&self, end: End) -> Option<&[u8]> {
        self.flows.address(end)
    }

    /// Returns the time of day of a [`Piece::time_ns`], by the clock as it was at the start.
    pub fn wall_time(&self, time_ns: u64) -> SystemTime {
        self.clock.wall_time(time_ns)
    }
}
