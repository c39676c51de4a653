//! SIGTERM and SIGINT as something that can be waited for together with sockets.

use std::io::{PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::low_level::pipe;

use crate::failure::Failure;

/// The read end of a pipe that gets a byte for each signal.
#[derive(Debug)]
pub(crate) struct Signals(PipeReader);

impl Signals {
    /// From here on the two signals no longer end the process by themselves.
    pub(crate) fn catch() -> Result<Signals, Failure> {
        let failed = |error| Failure::io("prepare for signals", &error);
        let (reader, writer) = std::io::pipe().map_err(failed)?;
        pipe::register(SIGINT, writer.try_clone().map_err(failed)?).map_err(failed)?;
        pipe::register(SIGTERM, writer).map_err(failed)?;
        Ok(Signals(reader))
    }

    /// Takes one signal, waiting for it.
    pub(crate) fn take(&self) {
        // The writers live as long as the process; there is no end and nothing else to fail.
        let _ = (&self.0).read_exact(&mut [0]);
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
