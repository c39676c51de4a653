//! Ancillary data (control messages) of a message, as a program sees it.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use crate::control::{self, Credentials, Encoder};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::retry::retry;
use crate::spin::Spin;
use crate::sys::{self, Incoming, RawAddress, ReceivedMessage};
use crate::{Address, Kind, Origin};

/// The maximum number of buffers in one call (`UIO_MAXIOV`). The kernel ignores those beyond.
const BUFFERS_MAX: usize = libc::UIO_MAXIOV as usize;

/// Ancillary data to send with a message.
///
/// ```
/// use std::io::{IoSlice, IoSliceMut};
/// use std::os::fd::AsFd;
/// use stoop::{Allow, Outgoing, Stream};
///
/// let (one, other) = Stream::pair()?;
/// let (_reader, writer) = std::io::pipe()?;
/// one.send_with(&[IoSlice::new(b"a pipe")], &Outgoing::new().descriptors(&[writer.as_fd()]))?;
///
/// let mut buffer = [0; 16];
/// let received = other.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::descriptors(1))?;
/// assert_eq!((received.len, received.descriptors.len()), (6, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[doc(alias("sendmsg", "cmsghdr"))]
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Outgoing<'a> {
    descriptors: &'a [BorrowedFd<'a>],
    credentials: Option<Credentials>,
}

impl<'a> Outgoing<'a> {
    /// Creates empty ancillary data.
    pub fn new() -> Outgoing<'a> {
        Outgoing::default()
    }

    /// Adds file descriptors (`SCM_RIGHTS`): at most [`DESCRIPTORS_MAX`](crate::DESCRIPTORS_MAX).
    ///
    /// The receiver gets duplicates. Ours stay open.
    ///
    /// ```
    /// use std::io::{IoSlice, IoSliceMut, Read, Write};
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Outgoing, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// let (mut reader, writer) = std::io::pipe()?;
    /// one.send_with(&[IoSlice::new(b"x")], &Outgoing::new().descriptors(&[writer.as_fd()]))?;
    /// drop(writer); // the receiver has its own
    ///
    /// let received = other.recv_with(&mut [IoSliceMut::new(&mut [0])], Allow::descriptors(1))?;
    /// let [writer] = <[_; 1]>::try_from(received.descriptors).unwrap();
    /// std::fs::File::from(writer).write_all(b"hello")?;
    /// let mut text = String::new();
    /// reader.read_to_string(&mut text)?;
    /// assert_eq!(text, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[doc(alias = "SCM_RIGHTS")]
    pub fn descriptors(mut self, descriptors: &'a [BorrowedFd<'a>]) -> Outgoing<'a> {
        self.descriptors = descriptors;
        self
    }

    /// Adds the credentials of the sender (`SCM_CREDENTIALS`).
    ///
    /// The kernel adds them by itself if the receiver asked for them. Set them explicitly only in a
    /// privileged process that sends on behalf of another.
    ///
    /// ```
    /// use std::io::IoSlice;
    /// use stoop::Credentials;
    /// use stoop::{Allow, Datagram, ErrorKind, Outgoing, SocketExt};
    ///
    /// let (one, other) = Datagram::pair()?;
    /// other.set_pass_credentials(true)?;
    /// let own = Credentials::own();
    /// one.send_with(&[IoSlice::new(b"hello")], &Outgoing::new().credentials(own))?;
    /// assert_eq!(other.recv_vec_with(Allow::NOTHING)?.1.credentials, Some(own));
    ///
    /// // The kernel checks them: no process has this id.
    /// let nobody = Credentials { pid: i32::MAX as u32, ..own };
    /// let sent = one.send_with(&[IoSlice::new(b"hello")], &Outgoing::new().credentials(nobody));
    /// assert!(sent.is_err());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    #[doc(alias("SCM_CREDENTIALS", "ucred"))]
    pub fn credentials(mut self, credentials: Credentials) -> Outgoing<'a> {
        self.credentials = Some(credentials);
        self
    }

    pub(crate) fn send(
        &self,
        socket: BorrowedFd<'_>,
        kind: Kind,
        buffers: &[IoSlice<'_>],
        to: Option<&RawAddress>,
    ) -> Result<usize> {
        self.check(kind, buffers)?;
        let mut room = [0; control::space(control::DESCRIPTORS_MAX * 4) + control::space(12)];
        let control = self.encode(&mut room)?;
        retry(|| sys::send_message(socket, buffers, to, control))
            .map_err(|cause| Error::system(Operation::Send, cause).of_kind(kind))
    }

    fn check(&self, kind: Kind, buffers: &[IoSlice<'_>]) -> Result<()> {
        let refuse = |detail: String| Err(Error::new(Operation::Send, ErrorKind::Unsupported, detail));
        if self.descriptors.len() > control::DESCRIPTORS_MAX {
            let (count, max) = (self.descriptors.len(), control::DESCRIPTORS_MAX);
            return refuse(format!("{count} file descriptors in one message, {max} at most"));
        }
        if kind != Kind::Stream && buffers.len() > BUFFERS_MAX {
            let count = buffers.len();
            return refuse(format!("{count} buffers in one message, {BUFFERS_MAX} at most"));
        }
        let carries = !self.descriptors.is_empty() || self.credentials.is_some();
        if carries && kind == Kind::Stream && buffers.iter().all(|buffer| buffer.is_empty()) {
            return refuse("ancillary data on a stream requires at least one byte of data".into());
        }
        Ok(())
    }

    fn encode<'r>(&self, room: &'r mut [u8]) -> Result<&'r [u8]> {
        let mut encoder = Encoder::new(room);
        encoder
            .descriptors(self.descriptors.iter().map(|fd| fd.as_raw_fd()))
            .and_then(|()| self.credentials.map_or(Ok(()), |credentials| encoder.credentials(credentials)))
            .map_err(|error| Error::new(Operation::Send, ErrorKind::Other, error.to_string()))?;
        Ok(encoder.finish())
    }
}

