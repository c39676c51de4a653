//! Wayland: requests of the client, events of the compositor, and the objects that they name.
//!
//! Arguments are not shown, but for names of interfaces and errors: keys that are typed are among
//! them.

mod interfaces;

use std::collections::HashMap;

use super::line::{Call, Decode, Kind, Line, Protocol, shortened};
use crate::follow::Side;
use interfaces::Interface;

const HEADER_BYTES: usize = 8;
const DISPLAY: u32 = 1;
const TEXT_MAX: usize = 200;
/// Objects that are remembered.
const OBJECTS_MAX: usize = 50_000;
/// Ids from here on are given by the compositor.
const SERVER_IDS: u32 = 0xff00_0000;

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

/// Both directions of a connection. The end that sent first is the client.
#[derive(Debug, Default)]
pub(super) struct Wayland {
    client: Option<Side>,
    halves: [Vec<u8>; 2],
    objects: HashMap<u32, Object>,
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

impl Decode for Wayland {
    fn protocol(&self) -> Protocol {
        Protocol::Wayland
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let client = *self.client.get_or_insert(from);
        let mut pending = std::mem::take(&mut self.halves[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        while let Some(len) = length(rest) {
            if len < HEADER_BYTES || !len.is_multiple_of(4) {
                return false;
            }
            let Some(message) = Message::parse(rest) else { break };
            let line = self.message(from, time_ns, from == client, &message);
            lines.push(line.len(len as u64));
            rest = &rest[len..];
        }
        self.halves[from.index()] = rest.to_vec();
        true
    }
}

impl Wayland {
    fn message(&mut self, from: Side, time_ns: u64, is_request: bool, message: &Message<'_>) -> Line {
        let (interface, name, creates) = self.named(message, is_request);
        let method = format!("{interface}.{name}");
        let mut text = format!("{interface}#{}.{name}", message.object).into_bytes();
        let mut kind = Kind::Message;
        if let Some((created, id)) = creates.and_then(|(created, at)| Some((created, message.word(at)?))) {
            let mut object = Object::new(created);
            if created == "wl_callback" {
                object.call = Some(Call { time_ns, method: method.clone() });
                kind = Kind::Call;
            }
            text.extend(format!(" → {created}#{id}").bytes());
            self.add(id, object);
        }
        text.extend(self.told(&method, message).unwrap_or_default());
        let line = |kind| Line::new(time_ns, from, Protocol::Wayland, kind, text);
        let call = self.objects.get_mut(&message.object).and_then(|object| object.call.take());
        match call {
            Some(call) if method == "wl_callback.done" => line(Kind::Answer { ok: true }).answers(Some(call)),
            _ => line(kind).called(method),
        }
    }

    /// Returns the interface, the name of the message, and what it creates with the word at which
    /// the id is.
    fn named(
        &self,
        message: &Message<'_>,
        is_request: bool,
    ) -> (String, String, Option<(&'static str, usize)>) {
        let opcode = || message.opcode.to_string();
        let display = || interfaces::named("wl_display").ok_or_else(String::new);
        let object = self.objects.get(&message.object).map(|object| object.interface.as_ref());
        let interface = match object {
            Some(Ok(known)) => Ok(*known),
            Some(Err(name)) => return (name.clone(), opcode(), None),
            None if message.object == DISPLAY => display(),
            None => return (String::new(), opcode(), None),
        };
        let Ok(interface) = interface else { return (String::new(), opcode(), None) };
        let known = if is_request { interface.requests } else { interface.events };
        match known.get(message.opcode) {
            None => (interface.name.to_owned(), opcode(), None),
            Some(entry) => {
                let (name, creates) = entry.split_once('>').unwrap_or((entry, ""));
                let creates = Some((creates, 0)).filter(|(creates, _)| !creates.is_empty());
                (interface.name.to_owned(), name.to_owned(), creates)
            }
        }
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
        let (mut decoder, mut lines) = (Wayland::default(), Vec::new());
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
            assert!(!Wayland::default().data(Side::First, 0, &bytes, &mut Vec::new()));
        }
        assert!(!begins(&message(1, 1, &words(&[0xff00_0000]))) && !begins(&message(2, 0, &words(&[3]))));
    }

    proptest! {
        #[test]
        fn anything_is_decoded(pieces in proptest::collection::vec(
            (any::<bool>(), 0u32..12, 0u16..4, proptest::collection::vec(any::<u32>(), 0..8)), 0..20)) {
            let mut decoder = Wayland::default();
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
