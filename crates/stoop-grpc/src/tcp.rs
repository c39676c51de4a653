//! TCP connections for tonic's own transport, with a connection limit and a deadline for draining.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tonic::codegen::tokio_stream::Stream;

use crate::stream::permit::PermitStream;

/// The pause after an accept failed.
const PAUSE: Duration = Duration::from_millis(50);

/// The default drain deadline, the same as for Unix sockets.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// A TCP listener and its limits.
#[derive(Debug)]
pub(crate) struct Tcp {
    pub(crate) listener: TcpListener,
    pub(crate) tls: bool,
    pub(crate) max_connections: usize,
    pub(crate) drain_deadline: Duration,
}

impl Tcp {
    pub(crate) fn new(listener: TcpListener, tls: bool) -> Tcp {
        Tcp { listener, tls, max_connections: Semaphore::MAX_PERMITS, drain_deadline: DRAIN_DEADLINE }
    }

    pub(crate) fn clients(self) -> Clients {
        let permits = self.max_connections.min(Semaphore::MAX_PERMITS);
        Clients { listener: Arc::new(self.listener), permits: Arc::new(Semaphore::new(permits)), next: None }
    }
}

/// A client's connection with its permit.
type Client = PermitStream<TcpStream>;

type Next = Pin<Box<dyn Future<Output = Client> + Send>>;

/// A stream of accepted clients. Clients over the limit wait in the kernel's queue. So do all
/// clients while the process has no free file descriptor.
pub(crate) struct Clients {
    listener: Arc<TcpListener>,
    permits: Arc<Semaphore>,
    next: Option<Next>,
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "clients of {:?}", self.listener)
    }
}

impl Stream for Clients {
    type Item = Result<Client, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Clients { listener, permits, next } = &mut *self;
        let coming = next.get_or_insert_with(|| Box::pin(accept(listener.clone(), permits.clone())));
        let client = ready!(coming.as_mut().poll(cx));
        *next = None;
        Poll::Ready(Some(Ok(client)))
    }
}

async fn accept(listener: Arc<TcpListener>, permits: Arc<Semaphore>) -> Client {
    let permit = permits.acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Without it the connection is slower, but still works.
                let _ = stream.set_nodelay(true);
                return Client::new(stream, permit);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // An accept fails because of one client, or because of a lack of file descriptors or
            // memory. The listener recovers from either.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
