//! The result does not depend on how a stream is cut.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// A conversation: what each end sends before the other one answers.
type Talk = Vec<(Side, Vec<u8>)>;

const CLIENT: Side = Side::First;
const SERVER: Side = Side::Second;

fn big_endian(len: usize) -> [u8; 4] {
    (len as u32).to_be_bytes()
}

fn letter(letter: u8, body: &[u8]) -> Vec<u8> {
    [&[letter][..], &big_endian(body.len() + 4), body].concat()
}

fn postgres() -> Talk {
    let start = b"user\0me\0database\0db\0\0";
    let start = [&big_endian(start.len() + 8)[..], &196_608u32.to_be_bytes(), start].concat();
    let tls = [&big_endian(8)[..], &80_877_103u32.to_be_bytes()].concat();
    let rows = [letter(b'C', b"SELECT 1\0"), letter(b'Z', b"I")].concat();
    vec![
        (CLIENT, tls),
        (SERVER, b"N".to_vec()),
        (CLIENT, start),
        (SERVER, [letter(b'R', &[0; 4]), letter(b'Z', b"I")].concat()),
        (CLIENT, letter(b'Q', b"select 1\0")),
        (SERVER, rows),
    ]
}

fn dbus_message(kind: u8, serial: u32, code: u8, letter: u8, value: &[u8]) -> Vec<u8> {
    let mut fields = [&[code, 1, letter, 0][..], value].concat();
    if letter != b'u' {
        fields = [&fields[..4], &(value.len() as u32).to_le_bytes(), value, b"\0"].concat();
    }
    let mut message = [&[b'l', kind, 0, 1][..], &4u32.to_le_bytes(), &serial.to_le_bytes()].concat();
    message.extend((fields.len() as u32).to_le_bytes());
    message.extend(fields);
    message.resize(message.len().next_multiple_of(8), 0);
    [&message[..], &[1, 2, 3, 4]].concat()
}

fn dbus() -> Talk {
    vec![
        (CLIENT, b"\0AUTH EXTERNAL 30\r\n".to_vec()),
        (SERVER, b"OK 1234\r\n".to_vec()),
        (CLIENT, [b"BEGIN\r\n", &dbus_message(1, 10, 3, b's', b"Hello")[..]].concat()),
        // Its serial is a line feed.
        (SERVER, dbus_message(2, 10, 5, b'u', &10u32.to_le_bytes())),
    ]
}

fn packet(number: u8, payload: &[u8]) -> Vec<u8> {
    [&[payload.len() as u8, 0, 0, number], payload].concat()
}

fn mysql() -> Talk {
    let login = [&[0; 32][..], b"me\0rest"].concat();
    vec![
        (SERVER, packet(0, b"\x0a8.0.1\0and more of the greeting")),
        (CLIENT, packet(1, &login)),
        (SERVER, packet(2, &[0, 0, 0, 2, 0, 0, 0])),
        (CLIENT, packet(0, b"\x03select 1")),
        (SERVER, packet(1, &[0, 0, 0, 2, 0, 0, 0])),
    ]
}

fn record(kind: u8, content: &[u8]) -> Vec<u8> {
    [&[1, kind, 0, 1, 0, content.len() as u8, 0, 0], content].concat()
}

fn fastcgi() -> Talk {
    let parameters = b"\x0e\x03REQUEST_METHODGET\x0b\x02REQUEST_URI/x";
    let request = [record(1, &[0, 1, 0, 0, 0, 0, 0, 0]), record(4, parameters), record(4, b"")].concat();
    let answer = [record(6, b"Status: 404 No\r\n\r\n"), record(3, &[0; 8])].concat();
    vec![(CLIENT, request), (SERVER, answer)]
}

fn uwsgi() -> Talk {
    let variables = b"\x0e\0REQUEST_METHOD\x03\0GET\x0b\0REQUEST_URI\x02\0/x";
    let request = [&[0, variables.len() as u8, 0, 0][..], variables].concat();
    vec![(CLIENT, request), (SERVER, b"HTTP/1.1 404 No\r\n\r\nnothing".to_vec())]
}

