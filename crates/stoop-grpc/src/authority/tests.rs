//! Tests with the examples of RFC 7541, with what real clients send, and property tests.

use proptest::prelude::*;

use super::table::TABLE_MAX_BYTES;
use super::*;

type Fields = Vec<(Vec<u8>, Vec<u8>)>;

/// Decodes a block with a new decoder, as our encoder's blocks allow.
fn decoded(decoder: &mut Decoder, block: &[u8]) -> Option<Fields> {
    let mut fields = Vec::new();
    decoder.decode(block, |field| fields.push(owned(&field))).ok()?;
    Some(fields)
}

fn owned(field: &Field<'_>) -> (Vec<u8>, Vec<u8>) {
    let static_name = |index: u8| format!("static {index}").into_bytes();
    match field {
        // The values of the static table are not known here, and need not be.
        Field::Static(index) => (static_name(*index), b"as there".to_vec()),
        Field::Literal { name: Name::Static(index), value, .. } => (static_name(*index), value.to_vec()),
        Field::Literal { name: Name::Text(name), value, .. } => (name.to_vec(), value.to_vec()),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn pairs(fields: &[(&str, &str)]) -> Fields {
    fields.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.as_bytes().to_vec())).collect()
}

/// RFC 7541, C.3 and C.4: three requests on one connection, plain and Huffman-coded.
#[test]
fn requests_of_rfc_7541_are_decoded() {
    let plain = [
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ];
    let coded = [
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ];
    let there = "as there";
    let expected = [
        pairs(&[
            ("static 2", there),
            ("static 6", there),
            ("static 4", there),
            ("static 1", "www.example.com"),
        ]),
        pairs(&[
            ("static 2", there),
            ("static 6", there),
            ("static 4", there),
            ("static 1", "www.example.com"),
            ("static 24", "no-cache"),
        ]),
        pairs(&[
            ("static 2", there),
            ("static 7", there),
            ("static 5", there),
            ("static 1", "www.example.com"),
            ("custom-key", "custom-value"),
        ]),
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::default();
        for (block, expected) in blocks.iter().zip(&expected) {
            assert_eq!(decoded(&mut decoder, &hex(block)).as_ref(), Some(expected));
        }
        assert_eq!(decoder.dynamic.bytes(), 164, "as the standard counts");
    }
}

#[test]
fn every_byte_round_trips() {
    let text: Vec<u8> = (0..=255).collect();
    let mut back = Vec::new();
    huffman::decode(&huffman::encode(&text), &mut back).unwrap();
    assert_eq!(back, text);
}

#[test]
fn invalid_huffman_codes_are_rejected() {
    let decode = |bytes: &[u8]| huffman::decode(bytes, &mut Vec::new());
    assert!(decode(&[0xff]).is_none(), "eight bits of padding");
    assert!(decode(&[0b0000_0000]).is_none(), "padding of zeros");
    assert!(decode(&[0xff, 0xff, 0xff, 0xff]).is_none(), "the end of a string within one");
    assert!(decode(&[]).is_some());
}

#[test]
fn malformed_blocks_are_rejected() {
    let malformed = |block: &[u8]| Decoder::default().decode(block, |_| ()).is_err();
    assert!(malformed(&[0x80]), "index 0");
    assert!(malformed(&[0xbe]), "an entry that is not there");
    assert!(malformed(&[0x00, 0x05, b'a']), "a string that is cut");
    assert!(malformed(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), "a number without end");
    assert!(malformed(&hex("3fe21f")), "a table of 4097 bytes");
    assert!(malformed(&[0x82, 0x20]), "a change of size behind a field");
    assert!(!malformed(&hex("3fe11f")), "a table of 4096 bytes");
}

pub(super) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head { len: payload.len(), kind, flags, stream }.write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

const SETTINGS: Kind = Kind::Other(4);

/// The client connection preface.
pub(super) fn opening() -> Vec<u8> {
    [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])].concat()
}

