//! The notification that a server has begun to drain.

use tokio::sync::watch;

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
pub struct Draining(watch::Receiver<bool>);

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
        *self.0.borrow()
    }

    /// Waits until draining has begun.
    ///
    /// # Cancel safety
    /// This method is cancel safe.
    pub async fn wait(&mut self) {
        // An error means that the server was dropped: it has ended.
        let _ = self.0.wait_for(|&begun| begun).await;
    }
}

/// The server's end of the notification.
#[derive(Debug)]
pub(super) struct Signal(watch::Sender<bool>);

impl Signal {
    pub(super) fn new() -> Signal {
        Signal(watch::Sender::new(false))
    }

    pub(super) fn subscribe(&self) -> Draining {
        Draining(self.0.subscribe())
    }

    pub(super) fn begin(&self) {
        self.0.send_replace(true);
    }
}
