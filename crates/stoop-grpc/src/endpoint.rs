//! Where a service is: on a local socket, or behind TCP.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::str::FromStr;

use stoop::Address;

use crate::Error;

/// Where a service is. Programs that take one as text can be moved from a local socket to another
/// machine by their configuration alone.
///
/// ```
/// use stoop_grpc::Endpoint;
///
/// assert!(matches!("/run/app.sock".parse()?, Endpoint::Local(_)));
/// assert!(matches!("unix:///run/app.sock".parse()?, Endpoint::Local(_)));
/// assert!(matches!("unix-abstract:app".parse()?, Endpoint::Local(_)));
/// assert!(matches!("https://app.example:443".parse()?, Endpoint::Tcp(_)));
/// # Ok::<(), stoop_grpc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A local socket.
    Local(Address),
    /// A host and a port, with TLS where the scheme is `https`, without where it is `http`.
    Tcp(http::Uri),
}

impl Endpoint {
    /// Reads `http://host:port` and `https://host:port`; all else is a local address, as [`Address::parse`] reads it.
    ///
    /// # Errors
    /// Where it is neither.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Endpoint, Error> {
        let text = text.as_ref();
        let is_uri = [&b"http://"[..], b"https://"].iter().any(|scheme| text.as_bytes().starts_with(scheme));
        if !is_uri {
            return Ok(Endpoint::Local(Address::parse(text).map_err(Error::address)?));
        }
        let uri: http::Uri = text.to_string_lossy().parse().map_err(Error::uri)?;
        Ok(Endpoint::Tcp(uri))
    }

    /// Whether connections are encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Endpoint::Tcp(uri) if uri.scheme_str() == Some("https"))
    }
}

impl FromStr for Endpoint {
    type Err = Error;

    fn from_str(text: &str) -> Result<Endpoint, Error> {
        Endpoint::parse(text)
    }
}

impl TryFrom<&str> for Endpoint {
    type Error = Error;

    fn try_from(text: &str) -> Result<Endpoint, Error> {
        Endpoint::parse(text)
    }
}

impl TryFrom<&Path> for Endpoint {
    type Error = Error;

    /// A path is a local socket's, whatever it looks like.
    fn try_from(path: &Path) -> Result<Endpoint, Error> {
        Ok(Endpoint::Local(Address::path(path)?))
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Endpoint {
        Endpoint::Local(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Local(address) => address.fmt(f),
            Endpoint::Tcp(uri) => uri.fmt(f),
        }
    }
}
