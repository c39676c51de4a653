//! Sends the input to the server, in a thread of its own.

use std::io::{PipeReader, PipeWriter};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop::internal::Connection;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::pump::{End, Progress, Sender, Source, pump, shut};

/// The sending thread. It may wait for terminal input indefinitely, so it is only joined when
/// necessary.
#[derive(Debug)]
pub(crate) struct Upstream {
    thread: JoinHandle<End>,
    state: Arc<State>,
    /// Reaches end of file when the thread exits.
    ended: PipeReader,
}

/// What the sending thread has done so far.
#[derive(Debug, Default)]
pub(crate) struct State {
    progress: Progress,
    finished: AtomicBool,
    failed: AtomicBool,
}

impl State {
    /// Returns whether the server was sent anything.
    pub(crate) fn has_sent(&self) -> bool {
        self.progress.pieces() > 0
    }

    /// Returns whether all input has been sent, or no more can be.
    pub(crate) fn is_finished(&self) -> bool {
        self.finished.load(Ordering::Acquire)
    }
}

/// What happens to the connection at the end of the input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// It is shut down for writing: the server reads the end of the input.
    ShutDown,
    /// It stays open in both directions until the server closes it.
    KeepOpen,
}

impl Upstream {
    pub(crate) fn start(
        connection: Arc<Connection>,
        mut input: Box<dyn Source + Send>,
        at_end: AtEnd,
    ) -> Result<Upstream, Failure> {
        let failed = |error| Failure::io("start the sending thread", &error);
        let (ended, end) = std::io::pipe().map_err(failed)?;
        let state = Arc::new(State::default());
        let theirs = Arc::clone(&state);
        let send = move || send(&connection, &mut *input, at_end, &theirs, end);
        let thread = thread::Builder::new().spawn(send).map_err(failed)?;
        Ok(Upstream { thread, state, ended })
    }

    /// Returns what it has done, for when it has ended.
    pub(crate) fn state(&self) -> Arc<State> {
        Arc::clone(&self.state)
    }

    /// Returns whether all input has been sent, or no more can be.
    pub(crate) fn is_finished(&self) -> bool {
        self.state.is_finished()
    }

    /// Returns whether sending failed for a reason other than that the peer has closed.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Acquire)
    }

    /// Returns whether all available input has been sent and the thread waits for more. It does not
    /// if a read would return: with bytes, or with the end.
    pub(crate) fn waits_for_input(&self) -> bool {
        let stdin = std::io::stdin();
        let mut entry = [PollFd::new(&stdin, PollFlags::IN)];
        let is_ready = poll(&mut entry, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
        !is_ready && self.state.progress.waits_for_source()
    }

    /// Returns how many messages it has sent.
    pub(crate) fn sent_messages(&self) -> u64 {
        self.state.progress.pieces()
    }

    /// Waits for the thread to end.
    pub(crate) fn join(self) -> End {
        let panicked = |_| End::Source(Failure::new(Exit::Failed, "the sending thread has panicked").into());
        self.thread.join().unwrap_or_else(panicked)
    }
}

impl AsFd for Upstream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

fn send(
    connection: &Connection,
    input: &mut dyn Source,
    at_end: AtEnd,
    state: &State,
    end_to_see: PipeWriter,
) -> End {
    let end = pump(input, &mut Sender(connection), &state.progress);
    let how = match &end {
        End::Finished if at_end == AtEnd::KeepOpen => None,
        End::Finished => Some(Shutdown::Write),
        // The server may still send something, so the conversation continues until it closes.
        End::Sink(failure) if failure.is_peer_closed() => None,
        // Nothing more is expected from the server: this also ends the other direction.
        _ => Some(Shutdown::Both),
    };
    state.failed.store(how == Some(Shutdown::Both), Ordering::Release);
    state.finished.store(true, Ordering::Release);
    if let Some(how) = how {
        shut(connection, how);
    }
    drop(end_to_see);
    end
}
