//! TCP endpoints: tonic's own transport, with the same waiting for a server as on a Unix socket.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tonic::codegen::Service;

/// How long to sleep between two attempts to connect.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Connects over TCP, and waits for a server that is not running.
#[derive(Clone, Debug)]
pub(super) struct Waiting {
    /// How long one attempt may take.
    pub(super) timeout: Duration,
    pub(super) wait: Duration,
}

impl Service<Uri> for Waiting {
    type Response = TokioIo<TcpStream>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TokioIo<TcpStream>>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let Waiting { timeout, wait } = *self;
        Box::pin(async move {
            let begun = Instant::now();
            loop {
                match tokio::time::timeout(timeout, connect(&uri)).await? {
                    Err(error)
                        if error.kind() == io::ErrorKind::ConnectionRefused && begun.elapsed() < wait =>
                    {
                        tokio::time::sleep(LOOK_AGAIN).await;
                    }
                    result => return result.map(TokioIo::new),
                }
            }
        })
    }
}

async fn connect(uri: &Uri) -> io::Result<TcpStream> {
    let default = if uri.scheme_str() == Some("https") { 443 } else { 80 };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let stream = TcpStream::connect((host, uri.port_u16().unwrap_or(default))).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
