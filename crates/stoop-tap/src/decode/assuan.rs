//! Assuan: what the agent of GnuPG and its helpers speak, in lines.
//!
//! Data is not shown, except for what the server says of itself: passphrases, PINs and keys are
//! among it.

use super::line::{self, Call, Decode, INCOMPLETE_MAX, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const TEXT_MAX: usize = 400;
/// How servers greet: the agent, that of cards, and those of certificates and keys.
const GREETINGS: [&[u8]; 4] =
    [b"OK Pleased to meet you", b"OK GNU Privacy Guard", b"OK Dirmngr ", b"OK Keyboxd "];
const DATA: &[u8] = b"D ";
/// Its arguments end with a passphrase.
const PRESET: &[u8] = b"PRESET_PASSPHRASE ";
const GETINFO: &[u8] = b"GETINFO ";

/// How much of a line decides what is secret in it.
pub(super) const DECISIVE: usize = PRESET.len();

/// Returns whether the bytes begin with the greeting of a server.
pub(super) fn begins(bytes: &[u8]) -> bool {
    GREETINGS.iter().any(|greeting| bytes.starts_with(greeting))
}

/// Returns whether these bytes may be the begin of one, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    GREETINGS.iter().any(|greeting| bytes.len() < greeting.len() && greeting.starts_with(bytes))
}

/// Returns from where on a line is secret. Data that answers `GETINFO` is not.
pub(super) fn secret_from(line: &[u8], is_info: bool) -> Option<usize> {
    let begins = [DATA, PRESET].into_iter().filter(|begin| *begin != DATA || !is_info);
    begins.filter(|begin| line.starts_with(begin)).map(<[u8]>::len).next()
}

/// Returns whether a line of a client is a command that asks what the server is; `None` if it is
/// no command.
pub(super) fn is_info(line: &[u8]) -> Option<bool> {
    let is_reply = line.starts_with(DATA) || matches!(line, b"END" | b"CAN" | b"");
    (!is_reply && !line.starts_with(b"#")).then(|| line.starts_with(GETINFO))
}

/// Both directions. The end that sent first is the server.
#[derive(Debug, Default)]
pub(super) struct Assuan {
    server: Option<Side>,
    halves: [Vec<u8>; 2],
    call: Option<Call>,
    is_info: bool,
}

impl Decode for Assuan {
    fn protocol(&self) -> Protocol {
        Protocol::Assuan
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let is_server = *self.server.get_or_insert(from) == from;
        let mut pending = std::mem::take(&mut self.halves[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
            let shown = match is_server {
                true => self.answer(from, time_ns, line),
                false => self.command(from, time_ns, line),
            };
            lines.push(shown.len(end as u64 + 1));
            rest = &rest[end + 1..];
        }
        self.halves[from.index()] = rest.to_vec();
        rest.len() < INCOMPLETE_MAX
    }
}

impl Assuan {
    fn command(&mut self, from: Side, time_ns: u64, line: &[u8]) -> Line {
        let text = shown(line, false);
        let Some(is_info) = is_info(line) else { return message(from, time_ns, Kind::Message, text) };
        let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let method = line::shown(word, TEXT_MAX);
        self.is_info = is_info;
        self.call = Some(Call { time_ns, method: method.clone() });
        message(from, time_ns, Kind::Call, text).called(method)
    }

