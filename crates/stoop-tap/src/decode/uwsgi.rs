//! uwsgi: a packet of variables, as web servers send it to uWSGI, the body behind it, and an answer
//! of HTTP.

use super::fastcgi::described;
use super::line::{Call, Decode, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

/// Two modifiers, around the length of the variables.
pub(super) const HEADER_BYTES: usize = 4;
/// The header, the length of a name, and two letters of it.
const BEGIN: [u8; 8] = [0, 16, 0, 0, 8, 0, b'A', b'A'];
/// How long the status line may be.
const STATUS_MAX: usize = 1000;

/// Returns whether the bytes begin a request to an application.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let Some([0, low, high, 0, len, 0, name @ ..]) = bytes.first_chunk::<{ BEGIN.len() }>() else {
        return false;
    };
    let size = u16::from_le_bytes([*low, *high]);
    let is_letter = |byte: &u8| byte.is_ascii_uppercase() || *byte == b'_';
    *len > 1 && size >= u16::from(*len) + 4 && name.iter().all(is_letter)
}

/// Returns whether these bytes may be the begin of one, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let filled: Vec<u8> = bytes.iter().copied().chain(BEGIN.into_iter().skip(bytes.len())).collect();
    // A length that ends here may be any.
    let filled = if bytes.len() < 3 { [&BEGIN[..1], &filled[3..], &[0; 2]].concat() } else { filled };
    !bytes.is_empty() && bytes.len() < BEGIN.len() && bytes[0] == 0 && (bytes.len() < 3 || begins(&filled))
}

/// Returns the length of the variables, once it is there.
pub(super) fn size(header: &[u8]) -> Option<usize> {
    Some(u16::from_le_bytes(*header.get(1..)?.first_chunk()?).into())
}

/// Both directions of a connection. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct Uwsgi {
    client: Option<Side>,
    /// The header and the variables of the request, until they are complete.
    request: Vec<u8>,
    /// The begin of the answer, up to its status.
    answer: Vec<u8>,
    state: State,
    call: Option<Call>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Request,
    /// The body, and the begin of the answer.
    Asked,
    Answered,
}

impl Decode for Uwsgi {
    fn protocol(&self) -> Protocol {
        Protocol::Uwsgi
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let is_client = *self.client.get_or_insert(from) == from;
        if is_client && self.state == State::Answered && begins(bytes) {
            *self = Uwsgi { client: self.client, ..Uwsgi::default() };
        }
        match (is_client, self.state) {
            (true, State::Request) => {
                self.request.extend(bytes);
                lines.extend(self.request(from, time_ns));
            }
            (false, State::Asked) => {
                self.answer.extend(&bytes[..bytes.len().min(STATUS_MAX)]);
                lines.extend(self.answer(from, time_ns));
            }
            _ => {}
        }
        true
    }

    fn gap(&mut self, from: Side, _len: u64) -> bool {
        match self.client == Some(from) {
            true => self.state != State::Request,
            false => self.state == State::Answered,
        }
    }
}

impl Uwsgi {
    fn request(&mut self, from: Side, time_ns: u64) -> Option<Line> {
        let end = HEADER_BYTES + size(&self.request)?;
        let mut rest = self.request.get(HEADER_BYTES..end)?;
        let (method, text) = described(std::iter::from_fn(|| Some((string(&mut rest)?, string(&mut rest)?))));
        (self.request, self.state) = (Vec::new(), State::Asked);
        self.call = Some(Call { time_ns, method: method.clone() });
        Some(Line::new(time_ns, from, Protocol::Uwsgi, Kind::Call, redact(&text)).called(method))
    }

    fn answer(&mut self, from: Side, time_ns: u64) -> Option<Line> {
        let end = self.answer.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let end = end.or(Some(STATUS_MAX).filter(|max| self.answer.len() >= *max))?;
        let answer = std::mem::take(&mut self.answer);
        self.state = State::Answered;
        let line = |kind, text: &[u8]| {
            Line::new(time_ns, from, Protocol::Uwsgi, kind, shortened(&redact(text), 200))
        };
        let status = answer[..end].strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..));
        let Some(status) = status else { return Some(line(Kind::Message, b"answer without a status")) };
        let ok = matches!(status.first(), Some(b'1' | b'2' | b'3'));
        let code = String::from_utf8_lossy(status.split(|byte| *byte == b' ').next().unwrap_or_default());
        Some(line(Kind::Answer { ok }, status).status(code).answers(self.call.take()))
    }
}

