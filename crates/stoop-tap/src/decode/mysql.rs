//! MySQL and MariaDB: packets with a length of three bytes and a number. The server begins.

use super::line::{Call, Decode, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const HEADER_BYTES: usize = 4;
const TEXT_MAX: usize = 400;
/// How much of a packet is kept.
const KEPT_MAX: usize = 1 << 16;
/// The length of a request for TLS, after which nothing can be read.
const TLS_REQUEST: usize = 32;
const PROTOCOL_VERSION: u8 = 10;

/// The second byte of a length that a greeting may have.
const GREETING_HIGH: u8 = 3;

const QUERY: u8 = 3;
const PREPARE: u8 = 0x16;
const INIT_DB: u8 = 2;

/// Returns whether the bytes begin with the greeting of a server.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let [a, b, c, 0, PROTOCOL_VERSION, rest @ ..] = bytes else { return false };
    let len = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
    let greeting = len.checked_sub(1).and_then(|len| rest.get(..len));
    greeting.is_some_and(|text| text.first().is_some_and(u8::is_ascii_digit) && version(text).is_some())
}

/// Returns whether these bytes may be the begin of a greeting, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let begin = [b'J', 0, 0, 0, PROTOCOL_VERSION, b'5'];
    let filled: Vec<u8> = bytes.iter().copied().chain(begin.into_iter().skip(bytes.len())).collect();
    let [a, b @ 0..=GREETING_HIGH, 0, 0, PROTOCOL_VERSION, digit, version @ ..] = &filled[..] else {
        return false;
    };
    let is_version = version.iter().take_while(|byte| **byte != 0).all(u8::is_ascii);
    bytes.len() < HEADER_BYTES + usize::from(u16::from_le_bytes([*a, *b]))
        && digit.is_ascii_digit()
        && is_version
}

/// The version of a server, up to a zero byte.
fn version(greeting: &[u8]) -> Option<&[u8]> {
    let end = greeting.iter().position(|byte| *byte == 0)?;
    greeting.get(..end).filter(|text| text.is_ascii())
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct Mysql {
    server: Option<Side>,
    halves: [Half; 2],
    /// What the server was asked and has not answered.
    call: Option<Call>,
    /// Whether the client may send commands.
    is_ready: bool,
}

#[derive(Debug, Default)]
struct Half {
    header: Vec<u8>,
    /// The number of the packet, what is left of it, and its begin.
    packet: Option<(u8, usize, Vec<u8>)>,
}

impl Half {
    /// Returns the next whole packet, or its begin if it is long.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<(u8, Vec<u8>)> {
        if self.packet.is_none() {
            let len = (HEADER_BYTES - self.header.len()).min(bytes.len());
            self.header.extend(bytes.split_off(..len)?);
            let [a, b, c, number] = self.header[..].try_into().ok()?;
            self.header.clear();
            self.packet = Some((number, u32::from_le_bytes([a, b, c, 0]) as usize, Vec::new()));
        }
        let (_, left, begin) = self.packet.as_mut()?;
        let part = bytes.split_off(..(*left).min(bytes.len()))?;
        *left -= part.len();
        begin.extend(&part[..part.len().min(KEPT_MAX - begin.len().min(KEPT_MAX))]);
        let (number, _, begin) = self.packet.take_if(|(_, left, _)| *left == 0)?;
        Some((number, begin))
    }
}

impl Decode for Mysql {
    fn protocol(&self) -> Protocol {
        Protocol::Mysql
    }

    fn data(&mut self, from: Side, time_ns: u64, mut bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let server = *self.server.get_or_insert(from);
        while let Some((number, packet)) = self.halves[from.index()].next(&mut bytes) {
            if from == server {
                lines.extend(self.server(from, time_ns, number, &packet));
            } else if number == 1 && packet.len() == TLS_REQUEST && !self.is_ready {
                return false;
            } else {
                lines.extend(self.client(from, time_ns, number, &packet));
            }
        }
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        match &mut self.halves[from.index()].packet {
            Some((_, left, _)) if *left as u64 > len => {
                *left -= len as usize;
                true
            }
            _ => false,
        }
    }
}

impl Mysql {
    fn client(&mut self, from: Side, time_ns: u64, number: u8, packet: &[u8]) -> Option<Line> {
        let line = |kind, text: &[u8]| Line::new(time_ns, from, Protocol::Mysql, kind, text);
        if !self.is_ready {
            // Credentials: only who it is.
            let user = packet.get(32..).and_then(version).filter(|_| number == 1)?;
            self.call = Some(Call { time_ns, method: "login".to_owned() });
            return Some(line(Kind::Call, &[b"login ", user].concat()).called("login"));
        }
        let (&command, rest) = packet.split_first().filter(|_| number == 0)?;
        let name = command_name(command);
        let text = match command {
            QUERY | PREPARE => shortened(&redact(rest), TEXT_MAX),
            INIT_DB => [b"use ", rest].concat(),
            _ => name.clone().into_bytes(),
        };
        let method = match command {
            QUERY => first_word(rest),
            _ => name,
        };
        let has_answer = !matches!(command, 1 | 0x18 | 0x19);
        self.call = has_answer.then(|| Call { time_ns, method: method.clone() });
        let kind = if has_answer { Kind::Call } else { Kind::Message };
        Some(line(kind, &text).called(method))
    }

