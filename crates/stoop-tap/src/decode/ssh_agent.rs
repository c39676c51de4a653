//! The protocol of SSH agents: requests and answers in order, each with its length in front.
//!
//! Keys, passphrases and what is signed are not shown.

use std::collections::VecDeque;

use super::line::{Call, Decode, Kind, Line, Protocol, shown};
use super::partial::Partial;
use crate::follow::Side;

const TEXT_MAX: usize = 200;
const CALLS_MAX: usize = 10_000;
/// The longest message that OpenSSH takes.
const MESSAGE_MAX: u64 = 256 << 10;
/// How much of a message is kept.
const HEAD_MAX: u64 = 1 << 10;

pub(super) const REQUEST_IDENTITIES: u8 = 11;
const SIGN: u8 = 13;
pub(super) const ADD: u8 = 17;
const REMOVE: u8 = 18;
const REMOVE_ALL: u8 = 19;
pub(super) const ADD_CARD: u8 = 20;
pub(super) const REMOVE_CARD: u8 = 21;
pub(super) const LOCK: u8 = 22;
pub(super) const UNLOCK: u8 = 23;
pub(super) const ADD_CONSTRAINED: u8 = 25;
pub(super) const ADD_CARD_CONSTRAINED: u8 = 26;
const EXTENSION: u8 = 27;

/// Returns whether the bytes begin with a request.
pub(super) fn begins(bytes: &[u8]) -> bool {
    judged(bytes) == Some(true)
}

/// Returns whether these bytes may be the begin of one, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    !bytes.is_empty() && judged(bytes).is_none()
}

/// Judges the begin of a request; `None` if it may be one, and the bytes are too few to tell.
fn judged(bytes: &[u8]) -> Option<bool> {
    // Nothing is so long that the first byte is needed.
    if bytes.first().is_some_and(|byte| *byte != 0) {
        return Some(false);
    }
    let len = word(bytes, 0)?;
    if len == 0 || u64::from(len) > MESSAGE_MAX {
        return Some(false);
    }
    let kind = *bytes.get(4)?;
    match kind {
        REQUEST_IDENTITIES | REMOVE_ALL => return Some(len == 1),
        SIGN | ADD..=REMOVE | ADD_CARD..=UNLOCK | ADD_CONSTRAINED..=EXTENSION => {}
        _ => return Some(false),
    }
    let (first, rest) = (word(bytes, 5)?, len.checked_sub(5));
    let Some(rest) = rest.filter(|rest| first <= *rest) else { return Some(false) };
    match kind {
        LOCK | UNLOCK => Some(first == rest),
        SIGN | REMOVE => is_type(bytes, 13, word(bytes, 9)?),
        ADD | ADD_CONSTRAINED => is_type(bytes, 9, first),
        _ => is_printable(bytes, 9, first),
    }
}

/// Judges the name of a type of keys.
fn is_type(bytes: &[u8], at: usize, len: u32) -> Option<bool> {
    const BEGINS: [&[u8]; 4] = [b"ssh-", b"ecds", b"sk-s", b"sk-e"];
    let begin: &[u8; 4] = bytes.get(at..)?.first_chunk()?;
    Some(BEGINS.contains(&&begin[..]) && len < 100)
}

fn is_printable(bytes: &[u8], at: usize, len: u32) -> Option<bool> {
    let begin = bytes.get(at..)?.get(..(len as usize).min(4))?;
    Some(len > 0 && begin.iter().all(u8::is_ascii_graphic))
}

/// Returns the number in the four bytes from there on.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// Both directions. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct SshAgent {
    client: Option<Side>,
    halves: [Partial; 2],
    calls: VecDeque<Call>,
}

impl Decode for SshAgent {
    fn protocol(&self) -> Protocol {
        Protocol::SshAgent
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let is_client = *self.client.get_or_insert(from) == from;
        let pending = self.halves[from.index()].take_with(bytes);
        let mut rest = &pending[..];
        while let Some(len) = word(rest, 0) {
            let len = 4 + u64::from(len);
            if len == 4 || len > MESSAGE_MAX + 4 {
                return false;
            }
            if (rest.len() as u64) < len.min(HEAD_MAX) {
                break;
            }
            let used = len.min(rest.len() as u64);
            lines.push(self.line(from, time_ns, is_client, &rest[..used as usize]).len(len));
            self.halves[from.index()].skip = len - used;
            rest = &rest[used as usize..];
        }
        self.halves[from.index()].head = rest.to_vec();
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        self.halves[from.index()].gap(len)
    }
}

impl SshAgent {
    fn line(&mut self, from: Side, time_ns: u64, is_client: bool, head: &[u8]) -> Line {
        let line = |kind, text: String| Line::new(time_ns, from, Protocol::SshAgent, kind, text);
        if !is_client {
            let (ok, status, text) = answer(head);
            return line(Kind::Answer { ok }, text).status(status).answers(self.calls.pop_front());
        }
        let (method, text) = request(head);
        if self.calls.len() < CALLS_MAX {
            self.calls.push_back(Call { time_ns, method: method.clone() });
        }
        line(Kind::Call, text).called(method)
    }
}

/// Returns the name of a request, and what is shown of it.
fn request(head: &[u8]) -> (String, String) {
    let first = text(head, 5);
    // A key has its type in front.
    let key = text(head, 9);
    let (name, more) = match head[4] {
        REQUEST_IDENTITIES => ("list identities", None),
        SIGN => ("sign", key),
        ADD | ADD_CONSTRAINED => ("add identity", first),
        REMOVE => ("remove identity", key),
        REMOVE_ALL => ("remove all identities", None),
        ADD_CARD | ADD_CARD_CONSTRAINED => ("add card", first),
        REMOVE_CARD => ("remove card", first),
        LOCK => ("lock", None),
        UNLOCK => ("unlock", None),
        EXTENSION => ("extension", first),
        other => return (format!("request {other}"), format!("request {other}")),
    };
    let text = more.map_or_else(|| name.to_owned(), |more| format!("{name} {more}"));
    (name.to_owned(), text)
}

