//! One run of the command: what every action needs, and the deadline of the whole.

use std::cell::RefCell;
use std::pin::pin;
use std::time::Instant;

use stoop_dynamic::Options;

use super::error::{ErrorContext, UNFINISHED};
use crate::args::Grpc;
use crate::deadline::Deadline;
use crate::failure::Failure;
use crate::output::Output;

/// One run of the command.
pub(super) struct Session<'f> {
    pub(super) flags: &'f Grpc,
    pub(super) errors: ErrorContext<'f>,
    pub(super) output: Output,
    /// The options of the call itself.
    pub(super) options: Options,
    /// The options of reflection, which may have other headers.
    pub(super) reflection: Options,
    /// The deadline of the whole run.
    pub(super) limit: Deadline,
    pub(super) begun: Instant,
    /// That reflection failed, until it was told.
    pub(super) fallback: RefCell<Option<String>>,
}

impl Session<'_> {
    /// Waits for a future until the deadline.
    pub(super) async fn within<T>(&self, doing: &str, done: impl Future<Output = T>) -> Result<T, Failure> {
        match self.limit.at() {
            None => Ok(done.await),
            Some(end) => {
                // The connection is open as long as this is not dropped.
                let mut done = pin!(done);
                let result = tokio::time::timeout_at(end.into(), done.as_mut()).await;
                result.map_err(|_| self.errors.late(doing, UNFINISHED))
            }
        }
    }

    /// Returns call options with the remaining time.
    pub(super) fn options(&self) -> Options {
        Options { timeout: self.limit.left(), ..self.options.clone() }
    }

    /// Returns options of reflection with the remaining time.
    pub(super) fn reflection(&self) -> Options {
        Options { timeout: self.limit.left(), ..self.reflection.clone() }
    }
}
