//! HPACK (RFC 7541): the compressed headers of HTTP/2. Pure.
//!
//! The headers of a connection refer to those that were sent before. Of a connection that was
//! joined later, or lost bytes, such headers are unknown, and the others are not.

mod decode;
#[allow(dead_code, reason = "the same file as in stoop-grpc")]
mod huffman;
#[allow(dead_code, reason = "the same file as in stoop-grpc, which also follows its size")]
mod table;
#[cfg(test)]
mod tests;

#[cfg(test)]
use decode::Malformed;
pub(super) use decode::{Decoder, Header, Text};
