//! Moving data between a TLS connection and one end of a socketpair.

use std::io;
use std::os::fd::AsFd;
use std::os::unix;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use stoop::Stream;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsStream;

use crate::fate::Fate;

/// How much is moved at a time: four of the records of TLS.
const PIECE_BYTES: usize = 64 << 10;

/// Why a direction was given up.
enum Broken {
    /// The relay's end was reset.
    Here,
    /// The far end was, or it ended without `close_notify`.
    Beyond(io::Error),
}

/// Moves data until both directions have ended.
pub(super) async fn run(tls: TlsStream<TcpStream>, there: Stream, fate: Arc<Fate>) {
    let Ok(local) = local(there) else { return };
    // For a reset: what `split` returns gives no access to the socket.
    let socket = tls.get_ref().0.as_fd().try_clone_to_owned();
    let (mut from_far, mut to_far) = split(tls);
    let (mut from_here, mut to_here) = local.into_split();
    let up = async {
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            let len = from_here.read(&mut buffer).await.map_err(|_| Broken::Here)?;
            if len == 0 {
                break;
            }
            send(&mut to_far, &buffer[..len]).await.map_err(Broken::Beyond)?;
        }
        match fate.must_reset() {
            true => Err(Broken::Here),
            false => to_far.shutdown().await.map_err(Broken::Beyond),
        }
    };
    let down = async {
        while let Some(piece) = receive(&mut from_far).await.map_err(Broken::Beyond)? {
            // The relay wants no more: what its other end does says the rest.
            if to_here.write_all(&piece).await.is_err() {
                return Ok(());
            }
        }
        let _ = to_here.shutdown().await;
        Ok(())
    };
    match tokio::try_join!(up, down) {
        Ok(_) => {}
        // Closing resets the connection.
        Err(Broken::Here) => {
            if let Ok(socket) = &socket {
                let _ = set_socket_linger(socket, Some(Duration::ZERO));
            }
        }
        // Closing the socketpair, which follows, then reads as a reset.
        Err(Broken::Beyond(error)) => fate.reset_this_side(error),
    }
}

fn local(there: Stream) -> io::Result<UnixStream> {
    let there = unix::net::UnixStream::from(there);
    there.set_nonblocking(true)?;
    UnixStream::from_std(there)
}

async fn send(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(bytes).await?;
    to.flush().await
}

/// Returns the next bytes; none at the end.
async fn receive(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    let len = from.read_buf(&mut piece).await?;
    Ok((len > 0).then_some(piece))
}
