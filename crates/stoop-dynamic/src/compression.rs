//! The compressions of messages.

use std::fmt;

use http::Response;
use http::header::HeaderName;
use tonic::Status;
use tonic::codec::CompressionEncoding;

const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");

/// The compressions that are read, the preferred one first.
pub(crate) const READ: [CompressionEncoding; 2] = [CompressionEncoding::Gzip, CompressionEncoding::Deflate];

/// The name of a compression that is not supported.
#[derive(Clone, Debug)]
pub(crate) struct Unsupported(String);

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it is compressed with '{}', and only gzip and deflate are supported", self.0)
    }
}

impl std::error::Error for Unsupported {}

/// Refuses a response whose messages cannot be read.
pub(crate) fn check<B>(response: Response<B>) -> Result<Response<B>, Status> {
    match response.headers().get(GRPC_ENCODING) {
        Some(name) if ![&b"identity"[..], b"gzip", b"deflate"].contains(&name.as_bytes()) => {
            let name = String::from_utf8_lossy(name.as_bytes()).into_owned();
            Err(Status::from_error(Box::new(Unsupported(name))))
        }
        _ => Ok(response),
    }
}
