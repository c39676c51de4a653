//! Conversations, and what the decoders make of them.

use super::*;
use proptest::prelude::*;

/// Feeds a conversation, one message at a time, each a microsecond after the other.
pub(super) fn fed<B: AsRef<[u8]>>(mut dialogue: Dialogue, messages: &[(Side, B)]) -> Vec<Line> {
    let feed =
        |(at, (from, bytes)): (usize, &(Side, B))| dialogue.data(*from, at as u64 * 1000, bytes.as_ref(), 0);
    messages.iter().enumerate().flat_map(feed).collect()
}

fn decoded(kind: SocketKind, messages: &[(Side, &[u8])]) -> Vec<Line> {
    fed(Dialogue::new(kind), messages)
}

fn shown(lines: &[Line]) -> Vec<String> {
    let one = |line: &Line| {
        let sign = match line.kind {
            Kind::Call => "?",
            Kind::Answer { ok: true } => "+",
            Kind::Answer { ok: false } => "-",
            Kind::Message => "=",
        };
        let latency = line.latency_ns.map(|latency| format!(" ({latency} ns)")).unwrap_or_default();
        format!("{sign} {}{latency}", String::from_utf8_lossy(&line.text))
    };
    lines.iter().map(one).collect()
}

const CLIENT: Side = Side::First;
const SERVER: Side = Side::Second;

