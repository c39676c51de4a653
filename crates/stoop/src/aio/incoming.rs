//! A listener as a [`Stream`] of clients (feature `futures`).

use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;

use super::Async;
use crate::Connected;
use crate::error::Result;

/// The clients that the policy allows, as [`aio::Listener::accept`](Async::accept) returns them.
/// The stream does not end.
///
/// ```
/// use futures_core::Stream;
/// use stoop::{Bind, aio};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let mut listener = Bind::new(&path).listen_async().await?;
/// let client = aio::Stream::connect(&path).await?;
/// client.try_write(b"hello")?;
///
/// let next = std::future::poll_fn(|cx| std::pin::Pin::new(&mut listener).poll_next(cx));
/// let server = next.await.expect("a stream that does not end")?;
/// assert_eq!(server.try_read(&mut [0; 8])?, 5);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl<C: Connected> Stream for Async<crate::Listener<C>> {
    type Item = Result<Async<C>>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_accept(cx).map_ok(|(client, _)| client).map(Some)
    }
}
