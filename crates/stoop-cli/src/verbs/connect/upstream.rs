//! Our side of a conversation: the input on its way to the server, in a thread of its own.

use std::io::{PipeReader, PipeWriter};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use stoop::Connection;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::pump::{End, Progress, Sender, Source, pump, shut};

/// The thread that sends our input. It may wait at a terminal for ever, so nobody waits for it
/// without need.
#[derive(Debug)]
pub(crate) struct Upstream {
    thread: JoinHandle<End>,
    state: Arc<State>,
    /// Comes to its end when the thread does.
    ended: PipeReader,
}

#[derive(Debug, Default)]
struct State {
    progress: Progress,
    finished: AtomicBool,
    failed: AtomicBool,
}

impl Upstream {
    pub(crate) fn start(
        connection: Arc<Connection>,
        mut input: Box<dyn Source + Send>,
    ) -> Result<Upstream, Failure> {
        let failed = |error| Failure::io("start to send", &error);
        let (ended, end) = std::io::pipe().map_err(failed)?;
        let state = Arc::new(State::default());
        let theirs = Arc::clone(&state);
        let send = move || send(&connection, &mut *input, &theirs, end);
        let thread = thread::Builder::new().spawn(send).map_err(failed)?;
        Ok(Upstream { thread, state, ended })
    }

    /// Whether all input has been sent, or no more can be.
    pub(crate) fn is_finished(&self) -> bool {
        self.state.finished.load(Ordering::Acquire)
    }

    /// Whether it could not send all input, for another reason than that the peer has gone.
    pub(crate) fn has_failed(&self) -> bool {
        self.state.failed.load(Ordering::Acquire)
    }

    /// Whether it has sent everything it could get, and waits for more.
    pub(crate) fn waits_for_input(&self) -> bool {
        let more_bytes = rustix::io::ioctl_fionread(std::io::stdin()).unwrap_or(0);
        more_bytes == 0 && self.state.progress.waits_for_source()
    }

    /// How many messages it has sent.
    pub(crate) fn sent_messages(&self) -> u64 {
        self.state.progress.pieces()
    }

    /// Waits for its end.
    pub(crate) fn join(self) -> End {
        let panicked = |_| End::Source(Failure::new(Exit::Failed, "the thread that sends has failed").into());
        self.thread.join().unwrap_or_else(panicked)
    }
}

impl AsFd for Upstream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }
}

fn send(connection: &Connection, input: &mut dyn Source, state: &State, end_to_see: PipeWriter) -> End {
    let end = pump(input, &mut Sender(connection), &state.progress);
    let how = match &end {
        End::Finished => Some(Shutdown::Write),
        // The server may have something to say all the same; its end is waited for.
        End::Sink(failure) if failure.is_peer_gone() => None,
        // Nothing more is wanted of it: this ends the other direction, too.
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
