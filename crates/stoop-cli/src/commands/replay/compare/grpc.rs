//! gRPC, and other calls over HTTP/2: headers, messages and trailers of each stream. What HTTP/2
//! itself exchanges (windows, pings) differs from one time to the next and is left out.

mod frames;
mod schemas;

use std::collections::BTreeMap;

use self::frames::{Field, Item, PREFACE, Side};
pub(in super::super) use self::schemas::Schemas;
use super::exact::first_difference;
use super::{Compare, Difference, END, NOTHING, Verdict, excerpt, json, masked};

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
    /// The paths of the calls that are compared, if they are those of a client.
    own_paths: BTreeMap<u32, String>,
    /// The number of messages of each stream that were the same.
    counts: BTreeMap<u32, u64>,
    ends: [bool; 2],
    ignore: Vec<String>,
    schemas: Schemas,
    /// Whether secrets of what was recorded are masked.
    is_masked: bool,
}

impl Grpc {
    /// Compares calls. Headers and fields of the ignored names are left out.
    pub(in super::super) fn new(ignore: &[String], schemas: &Schemas) -> Grpc {
        Grpc {
            recorded: Side::new(),
            came: Side::new(),
            sent: Side::new(),
            paths: BTreeMap::new(),
            own_paths: BTreeMap::new(),
            counts: BTreeMap::new(),
            ends: [false; 2],
            ignore: ignore.to_vec(),
            schemas: schemas.clone(),
            is_masked: false,
        }
    }

    /// Compares the next of both sides on a stream.
    fn differ(&mut self, stream: u32, recorded: &Item, came: &Item) -> Option<Difference> {
        let count = self.counts.entry(stream).or_default();
        *count += u64::from(matches!(recorded, Item::Message { .. }));
        let place = format!("message {count}");
        let found = match (recorded, came) {
            (Item::Settings, Item::Settings) | (Item::End, Item::End) => None,
            (Item::Message { .. }, Item::Message { .. }) if recorded == came => None,
            (
                Item::Message { bytes: one, is_compressed },
                Item::Message { bytes: other, is_compressed: is_other_compressed },
            ) => {
                let by_schema = match is_compressed | is_other_compressed {
                    true => None,
                    false => self.by_schema(stream, &place, one, other),
                };
                by_schema.unwrap_or_else(|| self.bytes(place, one, other))
            }
            (Item::Headers(one), Item::Headers(other)) => self.headers(one, other),
            (Item::Reset(one), Item::Reset(other)) if one == other => None,
            (one, other) => Some(Difference::new("the next part", one.shown(), other.shown())),
        };
        found.map(|difference| self.placed(stream, difference))
    }

    /// Compares messages by value. `None` if they are not of a known type.
    fn by_schema(&self, stream: u32, place: &str, one: &[u8], other: &[u8]) -> Option<Option<Difference>> {
        // The side that is compared has sent the path itself if it is the client.
        let sent = self.paths.get(&stream);
        let path = sent.or_else(|| self.own_paths.get(&stream))?;
        let json = |bytes| self.schemas.json(path, sent.is_some(), bytes);
        let (one, other) = (json(one)?, json(other)?);
        let found = json::first_difference("", &one, &other, &self.ignore, self.is_masked);
        Some(found.map(|(path, one, other)| Difference::new(format!("{place}, {path}"), one, other)))
    }

    fn bytes(&self, place: String, one: &[u8], other: &[u8]) -> Option<Difference> {
        let at = first_difference(one, other, self.is_masked)?;
        Some(Difference::new(place, excerpt(one, at), excerpt(other, at)))
    }

    fn headers(&self, recorded: &[Field], came: &[Field]) -> Option<Difference> {
        let names = recorded.iter().chain(came).map(|(name, _)| name);
        let mut compared = names.filter(|name| {
            let is_ignored = self.ignore.iter().any(|ignored| ignored.as_bytes().eq_ignore_ascii_case(name));
            !is_ignored && !CHANGING.contains(&&name[..])
        });
        compared.find_map(|name| {
            let (one, other) = (values(recorded, name), values(came, name));
            let is_same = |(one, other): (&&[u8], &&[u8])| {
                one == other || self.is_masked && masked::matches_header(name, one, other)
            };
            if one.len() == other.len() && one.iter().zip(&other).all(is_same) {
                return None;
            }
            let shown = |values: Vec<&[u8]>| match &values[..] {
                [] => NOTHING.to_owned(),
                values => {
                    values.iter().map(|value| value.escape_ascii().to_string()).collect::<Vec<_>>().join(", ")
                }
            };
            let place = format!("header '{}'", name.escape_ascii());
            Some(Difference::new(place, shown(one), shown(other)))
        })
    }