/// Limits on received ancillary data. The default accepts no file descriptors.
#[doc(alias("recvmsg", "SCM_RIGHTS"))]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allow {
    descriptors: usize,
}

impl Allow {
    /// Accepts no file descriptors. Any that arrive are closed and reported as an error.
    ///
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Outgoing, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// one.send_with(&[IoSlice::new(b"x")], &Outgoing::new().descriptors(&[one.as_fd()]))?;
    /// let received = other.recv_with(&mut [IoSliceMut::new(&mut [0; 8])], Allow::NOTHING);
    /// assert_eq!(received.unwrap_err().kind(), stoop::ErrorKind::SurplusDescriptors);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub const NOTHING: Allow = Allow { descriptors: 0 };

    /// Accepts any number, for receivers that then close them all: plain bytes are never lost
    /// because of ancillary data.
    pub(crate) const AND_DROP: Allow = Allow { descriptors: usize::MAX };

    /// Accepts up to this many file descriptors in one message.
    #[doc(alias = "SCM_RIGHTS")]
    pub const fn descriptors(max: usize) -> Allow {
        Allow { descriptors: max }
    }

    pub(crate) fn most_descriptors(self) -> usize {
        self.descriptors
    }
}

/// A received message, or a piece of a stream, with its ancillary data.
#[doc(alias("recvmsg", "cmsghdr", "MSG_CTRUNC"))]
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The number of bytes received. On a stream, 0 is the end. On a seqpacket socket see
    /// [`Received::is_end`].
    pub len: usize,
    /// The sender's address. It is unnamed on connected sockets and for unbound senders.
    pub from: Address,
    /// The received file descriptors, in the order they were sent. They are close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// The sender's credentials, if
    /// [`set_pass_credentials`](crate::SocketExt::set_pass_credentials) is on and the kernel knows
    /// them.
    ///
    /// A user or group without an id in our user namespace is 4294967295 here, which is not a valid
    /// id: see [`Credentials::known_uid`].
    pub credentials: Option<Credentials>,
    /// A pidfd of the sender, if [`set_pass_pidfd`](crate::SocketExt::set_pass_pidfd) is on.
    pub pidfd: Option<OwnedFd>,
    /// The sender's security label, if [`set_pass_label`](crate::SocketExt::set_pass_label) is on
    /// and there is one.
    pub label: Option<Vec<u8>>,
    /// Control messages of types that this version does not know, as (level, type).
    pub unknown: Vec<(i32, i32)>,
    /// Whether there was any ancillary data.
    has_control: bool,
}

/// A received message that has not been checked yet, so that its sender can be inspected first.
/// Dropping it closes the received file descriptors.
pub(crate) struct Pending {
    received: ReceivedMessage,
    buffer_bytes: usize,
}

