//! A connection that holds a semaphore permit until it is dropped.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

/// A server's stream with its permit of the connection limit.
#[derive(Debug)]
pub(crate) struct Placed<S> {
    stream: S,
    _place: Option<OwnedSemaphorePermit>,
}

impl<S> Placed<S> {
    pub(crate) fn new(stream: S, place: Option<OwnedSemaphorePermit>) -> Placed<S> {
        Placed { stream, _place: place }
    }
}

impl<S: Connected> Connected for Placed<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Placed<S> {
    read_within!(stream);
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Placed<S> {
    write_within!(stream);
    flush_within!(stream);
    shutdown_within!(stream);
}
