//! Connections with secrets, and the same bytes as they are to be masked.

use proptest::prelude::*;

use super::super::hpack::tests::{Form, form, literal};
use super::super::{Calls, Redactor};
use super::*;

const PULL: &str = "/runtime.v1.ImageService/PullImage";
const LOGIN: &str = "/etcdserverpb.Auth/Authenticate";

/// The bytes of one direction, in plain and masked.
#[derive(Clone, Debug, Default)]
struct Bytes {
    plain: Vec<u8>,
    seen: Vec<u8>,
}

impl Bytes {
    fn both(bytes: &[u8]) -> Bytes {
        Bytes { plain: bytes.to_vec(), seen: bytes.to_vec() }
    }

    fn secret(bytes: &[u8]) -> Bytes {
        Bytes { plain: bytes.to_vec(), seen: vec![MASK; bytes.len()] }
    }

    fn and(mut self, other: &Bytes) -> Bytes {
        self.plain.extend(&other.plain);
        self.seen.extend(&other.seen);
        self
    }

    fn header(&mut self, form: Form, name: &str, value: &str, is_secret: bool) {
        literal(&mut self.plain, form, name.as_bytes(), value.as_bytes(), false);
        literal(&mut self.seen, form, name.as_bytes(), value.as_bytes(), is_secret);
    }

    /// Puts these bytes into a frame, with padding.
    fn frame(&self, kind: u8, flags: u8, stream: u32, padding: u8) -> Bytes {
        let is_padded = padding > 0 && matches!(kind, DATA | HEADERS);
        let flags = if is_padded { flags | PADDED } else { flags };
        let one = |bytes: &[u8]| {
            let padded = match is_padded {
                true => [&[padding][..], bytes, &vec![0; usize::from(padding)]].concat(),
                false => bytes.to_vec(),
            };
            let len = u32::try_from(padded.len()).unwrap().to_be_bytes();
            [&len[1..], &[kind, flags], &stream.to_be_bytes(), &padded].concat()
        };
        Bytes { plain: one(&self.plain), seen: one(&self.seen) }
    }

    /// Puts these bytes into frames of at most so many bytes.
    fn frames(
        &self,
        kinds: [u8; 2],
        last_flag: u8,
        flags: u8,
        stream: u32,
        size: usize,
        padding: u8,
    ) -> Bytes {
        let mut frames = Bytes::default();
        let count = self.plain.len().div_ceil(size).max(1);
        for nth in 0..count {
            let range = nth * size..((nth + 1) * size).min(self.plain.len());
            let part = Bytes { plain: self.plain[range.clone()].to_vec(), seen: self.seen[range].to_vec() };
            let (kind, first) = if nth == 0 { (kinds[0], flags) } else { (kinds[1], 0) };
            let last = if nth + 1 == count { last_flag } else { 0 };
            frames = frames.and(&part.frame(kind, first | last, stream, padding));
        }
        frames
    }
}

/// How a connection is written.
#[derive(Clone, Debug)]
struct Style {
    forms: Vec<Form>,
    size: usize,
    padding: u8,
    cuts: Vec<usize>,
}

fn style() -> impl Strategy<Value = Style> {
    let forms = proptest::collection::vec(form(), 9);
    (forms, 1usize..40, 0u8..3, proptest::collection::vec(1usize..30, 1..20))
        .prop_map(|(forms, size, padding, cuts)| Style { forms, size, padding, cuts })
}

/// A request or a response: headers, and data.
fn message(style: &Style, stream: u32, headers: &[(&str, &str, bool)], data: &Bytes) -> Bytes {
    let mut block = Bytes::default();
    for ((name, value, is_secret), form) in headers.iter().zip(style.forms.iter().cycle()) {
        let is_sensitive = form.kind == 0x10 && !name.starts_with(':');
        // What is called sensitive is masked, and the type of the content then is not known.
        let form = if *name == "content-type" { Form { kind: 0x40, ..*form } } else { *form };
        block.header(form, name, value, *is_secret || is_sensitive && *name != "content-type");
    }
    let head = block.frames([HEADERS, CONTINUATION], END_HEADERS, 0, stream, style.size, style.padding);
    head.and(&data.frames([DATA, DATA], END_STREAM, 0, stream, style.size, style.padding))
}

/// A message of gRPC.
fn grpc(fields: Bytes, is_compressed: bool) -> Bytes {
    let len = u32::try_from(fields.plain.len()).unwrap().to_be_bytes();
    Bytes::both(&[&[u8::from(is_compressed)][..], &len].concat()).and(&fields)
}

fn call<'a>(path: &'a str, token: &'a str) -> [(&'a str, &'a str, bool); 4] {
    [
        (":path", path, false),
        ("content-type", "application/grpc", false),
        ("authorization", token, true),
        ("x-request-id", "7", false),
    ]
}

