//! Receiving datagrams, and inspecting the next one.

use std::io::IoSliceMut;

use super::Datagram;
use crate::error::{Operation, Result};
use crate::message::{Allow, Received};
use crate::refusals::Refusals;
use crate::{Address, Origin, packet};

impl Datagram {
    /// Receives one message into `buffer` and returns its length; 0 is an empty message.
    ///
    /// File descriptors that arrive with it are closed. A blocking socket waits for a message.
    /// `EINTR` is retried.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the message does not fit
    ///   ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)): its start is in the
    ///   buffer, the rest is lost. [`Datagram::recv_vec`] never truncates;
    /// - the socket is nonblocking, its read timeout passed, or it refused as much as one call may
    ///   ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock), see
    ///   [`Error::is_refusal_limit`](crate::Error::is_refusal_limit)).
    ///
    /// ```
    /// use stoop::{Datagram, ErrorKind};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send(b"hello")?;
    /// one.send(b"bye")?;
    /// let mut buffer = [0; 4];
    /// let error = other.recv(&mut buffer).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::MessageTruncated);
    /// assert_eq!((&buffer, error.received_bytes()), (b"hell", Some(4)));
    /// assert_eq!(other.recv(&mut buffer)?, 3); // the next message
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv(&self, buffer: &mut [u8]) -> Result<usize> {
        if !self.socket.asks_senders() {
            return packet::receive(&self.socket, buffer);
        }
        Ok(self.recv_with(&mut [IoSliceMut::new(buffer)], Allow::AND_DROP)?.len)
    }

