//! Binding a server socket: the options, and the steps from them to a socket that clients can
//! reach. `socket_file` binds the address.

use std::os::fd::AsFd;

use crate::error::{Error, ErrorKind, Operation, Result};
use crate::socket::Socket;
use crate::socket_ext::{SocketExt, apply_policy};
use crate::socket_file::{self, FileOptions, SocketFile, binding};
use crate::sys;
use crate::{Address, AddressError, Kind, Policy, ToAddress};

/// The options of a server socket.
#[derive(Clone, Debug)]
pub(crate) struct ServerOptions {
    /// An error is kept until an operation can report it.
    address: std::result::Result<Address, AddressError>,
    pub(crate) file: FileOptions,
    pub(crate) backlog: i32,
    /// If `None`, the default for the address.
    pub(crate) policy: Option<Policy>,
    pub(crate) pass_credentials: bool,
}

impl ServerOptions {
    /// Creates the default options for a server at this address.
    pub(crate) fn new(address: impl ToAddress) -> ServerOptions {
        ServerOptions {
            address: address.to_address(),
            file: FileOptions::default(),
            backlog: i32::from(i16::MAX),
            policy: None,
            pass_credentials: false,
        }
    }

    /// Binds a socket of this kind, and listens on it if the kind is connection-oriented. Returns
    /// it with its file, if it has one, and its policy.
    pub(crate) fn bind(&self, kind: Kind) -> Result<(Socket, Option<SocketFile>, Policy)> {
        let address = self.address()?;
        self.check_options(&address).map_err(|error| error.on(&address).of_kind(kind))?;
        let policy = self.policy_for(&address);
        let make = || self.socket(kind, &policy);
        let (socket, file) = socket_file::bind(&address, self.file, &make, &|socket| self.start(socket))
            .map_err(|error| error.on(&address).of_kind(kind))?;
        Ok((socket, file, policy))
    }

    /// Returns the address.
    pub(crate) fn address(&self) -> Result<Address> {
        self.address.clone().map_err(|error| Error::address(Operation::Bind, &error))
    }

    /// Rejects options that would have no effect: a server that sets a mode relies on it.
    fn check_options(&self, address: &Address) -> Result<()> {
        let invalid = |detail: &str| Err(Error::new(Operation::Bind, ErrorKind::InvalidInput, detail));
        match (address.as_pathname().is_some(), self.file.interpose) {
            (true, true) if self.file.sets_attributes() => {
                return invalid("the file gets the owner, group and mode of the server's file");
            }
            (false, true) => {
                return invalid("an abstract name has no file that could be kept and given back");
            }
            (true, _) => return Ok(()),
            (false, false) if !self.file.sets_attributes() => return Ok(()),
            (false, false) => {}
        }
        invalid("an abstract name has no file, so it has no mode, owner, group or parent directories")
    }

    /// Creates a socket and sets everything on it that must be set before a client can reach it.
    fn socket(&self, kind: Kind, policy: &Policy) -> Result<Socket> {
        let socket = Socket::new(kind).map_err(binding)?;
        self.configure(&socket, policy)?;
        Ok(socket)
    }

    /// Applies the policy and the options of the socket itself.
    pub(crate) fn configure(&self, socket: &Socket, policy: &Policy) -> Result<()> {
        apply_policy(socket, policy)?;
        if self.pass_credentials {
            socket.set_pass_credentials(true)?;
        }
        Ok(())
    }

    /// Returns the policy, which depends on the address by default.
    pub(crate) fn policy_for(&self, address: &Address) -> Policy {
        self.policy.clone().unwrap_or_else(|| Policy::default_at(address))
    }

    /// Starts listening if the socket type is connection-oriented.
    fn start(&self, socket: &Socket) -> Result<()> {
        match socket.kind().is_connected() {
            true => sys::listen(socket.as_fd(), self.backlog).map_err(binding),
            false => Ok(()),
        }
    }
}