/// A request as gRPC's C core encodes it, with the authority Huffman-coded or plain.
fn request(authority: &[u8], coded: bool) -> Vec<u8> {
    let mut block = hex("8386");
    let mut string = |index: u8, text: &[u8]| {
        block.push(0x40 | index);
        let (text, form) = if coded { (huffman::encode(text), 0x80) } else { (text.to_vec(), 0) };
        encode::integer(text.len(), 7, form, &mut block);
        block.extend_from_slice(&text);
    };
    string(4, b"/app.v1.App/Call");
    string(1, authority);
    block
}

pub(super) fn rewritten(input: &[u8], cut: usize) -> (Vec<u8>, AuthorityRewriter) {
    let (mut rewriter, mut output) = (AuthorityRewriter::new(16 * 1024), Vec::new());
    for piece in input.chunks(cut) {
        rewriter.push(piece, &mut output);
    }
    (output, rewriter)
}

/// Returns the header blocks in these frames, each decoded by a decoder that has decoded the
/// previous ones.
fn blocks(output: &[u8]) -> Vec<(u32, u8, Fields)> {
    let mut decoder = Decoder::default();
    let (mut rest, mut all, mut begin) = (&output[PREFACE.len()..], Vec::new(), None);
    let mut at = PREFACE.len();
    while let Some(head) = Head::parse(rest) {
        let end = at + HEAD_BYTES + head.len;
        if head.kind == Kind::Headers {
            begin = Some((at, head.flags));
        }
        let ends =
            head.flags & FLAG_END_HEADERS != 0 && matches!(head.kind, Kind::Headers | Kind::Continuation);
        if let Some((begin, flags)) = begin.filter(|_| ends) {
            let block = frames::block(&output[begin..end]).unwrap();
            all.push((head.stream, flags, decoded(&mut decoder, &block).unwrap()));
        }
        rest = &rest[HEAD_BYTES + head.len..];
        at = end;
    }
    all
}

fn authority_of(fields: &Fields) -> &[u8] {
    &fields.iter().find(|(name, _)| name == b"static 1").unwrap().1
}

#[test]
fn valid_authorities_pass_unchanged() {
    for authority in ["localhost", "example.org:443", "app", "[::1]"] {
        let mut input = opening();
        input.extend(frame(Kind::Headers, FLAG_END_HEADERS, 1, &request(authority.as_bytes(), true)));
        input.extend(b"whatever follows, even if it is no frame at all");
        for cut in 1..input.len() {
            let (output, rewriter) = rewritten(&input, cut);
            assert!(output == input && rewriter.is_done(), "{authority} cut at {cut}");
        }
    }
}

#[test]
fn other_protocols_pass_unchanged() {
    for input in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"PRI * HTTP/2.0\r\n\r\nSX", b"\0\0\0\0"] {
        for cut in 1..=input.len() {
            let (output, rewriter) = rewritten(input, cut);
            assert!(output == input && rewriter.is_done());
        }
    }
}

#[test]
fn finish_returns_held_bytes() {
    let mut input = opening();
    input.extend(frame(Kind::Headers, 0, 1, &request(b"/a/b", false)));
    let (mut output, mut rewriter) = rewritten(&input, 7);
    assert!(output.len() < input.len());
    rewriter.finish(&mut output);
    assert_eq!(output, input);
}

#[test]
fn authorities_of_real_clients_are_rewritten() {
    for authority in ["%2Ftmp%2Fapp.sock", "/tmp/app.sock", "", "./app.sock", "/tmp/a b"] {
        for coded in [false, true] {
            let mut input = opening();
            input.extend(frame(Kind::Headers, FLAG_END_HEADERS, 1, &request(authority.as_bytes(), coded)));
            input.extend(frame(Kind::Data, FLAG_END_STREAM, 1, b"\0\0\0\0\0"));
            // Refers to everything that the first block has added to the table.
            input.extend(frame(
                Kind::Headers,
                FLAG_END_HEADERS | FLAG_END_STREAM,
                3,
                &[0x83, 0x86, 0xbf, 0xbe],
            ));
            for cut in [1, 2, 5, 9, 30, input.len()] {
                let (output, rewriter) = rewritten(&input, cut);
                if http::uri::Authority::try_from(authority).is_ok() {
                    assert_eq!(output, input);
                    continue;
                }
                assert!(!rewriter.is_done());
                let blocks = blocks(&output);
                let [(1, 4, first), (3, 5, second)] = &blocks[..] else { panic!("{blocks:?}") };
                assert_eq!(first, second, "the table was followed");
                assert_eq!(authority_of(first), b"localhost");
                assert_eq!(first.len(), 4);
                assert!(output.windows(14).any(|part| part == frame(Kind::Data, 1, 1, b"\0\0\0\0\0")));
            }
        }
    }
}

