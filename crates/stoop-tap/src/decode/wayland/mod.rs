//! Wayland: requests of the client, events of the compositor, and the objects that they name.
//!
//! Arguments are not shown, but for names of interfaces and errors: keys that are typed are among
//! them.

mod interfaces;

use std::collections::HashMap;
use std::ops::Range;

use super::framed::{Framed, Invalid};
use super::line::{Call, Kind, Line, Protocol, shortened};
use crate::follow::Side;
use interfaces::Interface;

const HEADER_BYTES: usize = 8;
const DISPLAY: u32 = 1;
const TEXT_MAX: usize = 200;
/// Objects that are remembered.
const OBJECTS_MAX: usize = 50_000;
/// Ids from here on are given by the compositor.
const SERVER_IDS: u32 = 0xff00_0000;
/// No client has as many objects, and no interface as many messages.
const IDS_MAX: u32 = 1 << 20;
const OPCODES_MAX: usize = 64;
/// So many messages in a row are hardly anything else, though the last one is cut.
const ROW: usize = 3;
/// Parts of the names of interfaces whose messages have what is typed.
const TYPED: [&str; 3] = ["keyboard", "text_input", "input_method"];

/// Returns whether the bytes begin with the first request of a client: `sync` or `get_registry`.
pub(super) fn begins(bytes: &[u8]) -> bool {
    let Some(message) = Message::parse(bytes) else { return false };
    let new = message.word(0).filter(|id| (2..SERVER_IDS).contains(id));
    message.object == DISPLAY && message.opcode <= 1 && message.arguments.len() == 4 && new.is_some()
}

/// Returns whether these bytes may be the begin of it, and are too few to tell.
pub(super) fn may_begin(bytes: &[u8]) -> bool {
    let first = [1, 0, 0, 0, 1, 0, 12, 0, 2, 0, 0, 0];
    let filled: Vec<u8> = bytes.iter().copied().chain(first.into_iter().skip(bytes.len())).collect();
    bytes.len() < first.len() && begins(&filled)
}

/// A request or an event.
struct Message<'b> {
    object: u32,
    opcode: usize,
    arguments: &'b [u8],
}

impl Message<'_> {
    /// Returns the message at the beginning, if it is complete.
    fn parse(bytes: &[u8]) -> Option<Message<'_>> {
        let (object, len) = (word(bytes, 0)?, length(bytes)?);
        let opcode = usize::from(u16::from_le_bytes(*bytes.get(4..)?.first_chunk()?));
        Some(Message { object, opcode, arguments: bytes.get(HEADER_BYTES..len)? })
    }

    fn word(&self, at: usize) -> Option<u32> {
        word(self.arguments, 4 * at)
    }

    /// Returns the text whose length is at this word, without its zero byte, and the word behind.
    fn text(&self, at: usize) -> Option<(&[u8], usize)> {
        let len = self.word(at)? as usize;
        let text = self.arguments.get(4 * (at + 1)..)?.get(..len)?;
        Some((text.strip_suffix(b"\0").unwrap_or(text), at + 1 + len.div_ceil(4)))
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|word| u32::from_le_bytes(*word))
}

/// The length of the message at the beginning, with its header; it may be invalid.
fn length(bytes: &[u8]) -> Option<usize> {
    bytes.get(6..)?.first_chunk().map(|len| usize::from(u16::from_le_bytes(*len)))
}

/// Returns whether messages begin here: nothing in them speaks against it, and the last one ends
/// with the bytes.
fn is_row(bytes: &[u8]) -> bool {
    let (mut rest, mut count) = (bytes, 0);
    while !rest.is_empty() {
        let Some(message) = Message::parse(rest) else { return count >= ROW };
        let is_id = (1..IDS_MAX).contains(&message.object) || message.object >= SERVER_IDS;
        let len = HEADER_BYTES + message.arguments.len();
        if !(is_id && message.opcode < OPCODES_MAX && len.is_multiple_of(4)) {
            return false;
        }
        (rest, count) = (&rest[len..], count + 1);
    }
    count > 0
}

