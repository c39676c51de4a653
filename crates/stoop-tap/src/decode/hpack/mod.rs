//! HPACK (RFC 7541): the compressed headers of HTTP/2. Pure.
//!
//! The headers of a connection refer to those that were sent before. Of a connection that was
//! joined later, or lost bytes, such headers are unknown, and the others are not.

mod decode;
mod find;
#[allow(dead_code, reason = "the same file as in stoop-grpc")]
mod huffman;
#[allow(dead_code, reason = "the same file as in stoop-grpc, which also follows its size")]
mod table;
#[cfg(test)]
mod tests;

#[cfg(test)]
use decode::Malformed;
pub(super) use decode::{Decoder, Header, Text, integer};
pub(super) use find::Found;

/// Passes each letter of a string in the Huffman code to `give`, with the length of its code.
/// Returns the bits behind the last one and how many there are; `None` if these are not codes.
pub(super) fn letters(bytes: &[u8], give: impl FnMut(u8, usize)) -> Option<(u32, usize)> {
    huffman::symbols(bytes, give)
}

/// Decodes a string in the Huffman code; `None` if it is malformed.
pub(super) fn decoded(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    huffman::decode(bytes, &mut text)?;
    Some(text)
}

/// Encodes a string in the Huffman code.
#[cfg(test)]
pub(super) fn encoded(text: &[u8]) -> Vec<u8> {
    huffman::encode(text)
}
