//! Overwrites parts of a string in the Huffman code of HPACK, so that it has as many bytes as
//! before, and not more letters. Tables of headers count these: a reader that counts more drops
//! headers that are still referred to. Pure.

use super::super::super::hpack;
use super::super::super::secrets::Secrets;

/// A code of each length: the number of bits, and the bits. That of 8 bits is `*`.
const CODES: [(usize, u32); 10] = [
    (5, 0x01),
    (6, 0x15),
    (7, 0x5d),
    (8, 0xf9),
    (10, 0x3f9),
    (11, 0x7fb),
    (12, 0xffb),
    (13, 0x1ff9),
    (14, 0x3ffd),
    (15, 0x7ffd),
];
const STAR: (usize, u32) = (8, 0xf9);

/// Overwrites the letters that are secrets in a string of `len` bytes, of which these are there.
/// Every letter is one if `secrets` is `None`. A secret that may go on behind the bytes is
/// overwritten up to the end of the string, whatever follows; `filled_from` remembers from which
/// bit on.
pub(super) fn mask(
    bytes: &mut [u8],
    len: usize,
    mut secrets: Option<Secrets>,
    filled_from: &mut Option<usize>,
) {
    let mut letters = Vec::new();
    let mut judge = |letter| secrets.as_mut().is_none_or(|secrets| secrets.is_secret(letter));
    let is_coded = hpack::letters(bytes, |letter, bits| letters.push((judge(letter), bits))).is_some();
    let goes_on = bytes.len() < len && secrets.is_none_or(|secrets| secrets.is_within());
    if !is_coded {
        *filled_from = Some(0);
    }
    let bits_of = |letters: &[(bool, usize)]| letters.iter().map(|(_, bits)| bits).sum::<usize>();
    let (mut at, end) = (0, bits_of(&letters));
    for run in letters.chunk_by(|one, next| one.0 == next.0) {
        let bits = bits_of(run);
        at += bits;
        // Up to the end of the string there are bits to spare.
        let is_filled = at == end && (goes_on || bits < run.len() * 8);
        if run[0].0 && filled_from.is_none() {
            match codes(run.len(), bits).filter(|_| !is_filled) {
                Some(codes) => overwrite(bytes, at - bits, &codes),
                None => *filled_from = Some(at - bits),
            }
        }
    }
    if goes_on {
        filled_from.get_or_insert(at);
    }
    if let Some(from) = *filled_from {
        fill(bytes, from, len * 8);
    }
}

/// Returns codes with that many bits together, but not more than `count`.
fn codes(count: usize, bits: usize) -> Option<Vec<(usize, u32)>> {
    if bits >= count * 8 { as_many(count, bits) } else { stars(bits) }
}

/// Returns `*` as often as possible, and what is needed for the remaining bits.
fn stars(bits: usize) -> Option<Vec<(usize, u32)>> {
    let (fewer, rest) = match bits % 8 {
        0 => (0, vec![]),
        1 => (2, vec![7, 10]),
        rest @ 2..5 => (1, vec![8 + rest]),
        rest => (0, vec![rest]),
    };
    let mut codes = vec![STAR; (bits / 8).checked_sub(fewer)?];
    codes.extend(rest.iter().filter_map(|len| of_len(*len)));
    Some(codes)
}

fn of_len(len: usize) -> Option<(usize, u32)> {
    CODES.iter().find(|code| code.0 == len).copied()
}

/// Returns that many codes with that many bits together.
fn as_many(count: usize, mut bits: usize) -> Option<Vec<(usize, u32)>> {
    let mut codes = Vec::new();
    for left in (3..=count).rev() {
        let code = CODES.iter().rfind(|code| code.0 <= bits / left)?;
        bits -= code.0;
        codes.push(*code);
    }
    match count {
        0 => {}
        1 => codes.push(of_len(bits)?),
        _ => {
            let pair = CODES.iter().rev().find_map(|code| Some((*code, of_len(bits.checked_sub(code.0)?)?)));
            let (one, other) = pair?;
            codes.extend([one, other]);
        }
    }
    Some(codes)
}

/// Writes `*` up to the end of the string, and the padding.
fn fill(bytes: &mut [u8], from: usize, end: usize) {
    let stars = vec![STAR; end.saturating_sub(from) / 8];
    overwrite(bytes, from, &stars);
    for at in from + stars.len() * 8..end {
        set(bytes, at, true);
    }
}

fn overwrite(bytes: &mut [u8], mut at: usize, codes: &[(usize, u32)]) {
    for (len, code) in codes {
        for bit in (0..*len).rev() {
            set(bytes, at, code >> bit & 1 == 1);
            at += 1;
        }
    }
}

/// Sets a bit, if it is there.
fn set(bytes: &mut [u8], at: usize, on: bool) {
    let Some(byte) = bytes.get_mut(at / 8) else { return };
    let bit = 0x80 >> (at % 8);
    *byte = if on { *byte | bit } else { *byte & !bit };
}