/// Both directions of a connection. The end that sent first is the client, if its begin was seen.
#[derive(Debug)]
pub(super) struct Wayland {
    client: Option<Side>,
    /// Whether it is known where messages begin.
    is_aligned: [bool; 2],
    objects: HashMap<u32, Object>,
}

impl Default for Wayland {
    fn default() -> Wayland {
        Wayland { client: None, is_aligned: [true; 2], objects: HashMap::new() }
    }
}

#[derive(Debug)]
struct Object {
    /// As the client has named it, if it is not one that is known.
    interface: Result<&'static Interface, String>,
    /// For a callback: the request that waits for it.
    call: Option<Call>,
}

impl Object {
    fn new(name: &str) -> Object {
        Object { interface: interfaces::named(name).ok_or_else(|| name.to_owned()), call: None }
    }
}

/// What is known of a message.
struct Named<'i> {
    /// Empty if that is unknown.
    interface: &'i str,
    /// Its number if it has no name.
    name: Result<&'static str, usize>,
    /// The interface of what it creates. The id is its first argument.
    creates: Option<&'static str>,
    /// How many file descriptors come with it, if that is known.
    fds: Option<u16>,
}

impl Framed for Wayland {
    const PROTOCOL: Protocol = Protocol::Wayland;
    const HEAD_MAX: u64 = u16::MAX as u64;

    fn is_aligned(&mut self, from: Side, bytes: &[u8]) -> bool {
        self.client.get_or_insert(from);
        let is_aligned = &mut self.is_aligned[from.index()];
        *is_aligned = *is_aligned || is_row(bytes);
        *is_aligned
    }

    fn len(&self, _from: Side, head: &[u8]) -> Result<Option<u64>, Invalid> {
        match length(head) {
            Some(len) if len < HEADER_BYTES || !len.is_multiple_of(4) => Err(Invalid),
            len => Ok(len.map(|len| len as u64)),
        }
    }

    /// Keys are secret, and arguments of which it is unknown what they are.
    fn secret(&self, from: Side, head: &[u8]) -> Option<Range<u64>> {
        let header: &[u8; HEADER_BYTES] = head.first_chunk()?;
        let opcode = usize::from(u16::from_le_bytes([header[4], header[5]]));
        let message = Message { object: word(head, 0)?, opcode, arguments: &[] };
        let named = self.named(&message, self.client == Some(from));
        let is_typed = TYPED.iter().any(|part| named.interface.contains(part));
        let secret = match (named.interface, named.name) {
            ("wl_keyboard", Ok("key")) => 16..20,
            // Behind the length of the array.
            ("wl_keyboard", Ok("enter")) => 20..u64::MAX,
            ("wl_keyboard", Ok(_)) => 0..0,
            (interface, _) if is_typed || interface.is_empty() => HEADER_BYTES as u64..u64::MAX,
            _ => 0..0,
        };
        Some(secret)
    }

    fn message(&mut self, from: Side, time_ns: u64, head: &[u8]) -> Line {
        match Message::parse(head) {
            Some(message) => self.line(from, time_ns, &message),
            None => Line::message(time_ns, from, Protocol::Wayland, ""),
        }
    }

    fn lose(&mut self, from: Side) {
        self.is_aligned[from.index()] = false;
        // An id may have become another object's.
        self.objects.clear();
    }
}

impl Wayland {
    /// For a connection whose begin was not seen, possibly, with this end as the server.
    pub(super) fn served_by(server: Side) -> Wayland {
        Wayland { client: Some(server.other()), is_aligned: [false; 2], ..Wayland::default() }
    }