const HTTP: &[(Side, &[u8])] = &[
    (CLIENT, b"GET /a?token=abc HTTP/1.1\r\nHost: x\r\n\r\nHEAD /b HTTP/1.1\r\n\r\n"),
    (SERVER, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nGET /\r\n0\r\n\r\n"),
    (SERVER, b"HTTP/1.1 404 Not Found\r\nContent-Length: 12\r\n\r\n"),
    (CLIENT, b"POST /c HTTP/1.1\r\nContent-Length: 4\r\n\r\nGET "),
    (SERVER, b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\nUpgrade: tcp\r\n\r\nraw"),
];

#[test]
fn http_calls_are_paired_with_their_answers() {
    let lines = decoded(SocketKind::STREAM, HTTP);
    let expected = [
        "? GET /a?token=[redacted]",
        "? HEAD /b",
        "+ 200 OK (1000 ns)",
        "- 404 Not Found (2000 ns)",
        "? POST /c",
        "+ 100 Continue",
        "+ 101 Switching Protocols (1000 ns)",
        "= raw",
    ];
    assert_eq!(shown(&lines), expected);
    assert_eq!(lines[2].method.as_deref(), Some("GET /a"));
}

#[test]
fn a_body_in_json_follows_its_answer() {
    let lines = decoded(
        SocketKind::STREAM,
        &[
            (CLIENT, b"POST /c HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\""),
            (CLIENT, b":1}"),
            (SERVER, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"b\r\n"),
            (SERVER, b"4\r\n\":2}\r\n0\r\n\r\n"),
        ],
    );
    assert_eq!(shown(&lines), ["? POST /c", "= ", "+ 200 OK (2000 ns)", "= "]);
    let body =
        |at: usize| lines[at].message.as_ref().map(|body| (&body.bytes[..], body.is_response)).unwrap();
    assert_eq!((body(1), body(3)), ((&b"{\"a\":1}"[..], false), (&b"{\"b\":2}"[..], true)));
    assert_eq!(lines[3].method.as_deref(), Some("POST /c"));
}

#[test]
fn a_gap_inside_a_body_is_skipped() {
    let mut dialogue = Dialogue::new(SocketKind::STREAM);
    dialogue.data(CLIENT, 0, b"GET / HTTP/1.1\r\n\r\n", 0);
    dialogue.data(SERVER, 0, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbegin", 0);
    dialogue.gap(SERVER, 990);
    let lines = dialogue.data(SERVER, 0, b"final", 0);
    assert_eq!(shown(&lines), Vec::<String>::new());
    dialogue.data(CLIENT, 5, b"GET /next HTTP/1.1\r\n\r\n", 0);
    let lines = dialogue.data(SERVER, 9, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0);
    assert_eq!(shown(&lines), ["+ 200 OK (4 ns)"]);
}

#[test]
fn redis_commands_are_paired_and_passwords_hidden() {
    let lines = decoded(
        SocketKind::STREAM,
        &[
            (CLIENT, b"*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1\r\nv\r\n"),
            (SERVER, b"-WRONGPASS no\r\n+OK\r\n"),
            (CLIENT, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"),
            (SERVER, b"$1\r\n"),
            (SERVER, b"v\r\n"),
        ],
    );
    let expected = [
        "? AUTH [redacted]",
        "? SET k v",
        "- WRONGPASS no (1000 ns)",
        "+ OK (1000 ns)",
        "? GET k",
        "+ v (2000 ns)",
    ];
    assert_eq!(shown(&lines), expected);
}

fn letter(letter: u8, body: &[u8]) -> Vec<u8> {
    [&[letter], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

#[test]
fn postgresql_statements_are_paired() {
    let start = b"user\0me\0database\0db\0\0";
    let start = [&(start.len() as u32 + 8).to_be_bytes()[..], &196_608u32.to_be_bytes(), start].concat();
    let ready = [letter(b'R', &[0; 4]), letter(b'Z', b"I")].concat();
    let rows = [letter(b'C', b"SELECT 1\0"), letter(b'Z', b"I")].concat();
    let failure = [letter(b'E', b"SERROR\0C42601\0Msyntax\0\0"), letter(b'Z', b"I")].concat();
    let lines = decoded(
        SocketKind::STREAM,
        &[
            (CLIENT, &start),
            (SERVER, &letter(b'R', &[0, 0, 0, 10])),
            (CLIENT, &letter(b'p', b"hunter2")),
            (SERVER, &ready),
            (CLIENT, &letter(b'Q', b"select 1\0")),
            (SERVER, &rows),
            (CLIENT, &letter(b'Q', b"alter user x password 'y'\0")),
            (SERVER, &failure),
        ],
    );
    let expected = [
        "? startup user=me database=db",
        "= asks for a password",
        "= password [redacted]",
        "+ ready (3000 ns)",
        "? select 1",
        "+ SELECT 1 (1000 ns)",
        "? alter user x password [redacted]",
        "- ERROR 42601 syntax (1000 ns)",
    ];
    assert_eq!(shown(&lines), expected);
}

/// A message with these fields: code, letter of the type, value.
fn dbus_message(kind: u8, serial: u32, fields: &[(u8, u8, &str)], reply_to: Option<u32>) -> Vec<u8> {
    let mut header = Vec::new();
    for (code, letter, value) in fields {
        header.resize(header.len().next_multiple_of(8), 0);
        header.extend([*code, 1, *letter, 0]);
        header.extend((value.len() as u32).to_le_bytes());
        header.extend(value.as_bytes());
        header.push(0);
    }
    if let Some(serial) = reply_to {
        header.resize(header.len().next_multiple_of(8), 0);
        header.extend([5, 1, b'u', 0]);
        header.extend(serial.to_le_bytes());
    }
    let mut message = vec![b'l', kind, 0, 1];
    message.extend(4u32.to_le_bytes());
    message.extend(serial.to_le_bytes());
    message.extend((header.len() as u32).to_le_bytes());
    message.extend(&header);
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend([1, 2, 3, 4]);
    message
}

#[test]
fn dbus_calls_are_paired_by_their_serial() {
    let call = [(1, b'o', "/org/x"), (6, b's', "org.x"), (2, b's', "org.x.I"), (3, b's', "Do")];
    let calls = [dbus_message(1, 7, &call, None), dbus_message(1, 8, &call, None)].concat();
    let answers =
        [dbus_message(3, 1, &[(4, b's', "org.x.No")], Some(8)), dbus_message(2, 2, &[], Some(7))].concat();
    let lines = decoded(
        SocketKind::STREAM,
        &[
            (CLIENT, b"\0AUTH EXTERNAL 30\r\n"),
            (SERVER, b"OK 1234\r\n"),
            (CLIENT, &[b"BEGIN\r\n", &calls[..]].concat()),
            (SERVER, &answers[..20]),
            (SERVER, &answers[20..]),
        ],
    );
    let expected = [
        "? org.x.I.Do org.x /org/x",
        "? org.x.I.Do org.x /org/x",
        "- org.x.No (2000 ns)",
        "+ reply (2000 ns)",
    ];
    assert_eq!(shown(&lines), expected);
}

#[test]
fn datagrams_are_logs_notices_text_or_bytes() {
    let lines = decoded(
        SocketKind::DATAGRAM,
        &[
            (CLIENT, b"<30>app[812]: started"),
            (CLIENT, b"READY=1\nSTATUS=up"),
            (CLIENT, "häl".as_bytes()),
            (CLIENT, b"\x00\x01a"),
        ],
    );
    assert_eq!(shown(&lines), ["= <30>app[812]: started", "= READY=1 STATUS=up", "= häl", "= 00 01 61  ..a"]);
}

proptest! {
    /// The result does not depend on how a stream is cut into messages.
    #[test]
    fn http_may_be_cut_anywhere(cuts in proptest::collection::vec(1usize..40, 1..60)) {
        let mut dialogue = Dialogue::new(SocketKind::STREAM);
        let mut lines = Vec::new();
        let mut cuts = cuts.iter().cycle();
        for (from, bytes) in &HTTP[..4] {
            let mut rest = *bytes;
            // The first piece must show what it is.
            let mut len = 8;
            while !rest.is_empty() {
                let (now, then) = rest.split_at(len.min(rest.len()));
                lines.extend(dialogue.data(*from, 0, now, 0));
                rest = then;
                len = *cuts.next().unwrap();
            }
        }
        let texts: Vec<&[u8]> = lines.iter().map(|line| &line.text[..]).collect();
        let whole = decoded(SocketKind::STREAM, &HTTP[..4]);
        prop_assert_eq!(texts, whole.iter().map(|line| &line.text[..]).collect::<Vec<_>>());
    }

    /// No bytes, pieces or gaps make a decoder panic.
    #[test]
    fn anything_is_decoded(
        start in 0usize..8,
        pieces in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60), 0u64..9), 0..20),
    ) {
        let starts: [&[u8]; 8] = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/1.1\r\n", b"*1\r\n$", b"\0AUTH", b"l\x01\0\x01", b"<1>", b"A=", b""];
        let mut dialogue = Dialogue::new(SocketKind::STREAM);
        dialogue.data(CLIENT, 0, starts[start], 0);
        for (client, bytes, gap) in pieces {
            let from = if client { CLIENT } else { SERVER };
            dialogue.data(from, 0, &bytes, 0);
            dialogue.gap(from, gap);
        }
    }
}
