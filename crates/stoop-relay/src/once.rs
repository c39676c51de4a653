//! Standard input and output as one end.

use std::fs::File;
use std::io;
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use stoop::Stream;

use crate::end::{End, into_io};
use crate::fate::Fate;
use crate::threads::named;

/// How many threads still write to standard output.
static WRITERS: Mutex<usize> = Mutex::new(0);
static WRITTEN: Condvar = Condvar::new();

/// Waits until what was relayed to standard output has been written.
pub(crate) fn wait_for_output(limit: Duration) {
    let writers = WRITERS.lock().unwrap_or_else(PoisonError::into_inner);
    // Whether the time has passed does not matter here.
    let _ = WRITTEN.wait_timeout_while(writers, limit, |writers| *writers > 0);
}

/// Returns an end from which standard input is read, and what is written to it goes to standard
/// output. Both may be files or terminals, for which there is no readiness: hence two threads.
pub(crate) fn stdio() -> io::Result<End> {
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let (here, there) = Stream::pair().map_err(into_io)?;
    let mut to_here = there.try_clone().map_err(into_io)?;
    let mut from_here = there;
    named("stdin", move || {
        // An error of the input ends it as its end does.
        let _ = io::copy(&mut input, &mut to_here);
        let _ = to_here.shutdown(Shutdown::Write);
    })?;
    *WRITERS.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    named("stdout", move || {
        let _ = io::copy(&mut from_here, &mut output);
        // Nobody reads the output any more, or all of it was written.
        let _ = from_here.shutdown(Shutdown::Read);
        *WRITERS.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        WRITTEN.notify_all();
    })?;
    Ok(End::Bridged(here, Arc::new(Fate::default())))
}
