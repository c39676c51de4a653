//! The verdict on a call. No I/O.

use rustix::io::Errno;

use super::action::Action;
use super::cause::Cause;

/// What a call would return, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What the call would return.
    pub outcome: Outcome,
    /// The first check that decides it, in the kernel's order.
    pub cause: Cause,
    /// The position in the path that decided it. `None` if it was decided before the lookup, or
    /// if nothing prevents the call.
    pub stop: Option<Stop>,
    /// The cause, in one sentence without a full stop.
    pub why: String,
    /// The observations that support it, one line each.
    pub seen: Vec<String>,
    /// What may remedy it, or shows more of it, most useful first.
    pub advice: Vec<Action>,
    /// What was not checked and may change the result, one line each.
    pub caveats: Vec<String>,
}

/// What a call would return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeds at once.
    Succeeds,
    /// A blocking call waits until there is space. A nonblocking call fails with `EAGAIN`.
    Waits,
    /// It fails with this error.
    Fails(Errno),
    /// The result cannot be determined by this process.
    Unknown,
}

/// A position in the path, by the index of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The directory in which the step's name is looked up, or would be created.
    In(usize),
    /// The file that has the step's name.
    At(usize),
}

impl Verdict {
    fn new(outcome: Outcome, cause: Cause, why: impl Into<String>) -> Verdict {
        let why = why.into();
        Verdict { outcome, cause, stop: None, why, seen: Vec::new(), advice: Vec::new(), caveats: Vec::new() }
    }

    pub(super) fn fails(errno: Errno, cause: Cause, why: impl Into<String>) -> Verdict {
        Verdict::new(Outcome::Fails(errno), cause, why)
    }

    pub(super) fn waits(cause: Cause, why: impl Into<String>) -> Verdict {
        Verdict::new(Outcome::Waits, cause, why)
    }

    pub(super) fn succeeds(why: impl Into<String>) -> Verdict {
        Verdict::new(Outcome::Succeeds, Cause::Nothing, why)
    }

    pub(super) fn unknown(why: impl Into<String>) -> Verdict {
        Verdict::new(Outcome::Unknown, Cause::NotVisible, why)
    }

    pub(super) fn stopped(self, stop: Stop) -> Verdict {
        Verdict { stop: Some(stop), ..self }
    }

    pub(super) fn seen(mut self, line: impl Into<String>) -> Verdict {
        self.seen.push(line.into());
        self
    }

    pub(super) fn seen_all(mut self, lines: impl IntoIterator<Item = String>) -> Verdict {
        self.seen.extend(lines);
        self
    }

    pub(super) fn advise(mut self, action: Action) -> Verdict {
        self.advice.push(action);
        self
    }

    pub(super) fn advise_all(mut self, advice: impl IntoIterator<Item = Action>) -> Verdict {
        self.advice.extend(advice);
        self
    }

    pub(super) fn caveat(mut self, line: impl Into<String>) -> Verdict {
        self.caveats.push(line.into());
        self
    }
}
