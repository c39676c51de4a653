//! Errors that occur before a call is made, or while a server runs.

use std::error::Error as Cause;
use std::fmt;
use std::sync::Arc;

/// Why an endpoint could not be connected to or served. A failed call returns a [`tonic::Status`].
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// An error of the Unix socket. Shared, since all callers that wait for one connection fail
    /// together.
    Socket(Arc<stoop::Error>),
    /// An invalid address.
    Address(Box<dyn Cause + Send + Sync>),
    /// An error of TCP or TLS.
    Transport(Box<dyn Cause + Send + Sync>),
    /// Invalid descriptors of services.
    Descriptors(Box<dyn Cause + Send + Sync>),
    /// An `https` endpoint without keys and certificates.
    NoTls,
}

impl Error {
    pub(crate) fn address(cause: stoop::AddressError) -> Error {
        Error::Address(cause.into())
    }

    pub(crate) fn uri(cause: http::uri::InvalidUri) -> Error {
        Error::Address(format!("invalid address: {cause}").into())
    }

    /// Returns the error of the Unix socket, if this is one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let missing = std::env::temp_dir().join("stoop-grpc-missing.sock");
    /// let endpoint = stoop_grpc::Endpoint::try_from(missing.join("app.sock").as_path())?;
    /// let error = endpoint.listen(|bind| bind).await.unwrap_err();
    /// assert_eq!(error.socket().unwrap().kind(), stoop::ErrorKind::NotFound);
    /// # Ok(())
    /// # }
    /// ```
    pub fn socket(&self) -> Option<&stoop::Error> {
        match self {
            Error::Socket(error) => Some(error),
            _ => None,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Socket(error) => error.fmt(f),
            Error::Address(cause) => cause.fmt(f),
            Error::Transport(cause) => write!(f, "transport error: {cause}"),
            Error::Descriptors(cause) => write!(f, "invalid file descriptor set: {cause}"),
            Error::NoTls => f.write_str("TLS is not configured for an https endpoint"),
        }
    }
}

impl Cause for Error {
    fn source(&self) -> Option<&(dyn Cause + 'static)> {
        match self {
            Error::Socket(error) => error.source(),
            // Their own messages are part of ours, so the source is the next one.
            Error::Address(cause) | Error::Transport(cause) | Error::Descriptors(cause) => cause.source(),
            Error::NoTls => None,
        }
    }
}

impl From<stoop::Error> for Error {
    fn from(error: stoop::Error) -> Error {
        Error::Socket(error.into())
    }
}

impl From<std::convert::Infallible> for Error {
    fn from(never: std::convert::Infallible) -> Error {
        match never {}
    }
}

impl From<stoop::AddressError> for Error {
    fn from(cause: stoop::AddressError) -> Error {
        Error::address(cause)
    }
}
