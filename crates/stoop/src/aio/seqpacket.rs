//! Whole messages over a connection.

use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;

use tokio::io::Interest;

use super::{Async, SeqPacket};
use crate::error::{Error, Result};
use crate::message::{Allow, Outgoing, Received};
use crate::{Connect, Packet, ToAddress};

/// Several tasks may receive, and several send, on one socket at once; each message goes to one of
/// them.
///
/// ```
/// use stoop::{Packet, aio};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (one, other) = aio::SeqPacket::pair()?;
/// one.send(b"first").await?;
/// drop(one);
///
/// let mut buffer = [0; 64];
/// assert_eq!(other.recv(&mut buffer).await?, Packet::Message(5));
/// assert_eq!(other.recv(&mut buffer).await?, Packet::End);
/// # Ok::<(), stoop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Async<crate::SeqPacket> {
    /// Connects to a server. Waits for room in its backlog as long as it takes; [`Connect`] sets
    /// limits.
    ///
    /// # Errors
    /// As [`Connect::stream_async`].
    ///
    /// # Cancel safety
    /// Cancel safe: the attempt is given up, and the server never sees it.
    pub async fn connect(address: impl ToAddress) -> Result<SeqPacket> {
        Connect::new(address).seqpacket_async().await
    }

    /// Two sockets connected to each other.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors).
    pub fn pair() -> Result<(SeqPacket, SeqPacket)> {
        let (one, other) = crate::SeqPacket::pair()?;
        Ok((SeqPacket::watching_both(one)?, SeqPacket::watching_both(other)?))
    }

    /// Ends one direction or both. See [`crate::SeqPacket::shutdown`].
    ///
    /// # Errors
    /// [`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected).
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.get_ref().shutdown(how)
    }

    /// Sends one message once there is room for it. See [`crate::SeqPacket::send`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn send(&self, message: &[u8]) -> Result<()> {
        self.sending(|socket| socket.send(message)).await
    }

    /// Sends one message with descriptors or credentials beside it. See
    /// [`Socket::send_with`](crate::Socket::send_with).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn send_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        self.sending(|socket| socket.send_with(buffers, outgoing)).await
    }

    /// Receives one message into `buffer`. See [`crate::SeqPacket::recv`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<Packet> {
        self.receiving(|socket| socket.recv(buffer)).await
    }

    /// Receives one message, however long; `None` at the end. See [`crate::SeqPacket::recv_vec`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv_vec(&self) -> Result<Option<Vec<u8>>> {
        self.receiving(crate::SeqPacket::recv_vec).await
    }

    /// Receives one message with what came beside it. See
    /// [`Socket::recv_with`](crate::Socket::recv_with).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.receiving(|socket| socket.recv_with(buffers, allow)).await
    }

    /// Receives one message, however long, with what came beside it. See
    /// [`crate::SeqPacket::recv_vec_with`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv_vec_with(&self, allow: Allow) -> Result<(Vec<u8>, Received)> {
        self.receiving(|socket| socket.recv_vec_with(allow)).await
    }

    /// Reads the next message without taking it. See [`crate::SeqPacket::peek`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken.
    pub async fn peek(&self, buffer: &mut [u8]) -> Result<Packet> {
        self.receiving(|socket| socket.peek(buffer)).await
    }

    /// Sends a message if there is room now. As [`Async::try_io`].
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock), and as [`crate::SeqPacket::send`].
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.try_io(Interest::WRITABLE, |socket| socket.send(message))
    }

    /// Receives a message if there is one now. As [`Async::try_io`].
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock), and as [`crate::SeqPacket::recv`].
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<Packet> {
        self.try_io(Interest::READABLE, |socket| socket.recv(buffer))
    }
}

impl TryFrom<crate::SeqPacket> for Async<crate::SeqPacket> {
    type Error = Error;

    /// # Panics
    /// Outside of a runtime.
    fn try_from(socket: crate::SeqPacket) -> Result<SeqPacket> {
        SeqPacket::watching_both(socket)
    }
}

impl TryFrom<Async<crate::SeqPacket>> for crate::SeqPacket {
    type Error = Error;

    fn try_from(socket: SeqPacket) -> Result<crate::SeqPacket> {
        socket.into_sync()
    }
}
