//! HPACK encoder that uses no dynamic table, and framing of its blocks.

use super::decode::{Field, Name};
use super::frames::{FLAG_END_HEADERS, Head, Kind, PAYLOAD_MAX_BYTES};

/// The reason for which the server is to reject the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Frames are out of order, or too long.
    Protocol,
    /// A header block cannot be decoded.
    Compression,
}

/// Appends a field to a block: an index into the static table, or a literal that is not added to
/// the dynamic table (`0000`, or `0001` if it must never be indexed).
pub(super) fn field(field: &Field<'_>, block: &mut Vec<u8>) {
    match field {
        Field::Static(index) => integer(usize::from(*index), 7, 0x80, block),
        Field::Literal { name, value, sensitive } => {
            let form = if *sensitive { 0x10 } else { 0 };
            match name {
                Name::Static(index) => integer(usize::from(*index), 4, form, block),
                Name::Text(text) => {
                    block.push(form);
                    string(text, block);
                }
            }
            string(value, block);
        }
    }
}

/// Appends a block as `HEADERS` and `CONTINUATION` frames. `flags` are added to the first frame.
pub(super) fn frames(stream: u32, flags: u8, block: &[u8], output: &mut Vec<u8>) {
    let (mut kind, mut flags, mut left) = (Kind::Headers, flags, block);
    loop {
        let (payload, rest) = left.split_at(left.len().min(PAYLOAD_MAX_BYTES));
        if rest.is_empty() {
            flags |= FLAG_END_HEADERS;
        }
        Head { len: payload.len(), kind, flags, stream }.write(output);
        output.extend_from_slice(payload);
        if rest.is_empty() {
            return;
        }
        (kind, flags, left) = (Kind::Continuation, 0, rest);
    }
}

/// Appends a frame that every server rejects for this reason.
pub(super) fn refused(why: Refusal, output: &mut Vec<u8>) {
    match why {
        // The index 0 is invalid.
        Refusal::Compression => frames(1, 0, &[0x80], output),
        // `DATA` frames must not be on stream 0.
        Refusal::Protocol => Head { len: 0, kind: Kind::Data, flags: 0, stream: 0 }.write(output),
    }
}

fn string(text: &[u8], block: &mut Vec<u8>) {
    integer(text.len(), 7, 0, block);
    block.extend_from_slice(text);
}

/// Appends an integer with a prefix of `prefix_bits` bits (RFC 7541, section 5.1). `form` contains
/// the other bits of the first byte.
pub(super) fn integer(mut number: usize, prefix_bits: u32, form: u8, block: &mut Vec<u8>) {
    let prefix_max = (1usize << prefix_bits) - 1;
    if number < prefix_max {
        return block.push(form | number as u8);
    }
    block.push(form | prefix_max as u8);
    number -= prefix_max;
    while number > 0x7f {
        block.push(number as u8 | 0x80);
        number >>= 7;
    }
    block.push(number as u8);
}
