//! gRPC, and other calls over HTTP/2: headers, messages and trailers of each stream. What HTTP/2
//! itself exchanges (windows, pings) differs from one time to the next and is left out.

mod frames;

use std::collections::BTreeMap;

use self::frames::{Item, PREFACE, Side};
use super::{Compare, Difference, END, NOTHING, Verdict, excerpt};

/// Headers that differ from one time to the next.
const CHANGING: [&[u8]; 1] = [b"date"];

/// Returns whether a connection begins as one of HTTP/2: a client with its preface, a server, which
/// may be the first to send, with its settings.
pub(in super::super) fn looks_like_http2(bytes: &[u8]) -> bool {
    match bytes {
        // Each setting has six bytes.
        [0, 0, len, 4, 0, 0, 0, 0, 0, ..] => len.is_multiple_of(6),
        _ => bytes.len() >= 16 && PREFACE.starts_with(&bytes[..bytes.len().min(PREFACE.len())]),
    }
}

/// What one side of a connection sends.
#[derive(Debug)]
pub(in super::super) struct Grpc {
    recorded: Side,
    came: Side,
    /// What the other side has sent, for the paths of the calls.
    sent: Side,
    paths: BTreeMap<u32, String>,
    /// The number of messages of each stream that were the same.
    counts: BTreeMap<u32, u64>,
    ends: [bool; 2],
    ignore: Vec<String>,
}

impl Grpc {
    /// Compares calls. Headers of the ignored names are left out.
    pub(in super::super) fn new(ignore: &[String]) -> Grpc {
        Grpc {
            recorded: Side::new(),
            came: Side::new(),
            sent: Side::new(),
            paths: BTreeMap::new(),
            counts: BTreeMap::new(),
            ends: [false; 2],
            ignore: ignore.to_vec(),
        }
    }

    /// Compares the next of both sides on a stream.
    fn differ(&mut self, stream: u32, recorded: &Item, came: &Item) -> Option<Difference> {
        let count = self.counts.entry(stream).or_default();
        *count += u64::from(matches!(recorded, Item::Message(_)));
        let message = format!("message {count}");
        let found = match (recorded, came) {
            (Item::Settings, Item::Settings) | (Item::End, Item::End) => None,
            (Item::Message(one), Item::Message(other)) if one == other => None,
            (Item::Message(one), Item::Message(other)) => {
                let at = one.iter().zip(other).position(|(one, other)| one != other);
                let at = at.unwrap_or(one.len().min(other.len()));
                Some(Difference::new(message, excerpt(one, at), excerpt(other, at)))
            }
            (Item::Headers(one), Item::Headers(other)) => self.headers(one, other),
            (Item::Reset(one), Item::Reset(other)) if one == other => None,
            (one, other) => Some(Difference::new("the next part", one.shown(), other.shown())),
        };
        found.map(|difference| self.placed(stream, difference))
    }

    fn headers(&self, recorded: &[(Vec<u8>, Vec<u8>)], came: &[(Vec<u8>, Vec<u8>)]) -> Option<Difference> {
        let names = recorded.iter().chain(came).map(|(name, _)| name);
        let mut compared = names.filter(|name| {
            let is_ignored = self.ignore.iter().any(|ignored| ignored.as_bytes().eq_ignore_ascii_case(name));
            !is_ignored && !CHANGING.contains(&&name[..])
        });
        compared.find_map(|name| {
            let values = |fields: &[(Vec<u8>, Vec<u8>)]| {
                let its = fields.iter().filter(|(its, _)| its == name);
                its.map(|(_, value)| value.escape_ascii().to_string()).collect::<Vec<_>>()
            };
            let (one, other) = (values(recorded), values(came));
            let shown =
                |values: Vec<String>| if values.is_empty() { NOTHING.into() } else { values.join(", ") };
            let place = format!("header '{}'", name.escape_ascii());
            (one != other).then(|| Difference::new(place, shown(one), shown(other)))
        })
    }

    fn placed(&self, stream: u32, difference: Difference) -> Difference {
        let place = format!("stream {stream}, {}", difference.place);
        Difference { place, request: self.paths.get(&stream).cloned(), ..difference }
    }

    /// Compares the parts of a stream that both sides have.
    fn stream(&mut self, stream: u32) -> Option<Difference> {
        while let (Some(recorded), Some(came)) = (self.recorded.next(stream), self.came.next(stream)) {
            if let Some(difference) = self.differ(stream, &recorded, &came) {
                return Some(difference);
            }
            self.recorded.pop(stream);
            self.came.pop(stream);
        }
        None
    }
}

