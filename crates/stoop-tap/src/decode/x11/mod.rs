//! X11: the set-up of a connection, requests of the client, replies, errors and events of the
//! server.
//!
//! What authorizes a client is not shown, nor are arguments, but for ids and names: keys that are
//! typed and text that is copied are among them. Extensions have numbers that the server gives:
//! their requests are named once it was seen doing so.

mod names;
mod pending;
mod secret;
mod wire;

use std::collections::HashMap;
use std::ops::Range;

use super::framed::{Framed, Invalid};
use super::line::{self, Call, Kind, Line, Protocol};
use crate::follow::Side;
use names::{CORE, Extension};
use pending::{Pending, Request};
use wire::Order;
pub(super) use wire::{begins, may_begin};

const TEXT_MAX: usize = 200;
/// The first number of an extension's requests.
const EXTENSIONS: u8 = 128;
/// Set in an event that another client has sent.
const IS_SENT: u8 = 0x80;

const LIST_FONTS_WITH_INFO: &str = "ListFontsWithInfo";
const ENABLE_RECORDING: &str = "RECORD.EnableContext";
/// In a reply to it: the last one.
const END_OF_RECORDING: u8 = 5;
const KEYBOARD: &str = "XKEYBOARD";

/// Both directions of a connection. The end that sent first is the client, if its begin was seen.
#[derive(Debug)]
pub(super) struct X11 {
    client: Option<Side>,
    order: Order,
    halves: [Half; 2],
    /// Empty if requests were not seen: then their numbers are unknown, and no reply is known to
    /// be theirs.
    pending: Pending,
    is_counted: bool,
    /// By the number of their requests.
    extensions: HashMap<u8, Numbered>,
}

#[derive(Clone, Copy, Debug)]
struct Half {
    /// Whether the set-up is over.
    is_set_up: bool,
    /// Whether it is known where messages begin.
    is_aligned: bool,
}

impl Half {
    const FIRST: Half = Half { is_set_up: false, is_aligned: true };
    const LOST: Half = Half { is_set_up: true, is_aligned: false };
}

impl Default for X11 {
    fn default() -> X11 {
        X11 {
            client: None,
            order: Order::default(),
            halves: [Half::FIRST; 2],
            pending: Pending::default(),
            is_counted: true,
            extensions: HashMap::new(),
        }
    }
}

/// An extension, and the numbers that the server has given it.
#[derive(Debug)]
struct Numbered {
    known: Result<&'static Extension, String>,
    first_event: u8,
    first_error: u8,
}

impl Numbered {
    fn name(&self) -> &str {
        self.known.as_ref().map_or_else(String::as_str, |known| known.name)
    }
}

impl Framed for X11 {
    const PROTOCOL: Protocol = Protocol::X11;
    /// Messages are longer than what is shown of them.
    const HEAD_MAX: u64 = 1 << 9;

    fn is_aligned(&mut self, from: Side, bytes: &[u8]) -> bool {
        let is_client = *self.client.get_or_insert(from) == from;
        if self.halves[from.index()].is_aligned {
            return true;
        }
        if is_client && begins(bytes) {
            *self = X11 { client: self.client, ..X11::default() };
            return true;
        }
        let orders = match self.halves[from.other().index()].is_aligned {
            true => vec![self.order],
            false => vec![Order::Little, Order::Big],
        };
        let Some(order) = orders.into_iter().find(|order| wire::is_row(*order, is_client, bytes)) else {
            return false;
        };
        self.order = order;
        self.halves[from.index()].is_aligned = true;
        true
    }

    fn len(&self, from: Side, head: &[u8]) -> Result<Option<u64>, Invalid> {
        match (self.halves[from.index()].is_set_up, self.client == Some(from)) {
            (false, true) => wire::setup_len(head),
            (false, false) => Ok(wire::answer_len(self.order, head)),
            (true, true) => wire::request_len(self.order, head),
            (true, false) => Ok(wire::reply_len(self.order, head)),
        }
    }

    fn secret(&self, from: Side, head: &[u8]) -> Option<Range<u64>> {
        match (self.halves[from.index()].is_set_up, self.client == Some(from)) {
            (false, true) => wire::secret_of_setup(head),
            (false, false) => Some(0..0),
            (true, true) => self.secret_of_client(head),
            (true, false) => self.secret_of_server(head),
        }
    }

    fn message(&mut self, from: Side, time_ns: u64, head: &[u8]) -> Line {
        let is_client = self.client == Some(from);
        let half = &mut self.halves[from.index()];
        let is_set_up = half.is_set_up;
        // After a refusal nothing follows, after a demand for more the same again.
        half.is_set_up |= is_client || head[0] == 1;
        let line = |kind, text: String| Line::new(time_ns, from, Protocol::X11, kind, text);
        match (is_set_up, is_client) {
            (false, true) => self.setup(time_ns, head, line),
            (false, false) => self.answer(head, line),
            (true, true) => self.request(time_ns, head, line),
            (true, false) => self.of_server(head, line),
        }
    }