fn ttrpc() -> Talk {
    let field = |number: u8, bytes: &[u8]| [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat();
    let frame =
        |kind: u8, payload: &[u8]| [&big_endian(payload.len())[..], &[0, 0, 0, 1, kind, 0], payload].concat();
    let call = [field(1, b"a.B"), field(2, b"Get"), field(3, b"\x0a\x03web")].concat();
    vec![(CLIENT, frame(1, &call)), (SERVER, frame(2, &field(2, b"\x0a\x02ok")))]
}

fn h2_frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&big_endian(payload.len())[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

fn h2_headers(stream: u8, is_end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    let string = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    let block: Vec<u8> =
        fields.iter().flat_map(|(name, value)| [vec![0x10], string(name), string(value)].concat()).collect();
    h2_frame(1, 4 | u8::from(is_end), stream, &block)
}

fn http2() -> Talk {
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &h2_frame(4, 0, 0, &[])].concat();
    let request = h2_headers(1, true, &[(":method", "GET"), (":path", "/x")]);
    let answer = [h2_frame(4, 0, 0, &[]), h2_headers(1, true, &[(":status", "204")])].concat();
    vec![(CLIENT, [preface, request].concat()), (SERVER, answer)]
}

fn wayland() -> Talk {
    let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
    let asked = words(&[1, 12 << 16 | 1, 2, 1, 12 << 16, 3]);
    vec![(CLIENT, asked), (SERVER, words(&[3, 12 << 16, 0, 1, 12 << 16 | 1, 3]))]
}

fn x11() -> Talk {
    let setup =
        [&b"l\0\x0b\0\0\0\x03\0\x02\0\0\0key\0ab\0\0"[..], &[98, 0, 3, 0, 4, 0, 0, 0], b"RAND"].concat();
    let accepted = [&[1, 0, 11, 0, 0, 0, 9, 0][..], &[0; 16], &[4, 0], &[0; 14], b"Some"].concat();
    let reply = [&[1, 0, 1, 0, 0, 0, 0, 0, 1, 140, 89, 147][..], &[0; 20]].concat();
    let event = [&[2, 38, 1, 0][..], &[0; 28]].concat();
    vec![(CLIENT, setup), (SERVER, accepted), (SERVER, [reply, event].concat())]
}

fn ssh_agent() -> Talk {
    let message = |kind: u8, body: &[u8]| [&big_endian(body.len() + 1)[..], &[kind], body].concat();
    let identities = message(12, &[0; 4]);
    let lock = message(22, b"\0\0\0\x06secret");
    vec![(CLIENT, message(11, b"")), (SERVER, identities), (CLIENT, lock), (SERVER, message(6, b""))]
}

fn texts(talk: &[(Side, &str)]) -> Talk {
    talk.iter().map(|(from, text)| (*from, text.as_bytes().to_vec())).collect()
}

/// A conversation of each protocol.
fn talks() -> Vec<(Protocol, Talk)> {
    let http = [
        (CLIENT, "PUT /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc"),
        (SERVER, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n"),
    ];
    let redis = [(CLIENT, "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), (SERVER, "$1\r\nv\r\n")];
    let syslog = [(CLIENT, "<30>app[1]: one\n<30>app[1]: two\n")];
    let varlink =
        [(CLIENT, "{\"method\":\"a.b.Get\",\"parameters\":{}}\0"), (SERVER, "{\"parameters\":{\"n\":1}}\0")];
    let plain = [
        (CLIENT, "{\"id\":1,\"method\":\"get\",\"jsonrpc\":\"2.0\"}\n"),
        (SERVER, "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":3}\n"),
    ];
    let headed = [(CLIENT, "Content-Length: 39\r\n\r\n{\"id\":1,\"method\":\"get\",\"jsonrpc\":\"2.0\"}")];
    let assuan = [(SERVER, "OK Pleased to meet you\n"), (CLIENT, "GETINFO pid\n"), (SERVER, "D 7\nOK\n")];
    vec![
        (Protocol::Assuan, texts(&assuan)),
        (Protocol::Http1, texts(&http)),
        (Protocol::Redis, texts(&redis)),
        (Protocol::Postgres, postgres()),
        (Protocol::Dbus, dbus()),
        (Protocol::Syslog, texts(&syslog)),
        (Protocol::Varlink, texts(&varlink)),
        (Protocol::JsonRpc, texts(&plain)),
        (Protocol::JsonRpc, texts(&headed)),
        (Protocol::Mysql, mysql()),
        (Protocol::FastCgi, fastcgi()),
        (Protocol::Uwsgi, uwsgi()),
        (Protocol::Ttrpc, ttrpc()),
        (Protocol::Http2, http2()),
        (Protocol::Wayland, wayland()),
        (Protocol::X11, x11()),
        (Protocol::SshAgent, ssh_agent()),
    ]
}

#[derive(Debug)]
struct NoMethods;

impl Methods for NoMethods {
    fn streams(&self, _method: &str) -> Option<bool> {
        None
    }
}

/// Decodes a conversation, in which what an end sends is cut at these lengths.
fn cut(talk: &Talk, mut len: impl FnMut() -> usize) -> (Option<Protocol>, Vec<Line>) {
    let mut dialogue = Dialogue::new(SocketKind::STREAM).with_methods(Arc::new(NoMethods));
    let mut lines = Vec::new();
    for (at, (from, bytes)) in talk.iter().enumerate() {
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (now, then) = rest.split_at(len().min(rest.len()));
            // They come with the first byte of a message.
            let fds = u16::from(rest.len() == bytes.len());
            lines.extend(dialogue.data(*from, at as u64, now, fds));
            rest = then;
        }
    }
    let protocol = dialogue.protocol();
    lines.extend(dialogue.release());
    (protocol, lines)
}

#[test]
fn a_cut_of_the_begin_changes_nothing() {
    for (protocol, talk) in talks() {
        let (decoded, whole) = cut(&talk, || usize::MAX);
        assert_eq!(decoded, Some(protocol));
        assert!(whole.iter().all(|line| line.protocol == protocol), "{whole:#?}");
        for first in 1..=64 {
            let mut lens = std::iter::once(first).chain(std::iter::repeat(usize::MAX));
            let (decoded, lines) = cut(&talk, || lens.next().unwrap_or(usize::MAX));
            assert_eq!(decoded, Some(protocol), "cut at {first}");
            assert_eq!(lines, whole, "{protocol:?} cut at {first}");
        }
    }
}

#[test]
fn a_byte_at_a_time_changes_nothing() {
    for (protocol, talk) in talks() {
        let (_, whole) = cut(&talk, || usize::MAX);
        let (decoded, lines) = cut(&talk, || 1);
        assert_eq!((decoded, lines), (Some(protocol), whole));
    }
}

#[test]
fn what_shows_no_protocol_is_text_at_once_or_when_released() {
    let mut dialogue = Dialogue::new(SocketKind::STREAM);
    assert!(dialogue.data(CLIENT, 1, b"PO", 1).is_empty() && dialogue.is_waiting());
    let lines = dialogue.release();
    assert_eq!((lines.len(), &lines[0].text[..], lines[0].time_ns, lines[0].fds), (1, &b"PO"[..], 1, 1));
    assert!(!dialogue.is_waiting());
    assert_eq!(dialogue.data(CLIENT, 2, b"PO", 0).len(), 1, "it is not the begin any more");
    // The other end answers with something else: then it was text.
    let mut dialogue = Dialogue::new(SocketKind::STREAM);
    assert!(dialogue.data(CLIENT, 1, b"P", 0).is_empty());
    let lines = dialogue.data(SERVER, 2, b"hello", 0);
    assert_eq!(lines.iter().map(|line| &line.text[..]).collect::<Vec<_>>(), [&b"P"[..], b"hello"]);
}

/// A conversation whose first bytes were not seen, as long as a frame lasts.
fn joined(body: &[u8]) -> Vec<u8> {
    let ping = h2_frame(6, 0, 0, &[7; 8]);
    [body, &ping, &h2_headers(3, true, &[(":method", "GET"), (":path", "/x")])].concat()
}

#[test]
fn a_connection_joined_inside_a_frame_is_decoded_from_the_next_one() {
    let mut dialogue = Dialogue::new(SocketKind::STREAM);
    let lines = dialogue.data(CLIENT, 0, &joined(&[7, 1, b'x', 0, 0, 9]), 0);
    let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
    assert_eq!(texts, ["joined inside a frame: 6 bytes skipped", "GET /x"]);
    // The other direction is inside a frame, too, for longer.
    assert!(dialogue.data(SERVER, 1, &[9; 40], 0).is_empty());
    let answer = h2_headers(3, true, &[(":status", "204")]);
    let lines = dialogue.data(SERVER, 2, &answer, 0);
    let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
    assert_eq!(texts, ["joined inside a frame: 40 bytes skipped", "204"]);
}

#[test]
fn what_was_joined_inside_a_frame_is_overwritten_up_to_the_next_one() {
    let mut masker = Masker::new(SocketKind::STREAM);
    let mut bytes = joined(b"rest of a frame");
    let whole = bytes.clone();
    masker.data(CLIENT, &mut bytes);
    assert_eq!(bytes[..15], [b'*'; 15]);
    assert_eq!(bytes[15..], whole[15..]);
}

/// A header with a secret in the Huffman code, without the frame and the block that it is in.
fn rest_of_headers() -> Vec<u8> {
    use super::hpack::encoded;
    let mut rest = encoded(b"Bearer Zk7qPlanted9secretXw and the next: authorization Zk7qPlanted9secretXw");
    rest.push(0xbe);
    rest
}

#[test]
fn the_rest_of_headers_whose_begin_was_not_seen_is_neither_shown_nor_written() {
    let rest = rest_of_headers();
    // With what follows it, alone, and behind the header of a frame that goes on with headers.
    let continued = h2_frame(9, 4, 3, &rest);
    for bytes in [joined(&rest), rest.clone(), continued.clone(), [&rest[..], &continued].concat()] {
        let mut masked = bytes.clone();
        Masker::new(SocketKind::STREAM).joined().data(CLIENT, &mut masked);
        let mut dialogue = Dialogue::new(SocketKind::STREAM).joined();
        let lines = dialogue.data(CLIENT, 0, &bytes, 0);
        for at in 0..rest.len() - 4 {
            let part = &rest[at..at + 4];
            assert!(!masked.windows(4).any(|window| window == part), "{at}");
            let hex = part.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
            assert!(
                !lines.iter().any(|line| String::from_utf8_lossy(&line.text).contains(&hex)),
                "{lines:?}"
            );
        }
    }
    let mut dialogue = Dialogue::new(SocketKind::STREAM).joined();
    dialogue.data(CLIENT, 0, &continued, 0);
    assert_eq!(dialogue.protocol(), Some(Protocol::Http2));
    // What follows a loss may be in the middle, too.
    let mut masker = Masker::new(SocketKind::STREAM);
    let mut dialogue = Dialogue::new(SocketKind::STREAM);
    for (from, mut bytes) in http2() {
        dialogue.data(from, 0, &bytes, 0);
        masker.data(from, &mut bytes);
    }
    masker.gap(CLIENT, 100);
    dialogue.gap(CLIENT, 100);
    let mut masked = rest.clone();
    masker.data(CLIENT, &mut masked);
    assert_eq!(masked, vec![b'*'; rest.len()]);
    assert_eq!(dialogue.data(CLIENT, 1, &rest, 0)[0].text, b"joined in the middle: not shown");
}

#[test]
fn what_is_no_frame_is_shown_after_the_length_of_one() {
    let bytes = [0xff, 0, 1, 2, 3];
    let mut masker = Masker::new(SocketKind::STREAM).joined();
    let mut dialogue = Dialogue::new(SocketKind::STREAM).joined();
    for _ in 0..1 << 14 {
        masker.data(CLIENT, &mut bytes.clone());
        dialogue.data(CLIENT, 0, &bytes, 0);
    }
    let mut masked = bytes;
    masker.data(CLIENT, &mut masked);
    assert_eq!(masked, bytes);
    assert_eq!(dialogue.data(CLIENT, 0, &bytes, 0)[0].text, b"ff 00 01 02 03  .....");
    // Text is shown at once.
    let mut dialogue = Dialogue::new(SocketKind::STREAM).joined();
    assert_eq!(dialogue.data(CLIENT, 0, b"hello there", 0)[0].text, b"hello there");
}

proptest! {
    #[test]
    fn any_cut_changes_nothing(lens in proptest::collection::vec(1usize..40, 1..60), which in 0usize..17) {
        let (protocol, talk) = talks().swap_remove(which);
        let (_, whole) = cut(&talk, || usize::MAX);
        let mut lens = lens.into_iter().cycle();
        let (decoded, lines) = cut(&talk, || lens.next().unwrap_or(1));
        prop_assert_eq!(decoded, Some(protocol));
        prop_assert_eq!(lines, whole);
    }
}
