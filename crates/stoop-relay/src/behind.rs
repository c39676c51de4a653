//! The server that a relay stands in front of.

use std::fmt;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use stoop::{Address, internal};

/// The server that a relay stands in front of. It is reached through its file, whatever name that
/// has: at the end of the relay it gets its own name back.
#[derive(Clone, Debug)]
pub(crate) struct Behind(internal::Behind);

impl Behind {
    pub(crate) fn new(server: internal::Behind) -> Behind {
        Behind(server)
    }

    pub(crate) fn inner(&self) -> &internal::Behind {
        &self.0
    }

    pub(crate) fn keep_fresh(&self) {
        self.0.keep_fresh();
    }

    pub(crate) fn address(&self) -> Option<Address> {
        Address::path(format!("/proc/self/fd/{}", self.0.file.as_raw_fd())).ok()
    }
}

impl PartialEq for Behind {
    fn eq(&self, other: &Behind) -> bool {
        Arc::ptr_eq(&self.0.file, &other.0.file)
    }
}

impl Eq for Behind {}

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.path.display())
    }
}
