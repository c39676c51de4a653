//! Conversations in HTTP/2, from their beginning and from the middle.

use proptest::prelude::*;
use stoop_bpf::SocketKind;

use super::super::tests::fed as decoded;
use super::super::{Dialogue, Message};
use super::*;

const CLIENT: Side = Side::First;
const SERVER: Side = Side::Second;
const METHOD: &str = "/runtime.v1.RuntimeService/Version";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u32).to_be_bytes();
    [&len[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A block of literals that are added to the table.
fn block(headers: &[(&str, &str)]) -> Vec<u8> {
    let string = |text: &str| [&[text.len() as u8][..], text.as_bytes()].concat();
    headers.iter().flat_map(|(name, value)| [vec![0x40], string(name), string(value)].concat()).collect()
}

fn headers(stream: u8, is_end: bool, fields: &[(&str, &str)]) -> Vec<u8> {
    frame(1, 4 | u8::from(is_end), stream, &block(fields))
}

/// A frame of data with a message of gRPC.
fn message(stream: u8, is_end: bool, bytes: &[u8]) -> Vec<u8> {
    let framed = [&[0][..], &(bytes.len() as u32).to_be_bytes(), bytes].concat();
    frame(0, is_end.into(), stream, &framed)
}

fn preface() -> Vec<u8> {
    [frame::PREFACE, &frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])].concat()
}

fn request(stream: u8) -> Vec<u8> {
    let fields = [(":method", "POST"), (":path", METHOD), ("content-type", "application/grpc")];
    headers(stream, false, &fields)
}

fn response(stream: u8) -> Vec<u8> {
    headers(stream, false, &[(":status", "200"), ("content-type", "application/grpc")])
}

fn status(stream: u8, number: &str, text: &str) -> Vec<u8> {
    headers(stream, true, &[("grpc-status", number), ("grpc-message", text)])
}

fn shown(lines: &[Line]) -> Vec<String> {
    let one = |line: &Line| {
        let sign = match line.kind {
            Kind::Call => "?",
            Kind::Answer { ok: true } => "+",
            Kind::Answer { ok: false } => "-",
            Kind::Message => "=",
        };
        let arrow = if line.from == CLIENT { "→" } else { "←" };
        let latency = line.latency_ns.map(|latency| format!(" ({latency} ns)")).unwrap_or_default();
        let bytes = |message: &Message| format!(" {:?}", String::from_utf8_lossy(&message.bytes));
        let message = line.message.as_ref().map(bytes).unwrap_or_default();
        format!("{sign}{arrow} {}{latency}{message}", String::from_utf8_lossy(&line.text))
    };
    lines.iter().map(one).collect()
}

#[derive(Debug)]
struct Unary;

impl Methods for Unary {
    fn streams(&self, method: &str) -> Option<bool> {
        Some(method != METHOD)
    }
}

fn dialogue() -> Dialogue {
    Dialogue::new(SocketKind::STREAM).with_methods(Arc::new(Unary))
}

/// A server may send its settings before the client says anything.
fn conversation() -> Vec<(Side, Vec<u8>)> {
    vec![
        (SERVER, frame(4, 0, 0, &[])),
        (CLIENT, [preface(), request(1), message(1, true, b"ask")].concat()),
        (SERVER, [response(1), message(1, false, b"told")].concat()),
        (CLIENT, [request(3), message(3, true, b"again")].concat()),
        (SERVER, [status(1, "0", ""), response(3), status(3, "5", "no%20such")].concat()),
        (CLIENT, [request(5), message(5, true, b"never")].concat()),
        (CLIENT, frame(3, 0, 5, &[0, 0, 0, 8])),
    ]
}

#[test]
fn a_call_is_a_line_and_its_answer_is_another() {
    let lines = decoded(dialogue(), &conversation());
    let expected = [
        format!("?→ {METHOD} \"ask\""),
        format!("?→ {METHOD} \"again\""),
        "+← OK (3000 ns) \"told\"".to_owned(),
        "-← NOT_FOUND no such (1000 ns)".to_owned(),
        format!("?→ {METHOD} \"never\""),
        "-→ CANCELLED by the client: CANCEL (1000 ns)".to_owned(),
    ];
    assert_eq!(shown(&lines), expected);
    assert_eq!((lines[3].status.as_deref(), lines[3].method.as_deref()), (Some("NOT_FOUND"), Some(METHOD)));
    assert_eq!(lines[0].protocol, Protocol::Grpc);
}

#[test]
fn each_message_of_a_stream_is_a_line() {
    let fields = [(":method", "POST"), (":path", "/a.B/Chat"), ("content-type", "application/grpc+proto")];
    let messages = [
        (CLIENT, [preface(), headers(1, false, &fields), message(1, false, b"one")].concat()),
        (SERVER, [response(1), message(1, false, b"1")].concat()),
        (CLIENT, message(1, true, b"two")),
        (SERVER, [message(1, false, b"2"), status(1, "0", "")].concat()),
    ];
    let expected = [
        "?→ /a.B/Chat \"one\"",
        "=← /a.B/Chat \"1\"",
        "=→ /a.B/Chat \"two\"",
        "=← /a.B/Chat \"2\"",
        "+← OK (3000 ns)",
    ];
    assert_eq!(shown(&decoded(dialogue(), &messages)), expected);
}

#[test]
fn other_requests_are_shown_with_their_target() {
    let fields = [(":method", "GET"), (":path", "/info?token=abc")];
    let messages = [
        (CLIENT, [preface(), headers(1, true, &fields)].concat()),
        (SERVER, [headers(1, false, &[(":status", "404")]), frame(0, 1, 1, b"none")].concat()),
    ];
    let lines = decoded(dialogue(), &messages);
    assert_eq!(shown(&lines), ["?→ GET /info?token=[redacted]", "-← 404 (1000 ns)"]);
    assert_eq!((lines[0].method.as_deref(), lines[1].status.as_deref()), (Some("GET /info"), Some("404")));
}

