//! What is wrong with a file of rules.

use std::fmt;

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RulesError {
    pub(crate) line: Option<usize>,
    pub(crate) what: String,
}

impl RulesError {
    /// Returns the line it is in, counted from 1, if that is known.
    pub fn line(&self) -> Option<usize> {
        self.line
    }
}

impl fmt::Display for RulesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "line {line}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}

impl std::error::Error for RulesError {}
