//! Limits of this process and its children.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::Result;

/// Allows as many open files as possible, and at least so many.
pub fn open_files(wanted: usize) -> Result {
    let wanted = wanted as u64;
    let limit = getrlimit(Resource::Nofile);
    // None: without a limit.
    let maximum = limit.maximum.map(|hard| hard.max(wanted));
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).map_err(|error| {
        let hard = limit.maximum.unwrap_or(u64::MAX);
        format!("{wanted} open files are needed, the hard limit is {hard}, and raising it failed: {error}")
            .into()
    })
}