impl Compare for Grpc {
    fn sent(&mut self, bytes: &[u8]) {
        self.sent.add(bytes);
        for (stream, item) in self.sent.take() {
            let Item::Headers(fields) = item else { continue };
            let path = fields.iter().find(|(name, _)| name == b":path");
            let path = path.map(|(_, path)| path.escape_ascii().to_string());
            self.paths.extend(path.map(|path| (stream, path)));
        }
    }

    fn recorded(&mut self, bytes: &[u8], _is_masked: bool) {
        self.recorded.add(bytes);
    }

    fn came(&mut self, bytes: &[u8]) {
        self.came.add(bytes);
    }

    fn recorded_end(&mut self) {
        self.ends[0] = true;
    }

    fn came_end(&mut self) {
        self.ends[1] = true;
    }

    fn verdict(&mut self) -> Verdict {
        if self.recorded.is_invalid != self.came.is_invalid {
            let shown = |side: &Side| if side.is_invalid { "(not HTTP/2)" } else { "HTTP/2" };
            return Verdict::Different(Difference::new("a frame", shown(&self.recorded), shown(&self.came)));
        }
        for stream in self.recorded.streams() {
            if let Some(difference) = self.stream(stream) {
                return Verdict::Different(difference);
            }
        }
        let waiting = self.recorded.streams().into_iter().next();
        let surplus = self.came.streams().into_iter().next();
        match (waiting, surplus, self.ends) {
            (Some(stream), _, [_, true]) => {
                let recorded = self.recorded.next(stream).map_or_else(String::new, |item| item.shown());
                Verdict::Different(self.placed(stream, Difference::new("the next part", recorded, END)))
            }
            (None, Some(stream), [true, _]) => {
                let came = self.came.next(stream).map_or_else(String::new, |item| item.shown());
                Verdict::Different(self.placed(stream, Difference::new("the next part", END, came)))
            }
            (Some(_), ..) | (None, None, [true, false]) => Verdict::Missing,
            _ => Verdict::Same,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&len[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
    }

    /// A header block of literals without an index.
    fn block(fields: &[(&str, &str)]) -> Vec<u8> {
        let text = |text: &str| [&[u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat();
        fields.iter().flat_map(|(name, value)| [vec![0], text(name), text(value)].concat()).collect()
    }

    fn message(text: &str) -> Vec<u8> {
        [&[0, 0, 0, 0, u8::try_from(text.len()).unwrap()][..], text.as_bytes()].concat()
    }

    fn response(date: &str, texts: &[&str], status: &str) -> Vec<u8> {
        let head = block(&[(":status", "200"), ("content-type", "application/grpc"), ("date", date)]);
        let messages: Vec<u8> = texts.iter().flat_map(|text| message(text)).collect();
        // A message may be in several frames.
        let (one, other) = messages.split_at(messages.len() / 2);
        [
            frame(4, 0, 0, &[]),
            frame(1, 4, 1, &head),
            frame(0, 0, 1, one),
            frame(8, 0, 0, &[0, 0, 1, 0]),
            frame(0, 0, 1, other),
            frame(1, 5, 1, &block(&[("grpc-status", status)])),
        ]
        .concat()
    }

    fn compare(recorded: &[u8], came: &[u8]) -> Verdict {
        let mut grpc = Grpc::new(&[]);
        let request = frame(1, 4, 1, &block(&[(":path", "/a.B/C")]));
        grpc.sent(&[PREFACE, &request].concat());
        recorded.chunks(7).for_each(|piece| grpc.recorded(piece, false));
        came.chunks(5).for_each(|piece| grpc.came(piece));
        grpc.verdict()
    }

    #[test]
    fn calls_are_compared_by_their_messages_and_status() {
        let recorded = response("today", &["one", "two"], "0");
        assert_eq!(compare(&recorded, &response("tomorrow", &["one", "two"], "0")), Verdict::Same);
        assert_eq!(compare(&recorded, &recorded[..recorded.len() - 1]), Verdict::Missing);
        let Verdict::Different(found) = compare(&recorded, &response("x", &["one", "twe"], "0")) else {
            panic!()
        };
        assert_eq!((&found.place[..], found.request.as_deref()), ("stream 1, message 2", Some("/a.B/C")));
        assert_eq!((&found.recorded[..], &found.now[..]), ("two", "twe"));
        let Verdict::Different(found) = compare(&recorded, &response("x", &["one", "two"], "5")) else {
            panic!()
        };
        assert_eq!(found.place, "stream 1, header 'grpc-status'");
        let Verdict::Different(found) = compare(&recorded, &response("x", &["one"], "0")) else { panic!() };
        assert_eq!(found.place, "stream 1, the next part");
    }
}
