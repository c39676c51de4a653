//! The origin of a received message.

use crate::Address;
use crate::control::Credentials;

/// The origin of a message: what is required to reply to it.
///
/// [`Received::origin`](crate::Received::origin) returns it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Origin {
    /// The address the sender is bound to, as the sender specified it; unnamed if it never bound.
    pub address: Address,
    /// The sender's credentials, if the socket passes credentials and the kernel knows them.
    pub credentials: Option<Credentials>,
}

impl Origin {
    /// Creates an origin from the results of a receive.
    ///
    /// ```
    /// use std::io::IoSliceMut;
    /// use stoop::{Allow, Bind, Datagram, Origin};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// let client = Datagram::bind(directory.path().join("client.sock"))?;
    /// client.send_to(b"x", &server.local_addr()?)?;
    /// let received = server.recv_with(&mut [IoSliceMut::new(&mut [0; 8])], Allow::NOTHING)?;
    ///
    /// // A reply to a path requires credentials.
    /// let origin = Origin::new(received.from, None);
    /// let error = server.reply(b"y", &origin).unwrap_err();
    /// assert_eq!(error.kind(), stoop::ErrorKind::NotPermitted);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn new(address: Address, credentials: Option<Credentials>) -> Origin {
        Origin { address, credentials }
    }
}
