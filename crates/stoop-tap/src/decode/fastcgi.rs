//! FastCGI: records of eight bytes and content, as web servers send them to php-fpm.

use std::collections::HashMap;

use super::line::{Call, Decode, Kind, Line, Protocol, shortened};
use super::redact::redact;
use crate::follow::Side;

const HEADER_BYTES: usize = 8;
const TEXT_MAX: usize = 400;
const REQUESTS_MAX: usize = 1000;
/// How much of the parameters of a request is kept.
const PARAMETERS_MAX: usize = 1 << 18;

const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMETERS: u8 = 4;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;
const TYPE_MAX: u8 = 11;

/// Returns whether the bytes begin a request.
pub(super) fn begins(bytes: &[u8]) -> bool {
    matches!(bytes, [1, BEGIN, _, _, 0, 8, _, _, 0, 1..=3, ..])
}

/// Returns whether these bytes may be the begin of one, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let begin = [1, BEGIN, 0, 0, 0, 8, 0, 0, 0, 1];
    let filled: Vec<u8> = bytes.iter().copied().chain(begin.into_iter().skip(bytes.len())).collect();
    bytes.len() < begin.len() && begins(&filled)
}

/// Both directions of a connection.
#[derive(Debug, Default)]
pub(super) struct FastCgi {
    halves: [Vec<u8>; 2],
    requests: HashMap<u16, Request>,
}

#[derive(Debug)]
struct Request {
    call: Call,
    parameters: Vec<u8>,
    /// The status of HTTP, from the begin of the output.
    status: Option<String>,
}

impl Decode for FastCgi {
    fn protocol(&self) -> Protocol {
        Protocol::FastCgi
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let mut pending = std::mem::take(&mut self.halves[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while let Some([version, kind, a, b, c, d, padding, _]) = rest.first_chunk::<HEADER_BYTES>() {
            if *version != 1 || *kind > TYPE_MAX {
                return false;
            }
            let len = usize::from(u16::from_be_bytes([*c, *d]));
            let end = HEADER_BYTES + len + usize::from(*padding);
            let Some(content) = rest.get(HEADER_BYTES..end).map(|content| &content[..len]) else { break };
            lines.extend(self.record(from, time_ns, *kind, u16::from_be_bytes([*a, *b]), content));
            rest = &rest[end..];
        }
        self.halves[from.index()] = rest.to_vec();
        true
    }
}

impl FastCgi {
    fn record(&mut self, from: Side, time_ns: u64, kind: u8, id: u16, content: &[u8]) -> Option<Line> {
        let line = |kind, text: Vec<u8>| Line::new(time_ns, from, Protocol::FastCgi, kind, text);
        if kind == BEGIN && self.requests.len() < REQUESTS_MAX {
            let call = Call { time_ns, method: String::new() };
            self.requests.insert(id, Request { call, parameters: Vec::new(), status: None });
            return None;
        }
        let request = self.requests.get_mut(&id)?;
        match kind {
            // Empty content ends them.
            PARAMETERS if content.is_empty() => {
                let mut rest = &request.parameters[..];
                let (method, text) = described(std::iter::from_fn(|| pair(&mut rest)));
                request.parameters = Vec::new();
                request.call.method.clone_from(&method);
                Some(line(Kind::Call, redact(&text)).called(method))
            }
            PARAMETERS if request.parameters.len() < PARAMETERS_MAX => {
                request.parameters.extend(content);
                None
            }
            STDOUT if request.status.is_none() => {
                request.status = Some(status(content));
                None
            }
            STDERR if !content.is_empty() => {
                let text = shortened(&redact(content.trim_ascii_end()), TEXT_MAX);
                Some(line(Kind::Message, text).called(request.call.method.clone()))
            }
            END => {
                let request = self.requests.remove(&id)?;
                // Other codes refuse the request.
                let is_complete = content.get(4) == Some(&0);
                let status = request.status.filter(|_| is_complete).unwrap_or_else(|| "refused".to_owned());
                let ok = status.starts_with(['1', '2', '3']);
                let code = status.split(' ').next().unwrap_or_default().to_owned();
                let line = line(Kind::Answer { ok }, status.into_bytes()).status(code);
                Some(line.answers(Some(request.call)))
            }
            _ => None,
        }
    }
}

/// The status that the output begins with; without one, it is a success.
fn status(output: &[u8]) -> String {
    let mut rows =
        output.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).take_while(|row| !row.is_empty());
    let status =
        rows.find_map(|row| row.to_ascii_lowercase().starts_with(b"status:").then(|| row[7..].trim_ascii()));
    status.map_or_else(|| "200".to_owned(), |status| String::from_utf8_lossy(status).into_owned())
}

/// Returns the method for grouping, and the request: its verb and its target, by the names that
/// CGI gives to these.
pub(super) fn described<'b>(variables: impl Iterator<Item = (&'b [u8], &'b [u8])>) -> (String, Vec<u8>) {
    let (mut verb, mut target, mut script) = (&b"?"[..], None, &b"?"[..]);
    for (name, value) in variables {
        match name {
            b"REQUEST_METHOD" => verb = value,
            b"REQUEST_URI" => target = Some(value),
            b"SCRIPT_NAME" | b"SCRIPT_FILENAME" => script = value,
            _ => {}
        }
    }
    let target = target.unwrap_or(script);
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let method = [verb, b" ", path].concat();
    (String::from_utf8_lossy(&method).into_owned(), [verb, b" ", target].concat())
}