    fn line(&mut self, from: Side, time_ns: u64, message: &Message<'_>) -> Line {
        let Named { interface, name, creates, fds } = self.named(message, self.client == Some(from));
        let name = name.map_or_else(|number| number.to_string(), str::to_owned);
        let method = format!("{interface}.{name}");
        let mut text = format!("{interface}#{}.{name}", message.object).into_bytes();
        let mut kind = Kind::Message;
        if let Some((created, id)) = creates.and_then(|created| Some((created, message.word(0)?))) {
            let mut object = Object::new(created);
            if created == "wl_callback" {
                object.call = Some(Call { time_ns, method: method.clone() });
                kind = Kind::Call;
            }
            text.extend(format!(" → {created}#{id}").bytes());
            self.add(id, object);
        }
        text.extend(self.told(&method, message).unwrap_or_default());
        let line = |kind| Line::new(time_ns, from, Protocol::Wayland, kind, text).with_fds(fds);
        let call = self.objects.get_mut(&message.object).and_then(|object| object.call.take());
        match call {
            Some(call) if method == "wl_callback.done" => line(Kind::Answer { ok: true }).answers(Some(call)),
            _ => line(kind).called(method),
        }
    }

    fn named(&self, message: &Message<'_>, is_request: bool) -> Named<'_> {
        let unknown = |interface| Named { interface, name: Err(message.opcode), creates: None, fds: None };
        let object = self.objects.get(&message.object).map(|object| object.interface.as_ref());
        let interface = match object {
            Some(Ok(known)) => Some(*known),
            Some(Err(name)) => return unknown(name),
            None if message.object == DISPLAY => interfaces::named("wl_display"),
            None => None,
        };
        let Some(interface) = interface else { return unknown("") };
        let known = if is_request { interface.requests } else { interface.events };
        let Some(entry) = known.get(message.opcode) else { return unknown(interface.name) };
        let (entry, fds) = entry.strip_suffix('+').map_or((*entry, 0), |entry| (entry, 1));
        let (name, creates) = entry.split_once('>').unwrap_or((entry, ""));
        let creates = Some(creates).filter(|creates| !creates.is_empty());
        Named { interface: interface.name, name: Ok(name), creates, fds: Some(fds) }
    }

    /// Returns what a message says of interfaces and errors, and learns from it.
    fn told(&mut self, method: &str, message: &Message<'_>) -> Option<Vec<u8>> {
        match method {
            "wl_registry.global" => {
                let (name, next) = message.text(1)?;
                let version = message.word(next)?;
                Some([b" ", &shortened(name, TEXT_MAX)[..], format!(" v{version}").as_bytes()].concat())
            }
            "wl_registry.bind" => {
                let (name, next) = message.text(1)?;
                let (version, id) = (message.word(next)?, message.word(next + 1)?);
                let name = shortened(name, TEXT_MAX);
                self.add(id, Object::new(&String::from_utf8_lossy(&name)));
                Some([b" ", &name[..], format!(" v{version} → #{id}").as_bytes()].concat())
            }
            "wl_display.error" => {
                let (object, code) = (message.word(0)?, message.word(1)?);
                let (text, _) = message.text(2)?;
                Some([format!(" #{object} {code} ").as_bytes(), &shortened(text, TEXT_MAX)].concat())
            }
            "wl_display.delete_id" => {
                let id = message.word(0)?;
                self.objects.remove(&id);
                Some(format!(" #{id}").into_bytes())
            }
            _ => None,
        }
    }

    fn add(&mut self, id: u32, object: Object) {
        if self.objects.len() < OBJECTS_MAX || self.objects.contains_key(&id) {
            self.objects.insert(id, object);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use stoop_bpf::SocketKind;

    use super::super::framed::Messages;
    use super::super::line::Decode;
    use super::super::{Dialogue, Masker};
    use super::*;

    fn message(object: u32, opcode: u16, arguments: &[u8]) -> Vec<u8> {
        let len = (HEADER_BYTES + arguments.len()) as u16;
        [&object.to_le_bytes()[..], &opcode.to_le_bytes(), &len.to_le_bytes(), arguments].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    fn text(text: &str) -> Vec<u8> {
        let mut bytes = [&(text.len() as u32 + 1).to_le_bytes()[..], text.as_bytes(), b"\0"].concat();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    fn shown(lines: &[Line]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect()
    }

    /// The decoder of such a connection.
    fn decoder() -> Messages<Wayland> {
        Messages::new(Wayland::default())
    }

    #[test]
    fn objects_are_named_and_callbacks_answer() {
        let bind = |name, interface: &str, id| [words(&[name]), text(interface), words(&[1, id])].concat();
        let requests = [
            message(1, 1, &words(&[2])),
            message(1, 0, &words(&[3])),
            message(2, 0, &bind(7, "wl_compositor", 4)),
            message(2, 0, &bind(8, "ext_unknown", 5)),
            message(4, 0, &words(&[6])),
            message(6, 3, &words(&[9])),
            message(6, 6, &[]),
            message(5, 2, &[]),
            message(77, 1, &[]),
        ];
        let events = [
            message(2, 0, &[words(&[7]), text("wl_compositor"), words(&[4])].concat()),
            message(3, 0, &words(&[0])),
            message(1, 1, &words(&[3])),
            message(9, 0, &words(&[0])),
            message(1, 0, &[words(&[6, 3]), text("no buffer")].concat()),
        ];
        assert!(begins(&requests.concat()));
        let (mut decoder, mut lines) = (decoder(), Vec::new());
        assert!(decoder.data(Side::First, 1_000, &requests.concat(), &mut lines));
        assert_eq!(
            shown(&lines),
            [
                "wl_display#1.get_registry → wl_registry#2",
                "wl_display#1.sync → wl_callback#3",
                "wl_registry#2.bind wl_compositor v1 → #4",
                "wl_registry#2.bind ext_unknown v1 → #5",
                "wl_compositor#4.create_surface → wl_surface#6",
                "wl_surface#6.frame → wl_callback#9",
                "wl_surface#6.commit",
                "ext_unknown#5.2",
                "#77.1",
            ]
        );
        let mut answers = Vec::new();
        assert!(decoder.data(Side::Second, 5_000, &events.concat(), &mut answers));
        assert_eq!(
            shown(&answers),
            [
                "wl_registry#2.global wl_compositor v4",
                "wl_callback#3.done",
                "wl_display#1.delete_id #3",
                "wl_callback#9.done",
                "wl_display#1.error #6 3 no buffer",
            ]
        );
        let answer = |at: usize| (answers[at].method.as_deref(), answers[at].latency_ns);
        assert_eq!(answer(1), (Some("wl_display.sync"), Some(4_000)));
        assert_eq!(answer(3), (Some("wl_surface.frame"), Some(4_000)));
    }

    #[test]
    fn lengths_that_cannot_be_are_not_wayland() {
        for len in [0u16, 4, 7, 13] {
            let mut bytes = message(1, 1, &words(&[2]));
            bytes[6..8].copy_from_slice(&len.to_le_bytes());
            assert!(!begins(&bytes));
            assert!(!decoder().data(Side::First, 0, &bytes, &mut Vec::new()));
        }
        assert!(!begins(&message(1, 1, &words(&[0xff00_0000]))) && !begins(&message(2, 0, &words(&[3]))));
    }

    /// A key that is typed, and a text.
    const KEY: u32 = 0xa7a7_a7a7;

    fn typed(bytes: &[u8]) -> bool {
        bytes.contains(&0xa7) || bytes.windows(4).any(|part| part == b"Zk7q")
    }

    #[test]
    fn keys_are_overwritten_and_file_descriptors_stay_with_their_message() {
        let bind = |name, interface: &str, id| [words(&[name]), text(interface), words(&[1, id])].concat();
        let requests = [
            message(1, 1, &words(&[2])),
            message(2, 0, &bind(1, "wl_seat", 3)),
            message(2, 0, &bind(2, "wl_shm", 4)),
            message(2, 0, &bind(3, "zwp_text_input_v9", 5)),
            message(3, 1, &words(&[6])),
            message(4, 0, &words(&[7, 4096])),
        ];
        let keys = [words(&[8, KEY]), words(&[KEY])].concat();
        let events = [
            message(3, 1, &text("seat0")),
            message(6, 0, &words(&[1, 4096])),
            message(6, 1, &[words(&[1, 9]), keys].concat()),
            message(6, 3, &words(&[1, 2, KEY, 1])),
            message(5, 3, &text("Zk7qPlanted9")),
            message(99, 1, &words(&[KEY])),
        ];
        for cut in [1, 13, 1000] {
            let (mut dialogue, mut masker) =
                (Dialogue::new(SocketKind::STREAM), Masker::new(SocketKind::STREAM));
            let (mut lines, mut written) = (Vec::new(), Vec::new());
            for (from, bytes) in [(Side::First, requests.concat()), (Side::Second, events.concat())] {
                for (at, piece) in bytes.chunks(cut).enumerate() {
                    lines.extend(dialogue.data(from, 0, piece, u16::from(at == 0)));
                    let mut piece = piece.to_vec();
                    masker.data(from, &mut piece);
                    written.extend(piece);
                }
            }
            assert!(!typed(&written), "{written:?}");
            let plain = [requests.concat(), events.concat()].concat();
            let changed = written.iter().zip(&plain).filter(|(one, other)| one != other).count();
            assert_eq!(changed, 8 + 4 + 20 + 4, "{cut}");
            let with_fds: Vec<_> =
                lines.iter().filter(|line| line.fds == 1).map(|line| line.method.as_deref()).collect();
            assert_eq!(with_fds, [Some("wl_shm.create_pool"), Some("wl_keyboard.keymap")]);
        }
    }

    #[test]
    fn in_the_middle_of_a_connection_nothing_is_named_that_is_unknown() {
        let new = || (Dialogue::new(SocketKind::STREAM).joined(), Masker::new(SocketKind::STREAM).joined());
        // It looks like the first request of a client.
        let deleted = message(1, 1, &words(&[2]));
        let (mut dialogue, _) = new();
        assert_ne!(dialogue.data(Side::First, 0, &deleted, 0)[0].protocol, Protocol::Wayland);
        let (dialogue, masker) = new();
        let mut dialogue = dialogue.served(Protocol::Wayland, Side::First);
        let mut masker = masker.served(Protocol::Wayland, Side::First);
        let mut take = |from, bytes: &[u8]| {
            let mut masked = bytes.to_vec();
            masker.data(from, &mut masked);
            (shown(&dialogue.data(from, 0, bytes, 0)), masked)
        };
        let (lines, masked) = take(Side::First, &[0xa7; 10]);
        assert_eq!((&lines[0][..], masked), ("joined in the middle: not shown", vec![b'*'; 10]));
        assert_eq!(
            take(Side::First, &deleted),
            (vec!["wl_display#1.delete_id #2".to_owned()], deleted.clone())
        );
        let (lines, masked) = take(Side::First, &message(6, 3, &words(&[1, 2, KEY, 1])));
        assert_eq!(lines, ["#6.3"]);
        assert!(!typed(&masked));
        let sync = message(1, 0, &words(&[9]));
        assert_eq!(take(Side::Second, &sync).0, ["wl_display#1.sync → wl_callback#9"]);
        assert_eq!(take(Side::First, &message(9, 0, &words(&[0]))).0, ["wl_callback#9.done"]);
    }

    proptest! {
        #[test]
        fn anything_is_decoded(pieces in proptest::collection::vec(
            (any::<bool>(), 0u32..12, 0u16..4, proptest::collection::vec(any::<u32>(), 0..8)), 0..20)) {
            let mut decoder = decoder();
            decoder.data(Side::First, 0, &message(1, 1, &words(&[2])), &mut Vec::new());
            for (is_client, object, opcode, arguments) in pieces {
                let from = if is_client { Side::First } else { Side::Second };
                let mut lines = Vec::new();
                prop_assert!(decoder.data(from, 0, &message(object, opcode, &words(&arguments)), &mut lines));
                prop_assert_eq!(lines.len(), 1);
            }
        }
    }
}
