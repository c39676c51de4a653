//! The inherent methods that the public sockets share, defined once.
//!
//! Each macro expands inside an `impl` of a type that implements `AsRef<Socket>`: of
//! [`Socket`](crate::socket::Socket) itself, and of the types around it. What std and tokio do not
//! have, and only some programs need, is in [`SocketExt`](crate::SocketExt).

/// Defines the methods of every socket, blocking or driven by a reactor.
macro_rules! base_methods {
    () => {
        /// Returns the address this socket is bound to.
        ///
        /// The kernel keeps the address as it was passed to `bind`. A later rename of the socket
        /// file does not show ([K-NAME-1]).
        ///
        /// # Errors
        /// Returns an error only if the file descriptor is invalid.
        ///
        /// ```
        /// use stoop::Datagram;
        ///
        /// let socket = Datagram::autobind()?;
        /// assert!(socket.local_addr()?.as_abstract_name().is_some()); // assigned by the kernel
        /// let (one, _other) = Datagram::pair()?;
        /// assert!(one.local_addr()?.is_unnamed());
        /// # Ok::<(), stoop::Error>(())
        /// ```
        ///
        /// [K-NAME-1]: crate::kernel_facts#K-NAME-1
        #[doc(alias = "getsockname")]
        pub fn local_addr(&self) -> $crate::Result<$crate::Address> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            Ok($crate::sys::local_address(::std::os::fd::AsFd::as_fd(socket))
                .map_err($crate::socket::configure)?
                .to_address())
        }

        /// Returns and clears the pending error of the socket (`SO_ERROR`), if there is one.
        ///
        /// # Errors
        /// Returns an error only if the file descriptor is invalid.
        ///
        /// ```
        /// use std::io::Write;
        ///
        /// let (one, mut other) = stoop::Stream::pair()?;
        /// other.write_all(b"never read")?;
        /// drop(one); // with unread data: the connection is reset
        /// let pending = other.take_error()?.expect("a pending error");
        /// assert_eq!(pending.kind(), std::io::ErrorKind::ConnectionReset);
        /// assert!(other.take_error()?.is_none()); // cleared
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[doc(alias = "SO_ERROR")]
        pub fn take_error(&self) -> $crate::Result<Option<::std::io::Error>> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            $crate::sys::take_error(::std::os::fd::AsFd::as_fd(socket)).map_err($crate::socket::configure)
        }
    };
}

/// Defines the methods of every socket that blocks.
macro_rules! blocking_methods {
    () => {
        /// Moves the socket into or out of nonblocking mode (`O_NONBLOCK`).
        ///
        /// In nonblocking mode, calls that would have to wait return
        /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock). By default a socket blocks. The
        /// mode belongs to the socket, so it also applies to duplicated file descriptors.
        ///
        /// # Errors
        /// Returns an error only if the file descriptor is invalid.
        ///
        /// ```
        /// use stoop::{SeqPacket, SocketExt};
        ///
        /// let (one, _other) = SeqPacket::pair()?;
        /// let twin = one.try_clone()?;
        /// one.set_nonblocking(true)?;
        /// assert!(twin.is_nonblocking()?); // the mode belongs to the socket
        /// assert!(twin.recv(&mut [0; 8]).unwrap_err().is_would_block());
        /// # Ok::<(), stoop::Error>(())
        /// ```
        #[doc(alias("O_NONBLOCK", "FIONBIO"))]
        pub fn set_nonblocking(&self, on: bool) -> $crate::Result<()> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            rustix::io::ioctl_fionbio(socket, on).map_err(|errno| $crate::socket::configure(errno.into()))
        }

        /// Sets the read timeout (`SO_RCVTIMEO`).
        ///
        /// If a receive, or on a listener an accept, waits longer than this, it returns
        /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock). If `None` (the default), it
        /// blocks indefinitely.
        ///
        /// # Errors
        /// Returns an error only if the file descriptor is invalid.
        ///
        /// ```
        /// use std::time::Duration;
        ///
        /// let (one, other) = stoop::SeqPacket::pair()?;
        /// one.set_read_timeout(Some(Duration::from_millis(1)))?;
        /// assert!(one.recv_vec().unwrap_err().is_would_block());
        ///
        /// other.send(b"late")?; // the connection is as before
        /// assert_eq!(one.recv_vec()?.as_deref(), Some(&b"late"[..]));
        /// # Ok::<(), stoop::Error>(())
        /// ```
        #[doc(alias = "SO_RCVTIMEO")]
        pub fn set_read_timeout(&self, timeout: Option<::std::time::Duration>) -> $crate::Result<()> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            $crate::sys::set_receive_timeout(
                ::std::os::fd::AsFd::as_fd(socket),
                $crate::socket::nonzero(timeout)?,
            )
            .map_err($crate::socket::configure)
        }

        /// Returns the read timeout, or `None` if reads block indefinitely. See
        /// [`Self::set_read_timeout`].
        ///
        /// # Errors
        /// Returns an error only if the file descriptor is invalid.
        #[doc(alias = "SO_RCVTIMEO")]
        pub fn read_timeout(&self) -> $crate::Result<Option<::std::time::Duration>> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            $crate::sys::receive_timeout(::std::os::fd::AsFd::as_fd(socket))
                .map_err($crate::socket::configure)
        }
    };
}

