//! What the tracing thread reports.

use std::io;

use super::flows::Observed;
use super::sys::Step;

/// How a traced program has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ended {
    /// It has exited with this code.
    Exited(u8),
    /// This signal has ended it.
    Killed(i32),
}

/// Why a program cannot be traced.
#[derive(Debug)]
#[non_exhaustive]
pub struct TraceError {
    /// At which step.
    pub step: Step,
    /// Why.
    pub error: io::Error,
}

impl std::fmt::Display for TraceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let step = match self.step {
            Step::Fork => "creating a process",
            Step::Trace => "tracing it",
            Step::Filter => "setting its filter of system calls",
            Step::Execute => "running the program",
        };
        write!(f, "{step}: {}", self.error)
    }
}

impl std::error::Error for TraceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// What the tracing thread reports.
#[derive(Debug)]
pub(super) enum Message {
    Started(u32),
    Failed(TraceError),
    Ended(Ended),
    /// A call begins that sends with the socket of this inode.
    Begins(u32),
    /// It has returned.
    Returns(u32, Option<Observed>),
    Observed(Observed),
}
