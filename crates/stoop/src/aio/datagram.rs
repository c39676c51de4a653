//! Asynchronous datagram sockets.

use std::io::{IoSlice, IoSliceMut};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{Interest, ReadBuf};

use super::send_ready::{self, Receiver};
use super::{Async, Datagram};
use crate::datagram::send::destination;
use crate::error::{Error, Result};
use crate::message::{Allow, Outgoing, Received};
use crate::socket::configure;
use crate::socket_methods::peer_methods;
use crate::{Address, Bind, Connect, Origin, ToAddress, packet, sys};

/// Several tasks can receive, and several can send, on one socket concurrently. Each message goes
/// to one of them.
///
/// ```
/// use stoop::{Bind, aio};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let server = Bind::new(&path).datagram_async().await?;
/// let client = aio::Datagram::client(&path).await?;
/// client.send(b"ping").await?;
///
/// let (request, from) = server.recv_request().await?;
/// server.reply(&request, &from).await?;
/// assert_eq!(client.recv(&mut [0; 64]).await?, 4);
/// # Ok::<(), stoop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Async<crate::Datagram> {
    peer_methods!();

    /// Creates a client of this address that can receive replies.
    ///
    /// The kernel binds it to an abstract address. See [`Connect::datagram`].
    ///
    /// # Errors
    /// Returns an error if the connection cannot be made (see [`Connect::stream_async`]), or if the
    /// receiver is connected to another socket
    /// ([`ErrorKind::NotPermitted`](crate::ErrorKind::NotPermitted)).
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned.
    ///
    /// # Examples
    /// ```
    /// use stoop::{Bind, ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram_async().await?;
    /// let client = aio::Datagram::client(&path).await?;
    /// client.send(b"ping").await?;
    /// assert_eq!(server.recv(&mut [0; 64]).await?, 4);
    ///
    /// drop(server);
    /// assert_eq!(client.send(b"ping").await.unwrap_err().kind(), ErrorKind::Refused);
    /// assert_eq!(client.send(b"ping").await.unwrap_err().kind(), ErrorKind::NotConnected);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn client(address: impl ToAddress) -> Result<Datagram> {
        Connect::new(address).datagram_async().await
    }

    /// Creates an unconnected socket that is not bound to an address.
    ///
    /// A receiver of its messages cannot reply. See [`aio::Datagram::autobind`](Async::autobind)
    /// for a socket that can receive replies.
    ///
    /// # Errors
    /// Returns an error if no file descriptor is free
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    #[track_caller]
    pub fn unbound() -> Result<Datagram> {
        Datagram::registered_for_reads(crate::Datagram::unbound()?)
    }

    /// Creates an unconnected socket bound to a kernel-assigned abstract address.
    ///
    /// A receiver of its messages can reply. See [`crate::Datagram::autobind`].
    ///
    /// # Errors
    /// Returns an error if the file descriptors of the process or the system are exhausted
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// # Examples
    /// ```
    /// use stoop::aio;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = (aio::Datagram::autobind()?, aio::Datagram::autobind()?);
    /// one.send_to(b"hello", &other.local_addr()?).await?;
    /// let mut buffer = [0; 64];
    /// let (len, from) = other.recv_from(&mut buffer).await?;
    /// assert_eq!((&buffer[..len], from), (&b"hello"[..], one.local_addr()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn autobind() -> Result<Datagram> {
        Datagram::registered_for_reads(crate::Datagram::autobind()?)
    }

    /// Creates a pair of sockets connected to each other.
    ///
    /// # Errors
    /// Returns an error if the file descriptors of the process or the system are exhausted
    /// ([`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors)).
    ///
    /// # Examples
    /// ```
    /// use stoop::aio;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Datagram::pair()?;
    /// one.send(b"one message").await?;
    /// one.send(b"another").await?;
    /// assert_eq!(other.recv(&mut [0; 64]).await?, 11);
    /// assert_eq!(other.recv(&mut [0; 64]).await?, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn pair() -> Result<(Datagram, Datagram)> {
        let (one, other) = crate::Datagram::pair()?;
        Ok((Datagram::registered_duplex(one)?, Datagram::registered_duplex(other)?))
    }

    /// Sends one message to the connected receiver, waiting until its queue has room. Returns the
    /// length of the message, which is sent whole or not at all.
    ///
    /// See [`crate::Datagram::send`].
    ///
    /// # Errors
    /// Returns an error if the socket is not connected, if the receiver has closed
    /// ([`Refused`](crate::ErrorKind::Refused) once, then
    /// [`NotConnected`](crate::ErrorKind::NotConnected), [K-DGRAM-10]), or if the message is too
    /// large ([`MessageTooLarge`](crate::ErrorKind::MessageTooLarge)).
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    ///
    /// [K-DGRAM-10]: crate::kernel_facts#K-DGRAM-10
    pub async fn send(&self, message: &[u8]) -> Result<usize> {
        self.sending(|socket| socket.send(message)).await
    }

    /// Sends one message with ancillary data to the connected receiver.
    ///
    /// Waits until the receiver's queue has room. See
    /// [`Datagram::send_with`](crate::Datagram::send_with).
    ///
    /// # Errors
    /// Returns an error if the receiver has closed, if it refuses file descriptors, if too many of
    /// them are in flight, or if the message is too large. See
    /// [`Datagram::send_with`](crate::Datagram::send_with) for the kinds.
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
    /// let (one, other) = aio::Datagram::pair()?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let descriptors = [pipe.as_fd()];
    /// let outgoing = Outgoing::new().descriptors(&descriptors);
    /// one.send_with(&[IoSlice::new(b"a "), IoSlice::new(b"pipe")], &outgoing).await?;
    ///
    /// let (message, received) = other.recv_vec_with(Allow::descriptors(1)).await?;
    /// assert_eq!((&message[..], received.descriptors.len()), (&b"a pipe"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn send_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        self.sending(|socket| socket.send_with(buffers, outgoing)).await
    }

    /// Sends one message to an address, waiting until the queue of its receiver has room. Returns
    /// the length of the message, which is sent whole or not at all.
    ///
    /// The wait costs no processor time, whichever sender filled the queue, and ends when the
    /// receiver reads a message. It uses a connected socket of its own, whose readiness shows that
    /// ([K-DGRAM-5]), because this socket's readiness does not ([K-DGRAM-4]). A receiver that was
    /// replaced meanwhile is found within a tenth of a second. See [`crate::Datagram::send_to`].
    ///
    /// # Errors
    /// Returns an error if the address leads to no socket of this kind, if permissions forbid the
    /// send, if the receiver is connected to another socket, or if the message is too large. See
    /// [`crate::Datagram::send_to`] for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    ///
    /// # Examples
    /// ```
    /// use std::time::Duration;
    /// use stoop::aio;
    /// use tokio::time::timeout;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (sender, receiver) = (aio::Datagram::autobind()?, aio::Datagram::autobind()?);
    /// let to = receiver.local_addr()?;
    /// while sender.try_send_to(b"message", &to).is_ok() {}
    /// // The queue is full. Cancel safe: the message was not sent.
    /// assert!(timeout(Duration::from_millis(1), sender.send_to(b"late", &to)).await.is_err());
    ///
    /// let waiting = tokio::spawn(async move { sender.send_to(b"late", &to).await });
    /// while receiver.recv_vec().await?.0 != b"late" {}
    /// waiting.await??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-DGRAM-5]: crate::kernel_facts#K-DGRAM-5
    /// [K-DGRAM-4]: crate::kernel_facts#K-DGRAM-4
    pub async fn send_to(&self, message: &[u8], to: impl ToAddress) -> Result<usize> {
        let to = destination(&to)?;
        send_ready::send_when_ready(self, Receiver::At(&to), |socket| socket.send_to(message, &*to)).await
    }

    /// Replies to a message: sends to the socket it came from, or to none.
    ///
    /// Waits until that socket's queue has room, like [`aio::Datagram::send_to`](Async::send_to),
    /// for the socket that was found. The sender's address is checked once, before the wait:
    /// [`crate::Datagram::reply`] lists the checks. Like any call with a path, they access the
    /// file system.
    ///
    /// # Errors
    /// Returns an error if a check fails ([`NotPermitted`](crate::ErrorKind::NotPermitted)), if
    /// the sender has no address or a relative path
    /// ([`InvalidAddress`](crate::ErrorKind::InvalidAddress)), or if the message cannot be sent.
    /// See [`crate::Datagram::reply`] for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (client, server) = (aio::Datagram::autobind()?, aio::Datagram::autobind()?);
    /// client.send_to(b"ping", &server.local_addr()?).await?;
    /// let (_, origin) = server.recv_request().await?;
    /// server.reply(b"pong", &origin).await?;
    /// assert_eq!(client.recv_vec().await?.0, b"pong");
    ///
    /// drop(client);
    /// assert_eq!(server.reply(b"late", &origin).await.unwrap_err().kind(), ErrorKind::Refused);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn reply(&self, message: &[u8], to: &Origin) -> Result<()> {
        let target = self.get_ref().reply_target(to)?;
        let send = |socket: &crate::Datagram| packet::send(socket.as_ref(), message, Some(&target.raw));
        send_ready::send_when_ready(self, Receiver::Held(&target), send)
            .await
            .map_err(|error| error.on(&to.address))
    }

    /// Replies to a message, with ancillary data.
    ///
    /// Checks the sender's address and waits like [`aio::Datagram::reply`](Async::reply).
    ///
    /// # Errors
    /// Returns an error if a check fails, or if the message or its ancillary data cannot be sent.
    /// See [`crate::Datagram::reply_with`] for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    ///
    /// # Examples
    /// ```
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Outgoing, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (client, server) = (aio::Datagram::autobind()?, aio::Datagram::autobind()?);
    /// client.send_to(b"a pipe, please", &server.local_addr()?).await?;
    /// let (_, origin) = server.recv_request().await?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// server.reply_with(b"here", &origin, &Outgoing::new().descriptors(&[pipe.as_fd()])).await?;
    /// assert_eq!(client.recv_vec_with(Allow::descriptors(1)).await?.1.descriptors.len(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn reply_with(&self, message: &[u8], to: &Origin, outgoing: &Outgoing<'_>) -> Result<()> {
        let target = self.get_ref().reply_target(to)?;
        let buffers = [IoSlice::new(message)];
        let send = |socket: &crate::Datagram| {
            socket.as_ref().send_message(outgoing, &buffers, Some(&target.raw)).map(drop)
        };
        send_ready::send_when_ready(self, Receiver::Held(&target), send)
            .await
            .map_err(|error| error.on(&to.address))
    }

    /// Sends one message with ancillary data to an address.
    ///
    /// Waits until the queue of its receiver has room, like
    /// [`aio::Datagram::send_to`](Async::send_to).
    ///
    /// # Errors
    /// Returns an error if the message or its ancillary data cannot be sent. See
    /// [`crate::Datagram::send_to_with`] for the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been sent.
    pub async fn send_to_with(&self, message: &[u8], to: &Address, outgoing: &Outgoing<'_>) -> Result<()> {
        let buffers = [IoSlice::new(message)];
        let send = |socket: &crate::Datagram| socket.send_to_with(&buffers, to, outgoing).map(drop);
        send_ready::send_when_ready(self, Receiver::At(to), send).await
    }

    /// Returns the synchronous socket, for changing its state other than the file descriptor.
    pub(crate) fn get_mut(&mut self) -> &mut crate::Datagram {
        self.main.get_mut().get_mut()
    }

    /// Receives one message into `buffer` and returns its length.
    ///
    /// See [`crate::Datagram::recv`].
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)); the rest of it is
    /// lost.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Datagram::pair()?;
    /// one.send(b"a long message").await?;
    /// one.send(b"next").await?;
    /// let mut buffer = [0; 6];
    /// let error = other.recv(&mut buffer).await.unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::MessageTruncated);
    /// assert_eq!(&buffer, b"a long"); // the rest is lost
    /// assert_eq!(other.recv(&mut buffer).await?, 4);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receiving(|socket| socket.recv(buffer)).await
    }

    /// Receives one message into `buffer` and returns its length and the sender's address.
    ///
    /// See [`crate::Datagram::recv_from`].
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)); the rest of it is
    /// lost.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        self.receiving(|socket| socket.recv_from(buffer)).await
    }

    /// Receives one message together with ancillary data.
    ///
    /// `allow` limits which ancillary data is accepted. See
    /// [`Datagram::recv_with`](crate::Datagram::recv_with).
    ///
    /// # Errors
    /// Returns an error if more file descriptors arrive than `allow` accepts, or if the message or
    /// its control data is truncated. See [`Datagram::recv_with`](crate::Datagram::recv_with) for
    /// the kinds.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, only messages that the policy
    /// refused have been received.
    ///
    /// # Examples
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, ErrorKind, Outgoing, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Datagram::pair()?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let descriptors = [pipe.as_fd()];
    /// let outgoing = Outgoing::new().descriptors(&descriptors);
    /// one.send_with(&[IoSlice::new(b"a pipe")], &outgoing).await?;
    /// let result = other.recv_with(&mut [IoSliceMut::new(&mut [0; 8])], Allow::NOTHING).await;
    /// // The message has been received, and its file descriptor closed.
    /// assert_eq!(result.unwrap_err().kind(), ErrorKind::SurplusDescriptors);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.receiving(|socket| socket.recv_with(buffers, allow)).await
    }

    /// Receives one message of any length, and its sender's address.
    ///
    /// See [`crate::Datagram::recv_vec`].
    ///
    /// # Errors
    /// Returns an error if the receive fails. The message is never truncated.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    ///
    /// # Examples
    /// ```
    /// use stoop::aio;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Datagram::pair()?;
    /// one.send(&[7; 100_000]).await?;
    /// let (message, from) = other.recv_vec().await?;
    /// assert_eq!(message.len(), 100_000);
    /// assert!(from.is_unnamed()); // one end of a pair
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn recv_vec(&self) -> Result<(Vec<u8>, Address)> {
        self.receiving(crate::Datagram::recv_vec).await
    }

    /// Receives one message of any length, and its origin.
    ///
    /// The origin is what [`aio::Datagram::reply`](Async::reply) needs to answer the message. See
    /// [`crate::Datagram::recv_request`].
    ///
    /// # Errors
    /// Returns an error if the receive fails. The message is never truncated.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, nothing has been received.
    pub async fn recv_request(&self) -> Result<(Vec<u8>, Origin)> {
        self.receiving(crate::Datagram::recv_request).await
    }

    /// Receives one message of any length, together with ancillary data.
    ///
    /// See [`crate::Datagram::recv_vec_with`].
    ///
    /// # Errors
    /// Returns an error if more file descriptors arrive than `allow` accepts, or if control data is
    /// truncated. The message itself never is.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, only messages that the policy
    /// refused have been received.
    pub async fn recv_vec_with(&self, allow: Allow) -> Result<(Vec<u8>, Received)> {
        self.receiving(|socket| socket.recv_vec_with(allow)).await
    }

    /// Receives the next message without removing it from the queue.
    ///
    /// See [`crate::Datagram::peek`].
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
    /// use stoop::aio;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Datagram::pair()?;
    /// one.send(b"hello").await?;
    /// let mut buffer = [0; 64];
    /// assert_eq!(other.peek(&mut buffer).await?, 5);
    /// assert_eq!(other.recv(&mut buffer).await?, 5); // the same message
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn peek(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receiving(|socket| socket.peek(buffer)).await
    }

    /// Sends a message to the connected receiver if its queue has room now, without waiting.
    ///
    /// If not, clears the socket's readiness, so that [`Async::ready`] waits for the next event.
    ///
    /// # Errors
    /// Returns an error if the queue is full
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or if the send fails for another
    /// reason that [`crate::Datagram::send`] lists.
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = aio::Datagram::pair()?;
    /// let error = loop {
    ///     match one.try_send(b"message") {
    ///         Ok(_) => continue,
    ///         Err(error) => break error,
    ///     }
    /// };
    /// assert_eq!(error.kind(), ErrorKind::WouldBlock);
    /// while other.try_recv(&mut [0; 64]).is_ok() {}
    /// one.writable().await?;
    /// one.try_send(b"message")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_send(&self, message: &[u8]) -> Result<usize> {
        self.attempt(Interest::WRITABLE, |socket| socket.send(message))
    }

    /// Sends a message to an address if the queue there has room now, without waiting.
    ///
    /// [`Async::writable`] does not reflect that room.
    ///
    /// # Errors
    /// Returns an error if the queue is full
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or if the send fails for another
    /// reason that [`crate::Datagram::send_to`] lists.
    pub fn try_send_to(&self, message: &[u8], to: impl ToAddress) -> Result<usize> {
        self.recorded(self.get_ref().send_to(message, to))
    }

    /// Receives a message if there is one now, without waiting.
    ///
    /// If not, clears the socket's readiness, so that [`Async::ready`] waits for the next event.
    ///
    /// # Errors
    /// Returns an error if the queue is empty
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or if it does not fit the buffer
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)).
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.attempt(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// Receives a message and its sender's address if there is one now, without waiting.
    ///
    /// If not, clears the socket's readiness, so that [`Async::ready`] waits for the next event.
    ///
    /// # Errors
    /// Returns an error if the queue is empty
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)), or if it does not fit the buffer
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)).
    ///
    /// # Examples
    /// ```
    /// use stoop::{ErrorKind, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = (aio::Datagram::autobind()?, aio::Datagram::autobind()?);
    /// let mut buffer = [0; 64];
    /// assert_eq!(other.try_recv_from(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    /// one.send_to(b"hello", &other.local_addr()?).await?;
    /// other.readable().await?;
    /// assert_eq!(other.try_recv_from(&mut buffer)?, (5, one.local_addr()?));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        self.attempt(Interest::READABLE, |socket| socket.recv_from(buffer))
    }
}

