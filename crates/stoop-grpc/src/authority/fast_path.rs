//! The fast path: checks the authority in a header block while decoding as little as possible.

use super::decode::{Malformed, Name, integer, string};
use super::table::{AUTHORITY, STATIC, TABLE_MAX_BYTES};

/// The length of `:authority` in HPACK's Huffman code.
const CODED_AUTHORITY_BYTES: usize = 8;

/// Returns whether the first block of a connection can pass without being decoded.
///
/// Only authorities are checked, so a block that is malformed elsewhere may pass. If a field
/// cannot be determined without the dynamic table, the result is `false`.
pub(super) fn is_known_valid(block: &[u8], is_valid: impl FnMut(&[u8]) -> bool) -> bool {
    fields(block, is_valid).unwrap_or(false)
}

fn fields(mut block: &[u8], mut is_valid: impl FnMut(&[u8]) -> bool) -> Result<bool, Malformed> {
    while let Some(&first) = block.first() {
        let prefix_bits = match first {
            0x80.. => {
                let index = integer(&mut block, 7)?;
                // Beyond the static table are the fields that this block itself has added. Finding
                // them needs the decoder. Index 0 is invalid, and index 1 is an `:authority` with
                // an empty value.
                if index > STATIC || index <= usize::from(AUTHORITY) {
                    return Ok(false);
                }
                continue;
            }
            0x40.. => 6,
            0x20.. => {
                if integer(&mut block, 5)? > TABLE_MAX_BYTES {
                    return Ok(false);
                }
                continue;
            }
            _ => 4,
        };
        let is_authority = match integer(&mut block, prefix_bits)? {
            0 => is_authority(&mut block)?,
            index if index > STATIC => return Ok(false),
            index => index == usize::from(AUTHORITY),
        };
        if !is_authority {
            skip(&mut block)?;
        } else if !is_valid(&string(&mut block)?) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Returns whether the string at the start of `block` is `:authority`, and skips it. A coded name
/// is decoded only if its length matches.
fn is_authority(block: &mut &[u8]) -> Result<bool, Malformed> {
    let mut name = *block;
    let coded = name.first().is_some_and(|first| first & 0x80 != 0);
    let len = skip(block)?;
    Ok((!coded || len == CODED_AUTHORITY_BYTES) && Name::Text(&string(&mut name)?).is_authority())
}

/// Skips a string, and returns its encoded length.
fn skip(block: &mut &[u8]) -> Result<usize, Malformed> {
    let len = integer(block, 7)?;
    *block = block.get(len..).ok_or(Malformed)?;
    Ok(len)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::decode::{Decoder, Field};
    use super::super::huffman;
    use super::*;

    fn valid(value: &[u8]) -> bool {
        http::uri::Authority::try_from(value).is_ok()
    }

    /// Whether some authority would have to be changed.
    fn needs_change(block: &[u8]) -> bool {
        let mut needs = false;
        let give = |field: Field<'_>| {
            needs |= !super::super::is_valid(&field);
        };
        Decoder::default().decode(block, give).is_ok() && needs
    }

    fn text(text: &[u8], coded: bool) -> Vec<u8> {
        let bytes = if coded { huffman::encode(text) } else { text.to_vec() };
        [&[bytes.len() as u8 | u8::from(coded) << 7][..], &bytes].concat()
    }

    #[test]
    fn the_authority_name_is_recognized_in_each_form() {
        assert_eq!(huffman::encode(b":authority").len(), CODED_AUTHORITY_BYTES);
        for (value, is) in [(&b"localhost"[..], true), (b"/run/app.sock", false), (b"", false)] {
            for coded in [false, true] {
                let value = text(value, coded);
                let by_index = [&[0x41][..], &value].concat();
                assert_eq!(is_known_valid(&by_index, valid), is);
                let by_name = [&[0x00][..], &text(b":authority", coded), &value].concat();
                assert_eq!(is_known_valid(&by_name, valid), is);
            }
        }
        // What a client in Rust sends: method, scheme, path, authority, te, and a name of its own.
        let usual = [
            &[0x83, 0x86, 0x44][..],
            &text(b"/a.B/C", true),
            &[0x41],
            &text(b"localhost", true),
            &[0x40],
            &text(b"te", true),
            &text(b"trailers", true),
        ]
        .concat();
        assert!(is_known_valid(&usual, valid));
        assert!(!is_known_valid(&[0x81], valid), "an empty one");
    }

    fn field() -> impl Strategy<Value = Vec<u8>> {
        let name = prop_oneof![Just(&b":authority"[..]), Just(&b"te"[..]), Just(&b"x-authori"[..])];
        let value = prop_oneof![Just(&b"localhost"[..]), Just(&b"%2Frun"[..]), Just(&b""[..])];
        let first = prop_oneof![Just(0x40u8), Just(0x00), Just(0x10)];
        prop_oneof![
            (0x80u8..0xc8).prop_map(|index| vec![index]),
            (0x20u8..0x40).prop_map(|size| vec![size]),
            (first.clone(), 1..6u8, value.clone(), any::<bool>()).prop_map(|(first, index, value, coded)| [
                &[first | index][..],
                &text(value, coded)
            ]
            .concat()),
            (first, name, value, any::<bool>(), any::<bool>()).prop_map(
                |(first, name, value, one, other)| {
                    [&[first][..], &text(name, one), &text(value, other)].concat()
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn the_fast_path_passes_no_invalid_authority(
            fields in prop::collection::vec(field(), 0..6),
            noise in prop::collection::vec(any::<u8>(), 0..4),
        ) {
            let block = [fields.concat(), noise].concat();
            prop_assert!(!(is_known_valid(&block, valid) && needs_change(&block)));
        }
    }
}
