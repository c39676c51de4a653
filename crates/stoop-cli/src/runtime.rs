//! The runtime of the commands that wait for several things at once.

use tokio::runtime::{Builder, Runtime};

use crate::failure::Failure;

/// Starts a runtime of one thread: the only concurrent work is to send and to receive.
pub(crate) fn start() -> Result<Runtime, Failure> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::io("start the runtime", &error))
}
