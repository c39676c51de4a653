//! The source of pieces: a capture in the kernel, a file, or a program that was started.

use std::time::{Duration, SystemTime};

use stoop_tap::{End, Flow, FlowId, Piece};

use super::names::Label;
use crate::exit::Exit;
use crate::failure::Failure;

/// A source of pieces.
pub(super) trait Source {
    /// Returns what happened, in order; nothing if nothing happened within this time, and `None`
    /// after the last piece.
    fn next(&mut self, timeout: Duration) -> Result<Option<Vec<Piece>>, Failure>;

    /// Asks it to end and returns everything that has happened so far. More may follow, until
    /// [`Source::next`] returns `None`.
    fn stop(&mut self) -> Vec<Piece> {
        Vec::new()
    }

    /// Returns whether the last piece follows some time after [`Source::stop`].
    fn ends_when_stopped(&self) -> bool {
        false
    }

    /// Returns a connection.
    fn flow(&self, id: FlowId) -> Option<&Flow>;

    /// Returns the time of day of a piece.
    fn wall_time(&self, time_ns: u64) -> SystemTime;

    /// Returns what only the source knows of an end.
    fn label(&self, _end: End) -> Option<Label> {
        None
    }

    /// Returns whether an end may become known after the first piece of its connection.
    fn learns_ends(&self) -> bool {
        false
    }

    /// Returns whether processes and sockets can be looked up on this machine.
    fn is_live(&self) -> bool {
        true
    }

    /// Reports how it ended, and returns the exit code if that is not success.
    fn finish(&mut self) -> Result<Exit, Failure> {
        Ok(Exit::Done)
    }
}

impl Source for stoop_tap::Tap {
    fn next(&mut self, timeout: Duration) -> Result<Option<Vec<Piece>>, Failure> {
        let pieces = stoop_tap::Tap::next(self, timeout);
        pieces.map(Some).map_err(|error| Failure::io("wait for events", &error))
    }

    fn stop(&mut self) -> Vec<Piece> {
        stoop_tap::Tap::flush(self)
    }

    fn flow(&self, id: FlowId) -> Option<&Flow> {
        stoop_tap::Tap::flow(self, id)
    }

    fn wall_time(&self, time_ns: u64) -> SystemTime {
        stoop_tap::Tap::wall_time(self, time_ns)
    }
}
