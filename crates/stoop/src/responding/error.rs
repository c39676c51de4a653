//! A mount that does not respond, as an error.

use std::fmt;
use std::io;

use crate::escaped;
use crate::mountinfo::MountEntry;

/// A lookup leads into a mount whose file system does not respond.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotResponding {
    /// The mount.
    pub mount: Box<MountEntry>,
}

impl fmt::Display for NotResponding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let point = escaped(self.mount.point.as_os_str().as_encoded_bytes());
        write!(f, "the file system {} at {point} does not respond", escaped(&self.mount.file_system))
    }
}

impl std::error::Error for NotResponding {}

impl From<NotResponding> for io::Error {
    fn from(error: NotResponding) -> io::Error {
        io::Error::new(io::ErrorKind::TimedOut, error)
    }
}

impl NotResponding {
    /// Returns it if an error says so.
    pub fn of(error: &io::Error) -> Option<&NotResponding> {
        error.get_ref()?.downcast_ref()
    }
}
