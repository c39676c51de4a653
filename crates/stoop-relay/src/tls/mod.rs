//! TLS on either side, with certificates of both sides.
//!
//! A task moves the data between the TLS connection and one end of a socketpair; the other end is
//! relayed like any socket. An end is `close_notify`, in each direction for itself; a connection
//! that breaks without one was reset.
//!
//! | file | does |
//! |---|---|
//! | `identity.rs` | what is trusted, and what we show: from PEM |
//! | `names.rs` | rules by the names in a certificate |
//! | `pump.rs` | moves the data |
//! | `listen.rs` | accepts and shakes hands |

mod identity;
mod listen;
mod names;
mod pump;

use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use stoop::Stream;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::end::{End, into_io, prepare_tcp};
use crate::fate::Fate;
use crate::server::tcp;
use crate::threads::named;

pub use identity::Tls;
pub(crate) use listen::listen;

/// The thread of all TLS connections.
static RUNTIME: OnceLock<Handle> = OnceLock::new();

fn runtime() -> io::Result<Handle> {
    if let Some(handle) = RUNTIME.get() {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    // Where two come at once, the second one's is dropped.
    if RUNTIME.set(handle.clone()).is_ok() {
        named("tls", move || runtime.block_on(std::future::pending()))?;
    }
    Ok(RUNTIME.get().cloned().unwrap_or(handle))
}

impl Tls {
    /// Connects and shakes hands, within the limit for each.
    pub(crate) fn connect(&self, host: &str, port: u16, limit: Duration) -> io::Result<End> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = tcp(host, port, limit)?;
        stream.set_nonblocking(true)?;
        prepare_tcp(&stream)?;
        let (here, there) = Stream::pair().map_err(into_io)?;
        let fate = Arc::new(Fate::default());
        let (sender, done) = sync_channel(1);
        let (tls, its_fate) = (self.clone(), Arc::clone(&fate));
        runtime()?.spawn(async move {
            let shaken = async {
                let connecting =
                    TlsConnector::from(tls.client()?).connect(name, TcpStream::from_std(stream)?);
                let stream = timeout(limit, connecting).await.map_err(|_| timed_out())??;
                tls.check(stream.get_ref().1.peer_certificates())?;
                io::Result::Ok(stream)
            };
            match shaken.await {
                Ok(stream) => {
                    // The caller waits for it.
                    let _ = sender.send(Ok(()));
                    pump::run(stream.into(), there, its_fate).await;
                }
                Err(error) => {
                    let _ = sender.send(Err(error));
                }
            }
        });
        done.recv().unwrap_or_else(|_| Err(io::Error::other("the TLS thread has ended")))?;
        Ok(End::Bridged(here, fate))
    }
}

fn timed_out() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the TLS handshake took too long")
}
