//! Conversions between these sockets, those of tokio and std, and file descriptors.
//!
//! A conversion from another type registers the socket, so it needs a runtime. Every conversion
//! keeps the file descriptor, and leaves it nonblocking.

use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::net as std_unix;

use tokio::net as tokio_unix;
use tokio::net::unix::SocketAddr;

use super::{Async, Datagram, Listener, Stream};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::socket::{Socket, configure};
use crate::socket_addr::from_names;
use crate::{Address, AddressError, Credentials, ToAddress, peer};

impl<S: AsFd + AsRef<Socket>> Async<S> {
    /// Returns the synchronous socket, still in nonblocking mode.
    fn into_nonblocking(self) -> S {
        self.main.into_inner().into_inner()
    }
}

impl<S: AsFd> AsRawFd for Async<S> {
    fn as_raw_fd(&self) -> RawFd {
        self.as_fd().as_raw_fd()
    }
}

impl<S: AsFd + AsRef<Socket> + Into<OwnedFd>> From<Async<S>> for OwnedFd {
    /// Removes the socket from the reactor and returns its file descriptor, which is nonblocking.
    ///
    /// A socket file is left to the new owner, and a policy no longer applies.
    fn from(socket: Async<S>) -> OwnedFd {
        socket.into_nonblocking().into()
    }
}

impl<S: AsFd + AsRef<Socket> + Into<OwnedFd>> IntoRawFd for Async<S> {
    fn into_raw_fd(self) -> RawFd {
        OwnedFd::from(self).into_raw_fd()
    }
}

macro_rules! conversions {
    ($alias:ident, $std:ident) => {
        impl $alias {
            /// Registers a socket of the standard library, and sets it to nonblocking mode.
            ///
            /// # Errors
            /// Returns an error if the runtime cannot register another socket.
            ///
            /// # Panics
            /// Panics if called outside of a runtime.
            #[track_caller]
            pub fn from_std(socket: std_unix::$std) -> Result<$alias> {
                $alias::try_from(crate::$alias::from(socket))
            }

            /// Removes the socket from the reactor and returns it as one of the standard library,
            /// still in nonblocking mode.
            ///
            /// # Errors
            /// Returns no error at present. The signature is tokio's.
            pub fn into_std(self) -> io::Result<std_unix::$std> {
                Ok(self.into_nonblocking().into())
            }
        }

        impl TryFrom<std_unix::$std> for $alias {
            type Error = Error;

            /// # Panics
            /// Panics if called outside of a runtime.
            #[track_caller]
            fn try_from(socket: std_unix::$std) -> Result<$alias> {
                $alias::from_std(socket)
            }
        }

        impl TryFrom<tokio_unix::$std> for $alias {
            type Error = Error;

            /// # Panics
            /// Panics if called outside of a runtime.
            #[track_caller]
            fn try_from(socket: tokio_unix::$std) -> Result<$alias> {
                $alias::from_std(socket.into_std().map_err(configure)?)
            }
        }

        impl TryFrom<$alias> for tokio_unix::$std {
            type Error = Error;

            fn try_from(socket: $alias) -> Result<tokio_unix::$std> {
                tokio_unix::$std::from_std(socket.into_nonblocking().into()).map_err(configure)
            }
        }
    };
}

conversions!(Stream, UnixStream);
conversions!(Listener, UnixListener);
conversions!(Datagram, UnixDatagram);

impl Stream {
    /// Connects to the address of a socket: [`Stream::connect`](Async::connect) under tokio's name.
    ///
    /// # Errors
    /// Returns an error if [`Stream::connect`](Async::connect) would return one.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped, the attempt is abandoned.
    pub async fn connect_addr(address: impl ToAddress) -> Result<Stream> {
        Stream::connect(address).await
    }

    /// Returns the credentials that the kernel recorded for the peer when it connected, or when the
    /// server began to listen (`SO_PEERCRED`).
    ///
    /// An id that is not mapped into our user namespace is 4294967295, which is not a valid id.
    /// [`peer`](Async::peer) says more: groups, a pidfd, and which of it is known.
    ///
    /// # Errors
    /// Returns an error if the kernel does not know the peer ([`ErrorKind::NotConnected`]).
    ///
    /// # Examples
    /// ```
    /// use stoop::{Credentials, aio};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, _other) = aio::Stream::pair()?;
    /// assert_eq!(one.peer_cred()?.pid, Credentials::own().pid);
    /// # Ok::<(), stoop::Error>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn peer_cred(&self) -> Result<Credentials> {
        let unknown = || Error::new(Operation::Configure, ErrorKind::NotConnected, "the peer is unknown");
        peer::credentials(self.as_fd()).map_err(configure)?.ok_or_else(unknown)
    }
}

impl Listener {
    /// Binds at the address of a socket: [`Listener::bind`](Async::bind) under tokio's name.
    ///
    /// # Errors
    /// Returns an error if [`Listener::bind`](Async::bind) would return one.
    ///
    /// # Panics
    /// Panics if called outside of a runtime.
    #[track_caller]
    pub fn bind_addr(address: impl ToAddress) -> Result<Listener> {
        Listener::bind(address)
    }
}

impl From<&SocketAddr> for Address {
    fn from(address: &SocketAddr) -> Address {
        from_names(address.as_pathname(), address.as_abstract_name())
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::from(&address)
    }
}

impl ToAddress for SocketAddr {
    fn to_address(&self) -> std::result::Result<Address, AddressError> {
        Ok(Address::from(self))
    }
}