impl Async<crate::Datagram> {
    /// Binds a datagram socket at this address, with the defaults of [`Bind`].
    ///
    /// Blocks the thread for the calls on the file system. [`Bind::datagram_async`] makes them on
    /// the runtime's blocking pool instead.
    ///
    /// # Errors
    /// Returns an error if the address is in use or invalid, if its directory does not exist, or if
    /// permissions forbid the bind. See [`Bind::listen`] for the kinds.
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    #[track_caller]
    pub fn bind(address: impl ToAddress) -> Result<Datagram> {
        Datagram::registered_for_reads(Bind::new(address).datagram()?)
    }

    /// Connects this socket: sends go to that address, and only messages from it are received.
    ///
    /// Does not wait. See [`crate::Datagram::connect`].
    ///
    /// # Errors
    /// Returns an error if the address leads to no datagram socket, if permissions forbid the
    /// connection, or if the receiver is connected to another socket. See
    /// [`crate::Datagram::connect`] for the kinds.
    pub fn connect(&self, address: impl ToAddress) -> Result<()> {
        self.get_ref().connect(address)
    }

    /// Shuts down the read half, the write half, or both (`shutdown`).
    ///
    /// After the read half, senders get [`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed).
    ///
    /// # Errors
    /// Returns an error if the socket is not connected
    /// ([`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected)).
    pub fn shutdown(&self, how: Shutdown) -> Result<()> {
        sys::shutdown(self.as_fd(), how).map_err(configure)
    }