    fn lose(&mut self, from: Side) {
        self.halves.iter_mut().for_each(|half| half.is_set_up = true);
        self.halves[from.index()] = Half::LOST;
        (self.pending, self.is_counted) = (Pending::default(), false);
    }
}

impl X11 {
    /// For a connection whose begin was not seen, possibly, with this end as the server.
    pub(super) fn served_by(server: Side) -> X11 {
        let client = Some(server.other());
        X11 { client, halves: [Half::LOST; 2], is_counted: false, ..X11::default() }
    }

    fn setup(&mut self, time_ns: u64, head: &[u8], line: impl Fn(Kind, String) -> Line) -> Line {
        self.order = Order::of(head[0]);
        let (order, word) = (self.order, |at| self.order.half(head, at).unwrap_or_default());
        let mut text = format!("connection setup {}.{}, {}-endian", word(2), word(4), order.name());
        if let Some(protocol) = head.get(12..12 + usize::from(word(6))).filter(|name| !name.is_empty()) {
            text.push_str(&format!(", {}", shown(protocol)));
            text.push_str(if word(8) > 0 { " [redacted]" } else { "" });
        }
        self.pending.push(Request::new(Call { time_ns, method: SETUP.to_owned() }));
        line(Kind::Call, text).called(SETUP)
    }

    /// The server's answer to the set-up.
    fn answer(&mut self, head: &[u8], line: impl Fn(Kind, String) -> Line) -> Line {
        let word = |at| self.order.half(head, at).unwrap_or_default();
        let version = format!("{}.{}", word(2), word(4));
        let reason = |len: usize| shown(head.get(8..).map_or(&[], |text| &text[..len.min(text.len())]));
        let (ok, status, text) = match head[0] {
            0 => (false, "refused", reason(head[1].into())),
            1 => {
                let vendor =
                    shown(head.get(40..).map_or(&[], |text| &text[..text.len().min(word(24).into())]));
                (true, "OK", format!("{version} {vendor}"))
            }
            _ => (false, "authenticate", reason(usize::from(word(6)) * 4)),
        };
        let call = self.pending.setup();
        line(Kind::Answer { ok }, text.trim().to_owned()).status(status).answers(call)
    }

    fn request(&mut self, time_ns: u64, head: &[u8], line: impl Fn(Kind, String) -> Line) -> Line {
        let (name, known) = self.named(head[0], head[1].into());
        // A length of its own moves everything by a word.
        let start = if self.order.half(head, 2) == Some(0) { 8 } else { 4 };
        let mut text = name.clone();
        if known.is_some_and(|known| known.has_id)
            && let Some(id) = self.order.word(head, start)
        {
            text.push_str(&format!(" {id:#x}"));
        }
        let argument = wire::name_of(self.order, &name, &head[start..]).map(shown);
        text.extend(argument.iter().flat_map(|argument| [" ", argument]));
        let mut request = Request::new(Call { time_ns, method: name.clone() });
        request.argument = argument;
        if self.is_counted {
            self.pending.push(request);
        }
        let has_reply = known.is_some_and(|known| known.has_reply);
        line(if has_reply { Kind::Call } else { Kind::Message }, text).called(name)
    }

    /// Returns the name of a request, and what is known of it.
    fn named(&self, major: u8, minor: u16) -> (String, Option<names::Request>) {
        if major < EXTENSIONS {
            let known = CORE.request(major);
            return (known.map_or_else(|| format!("request {major}"), |known| known.name.to_owned()), known);
        }
        let Some(extension) = self.extensions.get(&major) else {
            return (format!("extension {major}.{minor}"), None);
        };
        let minor_of = |known: &&'static Extension| known.request(u8::try_from(minor).ok()?);
        let known = extension.known.as_ref().ok().and_then(minor_of);
        let name = known.map_or_else(|| minor.to_string(), |known| known.name.to_owned());
        (format!("{}.{name}", extension.name()), known)
    }

    fn of_server(&mut self, head: &[u8], line: impl Fn(Kind, String) -> Line) -> Line {
        match head[0] {
            0 => self.error(head, line),
            1 => self.reply(head, line),
            code => {
                // It is in every event but the one that has the state of all keys.
                if code & !IS_SENT != 11 {
                    self.pending.reached(self.order.half(head, 2).unwrap_or_default());
                }
                let sent = if code & IS_SENT != 0 { " (sent by a client)" } else { "" };
                let name = self.event(code & !IS_SENT, head);
                line(Kind::Message, format!("event {name}{sent}")).called(format!("event {name}"))
            }
        }
    }

