//! Asynchronous seqpacket sockets: connected, with message boundaries.

use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::task::{Context, Poll, ready};

use tokio::io::{Interest, ReadBuf};

use super::{Async, SeqPacket};
use crate::bind::handover::AsSeqPacket;
use crate::error::{Error, Result};
use crate::message::{Allow, Outgoing, Received};
use crate::socket_methods::peer_methods;
use crate::{Connect, Packet, ToAddress};

/// Several tasks can receive, and several can send, on one socket concurrently. Each message goes
/// to one of them.
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
    peer_methods!();

    /// Connects to a server.
    ///
    /// Waits indefinitely for room in the server's backlog. Use [`Connect`] to set a timeout.
    ///
    /// # Errors
    /// Returns an error if the address is invalid, the server does not exist or refuses, or
    /// permissions forbid the connection. See [`Connect::stream_async`] for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned and the server never sees
    /// it.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, Packet, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen_seqpacket_async().await?;
    /// let client = aio::SeqPacket::connect(&path).await?;
    /// client.send(b"one").await?;
    /// client.send(b"two").await?;
    /// let (server, _) = listener.accept().await?;
    /// assert_eq!(server.recv(&mut [0; 64]).await?, Packet::Message(3)); // not 6
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn connect(address: impl ToAddress) -> Result<SeqPacket> {
        Connect::new(address).seqpacket_async().await
    }

    /// Creates a pair of sockets connected to each other.
    ///
    /// # Errors
    /// Returns an error if the file descriptors of the process or the system are exhausted
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    #[track_caller]
    pub fn pair() -> Result<(SeqPacket, SeqPacket)> {
        let (one, other) = crate::SeqPacket::pair()?;
        Ok((SeqPacket::registered_duplex(one)?, SeqPacket::registered_duplex(other)?))
    }

    /// Shuts down the read half, the write half, or both.
    ///
    /// See [`crate::SeqPacket::shutdown`].
    ///
    /// # Errors
    /// Returns an error if the socket is not connected
    /// ([`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected)).
    ///
    /// # Examples
    /// ```
    /// use std::net::Shutdown;
    /// use stoop::{Packet, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// one.shutdown(Shutdown::Write)?;
    /// assert_eq!(other.recv(&mut [0; 8]).await?, Packet::End);
    /// other.send(b"bye").await?;
    /// assert_eq!(one.recv(&mut [0; 8]).await?, Packet::Message(3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        self.get_ref().shutdown(how)
    }

    /// Sends one message, whole or not at all, waiting until the peer's queue has room.
    ///
    /// See [`crate::SeqPacket::send`].
    ///
    /// # Errors
    /// Returns an error if the message is too large
    /// ([`MessageTooLarge`](crate::ErrorKind::MessageTooLarge)) or empty
    /// ([`Unsupported`](crate::ErrorKind::Unsupported)), or if the peer has closed
    /// ([`PeerClosed`](crate::ErrorKind::PeerClosed)).
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// // An empty message could not be distinguished from the end.
    /// assert_eq!(one.send(b"").await.unwrap_err().kind(), ErrorKind::Unsupported);
    /// drop(other);
    /// assert_eq!(one.send(b"ping").await.unwrap_err().kind(), ErrorKind::PeerClosed);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send(&self, message: &[u8]) -> Result<()> {
        self.sending(|socket| socket.send(message)).await
    }

    /// Sends one message together with ancillary data: file descriptors or credentials.
    ///
    /// See [`SeqPacket::send_with`](crate::SeqPacket::send_with).
    ///
    /// # Errors
    /// Returns an error if the peer has closed, if it refuses file descriptors, if too many of them
    /// are in flight, or if the message is too large. See
    /// [`SeqPacket::send_with`](crate::SeqPacket::send_with) for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    ///
    /// # Examples
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Outgoing, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let descriptors = [pipe.as_fd()];
    /// let outgoing = Outgoing::new().descriptors(&descriptors);
    /// one.send_with(&[IoSlice::new(b"a pipe")], &outgoing).await?;
    /// let (message, received) = other.recv_vec_with(Allow::descriptors(1)).await?;
    /// assert_eq!((&message[..], received.descriptors.len()), (&b"a pipe"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        self.sending(|socket| socket.send_with(buffers, outgoing)).await
    }

    /// Receives one message into `buffer`.
    ///
    /// See [`crate::SeqPacket::recv`].
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer
    /// ([`MessageTruncated`](crate::ErrorKind::MessageTruncated); the rest of it is lost), or if
    /// the peer has reset the connection ([`PeerClosed`](crate::ErrorKind::PeerClosed)).
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, Packet, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// one.send(b"a long message").await?;
    /// one.send(b"next").await?;
    /// let mut buffer = [0; 6];
    /// let error = other.recv(&mut buffer).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::MessageTruncated); // the rest is lost
    /// assert_eq!(other.recv(&mut buffer).await?, Packet::Message(4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<Packet> {
        self.receiving(|socket| socket.recv(buffer)).await
    }

    /// Receives one message of any length. Returns `None` at the end of the connection.
    ///
    /// See [`crate::SeqPacket::recv_vec`].
    ///
    /// # Errors
    /// Returns an error if the peer has reset the connection
    /// ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed)). The message is never truncated.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    ///
    /// # Examples
    /// ```
    /// use stoop::aio;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// one.send(&[7; 100_000]).await?;
    /// drop(one);
    /// assert_eq!(other.recv_vec().await?.unwrap().len(), 100_000);
    /// assert_eq!(other.recv_vec().await?, None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv_vec(&self) -> Result<Option<Vec<u8>>> {
        self.receiving(crate::SeqPacket::recv_vec).await
    }

    /// Receives one message together with ancillary data.
    ///
    /// `allow` limits which ancillary data is accepted. See
    /// [`SeqPacket::recv_with`](crate::SeqPacket::recv_with).
    ///
    /// # Errors
    /// Returns an error if more file descriptors arrive than `allow` accepts, or if the message or
    /// its control data is truncated. See [`SeqPacket::recv_with`](crate::SeqPacket::recv_with) for
    /// the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    pub async fn recv_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.receiving(|socket| socket.recv_with(buffers, allow)).await
    }

    /// Receives one message of any length, together with ancillary data.
    ///
    /// See [`crate::SeqPacket::recv_vec_with`].
    ///
    /// # Errors
    /// Returns an error if more file descriptors arrive than `allow` accepts, or if control data is
    /// truncated. The message itself never is.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Allow, SocketExt, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// other.set_pass_credentials(true)?;
    /// one.send(b"hello").await?;
    /// let (message, received) = other.recv_vec_with(Allow::NOTHING).await?;
    /// assert_eq!(message, b"hello");
    /// assert!(received.credentials.is_some());
    ///
    /// drop(one);
    /// let (message, received) = other.recv_vec_with(Allow::NOTHING).await?;
    /// assert!(message.is_empty() && received.is_end());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv_vec_with(&self, allow: Allow) -> Result<(Vec<u8>, Received)> {
        self.receiving(|socket| socket.recv_vec_with(allow)).await
    }

    /// Receives the next message without removing it from the queue.
    ///
    /// See [`crate::SeqPacket::peek`].
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)). Nothing is lost.
    ///
    /// # Cancel safety
    /// This method is cancel safe. It removes nothing from the queue.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Packet, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// one.send(b"hello").await?;
    /// let mut buffer = [0; 64];
    /// assert_eq!(other.peek(&mut buffer).await?, Packet::Message(5));
    /// assert_eq!(other.recv(&mut buffer).await?, Packet::Message(5)); // the same message
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn peek(&self, buffer: &mut [u8]) -> Result<Packet> {
        self.receiving(|socket| socket.peek(buffer)).await
    }

    /// Sends a message if the peer's queue has room now, without waiting.
    ///
    /// If not, clears the socket's readiness, so that [`Async::ready`] waits for the next event.
    ///
    /// # Errors
    /// Returns an error if the queue is full
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or if the send fails for another
    /// reason that [`crate::SeqPacket::send`] lists.
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// let mut sent = 0;
    /// let error = loop {
    ///     match one.try_send(&[0; 1024]) {
    ///         Ok(()) => sent += 1,
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert_eq!(error.kind(), ErrorKind::WouldBlock);
    /// for _ in 0..sent {
    ///     other.recv(&mut [0; 1024]).await?;
    /// }
    /// one.writable().await?;
    /// one.try_send(b"more")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.attempt(Interest::WRITABLE, |socket| socket.send(message))
    }

    /// Receives a message if there is one now, without waiting.
    ///
    /// If not, clears the socket's readiness, so that [`Async::ready`] waits for the next event.
    ///
    /// # Errors
    /// Returns an error if the queue is empty
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or if the receive fails for
    /// another reason that [`crate::SeqPacket::recv`] lists.
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, Packet, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// let mut buffer = [0; 64];
    /// assert_eq!(other.try_recv(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// one.send(b"hello").await?;
    /// other.readable().await?;
    /// assert_eq!(other.try_recv(&mut buffer)?, Packet::Message(5));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<Packet> {
        self.attempt(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// Polls [`aio::SeqPacket::recv`](Async::recv). Only the last task that polled is woken.
    ///
    /// The message is appended to the filled part of `buffer`.
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer
    /// ([`MessageTruncated`](crate::ErrorKind::MessageTruncated); the rest of it is lost), or if
    /// the peer has reset the connection ([`PeerClosed`](crate::ErrorKind::PeerClosed)).
    ///
    /// # Examples
    /// ```
    /// use std::future::poll_fn;
    /// use stoop::{Packet, aio};
    /// use tokio::io::ReadBuf;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::SeqPacket::pair()?;
    /// poll_fn(|cx| one.poll_send(cx, b"hello")).await?;
    ///
    /// let mut bytes = [0; 64];
    /// let mut buffer = ReadBuf::new(&mut bytes);
    /// assert_eq!(poll_fn(|cx| other.poll_recv(cx, &mut buffer)).await?, Packet::Message(5));
    /// assert_eq!(buffer.filled(), b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<Packet>> {
        let receive = |socket: &crate::SeqPacket| socket.recv(buffer.initialize_unfilled());
        let packet = ready!(self.poll_receiving(cx, receive))?;
        if let Packet::Message(len) = packet {
            buffer.advance(len);
        }
        Poll::Ready(Ok(packet))
    }

    /// Polls [`aio::SeqPacket::send`](Async::send). Only the last task that polled is woken.
    ///
    /// # Errors
    /// Returns an error if the message cannot be sent: see [`aio::SeqPacket::send`](Async::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<()>> {
        self.poll_sending(cx, |socket| socket.send(message))
    }
}

impl TryFrom<crate::SeqPacket> for Async<crate::SeqPacket> {
    type Error = Error;

    /// # Panics
    /// Outside of a runtime.
    #[track_caller]
    fn try_from(socket: crate::SeqPacket) -> Result<SeqPacket> {
        SeqPacket::registered_duplex(socket)
    }
}

impl TryFrom<Async<crate::SeqPacket>> for crate::SeqPacket {
    type Error = Error;

    fn try_from(socket: SeqPacket) -> Result<crate::SeqPacket> {
        socket.into_sync()
    }
}

impl AsSeqPacket for SeqPacket {
    fn as_seqpacket(&self) -> &crate::SeqPacket {
        self.get_ref()
    }
}
