//! Converts SIGTERM and SIGINT to a file descriptor that can be polled together with sockets.

use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::failure::Failure;

/// The read end of a pipe to which each signal writes a byte.
#[derive(Debug)]
pub(crate) struct Signals(PipeReader);

impl Signals {
    /// Catches the two signals. From then on they do not end the process themselves.
    pub(crate) fn catch() -> Result<Signals, Failure> {
        let failed = |error| Failure::io("prepare for signals", &error);
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        pipe::register(SIGINT, writer.try_clone().map_err(failed)?).map_err(failed)?;
        pipe::register(SIGTERM, writer).map_err(failed)?;
        Ok(Signals(reader))
    }

    /// Catches one signal, which from then on does not end the process.
    pub(crate) fn catch_one(signal: i32) -> Result<Signals, Failure> {
        let failed = |error| Failure::io("prepare for signals", &error);
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        pipe::register(signal, writer).map_err(failed)?;
        Ok(Signals(reader))
    }

    /// Waits for one signal and consumes it.
    pub(crate) fn take(&self) {
        // The write ends stay open as long as the process, so there is no end of file, and nothing
        // else can fail.
        let _ = (&self.0).read_exact(&mut [0]);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
