//! Addresses of services: Unix domain sockets and TCP endpoints.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use stoop::{Address, ToAddress};

use crate::Error;

/// The address of a service: a Unix socket, or a host and port.
///
/// A program that parses it from text can be moved from a Unix socket to another machine by
/// configuration alone. Converted with `TryFrom`, text is a path, exactly as it is.
///
/// ```
/// use stoop_grpc::Endpoint;
///
/// assert!(matches!("/run/app.sock".parse()?, Endpoint::Local(_)));
/// assert!(matches!("unix:///run/app.sock".parse()?, Endpoint::Local(_)));
/// assert!(matches!("unix-abstract:app".parse()?, Endpoint::Local(_)));
/// assert!(matches!("https://app.example:443".parse()?, Endpoint::Tcp(_)));
/// assert!(matches!(Endpoint::try_from("https:")?, Endpoint::Local(_)));
/// # Ok::<(), stoop_grpc::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoint {
    /// A Unix socket.
    Local(Address),
    /// A host and a port: with TLS if the scheme is `https`, without if it is `http`.
    Tcp(http::Uri),
}

impl Endpoint {
    /// Parses an endpoint: `http://host:port`, `https://host:port`, or any text that
    /// [`Address::parse`] accepts.
    ///
    /// ```
    /// use std::path::Path;
    /// use stoop_grpc::Endpoint;
    ///
    /// assert!(Endpoint::parse("https://app.example")?.is_tls());
    /// assert!(!Endpoint::parse("http://app.example")?.is_tls());
    /// // Without a scheme, it is a path.
    /// assert_eq!(Endpoint::parse("app.example")?, Endpoint::try_from(Path::new("app.example"))?);
    /// assert!(Endpoint::parse("").is_err());
    /// # Ok::<(), stoop_grpc::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the text is neither a URI nor a socket address.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Endpoint, Error> {
        let text = text.as_ref();
        let is_uri = [&b"http://"[..], b"https://"].iter().any(|scheme| text.as_bytes().starts_with(scheme));
        if !is_uri {
            return Ok(Endpoint::Local(Address::parse(text).map_err(Error::address)?));
        }
        let uri: http::Uri = text.to_string_lossy().parse().map_err(Error::uri)?;
        Ok(Endpoint::Tcp(uri))
    }

    /// Returns whether connections are encrypted.
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

/// Implements the conversion of types whose value is a path: to a Unix socket at exactly that path,
/// even if it looks like a URI.
macro_rules! paths {
    ($($type:ty),*) => {
        $(impl TryFrom<$type> for Endpoint {
            type Error = Error;

            fn try_from(path: $type) -> Result<Endpoint, Error> {
                Ok(Endpoint::Local(path.to_address()?))
            }
        })*
    };
}

paths!(&str, &String, &Path, &PathBuf, &OsStr, &OsString, &[u8]);

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
