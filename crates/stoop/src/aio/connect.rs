//! Connecting without a thread that waits.
//!
//! The kernel has no event for "room in that backlog" that a non-blocking socket could wait for. A
//! blocking connect is woken exactly, and costs an idle thread for each attempt: a thousand clients
//! of a busy server would be a thousand threads. So the same socket tries again on a timer, at
//! growing intervals of no more than 32 ms that are not in step with those of others. What that
//! costs: a client of an overfull server comes in some milliseconds later than a blocking one, and
//! not in the order of asking. A socket is never taken for connected because it polls writable
//! (K-CONNECT-2): only a connect that succeeded counts.

use std::time::{Duration, Instant};

use super::{Async, Datagram, Pause, SeqPacket, Stream};
use crate::connect::{stayed_full, try_once, unconnected};
use crate::error::{Error, Result};
use crate::socket::Socket;
use crate::sys::Blocking;
use crate::{Connect, Kind};

/// ```
/// use std::time::Duration;
/// use stoop::{Bind, Connect};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// # let listener = Bind::new(&path).listen_async().await?;
/// let connect = Connect::new(&path).timeout(Duration::from_secs(2)).wait_for_server(Duration::from_secs(10));
/// let stream = connect.stream_async().await?;
/// # Ok::<(), stoop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Connect {
    /// Connects a stream, waiting for room and for the server as the settings say. See
    /// [`Connect::stream`].
    ///
    /// # Errors
    /// As there. The socket returned is always connected.
    ///
    /// # Panics
    /// Outside of a runtime.
    ///
    /// # Cancel safety
    /// Cancel safe: the attempt is given up, and the server never sees it.
    pub async fn stream_async(&self) -> Result<Stream> {
        Stream::born(crate::Stream::from_socket(self.connect_async(Kind::Stream).await?))
    }

    /// Connects a seqpacket socket. As [`Connect::stream_async`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As there.
    pub async fn seqpacket_async(&self) -> Result<SeqPacket> {
        SeqPacket::born(crate::SeqPacket::from_socket(self.connect_async(Kind::SeqPacket).await?))
    }

    /// A datagram socket that sends to this address and can be answered. See [`Connect::datagram`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// As [`Connect::stream_async`].
    pub async fn datagram_async(&self) -> Result<Datagram> {
        Async::born(crate::Datagram::client(self.connect_async(Kind::Datagram).await?))
    }

    async fn connect_async(&self, kind: Kind) -> Result<Socket> {
        let address = self.resolve(kind)?;
        let socket = unconnected(kind, Blocking::Never)?;
        let mut patience = Patience::new(self);
        loop {
            let Err(error) = try_once(&socket, &address, || Ok(())) else { return Ok(socket) };
            let pause = patience.after(error).map_err(|error| error.on(&address))?;
            tokio::time::sleep(pause).await;
        }
    }
}

/// What is left of the two waits.
struct Patience {
    pause: Pause,
    room: Option<Duration>,
    server: Duration,
    started: Instant,
    /// Since when the backlog has been full, as far as we have seen.
    full_since: Option<Instant>,
}

impl Patience {
    fn new(connect: &Connect) -> Patience {
        let (room, server) = connect.limits();
        Patience { pause: Pause::new(), room, server, started: Instant::now(), full_since: None }
    }

    /// How long to wait before the next try, or that the answer is final.
    fn after(&mut self, error: Error) -> Result<Duration> {
        let pause = self.pause.next();
        if error.is_would_block() {
            let since = *self.full_since.get_or_insert_with(Instant::now);
            let Some(room) = self.room else { return Ok(pause) };
            return left(room, since, pause).ok_or_else(|| stayed_full(error, room));
        }
        self.full_since = None;
        if !error.is_not_found() && !error.is_refused() {
            return Err(error);
        }
        left(self.server, self.started, pause).ok_or(error)
    }
}

/// The pause, or what is left of the wait where that is less, or nothing.
fn left(wait: Duration, since: Instant, pause: Duration) -> Option<Duration> {
    let left = wait.saturating_sub(since.elapsed());
    (!left.is_zero()).then(|| pause.min(left))
}