#[test]
fn padding_priority_and_continuations_are_followed() {
    let block = request(b"/a/b", true);
    let (one, rest) = block.split_at(3);
    let (two, three) = rest.split_at(5);
    let padded = [&[4][..], &[0x80, 0, 0, 0, 16], one, &[0; 4]].concat();
    let mut input = opening();
    input.extend(frame(Kind::Headers, 0x8 | 0x20 | FLAG_END_STREAM, 1, &padded));
    input.extend(frame(Kind::Continuation, 0, 1, two));
    input.extend(frame(Kind::Continuation, 0, 1, b""));
    input.extend(frame(Kind::Continuation, FLAG_END_HEADERS, 1, three));
    for cut in 1..input.len() {
        let (output, _) = rewritten(&input, cut);
        let blocks = blocks(&output);
        let [(1, 5, fields)] = &blocks[..] else { panic!("{blocks:?}") };
        assert_eq!(authority_of(fields), b"localhost");
    }
}

/// A connection that is being rewritten, and the output for one more frame.
fn then(last: &[u8]) -> Vec<u8> {
    let mut input = opening();
    input.extend(frame(Kind::Headers, FLAG_END_HEADERS, 1, &request(b"/a/b", true)));
    let before = rewritten(&input, input.len()).0.len();
    input.extend(last);
    rewritten(&input, input.len()).0.split_off(before)
}

#[test]
fn invalid_frames_are_rejected() {
    let compression = [0, 0, 1, 1, 4, 0, 0, 0, 1, 0x80];
    let protocol = [0; 9];
    assert_eq!(then(&frame(Kind::Headers, FLAG_END_HEADERS, 3, &[0xff, 0x7f])), compression);
    // Another frame, or another stream, within a block.
    let begun = frame(Kind::Headers, 0, 3, &[0x83]);
    assert_eq!(then(&[&begun[..], &frame(Kind::Data, 0, 3, b"x")].concat()), protocol);
    assert_eq!(then(&[&begun[..], &frame(Kind::Continuation, 4, 5, b"")].concat()), protocol);
    // Padding that is longer than the frame.
    assert_eq!(then(&frame(Kind::Headers, 0xc, 3, &[9, 0x83])), protocol);
    // Blocks without end.
    assert_eq!(then(&frame(Kind::Headers, 0, 3, &[0; BLOCK_MAX_BYTES])), protocol);
    let flood: Vec<u8> =
        std::iter::repeat_n(frame(Kind::Continuation, 0, 3, b""), BLOCK_MAX_BYTES).flatten().collect();
    assert_eq!(then(&[begun, flood].concat()), protocol);
}

#[test]
fn header_lists_are_limited() {
    // One large entry, and thousands of references to it.
    let mut bomb = vec![0x40, 1, b'x', 0x7f, 0x81, 0x1e];
    bomb.extend([b'v'; 127 + 0x81 - 0x80 + 0x1e * 128]);
    bomb.extend([0xbe; 20_000]);
    let mut frames = frame(Kind::Headers, 0, 3, &bomb[..16_000]);
    frames.extend(frame(Kind::Continuation, FLAG_END_HEADERS, 3, &bomb[16_000..]));
    let output = then(&frames);
    assert!((16 * 1024..32 * 1024).contains(&output.len()), "{}", output.len());
}

/// The representations of a field that an encoder can choose.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) name: Vec<u8>,
    pub(super) value: Vec<u8>,
    pub(super) way: u8,
    pub(super) coded: bool,
}

