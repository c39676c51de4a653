//! The notification that a server has begun to drain.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Notifies handlers that the server has begun to drain. See
/// [`Server::draining`](super::Server::draining).
///
/// ```
/// # use stoop::{aio, serve::Draining};
/// use tokio::io::AsyncReadExt;
///
/// /// Returns the length of the next request; `None` if no other will follow.
/// async fn next_request(
///     stream: &mut aio::Stream,
///     draining: &mut Draining,
///     buffer: &mut [u8],
/// ) -> Option<usize> {
///     tokio::select! {
///         read = stream.read(buffer) => read.ok().filter(|&len| len > 0),
///         () = draining.wait() => None,
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Draining(Arc<State>);

#[derive(Debug, Default)]
struct State {
    has_begun: AtomicBool,
    beginning: Notify,
}

impl Draining {
    /// Returns whether draining has begun.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = stoop::Bind::new(&path).listen_async().await?;
    /// let server = stoop::serve::Server::new(listener);
    /// let mut draining = server.draining();
    /// assert!(!draining.has_begun());
    /// server.run(|_client, _| async {}, async {}).await?;
    /// assert!(draining.has_begun());
    /// draining.wait().await; // returns at once
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn has_begun(&self) -> bool {
        self.0.has_begun.load(Ordering::Acquire)
    }

    /// Waits until draining has begun.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn wait(&mut self) {
        // It is notified from here on, even before it is polled: nothing is lost after the check.
        let beginning = pin!(self.0.beginning.notified());
        if !self.has_begun() {
            beginning.await;
        }
    }
}

/// The server's end of the notification. If it is dropped, the server has ended, and draining
/// counts as begun.
#[derive(Debug)]
pub(super) struct Signal(Arc<State>);

impl Signal {
    pub(super) fn new() -> Signal {
        Signal(Arc::default())
    }

    pub(super) fn subscribe(&self) -> Draining {
        Draining(self.0.clone())
    }

    pub(super) fn begin(&self) {
        self.0.has_begun.store(true, Ordering::Release);
        self.0.beginning.notify_waiters();
    }
}

impl Drop for Signal {
    fn drop(&mut self) {
        self.begin();
    }
}
