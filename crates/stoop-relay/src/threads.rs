//! Starting threads.

use std::io;
use std::thread::{Builder, JoinHandle};

/// Starts a thread with a name.
pub(crate) fn named(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.into()).spawn(work)
}
