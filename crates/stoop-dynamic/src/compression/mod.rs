//! The compressions of messages. tonic has gzip and deflate; Zstandard is translated here to what
//! is not compressed, and back.

mod body;
pub(crate) mod messages;

use std::fmt;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Response};
use stoop_http::internal::{DamagedZstd, ZstdError};
use tonic::Status;
use tonic::codec::CompressionEncoding;

pub(crate) use body::{Channel, restore};

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// What is read, the preferred one first.
const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip,deflate,zstd,identity");
const ZSTD: HeaderValue = HeaderValue::from_static("zstd");

/// The compressions that tonic reads.
pub(crate) const READ: [CompressionEncoding; 2] = [CompressionEncoding::Gzip, CompressionEncoding::Deflate];

/// A compression of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Compression {
    /// `gzip`.
    Gzip,
    /// `deflate`, in its zlib form.
    Deflate,
    /// `zstd`, of which few gRPC servers know.
    Zstd,
}

impl Compression {
    /// Returns tonic's name for the compression, if tonic does it.
    pub(crate) fn of_tonic(self) -> Option<CompressionEncoding> {
        match self {
            Compression::Gzip => Some(CompressionEncoding::Gzip),
            Compression::Deflate => Some(CompressionEncoding::Deflate),
            Compression::Zstd => None,
        }
    }
}

/// Why a response cannot be read.
#[derive(Clone, Debug)]
pub(crate) enum Refused {
    /// The name of a compression that is not supported.
    Unsupported(String),
    /// A message becomes larger than the limit.
    TooLarge,
    /// A message cannot be decompressed.
    Damaged(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Unsupported(name) => {
                write!(f, "it is compressed with '{name}', and only gzip, deflate and zstd are supported")
            }
            Refused::TooLarge => f.write_str("message too large"),
            Refused::Damaged(why) => write!(f, "a message cannot be decompressed: {why}"),
        }
    }
}

impl std::error::Error for Refused {}

impl From<ZstdError> for Refused {
    fn from(error: ZstdError) -> Refused {
        match error {
            ZstdError::TooLarge => Refused::TooLarge,
            ZstdError::Damaged(DamagedZstd::NotAFrame) => Refused::Damaged("not zstd".into()),
            ZstdError::Damaged(damaged) => Refused::Damaged(damaged.to_string()),
        }
    }
}

/// Refuses a response whose messages cannot be read.
fn check<B>(response: Response<B>) -> Result<Response<B>, Status> {
    match response.headers().get(GRPC_ENCODING) {
        Some(name) if ![&b"identity"[..], b"gzip", b"deflate", b"zstd"].contains(&name.as_bytes()) => {
            let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
            Err(Status::from_error(Box::new(Refused::Unsupported(name))))
        }
        _ => Ok(response),
    }
}

/// Says in a request's headers what is read, and how its messages are compressed.
fn announce(headers: &mut HeaderMap, is_zstd: bool) {
    headers.insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    if is_zstd {
        headers.insert(GRPC_ENCODING, ZSTD);
    }
}