/// Takes a string behind its length off the beginning.
fn string<'b>(rest: &mut &'b [u8]) -> Option<&'b [u8]> {
    let len = u16::from_le_bytes(*rest.split_off(..2)?.first_chunk()?);
    rest.split_off(..usize::from(len))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stoop_bpf::SocketKind;

    use super::super::{Dialogue, Masker};
    use super::*;

    fn request(variables: &[(&str, &str)]) -> Vec<u8> {
        let string = |text: &str| [&(text.len() as u16).to_le_bytes()[..], text.as_bytes()].concat();
        let variables: Vec<u8> =
            variables.iter().flat_map(|(name, value)| [string(name), string(value)].concat()).collect();
        [&[0][..], &(variables.len() as u16).to_le_bytes(), &[0], &variables].concat()
    }

    proptest! {
        #[test]
        fn requests_are_answered_and_secrets_are_overwritten(cut in 1usize..400) {
            let variables = [
                ("QUERY_STRING", "token=Zk7qPlanted9"),
                ("REQUEST_METHOD", "POST"),
                ("REQUEST_URI", "/a?token=Zk7qPlanted9"),
                ("HTTP_AUTHORIZATION", "Bearer Zk7qPlanted9"),
                ("HTTP_X_KEPT", "kept"),
            ];
            let body = b"user=u&password=Zk7qPlanted9&kept=1";
            let conversation = [
                (Side::First, [&request(&variables)[..], body].concat()),
                (Side::Second, b"HTTP/1.1 302 Found\r\nSet-Cookie: s=Zk7qPlanted9\r\n\r\n".to_vec()),
                (Side::First, request(&variables)),
                (Side::Second, b"HTTP/1.0 500 Oops\r\n\r\n".to_vec()),
            ];
            let cut = if cut < 8 { 1000 } else { cut };
            let (mut dialogue, mut masker) = (Dialogue::new(SocketKind::STREAM), Masker::new(SocketKind::STREAM));
            let (mut lines, mut written) = (Vec::new(), Vec::new());
            for (at, (from, bytes)) in conversation.iter().enumerate() {
                for piece in bytes.chunks(cut) {
                    lines.extend(dialogue.data(*from, at as u64, piece, 0));
                    let mut piece = piece.to_vec();
                    masker.data(*from, &mut piece);
                    written.extend(piece);
                }
            }
            let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
            let asked = "POST /a?token=[redacted]";
            prop_assert_eq!(texts, [asked, "302 Found", asked, "500 Oops"]);
            prop_assert_eq!((lines[3].latency_ns, lines[3].method.as_deref()), (Some(1), Some("POST /a")));
            prop_assert_eq!(lines[3].kind, Kind::Answer { ok: false });
            let written = String::from_utf8_lossy(&written);
            prop_assert!(!written.contains("Zk7") && !written.contains("anted"), "{}", written);
            let is_kept = written.contains("X_KEPT\u{4}\0kept") && written.contains("&kept=1");
            prop_assert!(is_kept, "{}", written);
        }

        #[test]
        fn anything_is_decoded(pieces in proptest::collection::vec((any::<bool>(), proptest::collection::vec(any::<u8>(), 0..40)), 0..10)) {
            let mut dialogue = Dialogue::new(SocketKind::STREAM);
            let mut masker = Masker::new(SocketKind::STREAM);
            let begin = (false, request(&[("REQUEST_METHOD", "GET")]));
            for (is_server, mut bytes) in std::iter::once(begin).chain(pieces) {
                let from = if is_server { Side::Second } else { Side::First };
                dialogue.data(from, 0, &bytes, 0);
                masker.data(from, &mut bytes);
            }
        }
    }

    #[test]
    fn other_bytes_are_not_taken_for_it() {
        let bytes = request(&[("QUERY_STRING", "")]);
        assert!(begins(&bytes) && (1..BEGIN.len()).all(|len| may_begin(&bytes[..len])));
        for bytes in [
            &[0, 0, 1, 0, 0, 0, 0, 1, 1][..],
            b"\0AUTH EXTERNAL 30\r\n",
            &[0, 3, 0, 0, 8, 0, b'A', b'A'],
            &[0; 9],
        ] {
            assert!(!begins(bytes), "{bytes:?}");
        }
    }
}