/// Takes a name and a value off the beginning.
fn pair<'b>(rest: &mut &'b [u8]) -> Option<(&'b [u8], &'b [u8])> {
    let (name, value) = (len(rest)?, len(rest)?);
    Some((rest.split_off(..name)?, rest.split_off(..value)?))
}

/// A length of one byte, or of four if the first bit is set.
fn len(rest: &mut &[u8]) -> Option<usize> {
    let first = *rest.first()?;
    if first < 0x80 {
        rest.split_off_first()?;
        return Some(first.into());
    }
    let bytes = *rest.split_off(..4)?.first_chunk()?;
    Some((u32::from_be_bytes(bytes) & 0x7fff_ffff) as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record(kind: u8, content: &[u8]) -> Vec<u8> {
        [&[1, kind, 0, 1, 0, content.len() as u8, 3, 0][..], content, &[0; 3]].concat()
    }

    fn request(target: &str) -> Vec<u8> {
        let pair = |name: &str, value: &str| {
            [&[name.len() as u8, value.len() as u8][..], name.as_bytes(), value.as_bytes()].concat()
        };
        let parameters = [pair("REQUEST_METHOD", "GET"), pair("REQUEST_URI", target)].concat();
        let begin = record(BEGIN, &[0, 1, 1, 0, 0, 0, 0, 0]);
        [begin, record(PARAMETERS, &parameters), record(PARAMETERS, b""), record(5, b"")].concat()
    }

    proptest! {
        #[test]
        fn requests_are_paired_however_they_are_cut(cut in 1usize..40) {
            let answer = |output: &[u8]| [record(STDERR, b"oops\n"), record(STDOUT, output), record(END, &[0; 8])].concat();
            let conversation = [
                (Side::First, request("/a.php?token=x")),
                (Side::Second, answer(b"Content-type: text/html\r\n\r\nStatus: 500")),
                (Side::First, request("/b.php")),
                (Side::Second, answer(b"Status: 404 Not Found\r\n\r\n")),
            ];
            prop_assert!(begins(&conversation[0].1));
            let mut decoder = FastCgi::default();
            let mut lines = Vec::new();
            for (at, (from, bytes)) in conversation.iter().enumerate() {
                for piece in bytes.chunks(cut) {
                    prop_assert!(decoder.data(*from, at as u64 * 1000, piece, &mut lines));
                }
            }
            let texts: Vec<_> = lines.iter().map(|line| String::from_utf8_lossy(&line.text)).collect();
            let expected = ["GET /a.php?token=[redacted]", "oops", "200", "GET /b.php", "oops", "404 Not Found"];
            prop_assert_eq!(texts, expected);
            prop_assert_eq!((lines[2].latency_ns, lines[2].method.as_deref()), (Some(1000), Some("GET /a.php")));
            prop_assert_eq!((lines[5].kind, lines[5].status.as_deref()), (Kind::Answer { ok: false }, Some("404")));
        }

        #[test]
        fn anything_is_decoded(records in proptest::collection::vec((0u8..12, proptest::collection::vec(any::<u8>(), 0..60)), 0..10)) {
            let mut decoder = FastCgi::default();
            decoder.data(Side::First, 0, &request("/"), &mut Vec::new());
            for (kind, content) in records {
                decoder.data(Side::First, 0, &record(kind, &content), &mut Vec::new());
            }
        }
    }
}
