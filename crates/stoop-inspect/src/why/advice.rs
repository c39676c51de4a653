//! Advice as a program shows it.

use std::fmt;
use std::path::Path;

use stoop::Address;

use super::action::Action;

/// A step that may remedy the cause of a failure, or that shows more of it.
///
/// Formatting writes the step in words, without a full stop. Addresses and paths are as this
/// process reaches them, even if the call is made by a process that sees other files.
///
/// # Examples
///
/// ```
/// # let directory = std::env::temp_dir().join(format!("stoop-doc-advice-{}", std::process::id()));
/// # std::fs::create_dir(&directory)?;
/// # let path = directory.join("app.sock");
/// drop(std::os::unix::net::UnixListener::bind(&path)?);
/// let error = stoop::Stream::connect(&path).unwrap_err();
/// let [advice] = &stoop_inspect::diagnose(&error).advice[..] else { panic!() };
/// let expected =
///     format!("start the program that the socket belongs to and wait at '{}'", path.display());
/// assert_eq!(advice.to_string(), expected);
/// assert_eq!(advice.address().and_then(|address| address.as_pathname()), Some(path.as_path()));
/// assert!(!advice.requires_root());
/// # std::fs::remove_dir_all(&directory)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Advice(pub(super) Action);

impl Advice {
    /// Returns whether the user of this process lacks the permission for the step.
    pub fn requires_root(&self) -> bool {
        self.0.requires_root()
    }

    /// Returns the address at which a socket is to be bound, connected or checked.
    pub fn address(&self) -> Option<&Address> {
        self.0.address()
    }

    /// Returns the file that is to be changed or checked.
    pub fn path(&self) -> Option<&Path> {
        self.0.path()
    }

    /// Returns the process that is to be restarted, resumed or checked.
    pub fn pid(&self) -> Option<u32> {
        self.0.pid()
    }

    /// Returns the step as data, for the command.
    #[doc(hidden)]
    pub fn action(&self) -> &Action {
        &self.0
    }
}

impl fmt::Display for Advice {
    /// Writes the step in words, without a full stop.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
