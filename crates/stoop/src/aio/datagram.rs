//! Whole messages without a connection.

use std::io::{IoSlice, IoSliceMut};

use tokio::io::Interest;

use super::room::{self, Receiver};
use super::{Async, Datagram};
use crate::error::{Error, Result};
use crate::message::{Allow, Outgoing, Received};
use crate::{Address, Connect, Origin, ToAddress, packet};

/// Several tasks may receive, and several send, on one socket at once; each message goes to one of
/// them.
///
/// ```
/// use stoop::{Bind, aio};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let server = Bind::new(&path).datagram_async().await?;
/// let client = aio::Datagram::connect(&path).await?;
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
    /// A client of this address that can be answered. See [`Connect::datagram`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: the attempt is given up.
    pub async fn connect(address: impl ToAddress) -> Result<Datagram> {
        Connect::new(address).datagram_async().await
    }

    /// A client of nobody yet, which can be answered. See [`crate::Datagram::unbound`].
    ///
    /// # Errors
    /// As there.
    pub fn unbound() -> Result<Datagram> {
        Datagram::watching_data(crate::Datagram::unbound()?)
    }

    /// Two sockets connected to each other.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfDescriptors`](crate::ErrorKind::OutOfDescriptors).
    pub fn pair() -> Result<(Datagram, Datagram)> {
        let (one, other) = crate::Datagram::pair()?;
        Ok((Datagram::watching_both(one)?, Datagram::watching_both(other)?))
    }

    /// Sends one message to the receiver named by connecting, once there is room in its queue. See
    /// [`crate::Datagram::send`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn send(&self, message: &[u8]) -> Result<()> {
        self.sending(|socket| socket.send(message)).await
    }

    /// Sends one message, with descriptors or credentials beside it, to the receiver named by
    /// connecting. See [`Socket::send_with`](crate::Socket::send_with).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn send_with(&self, buffers: &[IoSlice<'_>], outgoing: &Outgoing<'_>) -> Result<usize> {
        self.sending(|socket| socket.send_with(buffers, outgoing)).await
    }

    /// Sends one message to an address, once there is room in the queue there. See
    /// [`crate::Datagram::send_to`].
    ///
    /// Costs no processor time while it waits, whoever filled the queue, and wakes when the
    /// receiver takes a message: a connected socket of its own shows that (K-DGRAM-5), since
    /// this one's readiness does not (K-DGRAM-4). A receiver that was replaced meanwhile is
    /// found within a tenth of a second.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn send_to(&self, message: &[u8], to: &Address) -> Result<()> {
        room::sending_to(self, Receiver::At(to), |socket| socket.send_to(message, to)).await
    }

    /// Answers a message, once there is room in the queue of the socket it came from: sends to that
    /// socket, or to none. See [`crate::Datagram::reply`] for what is checked.
    ///
    /// The checks are made once, before the wait, and look paths up in the file system like any
    /// call with a path. The wait is that of [`aio::Datagram::send_to`](Async::send_to), for
    /// the socket that was found.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn reply(&self, message: &[u8], to: &Origin) -> Result<()> {
        let target = self.get_ref().reply_target(to)?;
        let send = |socket: &crate::Datagram| packet::send(socket, message, Some(&target.raw));
        room::sending_to(self, Receiver::Held(&target), send).await.map_err(|error| error.on(&to.address))
    }

    /// Answers a message with descriptors or credentials beside the answer. As
    /// [`aio::Datagram::reply`](Async::reply).
    ///
    /// # Errors
    /// As [`crate::Datagram::reply_with`].
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn reply_with(&self, message: &[u8], to: &Origin, outgoing: &Outgoing<'_>) -> Result<()> {
        let target = self.get_ref().reply_target(to)?;
        let buffers = [IoSlice::new(message)];
        let send = |socket: &crate::Datagram| outgoing.send(socket, &buffers, Some(&target.raw)).map(drop);
        room::sending_to(self, Receiver::Held(&target), send).await.map_err(|error| error.on(&to.address))
    }

    /// Sends one message to an address with descriptors or credentials beside it. As
    /// [`aio::Datagram::send_to`](Async::send_to).
    ///
    /// # Errors
    /// As [`crate::Datagram::send_to_with`].
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been sent.
    pub async fn send_to_with(&self, message: &[u8], to: &Address, outgoing: &Outgoing<'_>) -> Result<()> {
        let send = |socket: &crate::Datagram| socket.send_to_with(message, to, outgoing);
        room::sending_to(self, Receiver::At(to), send).await
    }

    /// The synchronous socket, for changing what is beside its descriptor.
    pub(crate) fn get_mut(&mut self) -> &mut crate::Datagram {
        self.main.get_mut().get_mut()
    }

    /// Receives one message into `buffer` and returns its length. See [`crate::Datagram::recv`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receiving(|socket| socket.recv(buffer)).await
    }

    /// The same, with the sender's address. See [`crate::Datagram::recv_from`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        self.receiving(|socket| socket.recv_from(buffer)).await
    }

    /// Receives one message with what came beside it. See
    /// [`Socket::recv_with`](crate::Socket::recv_with).
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received but messages that the policy
    /// refused.
    pub async fn recv_with(&self, buffers: &mut [IoSliceMut<'_>], allow: Allow) -> Result<Received> {
        self.receiving(|socket| socket.recv_with(buffers, allow)).await
    }

    /// Receives one message, however long, with its sender's address. See
    /// [`crate::Datagram::recv_vec`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv_vec(&self) -> Result<(Vec<u8>, Address)> {
        self.receiving(crate::Datagram::recv_vec).await
    }

    /// Receives one message, however long, with what [`aio::Datagram::reply`](Async::reply) needs
    /// to answer it. See [`crate::Datagram::recv_request`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received.
    pub async fn recv_request(&self) -> Result<(Vec<u8>, Origin)> {
        self.receiving(crate::Datagram::recv_request).await
    }

    /// Receives one message, however long, with what came beside it. See
    /// [`crate::Datagram::recv_vec_with`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: either it completes, or nothing has been received but messages that the policy
    /// refused.
    pub async fn recv_vec_with(&self, allow: Allow) -> Result<(Vec<u8>, Received)> {
        self.receiving(|socket| socket.recv_vec_with(allow)).await
    }

    /// Reads the next message without taking it. See [`crate::Datagram::peek`].
    ///
    /// # Errors
    /// As there.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing is taken.
    pub async fn peek(&self, buffer: &mut [u8]) -> Result<usize> {
        self.receiving(|socket| socket.peek(buffer)).await
    }

    /// Sends a message to the receiver named by connecting if there is room now. As
    /// [`Async::try_io`].
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock), and as [`crate::Datagram::send`].
    pub fn try_send(&self, message: &[u8]) -> Result<()> {
        self.try_io(Interest::WRITABLE, |socket| socket.send(message))
    }

    /// Sends a message to an address if there is room now. What [`Async::writable`] says does not
    /// help with that.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock), and as
    /// [`crate::Datagram::send_to`].
    pub fn try_send_to(&self, message: &[u8], to: &Address) -> Result<()> {
        self.noted(self.get_ref().send_to(message, to))
    }

    /// Receives a message if there is one now. As [`Async::try_io`].
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock), and as [`crate::Datagram::recv`].
    pub fn try_recv(&self, buffer: &mut [u8]) -> Result<usize> {
        self.try_io(Interest::READABLE, |socket| socket.recv(buffer))
    }

    /// The same, with the sender's address. As [`Async::try_io`].
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock), and as
    /// [`crate::Datagram::recv_from`].
    pub fn try_recv_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        self.try_io(Interest::READABLE, |socket| socket.recv_from(buffer))
    }
}

impl TryFrom<crate::Datagram> for Async<crate::Datagram> {
    type Error = Error;

    /// # Panics
    /// Outside of a runtime.
    fn try_from(socket: crate::Datagram) -> Result<Datagram> {
        Datagram::watching_data(socket)
    }
}

impl TryFrom<Async<crate::Datagram>> for crate::Datagram {
    type Error = Error;

    fn try_from(socket: Datagram) -> Result<crate::Datagram> {
        socket.into_sync()
    }
}
