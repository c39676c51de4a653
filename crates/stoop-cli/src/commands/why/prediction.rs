//! The complete answer, and the exit code that follows from it. Pure.

use stoop_inspect::internal::facts::Facts;
use stoop_inspect::internal::{Probe, Verdict};
use stoop_inspect::why::Outcome;

use crate::exit::Exit;

/// The complete answer.
pub(super) struct Prediction {
    pub(super) facts: Facts,
    pub(super) verdict: Verdict,
    /// The result of `--try`.
    pub(super) tried: Option<Probe>,
    /// How a server that was given by name was found.
    pub(super) found: Option<String>,
}

impl Prediction {
    /// Returns whether the attempt agrees with the prediction, or `None` if there was no attempt.
    pub(super) fn agrees(&self) -> Option<bool> {
        let predicted = self.verdict.outcome;
        match self.tried.as_ref()? {
            Probe::NotMade(_) => None,
            _ if predicted == Outcome::Unknown => None,
            Probe::Succeeded => Some(predicted == Outcome::Succeeds),
            Probe::Failed(errno) => Some(match predicted {
                Outcome::Fails(said) => said == *errno,
                Outcome::Waits => *errno == rustix::io::Errno::AGAIN,
                _ => false,
            }),
        }
    }

    /// Determines the exit code: by the attempt if there was one, else by the prediction.
    pub(super) fn exit(&self) -> Exit {
        match (&self.tried, self.verdict.outcome) {
            _ if self.agrees() == Some(false) => Exit::Failed,
            (Some(Probe::Succeeded), _) => Exit::Done,
            (Some(Probe::Failed(_)), _) => Exit::No,
            (Some(Probe::NotMade(_)), _) | (None, Outcome::Unknown) => Exit::Partial,
            (None, Outcome::Succeeds) => Exit::Done,
            (None, _) => Exit::No,
        }
    }
}