fn settings() -> Bytes {
    Bytes::both(&[0, 3, 0, 0, 0, 9]).frame(4, 0, 0, 0)
}

/// What a client and its server send.
fn connection(style: &Style, secret: &str) -> [Bytes; 2] {
    let short = u8::try_from(secret.len()).unwrap();
    let login = Bytes::both(&[0x12, short + 2, 0x12, short]).and(&Bytes::secret(secret.as_bytes()));
    let login = Bytes::both(b"\x0a\x05image").and(&login);
    let pull = grpc(login.clone(), false).and(&grpc(Bytes::secret(secret.as_bytes()), true));
    let json =
        Bytes::both(b"{\"Token\": \"").and(&Bytes::secret(secret.as_bytes())).and(&Bytes::both(b"\"}"));
    let client = Bytes::both(PREFACE)
        .and(&settings())
        .and(&message(style, 1, &call(PULL, secret), &pull))
        .and(&message(style, 3, &call("/a.B/C", secret), &grpc(Bytes::both(b"\x0a\x02\"x"), false)))
        .and(&message(style, 5, &[(":path", "/x", false), ("cookie", secret, true)], &json))
        .and(&message(style, 7, &call(LOGIN, secret), &grpc(Bytes::both(b"\x0a\x01u"), false)));
    let token = Bytes::both(&[0x12, short]).and(&Bytes::secret(secret.as_bytes()));
    let types = [("content-type", "application/grpc", false), ("set-cookie", secret, true)];
    let server = settings().and(&message(style, 5, &[(":status", "200", false)], &json)).and(&message(
        style,
        7,
        &types,
        &grpc(token, false),
    ));
    [client, server]
}

fn masked(redactor: &mut Redactor, bytes: &[u8], cuts: &[usize]) -> Vec<u8> {
    let mut masked = bytes.to_vec();
    let (mut at, mut count) = (0, 0);
    for cut in cuts.iter().cycle() {
        if at == bytes.len() {
            break;
        }
        let end = (at + cut).min(bytes.len());
        count += redactor.mask(&mut masked[at..end]) as usize;
        at = end;
    }
    assert!(masked.iter().zip(bytes).filter(|(one, other)| one != other).count() <= count);
    masked
}

proptest! {
    /// Secrets of headers and data are masked, wherever frames and reads cut them, and nothing else
    /// is: also after an upgrade, and if the server of HTTP/1 is the client of HTTP/2.
    #[test]
    fn exactly_the_secrets_are_masked(
        style in style(),
        secret in "[a-zA-Z0-9+=_{~]{1,60}",
        upgrade in 0u8..3,
    ) {
        let [client, server] = connection(&style, &secret);
        let [mut one, mut other] = Redactor::pair();
        let (client, server) = match upgrade {
            0 => (client, server),
            _ => (
                Bytes::both(b"POST /session HTTP/1.1\r\nUpgrade: h2c\r\n\r\n").and(&client),
                Bytes::both(b"HTTP/1.1 101 UPGRADED\r\nUpgrade: h2c\r\n\r\n").and(&server),
            ),
        };
        if upgrade == 2 {
            std::mem::swap(&mut one, &mut other);
        }
        for (redactor, bytes) in [(&mut one, client), (&mut other, server)] {
            let masked = masked(redactor, &bytes.plain, &style.cuts);
            prop_assert_eq!(masked.escape_ascii().to_string(), bytes.seen.escape_ascii().to_string());
        }
    }

    /// No frames make it panic, and nothing changes its length.
    #[test]
    fn anything_is_judged(
        frames in proptest::collection::vec(
            (0u8..11, any::<u8>(), 0u32..4, proptest::collection::vec(any::<u8>(), 0..40), 0u8..4),
            0..30,
        ),
        is_client in any::<bool>(),
    ) {
        let calls = Calls::default();
        let mut http2 = Http2::new(is_client, &calls);
        for (kind, flags, stream, payload, padding) in frames {
            let frame = Bytes::both(&payload).frame(kind, flags, stream, padding);
            frame.plain.iter().for_each(|byte| _ = http2.mask(*byte));
        }
    }
}

#[test]
fn other_protocols_are_not_taken_for_it() {
    for text in [
        &b"PRI * HTTP/1.1\r\n\r\n"[..],
        b"\0\0\x06\x04\0\0\0\0\x01",
        b"\0\0\x05\x04\0\0\0\0\0",
        b"x\0\0\0\x04\0\0\0\0\0",
    ] {
        let mut detector = Detector::new();
        let calls = Calls::default();
        assert!(text.iter().all(|byte| detector.next(*byte, &calls).is_none()), "{text:?}");
    }
}
