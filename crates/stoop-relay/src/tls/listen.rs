//! Accepting TLS connections.

use std::io;
use std::net;
use std::sync::Arc;
use std::time::Duration;

use stoop::Stream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::{Tls, pump, runtime, timed_out};
use crate::end::{End, into_io, prepare_tcp};
use crate::fate::Fate;
use crate::queue::{Introduction, Newcomer, Queue, Queued};

/// How long a client has for the handshake, and how many may be at it.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);
const HANDSHAKES: usize = 64;

/// How many clients may wait for the relay, and how long until it is looked again whether they do.
const WAITING: usize = 64;
const PAUSE: Duration = Duration::from_millis(10);

/// Ends the task that accepts.
struct Filler(AbortHandle);

impl Drop for Filler {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Accepts clients from now on. Those whose handshake fails are errors in the queue.
pub(crate) fn listen(listener: net::TcpListener, tls: &Tls) -> io::Result<Queued> {
    listener.set_nonblocking(true)?;
    let acceptor = TlsAcceptor::from(tls.server()?);
    let queue = Arc::new(Queue::new()?);
    let (its_queue, tls) = (Arc::clone(&queue), tls.clone());
    let runtime = runtime()?;
    let listener = {
        let _entered = runtime.enter();
        TcpListener::from_std(listener)?
    };
    let task = runtime.spawn(async move {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES));
        loop {
            // It is never closed.
            let Ok(permit) = Arc::clone(&handshakes).acquire_owned().await else { return };
            while its_queue.len() >= WAITING {
                sleep(PAUSE).await;
            }
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (acceptor, tls, queue) = (acceptor.clone(), tls.clone(), Arc::clone(&its_queue));
                    tokio::spawn(async move {
                        let accepted = timeout(HANDSHAKE_LIMIT, accept(&acceptor, &tls, stream)).await;
                        drop(permit);
                        serve(accepted.unwrap_or_else(|_| Err(timed_out())), &queue).await;
                    });
                }
                Err(error) => {
                    its_queue.push(Err(error));
                    sleep(PAUSE).await;
                }
            }
        }
    });
    Ok(Queued { queue, filler: Some(Box::new(Filler(task.abort_handle()))) })
}

/// A connection, and the names in the certificate of its client.
type Accepted = (tokio_rustls::server::TlsStream<TcpStream>, Vec<String>);

async fn accept(acceptor: &TlsAcceptor, tls: &Tls, stream: TcpStream) -> io::Result<Accepted> {
    prepare_tcp(&stream)?;
    let stream = acceptor.accept(stream).await?;
    let names = tls.check(stream.get_ref().1.peer_certificates())?;
    Ok((stream, names))
}

/// Hands a client to the relay, and moves its data.
async fn serve(accepted: io::Result<Accepted>, queue: &Queue) {
    let pair = Stream::pair().map_err(into_io);
    match accepted.and_then(|stream| Ok((stream, pair?))) {
        Ok(((stream, names), (here, there))) => {
            let fate = Arc::new(Fate::default());
            let end = End::Bridged(here, Arc::clone(&fate));
            let introduction = Introduction { names, ..Introduction::default() };
            queue.push(Ok(Newcomer { end, introduction }));
            pump::run(stream.into(), there, fate).await;
        }
        Err(error) => queue.push(Err(error)),
    }
}
