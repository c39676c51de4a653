//! The complete answer, and the exit code that follows from it. Pure.

use stoop_inspect::internal::facts::Facts;
use stoop_inspect::internal::{Probe, Verdict};
use stoop_inspect::why::{Errno, Outcome, Who};

use crate::exit::Exit;
use crate::refused;

/// The complete answer.
pub(super) struct Prediction {
    pub(super) facts: Facts,
    pub(super) verdict: Verdict,
    /// The result of `--try`.
    pub(super) tried: Option<Probe>,
    /// What a security mechanism has logged about the attempt.
    pub(super) denied: Option<String>,
    /// How a server that was given by name was found.
    pub(super) found: Option<String>,
}

impl Prediction {
    /// Returns whether the attempt agrees with the prediction, or `None` if there was no attempt.
    pub(super) fn agrees(&self) -> Option<bool> {
        let predicted = self.verdict.outcome;
        match self.tried.as_ref()? {
            Probe::NotMade(_) => None,
            _ if predicted == Outcome::Unknown || self.not_imitated().is_some() => None,
            Probe::Succeeded | Probe::Closed => Some(predicted == Outcome::Succeeds),
            Probe::Failed(errno) => Some(match predicted {
                Outcome::Fails(said) => said == *errno,
                Outcome::Waits => *errno == rustix::io::Errno::AGAIN,
                _ => false,
            }),
        }
    }

    /// Returns what is seen of a server that closed the connection of the attempt at once, one line
    /// each.
    pub(super) fn refusal(&self) -> Vec<String> {
        if self.tried != Some(Probe::Closed) {
            return Vec::new();
        }
        let closed = "the server then closed the connection before it sent anything: it may have refused \
                      the client by a policy of its own";
        std::iter::once(closed.to_owned()).chain(refused::lines(&self.facts)).collect()
    }

    /// Returns why the attempt does not show what the subject's own call would do: mechanisms that
    /// it is subject to, and the attempt was not.
    pub(super) fn not_imitated(&self) -> Option<String> {
        let security = &self.facts.security;
        let is_process = matches!(self.facts.question.subject, Who::Process(_));
        let made = !matches!(self.tried.as_ref()?, Probe::NotMade(_));
        let lacks = [
            (security.seccomp == Some(true), "system call filter (seccomp)"),
            (security.no_new_privileges == Some(true), "Landlock restrictions, if it has any"),
            (security.label.is_some(), "security label"),
        ];
        let lacks: Vec<&str> = lacks.into_iter().filter_map(|(has, what)| has.then_some(what)).collect();
        (is_process && made && !lacks.is_empty()).then(|| lacks.join(", "))
    }

    /// Returns whether a mechanism that a prediction does not consult may have refused the attempt.
    pub(super) fn may_be_refused(&self) -> bool {
        let refused = Some(Probe::Failed(Errno::PERM)) == self.tried
            || Some(Probe::Failed(Errno::ACCESS)) == self.tried;
        refused && !self.verdict.caveats.is_empty()
    }

    /// Determines the exit code: by the attempt if there was one, else by the prediction.
    pub(super) fn exit(&self) -> Exit {
        match (&self.tried, self.verdict.outcome) {
            _ if self.agrees() == Some(false) => Exit::Failed,
            (Some(Probe::Succeeded | Probe::Closed), _) => Exit::Done,
            (Some(Probe::Failed(_)), _) => Exit::No,
            (Some(Probe::NotMade(_)), _) | (None, Outcome::Unknown) => Exit::Partial,
            (None, Outcome::Succeeds) => Exit::Done,
            (None, _) => Exit::No,
        }
    }
}