impl Pending {
    /// Receives a message from a socket of this kind, polling before it blocks. With `MSG_PEEK`
    /// among the flags the message stays in the queue, and its file descriptors are duplicates
    /// ([K-FD-10]).
    ///
    /// [K-FD-10]: crate::kernel_facts#K-FD-10
    pub(crate) fn receive(
        socket: BorrowedFd<'_>,
        kind: Kind,
        spin: &Spin,
        buffers: &mut [IoSliceMut<'_>],
        flags: i32,
    ) -> Result<Pending> {
        let buffer_bytes = buffers.iter().take(BUFFERS_MAX).map(|buffer| buffer.len()).sum();
        // With MSG_TRUNC as a flag the kernel returns the true length of a packet, even if it does
        // not fit (K-DGRAM-12). A stream has no such length.
        let flags = flags | if kind == Kind::Stream { 0 } else { libc::MSG_TRUNC };
        let received = retry(|| spin.wait(|more| sys::receive_message(socket, buffers, flags | more)))
            .map_err(|cause| Error::system(Operation::Receive, cause).of_kind(kind))?;
        Ok(Pending { received, buffer_bytes })
    }

    /// Returns the sender, if the kernel knows it.
    pub(crate) fn sender(&self) -> Option<Credentials> {
        self.received.incoming.credentials.and_then(Credentials::resolve)
    }

    /// Returns the message, if it is whole, and closes its file descriptors.
    pub(crate) fn take_without_descriptors(self) -> Result<Received> {
        let mut received = self.take(Allow::AND_DROP)?;
        received.descriptors.clear();
        Ok(received)
    }

    /// Returns the message, if it is whole and carries no more file descriptors than allowed.
    pub(crate) fn take(self, allow: Allow) -> Result<Received> {
        let Pending { received, buffer_bytes } = self;
        let (len_bytes, count) = (received.len, received.incoming.descriptors.len());
        let (kind, detail) = if received.flags & libc::MSG_CTRUNC != 0 || received.incoming.malformed {
            let detail =
                format!("control data truncated (MSG_CTRUNC); closed {count} received file descriptors");
            (ErrorKind::ControlTruncated, detail)
        } else if count > allow.descriptors {
            let allowed = allow.descriptors;
            let detail = format!("received {count} file descriptors, {allowed} allowed; closed all of them");
            (ErrorKind::SurplusDescriptors, detail)
        } else if len_bytes > buffer_bytes {
            (ErrorKind::MessageTruncated, truncation(len_bytes, buffer_bytes))
        } else {
            return Ok(Received::from_parts(len_bytes, received.from.to_address(), received.incoming));
        };
        // Returning drops the file descriptors in `received`, which closes them.
        let error = Error::new(Operation::Receive, kind, detail);
        Err(error.with_received(len_bytes.min(buffer_bytes)))
    }
}

impl Received {
    fn from_parts(len: usize, from: Address, incoming: Incoming) -> Received {
        let has_control = incoming.pidfd.is_some()
            || incoming.credentials.is_some()
            || incoming.label.is_some()
            || !incoming.descriptors.is_empty()
            || !incoming.unknown.is_empty();
        Received {
            len,
            from,
            descriptors: incoming.descriptors,
            credentials: incoming.credentials.and_then(Credentials::resolve),
            pidfd: incoming.pidfd,
            label: incoming.label,
            unknown: incoming.unknown,
            has_control,
        }
    }

    /// Returns what a reply to this message requires: see
    /// [`Datagram::reply`](crate::Datagram::reply).
    ///
    /// ```
    /// use stoop::{Allow, Bind, Datagram};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::client(&path)?;
    /// client.send(b"ping")?;
    /// let (message, received) = server.recv_vec_with(Allow::descriptors(4))?;
    /// server.reply(&message, &received.origin())?;
    /// assert_eq!(client.recv(&mut [0; 8])?, 4);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn origin(&self) -> Origin {
        Origin::new(self.from.clone(), self.credentials)
    }

    /// Returns whether this is the end of the connection rather than a message.
    ///
    /// On a seqpacket socket an empty message looks the same as the end, unless
    /// [`set_pass_credentials`](crate::SocketExt::set_pass_credentials) is on. A message then
    /// carries credentials, and the end carries none ([K-DGRAM-14]).
    ///
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use stoop::{Allow, Outgoing, SeqPacket, SocketExt};
    ///
    /// let (one, other) = SeqPacket::pair()?;
    /// other.set_pass_credentials(true)?;
    /// one.send_with(&[IoSlice::new(b"")], &Outgoing::new())?;
    /// drop(one);
    /// let mut buffer = [0; 8];
    /// let mut receive = || other.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::NOTHING);
    /// assert!(!receive()?.is_end()); // an empty message
    /// assert!(receive()?.is_end());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    ///
    /// [K-DGRAM-14]: crate::kernel_facts#K-DGRAM-14
    pub fn is_end(&self) -> bool {
        self.len == 0 && !self.has_control
    }
}

/// Formats the error detail for a message that did not fit.
pub(crate) fn truncation(len_bytes: usize, buffer_bytes: usize) -> String {
    format!("message truncated: {len_bytes} bytes, buffer holds {buffer_bytes}")
}
