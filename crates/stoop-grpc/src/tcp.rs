//! Clients over TCP, for tonic's own transport: no more at once than there may be, and an end of
//! waiting for them.

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

use crate::stream::placed::Placed;

/// How long to pause where no client could be accepted.
const PAUSE: Duration = Duration::from_millis(50);

/// How long calls under way have when the server ends, unless told otherwise; as for local sockets.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Who listens, and what its clients may take.
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
        let places = self.max_connections.min(Semaphore::MAX_PERMITS);
        Clients { listener: Arc::new(self.listener), places: Arc::new(Semaphore::new(places)), next: None }
    }
}

/// A client's connection, and the place it takes.
type Client = Placed<TcpStream>;

type Next = Pin<Box<dyn Future<Output = Client> + Send>>;

/// The clients as they come. Those for whom there is no place wait in the kernel's queue, and so
/// does everybody while the process has no descriptors.
pub(crate) struct Clients {
    listener: Arc<TcpListener>,
    places: Arc<Semaphore>,
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
        let Clients { listener, places, next } = &mut *self;
        let coming = next.get_or_insert_with(|| Box::pin(accept(listener.clone(), places.clone())));
        let client = ready!(coming.as_mut().poll(cx));
        *next = None;
        Poll::Ready(Some(Ok(client)))
    }
}

async fn accept(listener: Arc<TcpListener>, places: Arc<Semaphore>) -> Client {
    let place = places.acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Slower without, and no reason to hang up.
                let _ = stream.set_nodelay(true);
                return Client::new(stream, place);
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
            // Nothing that a client does, and nothing that a listener of ours does not get over: no
            // descriptors, no memory.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}