pub(super) fn written() -> impl Strategy<Value = Written> {
    let text = |max| prop::collection::vec(prop::sample::select(b"abc-xyz/%. ".to_vec()), 0..max);
    let name =
        prop_oneof![Just(b":authority".to_vec()), text(6).prop_map(|tail| [b"x-".to_vec(), tail].concat())];
    let value = prop_oneof![text(40), text(2000)];
    (name, value, 0..4u8, any::<bool>()).prop_map(|(name, value, way, coded)| Written {
        name,
        value,
        way,
        coded,
    })
}

/// An encoder with a dynamic table, as a client has.
#[derive(Default)]
pub(super) struct Client {
    table: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Client {
    pub(super) fn block(&mut self, fields: &[Written]) -> Vec<u8> {
        let mut block = Vec::new();
        for field in fields {
            self.field(field, &mut block);
        }
        block
    }

    fn field(&mut self, field: &Written, block: &mut Vec<u8>) {
        let pair = (field.name.clone(), field.value.clone());
        if let Some(at) = self.table.iter().position(|known| *known == pair).filter(|_| field.way > 0) {
            return encode::integer(at + 62, 7, 0x80, block);
        }
        let (bits, form) = [(4, 0), (6, 0x40), (6, 0x40), (4, 0x10)][usize::from(field.way)];
        match self.table.iter().position(|(name, _)| *name == field.name).filter(|_| field.way != 2) {
            Some(at) => encode::integer(at + 62, bits, form, block),
            None => {
                block.push(form);
                string(&field.name, field.coded, block);
            }
        }
        string(&field.value, field.coded, block);
        if form == 0x40 {
            self.table.insert(0, pair);
            while self.table.iter().map(|(name, value)| name.len() + value.len() + 32).sum::<usize>()
                > TABLE_MAX_BYTES
            {
                self.table.pop();
            }
        }
    }
}

fn string(text: &[u8], coded: bool, block: &mut Vec<u8>) {
    let (text, form) = if coded { (huffman::encode(text), 0x80) } else { (text.to_vec(), 0) };
    encode::integer(text.len(), 7, form, block);
    block.extend_from_slice(&text);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a client's encoder does, and however its bytes are split, each block contains the
    /// same fields, except for the authority.
    #[test]
    fn blocks_say_the_same(lists in prop::collection::vec(prop::collection::vec(written(), 0..6), 1..8), cut in 1..200usize) {
        let mut client = Client::default();
        let mut input = opening();
        let first = Written { name: b":authority".to_vec(), value: b"/a/b".to_vec(), way: 1, coded: true };
        let lists: Vec<Vec<Written>> = [vec![vec![first]], lists].concat();
        for (nth, list) in lists.iter().enumerate() {
            let block = client.block(list);
            input.extend(frame(Kind::Headers, FLAG_END_HEADERS, nth as u32 * 2 + 1, &block));
        }
        let (output, _) = rewritten(&input, cut);
        let blocks = blocks(&output);
        prop_assert_eq!(blocks.len(), lists.len());
        for ((_, _, fields), list) in blocks.iter().zip(&lists) {
            let expected: Fields = list.iter().map(|field| match &field.name[..] {
                b":authority" if http::uri::Authority::try_from(&field.value[..]).is_err() => {
                    (b"static 1".to_vec(), b"localhost".to_vec())
                }
                _ => (field.name.clone(), field.value.clone()),
            }).collect();
            prop_assert_eq!(fields, &expected);
        }
    }

    /// Arbitrary bytes, however they are split, result in the same output, which is not much
    /// longer than the input.
    #[test]
    fn output_is_independent_of_chunking(tail in prop::collection::vec(any::<u8>(), 0..400), cut in 1..50usize) {
        let mut input = opening();
        input.extend(frame(Kind::Headers, FLAG_END_HEADERS, 1, &request(b"/a/b", true)));
        input.extend(tail);
        let whole = rewritten(&input, input.len()).0;
        prop_assert_eq!(&rewritten(&input, cut).0, &whole);
    }
}