    fn server(&mut self, from: Side, time_ns: u64, number: u8, packet: &[u8]) -> Option<Line> {
        let line = |kind, text: Vec<u8>| Line::new(time_ns, from, Protocol::Mysql, kind, text);
        let (&first, rest) = packet.split_first()?;
        if number == 0 && !self.is_ready && self.call.is_none() {
            return Some(line(Kind::Message, [b"server ", version(rest)?].concat()));
        }
        // More of the authentication.
        if !self.is_ready && !matches!(first, 0 | 0xff) {
            return None;
        }
        let call = self.call.take()?;
        self.is_ready |= first == 0;
        let is_error = first == 0xff;
        let (status, text) = match first {
            0xff => failure(rest),
            0 => ("OK".to_owned(), b"OK".to_vec()),
            columns => ("OK".to_owned(), format!("{columns} columns").into_bytes()),
        };
        Some(line(Kind::Answer { ok: !is_error }, redact(&text)).status(status).answers(Some(call)))
    }
}

/// The number of an error, and its text.
fn failure(rest: &[u8]) -> (String, Vec<u8>) {
    let [a, b, text @ ..] = rest else { return ("error".to_owned(), b"error".to_vec()) };
    let number = u16::from_le_bytes([*a, *b]).to_string();
    // With a state of five characters since 4.1.
    let text = if text.first() == Some(&b'#') { text.get(6..).unwrap_or_default() } else { text };
    let shown = [b"ERROR ", number.as_bytes(), b" ", &shortened(text, TEXT_MAX)].concat();
    (number, shown)
}

/// The first word of a statement, in upper case.
fn first_word(statement: &[u8]) -> String {
    let word =
        statement.trim_ascii_start().split(|byte| !byte.is_ascii_alphabetic()).next().unwrap_or_default();
    String::from_utf8_lossy(&word[..word.len().min(20)]).to_ascii_uppercase()
}

fn command_name(command: u8) -> String {
    let name = match command {
        1 => "quit",
        INIT_DB => "use",
        QUERY => "query",
        4 => "field list",
        9 => "statistics",
        0x0e => "ping",
        0x11 => "change user",
        PREPARE => "prepare",
        0x17 => "execute",
        0x18 => "send long data",
        0x19 => "close statement",
        0x1a => "reset statement",
        0x1c => "fetch",
        0x1f => "reset connection",
        _ => return format!("command {command}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packet(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[bytes.len() as u8, 0, 0, number][..], bytes].concat()
    }

    fn conversation() -> Vec<(Side, Vec<u8>)> {
        let login = [&[0; 32][..], b"root\0\x14secret"].concat();
        let rows = [packet(1, &[1]), packet(2, b"def"), packet(3, b"\xfe"), packet(4, b"\x011")].concat();
        vec![
            (Side::First, packet(0, b"\x0a5.5.5-10.11.6-MariaDB\0rest")),
            (Side::Second, packet(1, &login)),
            (Side::First, packet(2, b"\0\0\0\x02\0\0\0")),
            (Side::Second, packet(0, b"\x03select 1")),
            (Side::First, rows),
            (Side::Second, packet(0, b"\x03nonsense")),
            (Side::First, packet(1, b"\xff\x28\x04#42000syntax")),
            (Side::Second, packet(0, b"\x01")),
        ]
    }

    proptest! {
        #[test]
        fn statements_are_paired_however_they_are_cut(cut in 1usize..40) {
            let mut decoder = Mysql::default();
            let mut lines = Vec::new();
            for (at, (from, bytes)) in conversation().into_iter().enumerate() {
                for piece in bytes.chunks(cut) {
                    prop_assert!(decoder.data(from, at as u64 * 1000, piece, &mut lines));
                }
            }
            let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
            let expected = [
                "server 5.5.5-10.11.6-MariaDB", "login root", "OK", "select 1", "1 columns", "nonsense",
                "ERROR 1064 syntax", "quit",
            ];
            prop_assert_eq!(texts, expected);
            prop_assert_eq!((lines[4].method.as_deref(), lines[4].latency_ns), (Some("SELECT"), Some(1000)));
            prop_assert_eq!((lines[6].kind, lines[6].status.as_deref()), (Kind::Answer { ok: false }, Some("1064")));
        }

        #[test]
        fn anything_is_decoded(pieces in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..60)), 0..10)) {
            let mut decoder = Mysql::default();
            for (is_server, piece) in pieces {
                let from = if is_server { Side::First } else { Side::Second };
                decoder.data(from, 0, &piece, &mut Vec::new());
                decoder.gap(from, 3);
            }
        }
    }

    #[test]
    fn a_greeting_is_recognized() {
        assert!(begins(&conversation()[0].1));
        assert!(!begins(&packet(0, b"\x0ax\0")) && !begins(b"\x03\0\0\0\x0a5"));
    }
}
