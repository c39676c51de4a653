use stoop_testkit::skip;

use super::*;
use crate::decode::Dialogue;
use crate::decode::framed::Messages;
use crate::decode::line::Decode;

pub(super) const CLIENT: Side = Side::First;
pub(super) const SERVER: Side = Side::Second;

/// Writes numbers in a byte order.
#[derive(Clone, Copy)]
pub(super) struct Write(pub(super) Order);

impl Write {
    pub(super) fn half(self, value: u16) -> [u8; 2] {
        if self.0 == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn word(self, value: u32) -> [u8; 4] {
        if self.0 == Order::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn setup(self, protocol: &[u8], data: &[u8]) -> Vec<u8> {
        let letter = if self.0 == Order::Big { b'B' } else { b'l' };
        let lens = [self.half(11), [0; 2], self.half(protocol.len() as u16), self.half(data.len() as u16)];
        [&[letter, 0][..], &lens.concat(), &[0; 2], &padded(protocol), &padded(data)].concat()
    }

    pub(super) fn accepted(self, vendor: &[u8]) -> Vec<u8> {
        let mut rest = [0; 32];
        rest[16..18].copy_from_slice(&self.half(vendor.len() as u16));
        let rest = [&rest[..], &padded(vendor)].concat();
        let words = self.half(rest.len() as u16 / 4);
        [&[1, 0][..], &self.half(11), &[0; 2], &words, &rest].concat()
    }

    pub(super) fn request(self, major: u8, minor: u8, body: &[u8]) -> Vec<u8> {
        let body = padded(body);
        [&[major, minor][..], &self.half(body.len() as u16 / 4 + 1), &body].concat()
    }

    pub(super) fn named(self, major: u8, name: &[u8]) -> Vec<u8> {
        self.request(major, 0, &[&self.half(name.len() as u16)[..], &[0; 2], name].concat())
    }

    pub(super) fn long(self, major: u8, minor: u8, body: &[u8]) -> Vec<u8> {
        let words = self.word(body.len() as u32 / 4 + 2);
        [&[major, minor, 0, 0][..], &words, body].concat()
    }

    /// A reply, an error or an event, whose words begin at the fourth byte.
    pub(super) fn answer(self, kind: u8, detail: u8, number: u16, words: &[u32], more: &[u8]) -> Vec<u8> {
        let mut fixed = [&[kind, detail][..], &self.half(number)].concat();
        fixed.extend(words.iter().flat_map(|word| self.word(*word)));
        fixed.resize(32, 0);
        [&fixed[..], more].concat()
    }

    pub(super) fn generic(self, major: u8, number: u16, kind: u16) -> Vec<u8> {
        let mut event = self.answer(35, major, number, &[1], &[8; 4]);
        event[8..10].copy_from_slice(&self.half(kind));
        event
    }

    pub(super) fn extension(self, number: u16, major: u8, event: u8, error: u8) -> Vec<u8> {
        let mut reply = self.answer(1, 0, number, &[0], &[]);
        reply[8..12].copy_from_slice(&[1, major, event, error]);
        reply
    }

    pub(super) fn error(self, code: u8, number: u16, value: u32, major: u8, minor: u16) -> Vec<u8> {
        let mut error = self.answer(0, code, number, &[value], &[]);
        error[8..10].copy_from_slice(&self.half(minor));
        error[10] = major;
        error
    }
}

/// The decoder of a connection.
fn decoder() -> Messages<X11> {
    Messages::new(X11::default())
}

pub(super) fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut padded = bytes.to_vec();
    padded.resize(bytes.len().next_multiple_of(4), 0);
    padded
}

pub(super) fn texts(lines: &[Line]) -> Vec<String> {
    lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
}

#[test]
fn requests_are_named_and_answered_in_both_byte_orders() {
    for order in [Order::Little, Order::Big] {
        let write = Write(order);
        let mut decoder = decoder();
        let mut take = |from, time_ns, bytes: &[u8]| {
            let mut lines = Vec::new();
            assert!(decoder.data(from, time_ns, bytes, &mut lines));
            lines
        };
        let setup = write.setup(b"MIT-MAGIC-COOKIE-1", b"Zk7qPlanted9secr");
        assert!(begins(&setup) && !may_begin(&setup));
        let lines = take(CLIENT, 1_000, &setup);
        let endian = order.name();
        let expected = format!("connection setup 11.0, {endian}-endian, MIT-MAGIC-COOKIE-1 [redacted]");
        assert_eq!((texts(&lines), lines[0].kind), (vec![expected], Kind::Call));
        let lines = take(SERVER, 3_000, &write.accepted(b"The X.Org Foundation"));
        assert_eq!(texts(&lines), ["11.0 The X.Org Foundation"]);
        assert_eq!((lines[0].kind, lines[0].latency_ns), (Kind::Answer { ok: true }, Some(2_000)));
        let requests = [
            write.named(98, b"RANDR"),
            write.named(98, b"no such"),
            write.request(8, 0, &write.word(0x20_0001)),
            write.request(140, 8, &write.word(0x123)),
            write.request(140, 99, &[]),
            write.request(177, 3, &[]),
            write.named(16, b"_NET_WM_NAME"),
            write.request(14, 0, &write.word(0x77)),
            write.request(43, 0, &[]),
        ];
        let lines = take(CLIENT, 4_000, &requests[..2].concat());
        assert_eq!(texts(&lines), ["QueryExtension RANDR", "QueryExtension no such"]);
        let replies = [write.extension(1, 140, 89, 147), write.answer(1, 0, 2, &[0], &[])].concat();
        let lines = take(SERVER, 5_000, &replies);
        assert_eq!(texts(&lines), ["extension 140, events from 89, errors from 147", "not present"]);
        let lines = take(CLIENT, 6_000, &requests[2..].concat());
        let expected = [
            "MapWindow 0x200001",
            "RANDR.GetScreenResources 0x123",
            "RANDR.99",
            "extension 177.3",
            "InternAtom _NET_WM_NAME",
            "GetGeometry 0x77",
            "GetInputFocus",
        ];
        assert_eq!(texts(&lines), expected);
        let is_call = lines.iter().map(|line| line.kind == Kind::Call).collect::<Vec<_>>();
        assert_eq!(is_call, [false, true, false, false, true, true, true]);
        let answers = [
            write.answer(12, 0, 3, &[], &[]),
            write.answer(89, 0, 3, &[], &[]),
            write.answer(1, 0, 4, &[2], &[7; 8]),
            write.error(147, 5, 0x55, 140, 99),
            write.error(1, 6, 0, 177, 3),
            write.answer(1, 0, 7, &[0, 305], &[]),
            // It has keys where others have a number.
            [&[11][..], &[0xff; 31]].concat(),
            write.answer(33 | 0x80, 32, 7, &[], &[]),
            write.generic(140, 7, 4),
            write.error(9, 8, 0x77, 14, 0),
            write.answer(1, 0, 9, &[0], &[]),
            write.answer(101, 0, 9, &[], &[]),
        ];
        let lines = take(SERVER, 9_000, &answers.concat());
        let expected = [
            "event Expose",
            "event RANDR.ScreenChangeNotify",
            "reply",
            "RANDR.BadOutput 0x55",
            "BadRequest 0x0",
            "atom 305",
            "event KeymapNotify",
            "event ClientMessage (sent by a client)",
            "event RANDR.4",
            "BadDrawable 0x77",
            "reply",
            "event 101",
        ];
        assert_eq!(texts(&lines), expected);
        let methods = [
            (2, "RANDR.GetScreenResources"),
            (3, "RANDR.99"),
            (4, "extension 177.3"),
            (5, "InternAtom"),
            (9, "GetGeometry"),
            (10, "GetInputFocus"),
        ];
        for (at, method) in methods {
            assert_eq!((lines[at].method.as_deref(), lines[at].latency_ns), (Some(method), Some(3_000)));
        }
        assert_eq!(lines[9].status.as_deref(), Some("BadDrawable"));
    }
}

#[test]
fn a_long_request_is_passed_over_and_a_gap_in_it_too() {
    let write = Write(Order::Little);
    let mut dialogue = Dialogue::new(stoop_bpf::SocketKind::STREAM);
    dialogue.data(CLIENT, 0, &write.setup(b"", b""), 0);
    dialogue.data(SERVER, 0, &write.accepted(b"v"), 0);
    let image = write.long(72, 2, &[&write.word(0x99)[..], &vec![1; 400_000]].concat());
    let lines = dialogue.data(CLIENT, 1, &image[..70_000], 0);
    assert_eq!(texts(&lines), ["PutImage 0x99"]);
    assert_eq!(lines[0].len, Some(image.len() as u64));
    assert!(dialogue.gap(CLIENT, 100_000).is_empty());
    let rest = [&image[170_000..], &write.request(43, 0, &[])[..]].concat();
    let lines = dialogue.data(CLIENT, 2, &rest, 0);
    assert_eq!(texts(&lines), ["GetInputFocus"]);
    let lines = dialogue.data(SERVER, 5, &write.answer(1, 0, 2, &[0], &[]), 0);
    assert_eq!((lines[0].method.as_deref(), lines[0].latency_ns), (Some("GetInputFocus"), Some(3)));
}

#[test]
fn numbers_go_around_and_some_requests_have_several_replies() {
    let write = Write(Order::Little);
    let (mut decoder, mut lines) = (decoder(), Vec::new());
    decoder.data(CLIENT, 0, &write.setup(b"", b""), &mut lines);
    decoder.data(SERVER, 0, &write.accepted(b"v"), &mut lines);
    let many = write.request(127, 0, &[]).repeat(65_534);
    decoder.data(CLIENT, 0, &many, &mut lines);
    decoder.data(SERVER, 0, &write.answer(12, 0, 65_534, &[], &[]), &mut lines);
    decoder.data(CLIENT, 10, &[write.request(127, 0, &[]), write.named(50, b"*")].concat(), &mut lines);
    lines.clear();
    let replies = [
        write.answer(1, 4, 0, &[0], &[]),
        write.answer(1, 4, 0, &[0], &[]),
        write.answer(1, 0, 0, &[0], &[]),
    ];
    decoder.data(SERVER, 20, &replies.concat(), &mut lines);
    assert_eq!(texts(&lines), ["reply, of several", "reply, of several", "reply"]);
    assert!(lines.iter().all(|line| line.method.as_deref() == Some("ListFontsWithInfo")));
    assert_eq!(lines[2].latency_ns, Some(10));
}

#[test]
fn a_refusal_is_an_error_and_what_is_invalid_is_not_x11() {
    let write = Write(Order::Little);
    let (mut refused, mut lines) = (decoder(), Vec::new());
    refused.data(CLIENT, 0, &write.setup(b"", b""), &mut lines);
    let reason = b"No protocol specified\n";
    let refusal = [&[0, reason.len() as u8, 11, 0, 0, 0, 6, 0][..], &padded(reason)].concat();
    assert!(refused.data(SERVER, 7, &refusal, &mut lines));
    assert_eq!((lines[1].kind, lines[1].latency_ns), (Kind::Answer { ok: false }, Some(7)));
    assert_eq!(texts(&lines)[1], "No protocol specified");
    // No request has the number 0: where the next one begins is unknown.
    assert!(refused.data(CLIENT, 8, &write.request(0, 0, &[]), &mut lines));
    assert_eq!(texts(&lines)[2], "joined in the middle: not shown");
    assert!(!decoder().data(CLIENT, 0, b"lots of text", &mut lines));
    assert!(!begins(b"l\0\x0b\0\x01\0\0\0\0\0\0\0") && !may_begin(b"lo") && may_begin(b"B\0\0"));
}

/// The description of the protocol that XCB is generated from.
const DESCRIPTIONS: &str = "/usr/share/xcb";

fn attribute<'t>(tag: &'t str, name: &str) -> Option<&'t str> {
    tag.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

