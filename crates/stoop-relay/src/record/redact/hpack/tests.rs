//! Header blocks with secrets, and the same blocks as they are to be masked.

use proptest::prelude::*;

use super::*;

/// How a literal is written: what it does to the table, and which strings are coded.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Form {
    pub(in super::super) kind: u8,
    pub(in super::super) codes_name: bool,
    pub(in super::super) codes_value: bool,
}

pub(in super::super) fn form() -> impl Strategy<Value = Form> {
    let kind = proptest::sample::select(vec![0x40u8, 0x00, 0x10]);
    (kind, any::<bool>(), any::<bool>()).prop_map(|(kind, codes_name, codes_value)| Form {
        kind,
        codes_name,
        codes_value,
    })
}

/// Appends a number with a prefix of so many bits.
fn number(out: &mut Vec<u8>, first: u8, prefix_bits: u32, value: usize) {
    let max = (1usize << prefix_bits) - 1;
    if value < max {
        return out.push(first | value as u8);
    }
    out.push(first | max as u8);
    let mut rest = value - max;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn string(out: &mut Vec<u8>, text: &[u8], is_coded: bool, is_masked: bool) {
    let mut bytes = if is_coded { huffman::encode(text) } else { text.to_vec() };
    if is_masked {
        bytes.fill(if is_coded { CODED_MASK } else { MASK });
    }
    number(out, if is_coded { 0x80 } else { 0 }, 7, bytes.len());
    out.extend(bytes);
}

/// Appends a header, in plain or masked.
pub(in super::super) fn literal(out: &mut Vec<u8>, form: Form, name: &[u8], value: &[u8], is_masked: bool) {
    out.push(form.kind);
    string(out, name, form.codes_name, false);
    string(out, value, form.codes_value, is_masked);
}

fn masked(hpack: &mut Hpack, block: &[u8]) -> Vec<u8> {
    let masked = block.iter().map(|byte| hpack.mask(*byte).unwrap_or(*byte)).collect();
    hpack.end_block();
    masked
}

/// A header that refers to the name of an entry.
fn of_entry(index: usize, value: &[u8], is_masked: bool) -> Vec<u8> {
    let mut out = Vec::new();
    number(&mut out, 0x40, 6, index);
    string(&mut out, value, true, is_masked);
    out
}

const PLAIN: Form = Form { kind: 0x40, codes_name: false, codes_value: false };

#[test]
fn the_mask_of_a_coded_string_can_be_decoded() {
    let mut text = Vec::new();
    huffman::decode(&[CODED_MASK; 3], &mut text).unwrap();
    assert_eq!(text, b"***");
}

#[test]
fn names_of_both_tables_are_known() {
    let mut hpack = Hpack::new();
    let (authorization, cookie, user_agent) = (23, 32, 58);
    for (index, is_secret) in [(authorization, true), (cookie, true), (user_agent, false)] {
        let (block, seen) = (of_entry(index, b"abc", false), of_entry(index, b"abc", is_secret));
        assert_eq!(masked(&mut hpack, &block), seen);
    }
    // The newest entry is the first of the dynamic table.
    for (index, is_secret) in [(62, false), (64, true)] {
        let (block, seen) = (of_entry(index, b"def", false), of_entry(index, b"def", is_secret));
        assert_eq!(masked(&mut hpack, &block), seen);
    }
}

#[test]
fn what_is_not_known_may_be_a_secret() {
    let mut hpack = Hpack::new();
    assert_eq!(masked(&mut hpack, &of_entry(70, b"abc", false)), of_entry(70, b"abc", true));
    // A block that ends within a header.
    let mut hpack = Hpack::new();
    masked(&mut hpack, &[0x40, 3, b'x']);
    assert_eq!(masked(&mut hpack, b"\x00\x01n\x01v"), [MASK; 5]);
}

#[test]
fn entries_are_evicted_as_the_peers_evict_them() {
    let mut hpack = Hpack::new();
    let mut block = Vec::new();
    literal(&mut block, PLAIN, b"cookie", b"a", false);
    literal(&mut block, PLAIN, b"x", b"b", false);
    masked(&mut hpack, &block);
    // There is room for one entry.
    masked(&mut hpack, &[0x3f, 40 - 31]);
    let other = of_entry(62, b"c", false);
    assert_eq!(masked(&mut hpack, &other), other);
    // A long string empties the table.
    let mut long = Vec::new();
    literal(&mut long, PLAIN, b"y", &[b'v'; STRING_MAX + 1], false);
    assert_eq!(masked(&mut hpack, &long), long);
    assert!(hpack.entries.is_empty() && matches!(hpack.state, State::Start));
}

proptest! {
    #[test]
    fn exactly_the_secrets_are_masked(
        headers in proptest::collection::vec(
            (form(), proptest::sample::select(vec!["x", "Cookie", "authorization", ":path", "x-api-key"]), ".{0,40}"),
            0..12,
        ),
    ) {
        let (mut plain, mut seen) = (Vec::new(), Vec::new());
        for (form, name, value) in &headers {
            let is_secret = form.kind == 0x10 && *name != ":path" || !matches!(*name, "x" | ":path");
            literal(&mut plain, *form, name.as_bytes(), value.as_bytes(), false);
            literal(&mut seen, *form, name.as_bytes(), value.as_bytes(), is_secret);
        }
        let mut hpack = Hpack::new();
        prop_assert_eq!(masked(&mut hpack, &plain), seen);
        prop_assert!(matches!(hpack.state, State::Start));
    }

    #[test]
    fn anything_is_judged(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..60), 0..6)) {
        let mut hpack = Hpack::new();
        for block in blocks {
            prop_assert_eq!(masked(&mut hpack, &block).len(), block.len());
        }
    }
}