    /// Receives one message into `buffer` and returns its length and its sender's address.
    ///
    /// The address is unnamed if the sender never bound. To reply, receive with
    /// [`Datagram::recv_request`], or with [`Datagram::recv_with`] and [`Received::origin`].
    /// Otherwise like [`Datagram::recv`].
    ///
    /// # Errors
    /// Returns an error if the message does not fit
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)) or the call
    /// would have to wait ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)). See
    /// [`Datagram::recv`].
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let (server, client) = (Datagram::autobind()?, Datagram::autobind()?);
    /// client.send_to(b"ping", &server.local_addr()?)?;
    /// let mut buffer = [0; 8];
    /// let (len, from) = server.recv_from(&mut buffer)?;
    /// assert_eq!((&buffer[..len], from), (&b"ping"[..], client.local_addr()?));
    ///
    /// let (one, other) = Datagram::pair()?; // bound to nothing
    /// one.send(b"ping")?;
    /// assert!(other.recv_from(&mut buffer)?.1.is_unnamed());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "recvfrom")]
    pub fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        if !self.socket.asks_senders() {
            let (len, from) = packet::receive_from(&self.socket, buffer)?;
            return Ok((len, from.to_address()));
        }
        let received = self.recv_with(&mut [IoSliceMut::new(buffer)], Allow::AND_DROP)?;
        Ok((received.len, received.from))
    }

    /// Receives one message of any length, with its sender's address.
    ///
    /// File descriptors that arrive with it are closed. A blocking socket waits for a message.
    ///
    /// # Errors
    /// Returns an error if the call would have to wait
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)). If several threads receive on
    /// the socket, a longer message may be truncated
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)).
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(&[7; 50_000])?;
    /// one.send(b"")?;
    /// assert_eq!(other.recv_vec()?.0.len(), 50_000); // never truncated
    /// assert_eq!(other.recv_vec()?.0.len(), 0);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv_vec(&self) -> Result<(Vec<u8>, Address)> {
        let (message, received) = self.recv_vec_with(Allow::AND_DROP)?;
        Ok((message, received.from))
    }

    /// Receives one message of any length, with what [`Datagram::reply`] needs to reply to it.
    ///
    /// File descriptors that arrive with it are closed. A blocking socket waits for a message.
    ///
    /// # Errors
    /// Returns an error if the call would have to wait
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)). If several threads receive on
    /// the socket, a longer message may be truncated
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)).
    ///
    /// ```
    /// use stoop::{Bind, Datagram};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::client(&path)?;
    /// client.send(b"ping")?;
    /// let (message, from) = server.recv_request()?;
    /// assert_eq!(message, b"ping");
    /// assert_eq!(from.address, client.local_addr()?);
    /// let sender = from.credentials.expect("a server's messages carry credentials");
    /// assert_eq!(sender.pid, std::process::id());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn recv_request(&self) -> Result<(Vec<u8>, Origin)> {
        let (message, received) = self.recv_vec_with(Allow::AND_DROP)?;
        Ok((message, received.origin()))
    }

    /// Receives one message of any length, with its ancillary data.
    ///
    /// # Errors
    /// Returns an error if more file descriptors arrived than allowed
    /// ([`ErrorKind::SurplusDescriptors`](crate::ErrorKind::SurplusDescriptors)), ancillary data
    /// was truncated ([`ErrorKind::ControlTruncated`](crate::ErrorKind::ControlTruncated)), or
    /// the call would have to wait ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)).
    /// See [`Datagram::recv_with`].
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Datagram, ErrorKind, Outgoing};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// one.send_with(&[IoSlice::new(b"hello")], &Outgoing::new().descriptors(&[one.as_fd()]))?;
    /// let error = other.recv_vec_with(Allow::NOTHING).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::SurplusDescriptors); // it was closed
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias("recvmsg", "SCM_RIGHTS"))]
    pub fn recv_vec_with(&self, allow: Allow) -> Result<(Vec<u8>, Received)> {
        let mut refusals = Refusals::of(Operation::Receive);
        loop {
            let mut message = vec![0; self.next_len()?];
            if let Some(received) =
                self.socket.receive_allowed(&mut [IoSliceMut::new(&mut message)], allow)?
            {
                message.truncate(received.len);
                return Ok((message, received));
            }
            refusals.add(&self.socket, 1)?;
        }
    }

    /// Returns the length of the next message in bytes, without receiving it; 0 is an empty
    /// message.
    ///
    /// A blocking socket waits for a message. The policy is not checked.
    ///
    /// # Errors
    /// Returns an error if the call would have to wait
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)).
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"hello")?;
    /// let mut buffer = vec![0; other.next_len()?]; // just large enough
    /// assert_eq!(other.recv(&mut buffer)?, 5);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias("MSG_TRUNC", "FIONREAD"))]
    pub fn next_len(&self) -> Result<usize> {
        packet::next_len(&self.socket)
    }

    /// Receives the next message without removing it from the queue, and without checking the
    /// policy.
    ///
    /// Never receives file descriptors: [`Datagram::peek_with`] does.
    ///
    /// # Errors
    /// Returns an error if the message does not fit
    /// ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated)), in which case its
    /// start is in the buffer, or if the call would have to wait
    /// ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock)). The message stays in the queue in
    /// any case.
    ///
    /// ```
    /// let (one, other) = stoop::Datagram::pair()?;
    /// one.send(b"hello")?;
    /// let mut start = [0; 4];
    /// assert!(other.peek(&mut start).unwrap_err().is_truncated());
    /// assert_eq!(&start, b"hell");
    /// assert_eq!(other.recv_vec()?.0, b"hello"); // nothing is lost
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "MSG_PEEK")]
    pub fn peek(&self, buffer: &mut [u8]) -> Result<usize> {
        packet::peek(&self.socket, buffer)
    }

    /// Receives the next message and its sender's address without removing it from the queue, like
    /// [`Datagram::peek`].
    ///
    /// # Errors
    /// Returns an error if [`Datagram::peek`] would return one.
    ///
    /// ```
    /// use stoop::Datagram;
    ///
    /// let (server, client) = (Datagram::autobind()?, Datagram::autobind()?);
    /// client.send_to(b"ping", server.local_addr()?)?;
    /// let mut buffer = [0; 8];
    /// assert_eq!(server.peek_from(&mut buffer)?, (4, client.local_addr()?));
    /// assert_eq!(server.recv_from(&mut buffer)?, (4, client.local_addr()?)); // still there
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias = "MSG_PEEK")]
    pub fn peek_from(&self, buffer: &mut [u8]) -> Result<(usize, Address)> {
        let (len, from) = packet::peek_from(&self.socket, buffer)?;
        Ok((len, from.to_address()))
    }
}
