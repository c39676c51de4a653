//! A connection that holds a semaphore permit until it is dropped.

use stoop_http::internal::{flush_within, read_within, shutdown_within, write_within};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tonic::transport::server::Connected;

/// A server's stream with its permit of the connection limit.
#[derive(Debug)]
pub(crate) struct PermitStream<S> {
    stream: S,
    _permit: Option<OwnedSemaphorePermit>,
}

impl<S> PermitStream<S> {
    pub(crate) fn new(stream: S, permit: Option<OwnedSemaphorePermit>) -> PermitStream<S> {
        PermitStream { stream, _permit: permit }
    }
}

impl<S: Connected> Connected for PermitStream<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> S::ConnectInfo {
        self.stream.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PermitStream<S> {
    read_within!(stream);
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PermitStream<S> {
    write_within!(stream);
    flush_within!(stream);
    shutdown_within!(stream);
}
