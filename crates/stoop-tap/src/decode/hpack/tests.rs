//! The examples of RFC 7541, connections that were joined later, and anything.

use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

fn known(text: &str) -> Text {
    Text::Known(text.into())
}

/// The headers as text; `?N` was sent before.
fn shown(headers: &[Header]) -> Vec<String> {
    let one = |text: &Text| match text {
        Text::Known(text) => String::from_utf8(text.clone()).unwrap(),
        Text::Before(number) => format!("?{number}"),
    };
    headers.iter().map(|header| format!("{}={}", one(&header.name), one(&header.value))).collect()
}

fn decoded(decoder: &mut Decoder, block: &str) -> Vec<String> {
    shown(&decoder.decode(&hex(block)).unwrap())
}

/// RFC 7541, C.3 and C.4.
#[test]
fn requests_of_the_standard_are_decoded() {
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
    let first = [":method=GET", ":scheme=http", ":path=/", ":authority=www.example.com"];
    let second = [&first[..], &["cache-control=no-cache"]].concat();
    let third = [
        ":method=GET",
        ":scheme=https",
        ":path=/index.html",
        ":authority=www.example.com",
        "custom-key=custom-value",
    ];
    for blocks in [plain, coded] {
        let mut decoder = Decoder::new(true);
        assert_eq!(decoded(&mut decoder, blocks[0]), first);
        assert_eq!(decoded(&mut decoder, blocks[1]), second);
        assert_eq!(decoded(&mut decoder, blocks[2]), third);
    }
}

/// RFC 7541, C.5: responses, with a table of 256 bytes that evicts.
#[test]
fn responses_of_the_standard_are_decoded() {
    let blocks = [
        "3fe1014803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d",
        "4803333037c1c0bf",
        "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d333630303b2076657273696f6e3d31",
    ];
    let date = "date=Mon, 21 Oct 2013 20:13:21 GMT";
    let rest = ["cache-control=private", date, "location=https://www.example.com"];
    let mut decoder = Decoder::new(true);
    assert_eq!(decoded(&mut decoder, blocks[0]), [&[":status=302"], &rest[..]].concat());
    assert_eq!(decoded(&mut decoder, blocks[1]), [&[":status=307"], &rest[..]].concat());
    let third = [
        ":status=200",
        "cache-control=private",
        "date=Mon, 21 Oct 2013 20:13:22 GMT",
        "location=https://www.example.com",
        "content-encoding=gzip",
        "set-cookie=foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ];
    assert_eq!(decoded(&mut decoder, blocks[2]), third);
    assert_eq!(decoder.decode(&[0x80 | 65]), Err(Malformed), "what was evicted");
}

#[test]
fn what_was_sent_before_is_unknown_and_stays_the_same() {
    let mut decoder = Decoder::new(false);
    // POST, an entry of before, and a literal whose name was sent before.
    assert_eq!(decoded(&mut decoder, "83be0f2f0161"), [":method=POST", "?0=?0", "?0=a"]);
    assert_eq!(decoded(&mut decoder, "4001610162bebf"), ["a=b", "a=b", "?0=?0"]);
}

#[test]
fn an_emptied_table_is_known_again() {
    let mut decoder = Decoder::new(false);
    assert_eq!(decoded(&mut decoder, "be"), ["?0=?0"]);
    assert_eq!(decoded(&mut decoder, "203fe11f828684"), [":method=GET", ":scheme=http", ":path=/"]);
    assert_eq!(decoder.decode(&[0xbe]), Err(Malformed));
    decoder.forget();
    assert_eq!(decoded(&mut decoder, "be"), ["?0=?0"]);
}

#[test]
fn few_bytes_do_not_become_many() {
    let mut decoder = Decoder::new(true);
    // A literal of 4000 bytes, which is indexed.
    let long = [&[0x40, 1, b'a', 0x7f, 0xa1, 0x1e][..], &[b'x'; 4000], &[0xbe; 100_000]].concat();
    assert!(decoder.decode(&long).unwrap().len() < 100);
}

fn encoded(name: &[u8], value: &[u8], is_coded: bool, kind: u8) -> Vec<u8> {
    let string = |text: &[u8]| {
        let (bytes, bit) = match is_coded {
            true => (huffman::encode(text), 0x80),
            false => (text.to_vec(), 0),
        };
        [&[bit | bytes.len() as u8][..], &bytes].concat()
    };
    [&[kind][..], &string(name), &string(value)].concat()
}

proptest! {
    /// Literals of each kind come back, and indexed ones by their index, also in a connection that
    /// was joined later.
    #[test]
    fn literals_round_trip(
        fields in proptest::collection::vec(("[a-z-]{1,20}", "[ -~]{0,20}", any::<bool>(), 0usize..3), 1..10),
        is_complete in any::<bool>(),
    ) {
        let mut decoder = Decoder::new(is_complete);
        let mut indexed = Vec::new();
        for (name, value, is_coded, kind) in &fields {
            let kind = [0x40, 0x00, 0x10][*kind];
            let header = Header { name: known(name), value: known(value) };
            let block = encoded(name.as_bytes(), value.as_bytes(), *is_coded, kind);
            prop_assert_eq!(decoder.decode(&block), Ok(vec![header.clone()]));
            if kind == 0x40 {
                indexed.insert(0, header);
            }
        }
        for (at, header) in indexed.iter().enumerate() {
            prop_assert_eq!(decoder.decode(&[0x80 | (62 + at as u8)]), Ok(vec![header.clone()]));
        }
        // One more is of before, or is malformed.
        let next = decoder.decode(&[0x80 | (62 + indexed.len() as u8)]);
        let before = Header { name: Text::Before(0), value: Text::Before(0) };
        prop_assert_eq!(next, if is_complete { Err(Malformed) } else { Ok(vec![before]) });
    }

    /// No bytes make the decoder panic, nor keep more than they may.
    #[test]
    fn anything_is_decoded(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..100), 0..20)) {
        let mut decoder = Decoder::new(false);
        for block in blocks {
            if decoder.decode(&block).is_err() {
                decoder.forget();
            }
        }
    }
}