/// Returns whether an answer is a success, its status, and what is shown of it.
fn answer(head: &[u8]) -> (bool, &'static str, String) {
    match head[4] {
        5 => (false, "FAILURE", "failure".to_owned()),
        28 => (false, "FAILURE", "extension failure".to_owned()),
        6 => (true, "OK", "success".to_owned()),
        12 => {
            let count = word(head, 5).unwrap_or_default();
            (true, "OK", format!("{count} {}", if count == 1 { "identity" } else { "identities" }))
        }
        14 => (true, "OK", "signature".to_owned()),
        29 => (true, "OK", "extension response".to_owned()),
        other => (true, "OK", format!("answer {other}")),
    }
}

/// Returns the text whose length is there.
fn text(head: &[u8], at: usize) -> Option<String> {
    let text = head.get(at + 4..)?.get(..word(head, at)? as usize)?;
    Some(shown(text, TEXT_MAX))
}

#[cfg(test)]
mod tests {
    use stoop_bpf::SocketKind;

    use super::super::{Dialogue, Masker};
    use super::*;

    fn string(text: &[u8]) -> Vec<u8> {
        [&(text.len() as u32).to_be_bytes()[..], text].concat()
    }

    fn message(kind: u8, body: &[u8]) -> Vec<u8> {
        string(&[&[kind][..], body].concat())
    }

    const SECRET: &[u8] = b"Zk7qPlanted9";

    fn requests() -> Vec<(Vec<u8>, &'static str)> {
        let secret = string(SECRET);
        let key = [string(b"ssh-ed25519"), secret.clone()].concat();
        let card = [string(b"/usr/lib/card.so"), secret.clone()].concat();
        let public = string(&[string(b"ecdsa-sha2-nistp256"), string(b"public")].concat());
        vec![
            (
                message(EXTENSION, &[string(b"session-bind@openssh.com"), string(b"x")].concat()),
                "extension session-bind@openssh.com",
            ),
            (message(REQUEST_IDENTITIES, b""), "list identities"),
            (message(ADD, &[&key[..], &secret].concat()), "add identity ssh-ed25519"),
            (
                message(ADD_CONSTRAINED, &[&key[..], &secret, &[1, 0, 0, 0, 9]].concat()),
                "add identity ssh-ed25519",
            ),
            (
                message(SIGN, &[public.clone(), string(b"data"), vec![0; 4]].concat()),
                "sign ecdsa-sha2-nistp256",
            ),
            (message(REMOVE, &public), "remove identity ecdsa-sha2-nistp256"),
            (message(ADD_CARD, &card), "add card /usr/lib/card.so"),
            (message(REMOVE_CARD, &card), "remove card /usr/lib/card.so"),
            (message(LOCK, &secret), "lock"),
            (message(UNLOCK, &secret), "unlock"),
            (message(REMOVE_ALL, b""), "remove all identities"),
        ]
    }

    #[test]
    fn requests_are_named_and_secrets_are_neither_shown_nor_written() {
        for (request, expected) in requests() {
            for cut in [1, 4, 5, 7, 1000] {
                let mut dialogue = Dialogue::new(SocketKind::STREAM);
                let mut masker = Masker::new(SocketKind::STREAM);
                let (mut lines, mut written) = (Vec::new(), Vec::new());
                for piece in request.chunks(cut) {
                    lines.extend(dialogue.data(Side::First, 1, piece, 0));
                    let mut piece = piece.to_vec();
                    masker.data(Side::First, &mut piece);
                    written.extend(piece);
                }
                assert_eq!(lines.len(), 1, "{expected} in pieces of {cut}");
                assert_eq!((&lines[0].text[..], lines[0].kind), (expected.as_bytes(), Kind::Call));
                assert!(!written.windows(4).any(|window| window == &SECRET[..4]), "{expected} {cut}");
                assert_eq!(written[..9.min(written.len())], request[..9.min(written.len())]);
                let mut answer = message(5, b"");
                let lines = dialogue.data(Side::Second, 4, &answer, 0);
                assert_eq!((lines[0].kind, lines[0].latency_ns), (Kind::Answer { ok: false }, Some(3)));
                masker.data(Side::Second, &mut answer);
                assert_eq!(answer, message(5, b""));
            }
        }
    }

    #[test]
    fn answers_say_how_many_and_other_bytes_are_no_request() {
        let mut decoder = SshAgent::default();
        let mut lines = Vec::new();
        let asked: Vec<u8> = requests().into_iter().flat_map(|(request, _)| request).collect();
        assert!(decoder.data(Side::First, 0, &asked, &mut lines));
        lines.clear();
        let identities = message(12, &[&[0, 0, 0, 2][..], &vec![7; 5_000]].concat());
        decoder.data(Side::Second, 5, &[message(29, b""), identities, message(6, b"")].concat(), &mut lines);
        let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
        assert_eq!(texts, ["extension response", "2 identities", "success"]);
        assert_eq!(lines[2].method.as_deref(), Some("add identity"));
        for bytes in
            [&b"\0\0\0\x08\x04\xd2\x16\x2f"[..], b"\0\0\0\x01\x0c", b"\0\0\0\x02\x0b\0", b"text", &[0; 30]]
        {
            assert!(!begins(bytes) && !may_begin(bytes), "{bytes:?}");
        }
    }
}
