//! What the two sides of a bridge tell each other in addition to the bytes: a socketpair has ends,
//! and no resets.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Whether either side of a bridged connection was reset. Set before that side is closed.
#[derive(Debug, Default)]
pub(crate) struct Fate {
    beyond: AtomicBool,
    error: Mutex<Option<io::Error>>,
    here: AtomicBool,
}

impl Fate {
    /// The far side was reset, or ended as it must not.
    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS has such a far side"))]
    pub(crate) fn reset_this_side(&self, error: io::Error) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        self.beyond.store(true, Ordering::Release);
    }

    pub(crate) fn was_reset(&self) -> bool {
        self.beyond.load(Ordering::Acquire)
    }

    /// Returns why, once, unless it was a mere reset.
    pub(crate) fn take_error(&self) -> Option<io::Error> {
        let error = self.error.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.filter(|error| error.kind() != io::ErrorKind::ConnectionReset)
    }

    /// This side was reset: the far one is to be.
    pub(crate) fn reset_other_side(&self) {
        self.here.store(true, Ordering::Release);
    }

    #[cfg_attr(not(feature = "tls"), expect(dead_code, reason = "only TLS has such a far side"))]
    pub(crate) fn must_reset(&self) -> bool {
        self.here.load(Ordering::Acquire)
    }
}