/// An event is of any length if that is said of it, or of the one that it is like.
fn is_generic(text: &str, tag: &str) -> bool {
    let like = attribute(tag, "ref").map(|like| format!("<event name=\"{like}\""));
    let like = like.and_then(|begin| text.split_once(&begin)?.1.split('>').next());
    [Some(tag), like].into_iter().flatten().any(|tag| tag.contains("xge=\"true\""))
}

#[test]
fn the_names_are_those_of_the_protocol() {
    let Ok(files) = std::fs::read_dir(DESCRIPTIONS) else { skip!("lacks xcb-proto") };
    let mut compared = 0;
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        // Without comments, in one line.
        let text: String =
            text.split("<!--").map(|part| part.split_once("-->").map_or(part, |part| part.1)).collect();
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some((_, text)) = text.split_once("<xcb ") else { continue };
        let extension = match attribute(&format!(" {}", text.split('>').next().unwrap()), "extension-xname") {
            None => CORE,
            Some(name) => match names::named(name.as_bytes()) {
                Some(known) => known,
                None => continue,
            },
        };
        for tag in text.split('<') {
            let number = |key| attribute(tag, key).and_then(|number| number.parse::<u16>().ok());
            let Some(name) = attribute(tag, "name") else { continue };
            match tag.split_whitespace().next() {
                Some("request") => {
                    let request = extension.request(number("opcode").unwrap() as u8);
                    let request = request.unwrap_or_else(|| panic!("{}: {tag}", extension.name));
                    assert_eq!(request.name, name);
                    let rest = text.split_once(&format!("<{tag}")).unwrap().1;
                    let body = rest.split("</request>").next().unwrap().split("<request ").next().unwrap();
                    assert_eq!(request.has_reply, !tag.contains("/>") && body.contains("<reply>"), "{name}");
                }
                Some("event") if name == "GeGeneric" => continue,
                Some("event" | "eventcopy") if is_generic(text, tag) => {
                    assert_eq!(extension.generic(number("number").unwrap()), Some(name));
                }
                Some("event" | "eventcopy") => {
                    assert_eq!(extension.event(number("number").unwrap() as u8), Some(name));
                }
                _ => continue,
            }
            compared += 1;
        }
    }
    assert!(compared > 600, "{compared}");
}
