//! Explanations of why an operation failed. They inspect the system afterwards for the cause and
//! the next step.
//!
//! An operation that succeeds never runs this code. An explanation describes the *current* state.
//! If that no longer fits the error, the explanation says so. It reads the file system, `/proc` and
//! the kernel's socket table. It changes nothing and connects to no server.

mod path;
mod rules;
pub mod shell;
mod users;

use std::fmt;

use crate::error::Error;

/// An explanation of why an operation failed, in parts that a program may present as it likes.
///
/// ```
/// let error = stoop::Stream::connect("/nowhere/app.sock").unwrap_err();
/// let explanation = error.explain();
/// assert_eq!(explanation.why, "the directory '/nowhere' does not exist");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The cause, in one sentence without a full stop.
    pub why: String,
    /// The observations that support it, one line each.
    pub seen: Vec<String>,
    /// What to do about it: commands that can be run, each perhaps with a `# comment`.
    pub next: Vec<String>,
}

impl Explanation {
    fn because(why: impl Into<String>) -> Explanation {
        Explanation { why: why.into(), ..Explanation::default() }
    }

    fn seen(mut self, what: impl Into<String>) -> Explanation {
        self.seen.push(what.into());
        self
    }

    fn next(mut self, command: impl Into<String>) -> Explanation {
        self.next.push(command.into());
        self
    }
}

impl fmt::Display for Explanation {
    /// Writes one line for each part: `why:`, `seen:`, `next:`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "why:  {}", self.why)?;
        self.seen.iter().try_for_each(|line| write!(f, "\nseen: {line}"))?;
        self.next.iter().try_for_each(|line| write!(f, "\nnext: {line}"))
    }
}

impl Error {
    /// Inspects the system for the cause of this error.
    ///
    /// Takes some milliseconds. Blocks only on the file system.
    pub fn explain(&self) -> Explanation {
        rules::explain(self)
    }
}