/// Defines the methods of every socket that may have a peer, blocking or driven by a reactor.
macro_rules! peer_methods {
    () => {
        /// Returns the address the peer is bound to.
        ///
        /// Most clients never bind, so their address is unnamed.
        ///
        /// # Errors
        /// Returns an error if the socket has no peer
        /// ([`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected)).
        ///
        /// ```
        /// use stoop::{Bind, Datagram, ErrorKind, Stream};
        ///
        /// # let directory = stoop_testkit::tempdir();
        /// # let path = directory.path().join("app.sock");
        /// let listener = Bind::new(&path).listen()?;
        /// let client = Stream::connect(&path)?;
        /// assert_eq!(client.peer_addr()?.as_pathname(), Some(&*path));
        /// assert!(listener.accept()?.0.peer_addr()?.is_unnamed()); // the client never bound
        ///
        /// let error = Datagram::autobind()?.peer_addr().unwrap_err();
        /// assert_eq!(error.kind(), ErrorKind::NotConnected);
        /// # Ok::<(), stoop::Error>(())
        /// ```
        #[doc(alias = "getpeername")]
        pub fn peer_addr(&self) -> $crate::Result<$crate::Address> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            Ok($crate::sys::peer_address(::std::os::fd::AsFd::as_fd(socket))
                .map_err($crate::socket::configure)?
                .to_address())
        }

        /// Returns what the kernel knows about the process at the other end of this connection.
        ///
        /// See [`Peer`](crate::Peer) for what each field means and when the kernel recorded it.
        ///
        /// ```
        /// use stoop::{Datagram, Fact, Stream};
        ///
        /// let (one, _other) = Stream::pair()?;
        /// assert_eq!(one.peer().pid.known(), Some(&std::process::id()));
        ///
        /// // Without a connection the kernel knows no peer, which is not the same as user 0.
        /// assert_eq!(Datagram::autobind()?.peer().uid, Fact::Unknown);
        /// # Ok::<(), stoop::Error>(())
        /// ```
        #[doc(alias("SO_PEERCRED", "SO_PEERPIDFD"))]
        pub fn peer(&self) -> $crate::Peer {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            $crate::Peer::of(::std::os::fd::AsFd::as_fd(socket))
        }
    };
}

