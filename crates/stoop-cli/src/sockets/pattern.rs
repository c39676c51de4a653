//! Patterns for the names of processes, units and containers: as in a shell, or a name as it is
//! printed. Pure.

use super::{Glob, words};

/// A pattern, and the name that it is if it was printed by this command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePattern {
    /// What was typed, if it is the printed form of a name.
    name: Option<Vec<u8>>,
    /// `None` if what was typed is a name, but not a pattern: `a[b`.
    glob: Option<Glob>,
}

impl NamePattern {
    /// Creates one of what was typed, and the pattern that it is.
    pub(crate) fn new(typed: &[u8], glob: Result<Glob, &'static str>) -> Result<NamePattern, &'static str> {
        let name = words::bytes_of(typed).filter(|name| !name.is_empty());
        match glob {
            Ok(glob) => Ok(NamePattern { name, glob: Some(glob) }),
            Err(_) if name.is_some() => Ok(NamePattern { name, glob: None }),
            Err(why) => Err(why),
        }
    }

    /// Returns whether it matches all of `name`.
    pub(crate) fn matches(&self, name: impl AsRef<[u8]>) -> bool {
        let name = name.as_ref();
        self.name.as_deref() == Some(name) || self.glob.as_ref().is_some_and(|glob| glob.matches(name))
    }

    /// Returns whether it matches only one name.
    pub(crate) fn is_literal(&self) -> bool {
        self.glob.as_ref().is_none_or(Glob::is_literal)
    }
}