    /// Polls for a message in the queue. See [`Async::poll_read_ready`].
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down.
    pub fn poll_recv_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_read_ready(cx)
    }

    /// Polls for room to send to the connected receiver. See [`Async::poll_write_ready`].
    ///
    /// # Errors
    /// Returns an error if the runtime is shutting down, or if no file descriptor is free to wait
    /// with.
    pub fn poll_send_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_write_ready(cx)
    }

    /// Polls [`aio::Datagram::recv`](Async::recv). Only the last task that polled is woken.
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)); the rest of it is
    /// lost.
    pub fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let receive = |socket: &crate::Datagram| socket.recv(buffer.initialize_unfilled());
        let len = ready!(self.poll_receiving(cx, receive))?;
        buffer.advance(len);
        Poll::Ready(Ok(()))
    }

    /// Polls [`aio::Datagram::recv_from`](Async::recv_from), and returns the sender's address. Only
    /// the last task that polled is woken.
    ///
    /// # Errors
    /// Returns an error if the message does not fit the buffer
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)); the rest of it is
    /// lost.
    pub fn poll_recv_from(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<Address>> {
        let receive = |socket: &crate::Datagram| socket.recv_from(buffer.initialize_unfilled());
        let (len, from) = ready!(self.poll_receiving(cx, receive))?;
        buffer.advance(len);
        Poll::Ready(Ok(from))
    }

    /// Polls [`aio::Datagram::send`](Async::send). Only the last task that polled is woken.
    ///
    /// # Errors
    /// Returns an error if the message cannot be sent: see [`aio::Datagram::send`](Async::send).
    pub fn poll_send(&self, cx: &mut Context<'_>, message: &[u8]) -> Poll<Result<usize>> {
        self.poll_sending(cx, |socket| socket.send(message))
    }

    /// Polls a send to an address. Only the last task that polled is woken.
    ///
    /// No event signals room in the queue there ([K-DGRAM-4]). While it is full, the message is
    /// sent again every few milliseconds. [`aio::Datagram::send_to`](Async::send_to) is woken by
    /// the receiver instead.
    ///
    /// # Errors
    /// Returns an error if the message cannot be sent: see
    /// [`aio::Datagram::send_to`](Async::send_to).
    ///
    /// [K-DGRAM-4]: crate::kernel_facts#K-DGRAM-4
    pub fn poll_send_to(
        &self,
        cx: &mut Context<'_>,
        message: &[u8],
        to: impl ToAddress,
    ) -> Poll<Result<usize>> {
        let to = destination(&to)?;
        loop {
            match self.try_send_to(message, &*to) {
                Err(error) if error.is_would_block() => ready!(self.retry.poll(cx, PAUSES_WHEN_FULL)),
                result => {
                    self.retry.reset();
                    return Poll::Ready(result);
                }
            }
        }
    }
}

/// The first and the longest pause between two attempts of [`Async::poll_send_to`].
const PAUSES_WHEN_FULL: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(10));

impl TryFrom<crate::Datagram> for Async<crate::Datagram> {
    type Error = Error;

    /// # Panics
    /// Panics if called outside of a runtime.
    #[track_caller]
    fn try_from(socket: crate::Datagram) -> Result<Datagram> {
        Datagram::registered_for_reads(socket)
    }
}

impl TryFrom<Async<crate::Datagram>> for crate::Datagram {
    type Error = Error;

    fn try_from(socket: Datagram) -> Result<crate::Datagram> {
        socket.into_sync()
    }
}