    fn answer(&mut self, from: Side, time_ns: u64, line: &[u8]) -> Line {
        let text = shown(line, self.is_info);
        let word = line.split(|byte| *byte == b' ').next().unwrap_or_default();
        let answer = |ok, call| message(from, time_ns, Kind::Answer { ok }, text.clone()).answers(call);
        match (word, &self.call) {
            (b"OK", Some(_)) => answer(true, self.call.take()).status("OK"),
            (b"ERR", Some(_)) => {
                let code = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
                answer(false, self.call.take()).status(format!("ERR {}", String::from_utf8_lossy(code)))
            }
            (_, Some(call)) => message(from, time_ns, Kind::Message, text).called(call.method.clone()),
            // A greeting.
            (_, None) => message(from, time_ns, Kind::Message, text),
        }
    }
}

fn message(from: Side, time_ns: u64, kind: Kind, text: Vec<u8>) -> Line {
    Line::new(time_ns, from, Protocol::Assuan, kind, text)
}

fn shown(line: &[u8], is_info: bool) -> Vec<u8> {
    match secret_from(line, is_info) {
        Some(at) => [&line[..at], b"[redacted]"].concat(),
        None => shortened(&redact(line), TEXT_MAX),
    }
}

#[cfg(test)]
mod tests {
    use stoop_bpf::SocketKind;

    use super::super::{Dialogue, Masker};
    use super::*;

    const CLIENT: Side = Side::Second;
    const SERVER: Side = Side::First;

    /// What each end sends, and how it is shown.
    const TALK: [(Side, &str, &str); 15] = [
        (SERVER, "OK Pleased to meet you, process 7", "OK Pleased to meet you, process 7"),
        (CLIENT, "GETINFO version", "GETINFO version"),
        (SERVER, "D 2.2.40", "D 2.2.40"),
        (SERVER, "OK", "OK"),
        (CLIENT, "GET_PASSPHRASE --data x X Y Z", "GET_PASSPHRASE --data x X Y Z"),
        (SERVER, "S INQUIRE_MAXLEN 255", "S INQUIRE_MAXLEN 255"),
        (SERVER, "INQUIRE PASSPHRASE", "INQUIRE PASSPHRASE"),
        (CLIENT, "D Zk7qPlanted9", "D [redacted]"),
        (CLIENT, "END", "END"),
        (SERVER, "D Zk7qPlanted9", "D [redacted]"),
        (SERVER, "OK", "OK"),
        (CLIENT, "PRESET_PASSPHRASE ABC -1 Zk7qPlanted9", "PRESET_PASSPHRASE [redacted]"),
        (SERVER, "ERR 67108924 Not supported <GPG Agent>", "ERR 67108924 Not supported <GPG Agent>"),
        (CLIENT, "BYE", "BYE"),
        (SERVER, "OK closing connection", "OK closing connection"),
    ];

    #[test]
    fn commands_are_answered_and_secrets_are_neither_shown_nor_written() {
        for cut in [1, 2, 3, 30, 1000] {
            let mut dialogue = Dialogue::new(SocketKind::STREAM);
            let mut masker = Masker::new(SocketKind::STREAM);
            let (mut lines, mut written) = (Vec::new(), Vec::new());
            for (at, (from, sent, _)) in TALK.iter().enumerate() {
                for piece in format!("{sent}\n").as_bytes().chunks(cut) {
                    lines.extend(dialogue.data(*from, at as u64, piece, 0));
                    let mut piece = piece.to_vec();
                    masker.data(*from, &mut piece);
                    written.extend(piece);
                }
            }
            let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
            assert_eq!(texts, TALK.map(|(.., shown)| shown), "{cut}");
            let answer = |at: usize| (lines[at].kind, lines[at].method.as_deref(), lines[at].latency_ns);
            assert_eq!(answer(10), (Kind::Answer { ok: true }, Some("GET_PASSPHRASE"), Some(6)));
            assert_eq!(answer(12), (Kind::Answer { ok: false }, Some("PRESET_PASSPHRASE"), Some(1)));
            assert_eq!(lines[12].status.as_deref(), Some("ERR 67108924"));
            let written = String::from_utf8(written).unwrap();
            assert!(
                !written.contains("Zk7") && !written.contains("anted") && written.contains("D 2.2.40\n"),
                "{written}"
            );
            assert!(written.contains("D ************\nEND\nD ************\nOK\n"), "{written}");
        }
    }
}
