//! Sample bytes: pseudo-random, and the same in every run.

/// Returns `len` bytes, of all values. Different seeds give different bytes.
pub fn bytes(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        // xorshift64: no library needed, and no short period.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(len)
    .collect()
}

/// Returns one message of `len` bytes for line-based programs: letters, with a newline only at the
/// end.
pub fn message(len: usize, seed: u64) -> Vec<u8> {
    let mut text: Vec<u8> = bytes(len, seed).into_iter().map(|byte| b'a' + byte % 26).collect();
    if let Some(last) = text.last_mut() {
        *last = b'\n';
    }
    text
}

/// Returns messages of these lengths, each different, for line-based programs.
pub fn messages(lens: &[usize]) -> Vec<Vec<u8>> {
    (1..).zip(lens).map(|(seed, &len)| message(len, seed)).collect()
}