    fn error(&mut self, head: &[u8], line: impl Fn(Kind, String) -> Line) -> Line {
        let (code, major) = (head[1], head[10]);
        let minor = self.order.half(head, 8).unwrap_or_default();
        let value = self.order.word(head, 4).unwrap_or_default();
        let name = self.error_name(code);
        let request = self.pending.answered(self.order.half(head, 2).unwrap_or_default());
        let call = request.map(|request| request.call);
        let is_unseen = call.is_none();
        let text = format!("{name} {value:#x}");
        let line = line(Kind::Answer { ok: false }, text).status(name).answers(call);
        // The error names the request, too.
        if is_unseen { line.called(self.named(major, minor).0) } else { line }
    }

    fn error_name(&self, code: u8) -> String {
        if let Some(name) = CORE.error(code) {
            return format!("Bad{name}");
        }
        let of = |extension: &Numbered| {
            let known = extension.known.as_ref().ok()?;
            let number = code.checked_sub(extension.first_error).filter(|_| extension.first_error > 0)?;
            let name = known.error(number).filter(|_| usize::from(number) < known.errors())?;
            Some(format!("{}.{name}", known.name))
        };
        self.extensions.values().find_map(of).unwrap_or_else(|| format!("error {code}"))
    }

    fn event(&self, code: u8, head: &[u8]) -> String {
        if code == wire::GENERIC {
            return self.generic(head);
        }
        if let Some(name) = CORE.event(code) {
            return name.to_owned();
        }
        let of = |extension: &Numbered| {
            let known = extension.known.as_ref().ok()?;
            let number = code.checked_sub(extension.first_event).filter(|_| extension.first_event > 0)?;
            let number = match known.name {
                // It has one event, of several types.
                KEYBOARD => head.get(1).copied().filter(|_| number == 0)?,
                _ => number,
            };
            let name = known.event(number).filter(|_| usize::from(number) < known.events())?;
            Some(format!("{}.{name}", known.name))
        };
        self.extensions.values().find_map(of).unwrap_or_else(|| code.to_string())
    }

    /// An event of any length, which says of which extension it is.
    fn generic(&self, head: &[u8]) -> String {
        let number = self.order.half(head, 8).unwrap_or_default();
        let Some(extension) = self.extensions.get(&head[1]) else {
            return format!("extension {}.{number}", head[1]);
        };
        let name = extension.known.as_ref().ok().and_then(|known| known.generic(number));
        let name = name.map_or_else(|| number.to_string(), str::to_owned);
        format!("{}.{name}", extension.name())
    }

    fn reply(&mut self, head: &[u8], line: impl Fn(Kind, String) -> Line) -> Line {
        let number = self.order.half(head, 2).unwrap_or_default();
        let method = self.pending.waits(number).map(|request| request.call.method.clone());
        if method.as_deref().is_some_and(|method| goes_on(method, head[1])) {
            return line(Kind::Message, "reply, of several".to_owned()).called(method.unwrap_or_default());
        }
        let request = self.pending.answered(number);
        let text = request.as_ref().and_then(|request| self.told(request, head));
        let text = text.unwrap_or_else(|| "reply".to_owned());
        line(Kind::Answer { ok: true }, text).status("OK").answers(request.map(|request| request.call))
    }

    /// Returns what a reply says of names and their numbers, and learns from it.
    fn told(&mut self, request: &Request, head: &[u8]) -> Option<String> {
        match request.call.method.as_str() {
            "InternAtom" => match self.order.word(head, 8)? {
                0 => Some("no such atom".to_owned()),
                atom => Some(format!("atom {atom}")),
            },
            "GetAtomName" => {
                let len = usize::from(self.order.half(head, 8)?);
                Some(shown(head.get(32..32 + len)?))
            }
            "QueryExtension" => {
                let [is_present, major, first_event, first_error] = *head.get(8..)?.first_chunk()?;
                if is_present == 0 {
                    return Some("not present".to_owned());
                }
                let name = request.argument.clone().unwrap_or_default();
                let known = names::named(name.as_bytes()).ok_or(name);
                if major >= EXTENSIONS {
                    self.extensions.insert(major, Numbered { known, first_event, first_error });
                }
                Some(format!("extension {major}, events from {first_event}, errors from {first_error}"))
            }
            _ => None,
        }
    }
}

const SETUP: &str = "connection setup";

/// Returns whether another reply to the same request follows.
fn goes_on(method: &str, detail: u8) -> bool {
    match method {
        LIST_FONTS_WITH_INFO => detail != 0,
        ENABLE_RECORDING => detail != END_OF_RECORDING,
        _ => false,
    }
}

fn shown(text: &[u8]) -> String {
    line::shown(text, TEXT_MAX)
}

#[cfg(test)]
mod secret_tests;
#[cfg(test)]
mod tests;