/// Defines the methods of every socket that sends and receives, and blocks.
macro_rules! data_methods {
    () => {
        /// Sets the write timeout (`SO_SNDTIMEO`).
        ///
        /// If a send waits longer than this for space, it returns
        /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock). If `None` (the default), it
        /// blocks indefinitely. On a stream, part of the bytes may have been sent before the
        /// timeout: the call then returns their count ([K-END-9]).
        ///
        /// # Errors
        /// Returns an error only if the file descriptor is invalid.
        ///
        /// ```
        /// use std::io::Write;
        /// use std::time::Duration;
        ///
        /// let (mut one, _other) = stoop::Stream::pair()?;
        /// one.set_write_timeout(Some(Duration::from_millis(1)))?;
        /// let bytes = vec![0; 16 << 20];
        /// assert!(one.write(&bytes)? < bytes.len()); // as much as the peer's queue holds
        /// let error = one.write(&bytes).unwrap_err();
        /// assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// [K-END-9]: crate::kernel_facts#K-END-9
        #[doc(alias = "SO_SNDTIMEO")]
        pub fn set_write_timeout(&self, timeout: Option<::std::time::Duration>) -> $crate::Result<()> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            $crate::sys::set_send_timeout(
                ::std::os::fd::AsFd::as_fd(socket),
                $crate::socket::nonzero(timeout)?,
            )
            .map_err($crate::socket::configure)
        }

        /// Returns the write timeout, or `None` if sends block indefinitely. See
        /// [`Self::set_write_timeout`].
        ///
        /// # Errors
        /// Returns an error only if the file descriptor is invalid.
        #[doc(alias = "SO_SNDTIMEO")]
        pub fn write_timeout(&self) -> $crate::Result<Option<::std::time::Duration>> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            $crate::sys::send_timeout(::std::os::fd::AsFd::as_fd(socket)).map_err($crate::socket::configure)
        }

        /// Sends bytes together with ancillary data (file descriptors, credentials) in one call.
        ///
        /// Returns the number of bytes sent: the whole message, or on a stream perhaps a part of
        /// it. The kernel sends the ancillary data once, with the first byte. After a partial send
        /// only the rest of the bytes remains to be sent ([K-FD-9]). A blocking socket waits for
        /// space. `EINTR` is retried, and `SIGPIPE` is never raised.
        ///
        /// # Errors
        /// Returns an error if
        ///
        /// - the peer has closed ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed));
        /// - the message is larger than the send buffer allows
        ///   ([`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge));
        /// - the socket is nonblocking, or its write timeout passed
        ///   ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock));
        /// - the receiver refuses file descriptors
        ///   ([`ErrorKind::NotPermitted`](crate::ErrorKind::NotPermitted));
        /// - too many file descriptors of this user are in flight
        ///   ([`ErrorKind::TooManyInFlight`](crate::ErrorKind::TooManyInFlight));
        /// - the socket is a stream and all buffers are empty, so that the ancillary data would be
        ///   lost ([K-FD-8]) ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported));
        /// - there are more file descriptors or buffers than one message can hold
        ///   ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)).
        ///
        /// ```
        /// use std::io::IoSlice;
        /// use std::os::fd::AsFd;
        /// use stoop::{Allow, ErrorKind, Outgoing, Stream};
        ///
        /// let (one, other) = Stream::pair()?;
        /// let (_reader, writer) = std::io::pipe()?;
        /// let message = [IoSlice::new(b"a "), IoSlice::new(b"pipe")];
        /// let fds = [writer.as_fd()];
        /// let outgoing = Outgoing::new().descriptors(&fds);
        /// assert_eq!(one.send_with(&message, &outgoing)?, 6);
        ///
        /// // On a stream, ancillary data needs a byte to travel with.
        /// let error = one.send_with(&[], &outgoing).unwrap_err();
        /// assert_eq!(error.kind(), ErrorKind::Unsupported);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        ///
        /// [K-FD-9]: crate::kernel_facts#K-FD-9
        /// [K-FD-8]: crate::kernel_facts#K-FD-8
        #[doc(alias("sendmsg", "SCM_RIGHTS", "SCM_CREDENTIALS"))]
        pub fn send_with(
            &self,
            buffers: &[::std::io::IoSlice<'_>],
            outgoing: &$crate::Outgoing<'_>,
        ) -> $crate::Result<usize> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            socket.send_message(outgoing, buffers, None)
        }

        /// Receives bytes together with ancillary data.
        ///
        /// File descriptors are received only as far as `allow` says, and are close-on-exec from
        /// the start. Credentials, pidfd and label are received if the corresponding option of the
        /// socket is on. A blocking socket waits for data, and `EINTR` is retried.
        ///
        /// Datagrams from senders that the policy refuses are dropped, their file descriptors are
        /// closed, and [`Datagram::refused`](crate::Datagram::refused) counts them. A nonblocking
        /// socket returns after 16 refused datagrams in a row, and a blocking one when its read
        /// timeout has passed, even if more are waiting: see
        /// [`Error::is_refusal_limit`](crate::Error::is_refusal_limit).
        ///
        /// # Errors
        /// Returns an error if
        ///
        /// - more file descriptors arrived than allowed
        ///   ([`ErrorKind::SurplusDescriptors`](crate::ErrorKind::SurplusDescriptors)), ancillary
        ///   data was truncated
        ///   ([`ErrorKind::ControlTruncated`](crate::ErrorKind::ControlTruncated)), or the message
        ///   did not fit ([`ErrorKind::MessageTruncated`](crate::ErrorKind::MessageTruncated));
        /// - the socket is nonblocking, its read timeout passed, or it refused as much as one call
        ///   may ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock));
        /// - the peer has closed with unread data
        ///   ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed)).
        ///
        /// After an error of the first group every received file descriptor has been closed. The
        /// bytes are in the buffers, and [`Error::received_bytes`](crate::Error::received_bytes)
        /// returns their number. On a stream whose protocol relies on the file descriptors, the two
        /// ends are out of step.
        ///
        /// ```
        /// use std::io::{IoSlice, IoSliceMut};
        /// use std::os::fd::AsFd;
        /// use stoop::{Allow, ErrorKind, Outgoing, Stream};
        ///
        /// let (one, other) = Stream::pair()?;
        /// let two = [one.as_fd(), other.as_fd()];
        /// one.send_with(&[IoSlice::new(b"hello")], &Outgoing::new().descriptors(&two))?;
        ///
        /// let mut buffer = [0; 8];
        /// let mut buffers = [IoSliceMut::new(&mut buffer)];
        /// let error = other.recv_with(&mut buffers, Allow::descriptors(1)).unwrap_err();
        /// assert_eq!(error.kind(), ErrorKind::SurplusDescriptors); // both are closed
        /// assert_eq!(error.received_bytes(), Some(5)); // the bytes are not lost
        /// assert_eq!(&buffer[..5], b"hello");
        /// # Ok::<(), stoop::Error>(())
        /// ```
        #[doc(alias("recvmsg", "SCM_RIGHTS"))]
        pub fn recv_with(
            &self,
            buffers: &mut [::std::io::IoSliceMut<'_>],
            allow: $crate::Allow,
        ) -> $crate::Result<$crate::Received> {
            let socket = AsRef::<$crate::socket::Socket>::as_ref(self);
            let mut refusals = $crate::refusals::Refusals::of($crate::error::Operation::Receive);
            loop {
                if let Some(received) = socket.receive_allowed(buffers, allow)? {
                    return Ok(received);
                }
                refusals.add(socket, 1)?;
            }
        }

        /// Receives bytes together with ancillary data without removing them from the queue.
        ///
        /// The file descriptors are duplicates, new ones at each call ([K-FD-10]), and
        /// close-on-exec. The policy of a datagram socket is not checked, but file descriptors
        /// that it refuses, or from a sender that it refuses, are closed. Waits like
        /// [`recv_with`](Self::recv_with), and `EINTR` is retried.
        ///
        /// # Errors
        /// Returns an error if more file descriptors arrived than allowed, in which case all are
        /// closed ([`ErrorKind::SurplusDescriptors`](crate::ErrorKind::SurplusDescriptors)), or for
        /// another reason that [`recv_with`](Self::recv_with) lists. The message stays in the queue
        /// in any case.
        ///
        /// ```
        /// use std::io::IoSliceMut;
        /// use std::os::fd::AsFd;
        /// use stoop::{Allow, Stream};
        ///
        /// let (one, other) = Stream::pair()?;
        /// one.send_fds(b"headbody", &[one.as_fd()])?;
        ///
        /// let (mut head, mut body) = ([0; 4], [0; 8]);
        /// let buffers = &mut [IoSliceMut::new(&mut head), IoSliceMut::new(&mut body)];
        /// let peeked = other.peek_with(buffers, Allow::descriptors(1))?;
        /// assert_eq!((peeked.len, peeked.descriptors.len()), (8, 1));
        /// let (len, fds) = other.recv_fds(&mut [0; 16], 1)?; // still there
        /// assert_eq!((len, fds.len()), (8, 1));
        /// # Ok::<(), stoop::Error>(())
        /// ```
        ///
        /// [K-FD-10]: crate::kernel_facts#K-FD-10
        pub fn peek_with(
            &self,
            buffers: &mut [::std::io::IoSliceMut<'_>],
            allow: $crate::Allow,
        ) -> $crate::Result<$crate::Received> {
            AsRef::<$crate::socket::Socket>::as_ref(self).peek(buffers, allow)
        }

        /// Sends bytes and file descriptors in one call: [`send_with`](Self::send_with) for the
        /// common case.
        ///
        /// Returns the number of bytes sent. The receiver gets duplicates; ours stay open.
        ///
        /// # Errors
        /// Returns an error if the peer has closed, refuses file descriptors, or the call would
        /// have to wait. See [`send_with`](Self::send_with) for the kinds.
        ///
        /// ```
        /// use std::io::{Read, Write};
        /// use std::os::fd::AsFd;
        /// use stoop::Stream;
        ///
        /// let (one, other) = Stream::pair()?;
        /// let (mut reader, writer) = std::io::pipe()?;
        /// one.send_fds(b"a pipe", &[writer.as_fd()])?;
        /// drop(writer);
        ///
        /// let mut buffer = [0; 16];
        /// let (len, mut fds) = other.recv_fds(&mut buffer, 1)?;
        /// assert_eq!((&buffer[..len], fds.len()), (&b"a pipe"[..], 1));
        /// std::fs::File::from(fds.remove(0)).write_all(b"hello")?;
        /// assert_eq!(reader.read(&mut buffer)?, 5);
        /// # Ok::<(), Box<dyn std::error::Error>>(())
        /// ```
        #[doc(alias("SCM_RIGHTS", "sendmsg"))]
        pub fn send_fds(&self, bytes: &[u8], fds: &[::std::os::fd::BorrowedFd<'_>]) -> $crate::Result<usize> {
            self.send_with(&[::std::io::IoSlice::new(bytes)], &$crate::Outgoing::new().descriptors(fds))
        }

        /// Receives bytes and up to `max` file descriptors in one call:
        /// [`recv_with`](Self::recv_with) for the common case.
        ///
        /// Returns the number of bytes received, and the file descriptors in the order they were
        /// sent. They are close-on-exec.
        ///
        /// # Errors
        /// Returns an error if more file descriptors arrived, in which case all are closed
        /// ([`ErrorKind::SurplusDescriptors`](crate::ErrorKind::SurplusDescriptors)), or for
        /// another reason that [`recv_with`](Self::recv_with) lists.
        ///
        /// ```
        /// use std::os::fd::AsFd;
        ///
        /// let (one, other) = stoop::SeqPacket::pair()?;
        /// one.send_fds(b"", &[one.as_fd(), other.as_fd()])?;
        /// let (len, fds) = other.recv_fds(&mut [0; 8], 2)?;
        /// assert_eq!((len, fds.len()), (0, 2));
        /// # Ok::<(), stoop::Error>(())
        /// ```
        #[doc(alias("SCM_RIGHTS", "recvmsg"))]
        pub fn recv_fds(
            &self,
            buffer: &mut [u8],
            max: usize,
        ) -> $crate::Result<(usize, Vec<::std::os::fd::OwnedFd>)> {
            let buffers = &mut [::std::io::IoSliceMut::new(buffer)];
            let received = self.recv_with(buffers, $crate::Allow::descriptors(max))?;
            Ok((received.len, received.descriptors))
        }
    };
}

/// Implements the traits of `std::os::fd` for a type that implements `AsRef<Socket>`, converts into
/// an `OwnedFd`, and has a constructor `from_descriptor`.
macro_rules! fd_traits {
    ($type:ty $(, $parameter:ident: $bound:path)?) => {
        impl$(<$parameter: $bound>)? $crate::sys::OwnsFd for $type {}

        impl$(<$parameter: $bound>)? ::std::os::fd::AsFd for $type {
            fn as_fd(&self) -> ::std::os::fd::BorrowedFd<'_> {
                ::std::os::fd::AsFd::as_fd(AsRef::<$crate::socket::Socket>::as_ref(self))
            }
        }

        impl$(<$parameter: $bound>)? ::std::os::fd::AsRawFd for $type {
            fn as_raw_fd(&self) -> ::std::os::fd::RawFd {
                ::std::os::fd::AsFd::as_fd(self).as_raw_fd()
            }
        }

        impl$(<$parameter: $bound>)? ::std::os::fd::IntoRawFd for $type {
            /// Converts like `From<Self> for OwnedFd`. The caller has to close the file descriptor.
            fn into_raw_fd(self) -> ::std::os::fd::RawFd {
                ::std::os::fd::OwnedFd::from(self).into_raw_fd()
            }
        }

        impl$(<$parameter: $bound>)? TryFrom<::std::os::fd::OwnedFd> for $type {
            type Error = $crate::Error;

            /// Wraps a file descriptor of unknown origin, after asking the kernel what it is. A
            /// file it is bound to is not removed on drop.
            ///
            /// # Errors
            /// Returns an error if it is a Unix socket of another kind
            /// ([`ErrorKind::WrongKind`](crate::ErrorKind::WrongKind)), a socket of another address
            /// family ([`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported)), or taken for a
            /// listener and does not listen
            /// ([`ErrorKind::NotConnected`](crate::ErrorKind::NotConnected)).
            fn try_from(fd: ::std::os::fd::OwnedFd) -> $crate::Result<Self> {
                Self::from_descriptor(fd)
            }
        }
    };
}

pub(crate) use {base_methods, blocking_methods, data_methods, fd_traits, peer_methods};