    fn placed(&self, stream: u32, difference: Difference) -> Difference {
        let place = format!("stream {stream}, {}", difference.place);
        Difference { place, request: self.paths.get(&stream).cloned(), ..difference }
    }

    /// Compares the parts of a stream that both sides have.
    fn stream(&mut self, stream: u32) -> Option<Difference> {
        while let (Some(recorded), Some(came)) = (self.recorded.next(stream), self.came.next(stream)) {
            self.own_paths.extend(recorded.path().map(|path| (stream, path)));
            if let Some(difference) = self.differ(stream, &recorded, &came) {
                return Some(difference);
            }
            self.recorded.pop(stream);
            self.came.pop(stream);
        }
        None
    }
}

/// Returns the values of a header.
fn values<'f>(fields: &'f [Field], name: &[u8]) -> Vec<&'f [u8]> {
    fields.iter().filter(|(its, _)| its == name).map(|(_, value)| &value[..]).collect()
}

impl Compare for Grpc {
    fn sent(&mut self, bytes: &[u8]) {
        self.sent.add(bytes);
        for (stream, item) in self.sent.take() {
            self.paths.extend(item.path().map(|path| (stream, path)));
        }
    }

    fn recorded(&mut self, bytes: &[u8], is_masked: bool) {
        self.is_masked |= is_masked;
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
        compare_call("/a.B/C", recorded, came, false)
    }

    fn compare_call(path: &str, recorded: &[u8], came: &[u8], is_masked: bool) -> Verdict {
        let mut grpc = Grpc::new(&[], &Schemas::new(None));
        let request = frame(1, 4, 1, &block(&[(":path", path)]));
        grpc.sent(&[PREFACE, &request].concat());
        recorded.chunks(7).for_each(|piece| grpc.recorded(piece, is_masked));
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

    const VERSION: &str = "/runtime.v1.RuntimeService/Version";
    const STATUS: &str = "/runtime.v1.RuntimeService/Status";

    #[test]
    fn messages_of_known_methods_are_compared_by_value() {
        let version = |text: &str| response("x", &[text], "0");
        // The order of fields, and whether a default value is sent, make no difference.
        let (one, other) = ("\x0a\x03v1a\x12\x01r", "\x12\x01r\x0a\x03v1a\x1a\x00");
        assert_eq!(compare_call(VERSION, &version(one), &version(other), false), Verdict::Same);
        let Verdict::Different(found) =
            compare_call(VERSION, &version(one), &version("\x0a\x03v1a\x12\x01s"), false)
        else {
            panic!()
        };
        assert_eq!(found.place, "stream 1, message 1, .runtimeName");
        assert_eq!((&found.recorded[..], &found.now[..]), ("\"r\"", "\"s\""));
        // A field that is not known is compared all the same.
        let unknown = format!("{one}\x7a\x01x");
        assert!(matches!(
            compare_call(VERSION, &version(&unknown), &version(&format!("{one}\x7a\x01y")), false),
            Verdict::Different(_)
        ));
    }

    #[test]
    fn the_order_of_maps_makes_no_difference() {
        // info, of StatusResponse.
        let entry = |key: char| format!("\x12\x06\x0a\x01{key}\x12\x01v");
        let status = |keys: [char; 2]| response("x", &[&keys.map(entry).concat()], "0");
        assert_eq!(compare_call(STATUS, &status(['a', 'b']), &status(['b', 'a']), false), Verdict::Same);
        assert!(matches!(
            compare_call(STATUS, &status(['a', 'b']), &status(['a', 'c']), false),
            Verdict::Different(_)
        ));
    }

    #[test]
    fn a_masked_secret_is_any_value() {
        let login = |date: &str, token: &str| {
            let head = [(":status", "200"), ("content-type", "application/grpc"), ("set-cookie", date)];
            [frame(1, 4, 1, &block(&head)), frame(0, 1, 1, &message(token))].concat()
        };
        let (masked, plain) = (login("***", "\x12\x02**"), login("id=7", "\x12\x02pw"));
        assert_eq!(compare_call("/a.B/C", &masked, &plain, true), Verdict::Same);
        assert!(matches!(compare_call("/a.B/C", &masked, &plain, false), Verdict::Different(_)));
    }
}
