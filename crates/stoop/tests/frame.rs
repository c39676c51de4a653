//! Messages on byte streams: every framing in pieces of any size, hostile bytes, real sockets, and
//! descriptors that stay with their message.

#[path = "frame/codecs.rs"]
mod codecs;
#[path = "frame/descriptors.rs"]
mod descriptors;
#[path = "frame/sockets.rs"]
mod sockets;

use proptest::prelude::*;

/// Lengths around every border there is: the long header, what is copied, what is read for itself,
/// what is read at once.
fn length() -> impl Strategy<Value = usize> {
    prop_oneof![
        8 => 0usize..80,
        2 => 2040usize..2056,
        2 => 4088usize..4104,
        1 => 16_370usize..16_400,
        1 => 65_500usize..65_600,
        1 => 100_000usize..300_000,
    ]
}

/// A message of this length that no other number has; without a line feed.
fn message(number: usize, len: usize) -> Vec<u8> {
    let mut state = number as u32 ^ 0x9e37_79b9;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).map(|byte| if byte == b'\n' { b'N' } else { byte }).collect()
}

fn messages(lengths: &[usize]) -> Vec<Vec<u8>> {
    lengths.iter().enumerate().map(|(number, &len)| message(number, len)).collect()
}