#[test]
fn of_a_connection_joined_later_what_is_known_is_shown() {
    // POST and the scheme are in everyone's table, the rest was sent before.
    let known = frame(1, 4, 7, &[0x83, 0x86, 0xc0, 0xbf, 0xbe]);
    let messages = [
        (CLIENT, [known, message(7, true, b"ask")].concat()),
        (
            SERVER,
            [frame(1, 4, 7, &[0x88, 0xbe]), message(7, false, b"told"), frame(1, 5, 7, &[0xbf])].concat(),
        ),
        // A new method: its path is a literal.
        (CLIENT, [request(9), message(9, true, b"")].concat()),
        (SERVER, [response(9), status(9, "0", "")].concat()),
        // And again, by its index.
        (CLIENT, [frame(1, 4, 11, &[0xc0, 0xbf, 0xbe]), message(11, true, b"")].concat()),
    ];
    let unknown = "POST ?2 ?1 (headers of before the capture are unknown)";
    let expected = [
        format!("?→ {unknown} \"ask\""),
        format!("=← {unknown} \"told\""),
        "=← answered (its status was sent before the capture) (1000 ns)".to_owned(),
        format!("?→ {METHOD} \"\""),
        "+← OK (1000 ns)".to_owned(),
        format!("?→ {METHOD} \"\""),
    ];
    assert_eq!(shown(&decoded(Dialogue::new(SocketKind::STREAM), &messages)), expected);
}

#[test]
fn an_answer_without_a_call_is_shown_once() {
    let messages = [(SERVER, [response(9), message(9, false, b"told"), status(9, "13", "broken")].concat())];
    assert_eq!(shown(&decoded(dialogue(), &messages)), ["-← INTERNAL broken"]);
}

#[test]
fn padding_priority_and_continuations_are_understood() {
    let fields = block(&[(":method", "GET"), (":path", "/x")]);
    let (one, two) = fields.split_at(7);
    let begun = [&[2, 0, 0, 0, 0, 1][..], one, &[0, 0]].concat();
    let asks = [preface(), frame(1, 0x28 | 1, 1, &begun), frame(9, 4, 1, two)].concat();
    assert_eq!(shown(&decoded(dialogue(), &[(CLIENT, asks)])), ["?→ GET /x"]);
}

#[test]
fn a_gap_in_data_leaves_the_rest_readable() {
    let mut dialogue = dialogue();
    let asks = [preface(), request(1), message(1, true, &[b'x'; 100])].concat();
    dialogue.data(CLIENT, 0, &asks[..asks.len() - 50], 0);
    dialogue.gap(CLIENT, 40);
    let lines = dialogue.data(CLIENT, 0, &asks[asks.len() - 10..], 0);
    let message = lines[0].message.as_ref().unwrap();
    assert_eq!((message.len, message.bytes.len()), (100, 0));
    let lines = dialogue.data(SERVER, 5, &[response(1), status(1, "0", "")].concat(), 0);
    assert_eq!(shown(&lines), ["+← OK (5 ns)"]);
}

#[test]
fn docker_speaks_it_after_an_upgrade() {
    // Here the server of HTTP/1 is the client of what follows.
    let messages = [
        (CLIENT, b"POST /session HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".to_vec()),
        (SERVER, b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n".to_vec()),
        (SERVER, [preface(), request(1), message(1, true, b"ask")].concat()),
        (CLIENT, [response(1), message(1, false, b"told"), status(1, "0", "")].concat()),
    ];
    let expected = [
        "?→ POST /session".to_owned(),
        "+← 101 UPGRADED (1000 ns)".to_owned(),
        format!("?← {METHOD} \"ask\""),
        "+→ OK (1000 ns) \"told\"".to_owned(),
    ];
    assert_eq!(shown(&decoded(dialogue(), &messages)), expected);
}

proptest! {
    /// The result does not depend on how the bytes are cut.
    #[test]
    fn streams_may_be_cut_anywhere(cut in 1usize..60) {
        let mut dialogue = dialogue();
        let mut lines = Vec::new();
        for (from, bytes) in conversation() {
            // The first piece must show what it is.
            let (first, rest) = bytes.split_at(bytes.len().min(9));
            for piece in std::iter::once(first).chain(rest.chunks(cut)) {
                lines.extend(dialogue.data(from, 0, piece, 0));
            }
        }
        let texts = |lines: &[Line]| lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>();
        prop_assert_eq!(texts(&lines), texts(&decoded(super::tests::dialogue(), &conversation())));
    }

    /// No frames and no gaps make the decoder panic.
    #[test]
    fn anything_is_decoded(
        frames in proptest::collection::vec(
            (any::<bool>(), 0u8..11, any::<u8>(), 0u8..6, proptest::collection::vec(any::<u8>(), 0..40), 0u64..9),
            0..30,
        ),
        has_preface in any::<bool>(),
    ) {
        let mut dialogue = dialogue();
        if has_preface {
            dialogue.data(CLIENT, 0, &preface(), 0);
        }
        for (is_client, kind, flags, stream, payload, gap) in frames {
            let from = if is_client { CLIENT } else { SERVER };
            let bytes = frame(kind, flags, stream, &payload);
            let kept = bytes.len().saturating_sub(gap as usize);
            dialogue.data(from, 0, &bytes[..kept], 0);
            dialogue.gap(from, (bytes.len() - kept) as u64);
        }
    }
}
