//! A server's stream for servers of other libraries: it has the caller, and lingers on close.

use std::fmt;

use stoop::aio;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::stream::linger::Linger;
use crate::stream::peer_stream::PeerStream;
use crate::{Caller, flush_within, read_within, shutdown_within, write_within};

/// A server's end of a connection, for a server of another library.
///
/// It remembers its [`Caller`]. When it is shut down, it lingers for up to a second: it discards
/// what the client still sends, so that the client can read the last response.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use stoop_http::ServerStream;
///
/// let (_client, server) = stoop::aio::Stream::pair()?;
/// let stream = ServerStream::from(server);
/// let caller = stream.caller();
/// drop(stream);
/// assert_eq!(caller.pid.known(), Some(&std::process::id()));
/// # Ok(())
/// # }
/// ```
pub struct ServerStream(Linger<PeerStream>);

impl ServerStream {
    /// Returns the caller at the other end.
    pub fn caller(&self) -> Caller {
        self.0.get_ref().caller()
    }
}

impl From<aio::Stream> for ServerStream {
    /// Wraps a stream that was accepted.
    fn from(stream: aio::Stream) -> ServerStream {
        let (stream, _) = PeerStream::new(stream);
        ServerStream(Linger::new(stream))
    }
}

impl fmt::Debug for ServerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the caller, which would be fetched from the kernel.
        f.debug_struct("ServerStream").finish_non_exhaustive()
    }
}

impl AsyncRead for ServerStream {
    read_within!(0);
}

impl AsyncWrite for ServerStream {
    write_within!(0);
    flush_within!(0);
    shutdown_within!(0);
}
