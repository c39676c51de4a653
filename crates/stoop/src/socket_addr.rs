//! Conversions between [`Address`] and the [`SocketAddr`] of the standard library.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use crate::{Address, AddressError, ToAddress};

impl From<&SocketAddr> for Address {
    fn from(address: &SocketAddr) -> Address {
        from_names(address.as_pathname(), address.as_abstract_name())
    }
}

/// Returns the address with this path or this abstract name, from a `SocketAddr`; unnamed without
/// either. Neither conversion fails: a `SocketAddr` is what the kernel accepts.
pub(crate) fn from_names(path: Option<&Path>, name: Option<&[u8]>) -> Address {
    let named = match (path, name) {
        (Some(path), _) => Address::path(path),
        (_, Some(name)) => Address::abstract_name(name),
        _ => Ok(Address::UNNAMED),
    };
    named.unwrap_or(Address::UNNAMED)
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::from(&address)
    }
}

impl TryFrom<&Address> for SocketAddr {
    type Error = std::io::Error;

    /// Converts the address.
    ///
    /// # Errors
    /// Returns an error if a path does not fit into a `SocketAddr`, which holds 107 bytes. stoop
    /// itself reaches longer paths.
    fn try_from(address: &Address) -> std::io::Result<SocketAddr> {
        match (address.as_pathname(), address.as_abstract_name()) {
            (Some(path), _) => SocketAddr::from_pathname(path),
            (_, Some(name)) => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(""),
        }
    }
}

impl TryFrom<Address> for SocketAddr {
    type Error = std::io::Error;

    /// Converts the address.
    ///
    /// # Errors
    /// Returns an error if a path does not fit into a `SocketAddr`, which holds 107 bytes. stoop
    /// itself reaches longer paths.
    fn try_from(address: Address) -> std::io::Result<SocketAddr> {
        SocketAddr::try_from(&address)
    }
}

impl ToAddress for SocketAddr {
    fn to_address(&self) -> Result<Address, AddressError> {
        Ok(Address::from(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_round_trip() {
        let path = Address::path("/run/app.sock").unwrap();
        let name = Address::abstract_name(*b"a\0b").unwrap();
        for address in [path, name, Address::UNNAMED] {
            assert_eq!(Address::from(SocketAddr::try_from(&address).unwrap()), address);
        }
        let long = Address::path("x".repeat(108)).unwrap();
        assert!(SocketAddr::try_from(long).is_err());
    }
}
