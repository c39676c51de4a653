//! Chooses a decoder by the first bytes.

use std::sync::Arc;

use super::line::{Decode, Line, Protocol};
use super::methods::Methods;
use super::{
    dbus, fastcgi, http1, http2, jsonrpc, mysql, notify, postgres, resp, syslog, text, ttrpc, varlink,
    wayland,
};
use crate::follow::Side;

/// How many bytes of a begin may wait until they show the protocol.
const WAITING_MAX: usize = 4096;

/// A protocol, and how it is recognized.
struct Known {
    protocol: Protocol,
    /// Returns whether the bytes begin it.
    begins: fn(&[u8]) -> bool,
    /// Returns whether they may be the begin of it, and are too few to tell.
    may_begin: fn(&[u8]) -> bool,
    create: fn(&Sniffed) -> Box<dyn Decode>,
}

/// Declares a protocol by its module.
macro_rules! known {
    ($protocol:ident, $module:ident, $create:expr) => {
        Known {
            protocol: Protocol::$protocol,
            begins: $module::begins,
            may_begin: $module::may_begin,
            create: $create,
        }
    };
}

/// In the order in which they are asked.
const KNOWN: [Known; 12] = [
    known!(Http1, http1, |sniffed| {
        let upgraded = Sniffed { is_upgraded: true, ..Sniffed::new(sniffed.methods.clone()) };
        Box::new(http1::Http1::new(Box::new(upgraded)))
    }),
    known!(Redis, resp, |_| Box::new(resp::Resp::default())),
    known!(Postgres, postgres, |_| Box::new(postgres::Postgres::default())),
    known!(Dbus, dbus, |_| Box::new(dbus::Dbus::default())),
    known!(Syslog, syslog, |_| Box::new(syslog::Syslog::default())),
    known!(Varlink, varlink, |_| Box::new(varlink::Varlink::default())),
    known!(JsonRpc, jsonrpc, |_| Box::new(jsonrpc::JsonRpc::default())),
    known!(Mysql, mysql, |_| Box::new(mysql::Mysql::default())),
    known!(FastCgi, fastcgi, |_| Box::new(fastcgi::FastCgi::default())),
    known!(Wayland, wayland, |_| Box::new(wayland::Wayland::default())),
    known!(Ttrpc, ttrpc, |_| Box::new(ttrpc::Ttrpc::default())),
    known!(Http2, http2, |sniffed| Box::new(http2::Http2::new(sniffed.methods.clone()))),
];

/// A decoder that is chosen by the first bytes. While no other protocol is recognized, bytes are
/// text, and the next ones may show what it is.
#[derive(Debug, Default)]
pub(super) struct Sniffed {
    decoder: Option<Box<dyn Decode>>,
    methods: Option<Arc<dyn Methods>>,
    /// Whether it decodes what follows an upgrade. Then there is no other one.
    is_upgraded: bool,
    /// The directions whose begin is over.
    is_begun: [bool; 2],
    /// The begins of directions, while they do not show the protocol.
    waiting: Vec<Waiting>,
}

/// Bytes that do not show their protocol so far.
#[derive(Debug)]
struct Waiting {
    from: Side,
    time_ns: u64,
    bytes: Vec<u8>,
}

/// What the begin of a direction shows.
#[derive(Debug, PartialEq, Eq)]
enum Shows {
    Protocol,
    Nothing,
    TooShort,
}

impl Sniffed {
    pub(super) fn new(methods: Option<Arc<dyn Methods>>) -> Sniffed {
        Sniffed { methods, ..Sniffed::default() }
    }

    /// Returns the protocol that was chosen last. While bytes wait, it is the first one that they
    /// may begin.
    pub(super) fn chosen(&self) -> Option<Protocol> {
        let guess = || {
            let begin = self.begin(self.waiting.first()?.from);
            let named = self.known().find(|known| (known.begins)(&begin));
            named.or_else(|| self.known().find(|known| (known.may_begin)(&begin))).map(|known| known.protocol)
        };
        self.decoder.as_ref().map(|decoder| decoder.protocol()).or_else(guess)
    }

    /// Chooses again by the next bytes.
    pub(super) fn forget(&mut self) {
        (self.decoder, self.is_begun) = (None, [true; 2]);
    }

    /// Decodes a message of a socket that keeps boundaries.
    pub(super) fn packet(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) {
        let mut decoder: Box<dyn Decode> = match bytes {
            _ if syslog::begins(bytes) => Box::new(syslog::Syslog::default()),
            _ if notify::begins(bytes) => Box::new(notify::Notify),
            _ => Box::new(text::Text),
        };
        decoder.data(from, time_ns, bytes, lines);
        decoder.release(lines);
        self.decoder = Some(decoder);
    }

    fn known(&self) -> impl Iterator<Item = &'static Known> {
        KNOWN.iter().skip(usize::from(self.is_upgraded))
    }

    fn stream(&self, bytes: &[u8]) -> Box<dyn Decode> {
        match self.known().find(|known| (known.begins)(bytes)) {
            Some(known) => (known.create)(self),
            None if http2::is_joined(bytes) => Box::new(http2::Http2::new(self.methods.clone())),
            None => Box::new(text::Text),
        }
    }

    fn begin(&self, from: Side) -> Vec<u8> {
        let mine = self.waiting.iter().filter(|waiting| waiting.from == from);
        mine.flat_map(|waiting| &waiting.bytes[..]).copied().collect()
    }

    fn shows(&self, begin: &[u8]) -> Shows {
        for known in self.known() {
            if (known.may_begin)(begin) && begin.len() < WAITING_MAX {
                return Shows::TooShort;
            }
            if (known.begins)(begin) {
                return Shows::Protocol;
            }
        }
        Shows::Nothing
    }

    /// Takes a part of the begin of a direction.
    fn first(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) {
        self.waiting.push(Waiting { from, time_ns, bytes: bytes.to_vec() });
        let begin = self.begin(from);
        match self.shows(&begin) {
            Shows::TooShort => return,
            Shows::Protocol => self.decoder = Some(self.stream(&begin)),
            Shows::Nothing => {}
        }
        self.decode_waiting(lines);
    }

    /// Decodes what has waited, in order.
    fn decode_waiting(&mut self, lines: &mut Vec<Line>) {
        self.is_begun = [true; 2];
        for waiting in std::mem::take(&mut self.waiting) {
            self.next(waiting.from, waiting.time_ns, &waiting.bytes, lines);
        }
    }

    fn next(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) {
        let known = self.decoder.take().filter(|decoder| decoder.protocol() != Protocol::Text);
        let mut decoder = known.unwrap_or_else(|| self.stream(bytes));
        let shown = lines.len();
        if !decoder.data(from, time_ns, bytes, lines) {
            decoder = Box::new(text::Text);
            // What was decoded of it is not shown again.
            if lines.len() == shown {
                decoder.data(from, time_ns, bytes, lines);
            }
        }
        self.decoder = Some(decoder);
    }
}

impl Decode for Sniffed {
    fn protocol(&self) -> Protocol {
        self.chosen().unwrap_or(Protocol::Bytes)
    }

    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool {
        let is_unknown = self.decoder.as_ref().is_none_or(|decoder| decoder.protocol() == Protocol::Text);
        if is_unknown && !self.is_begun[from.index()] {
            self.first(from, time_ns, bytes, lines);
        } else {
            self.decode_waiting(lines);
            self.next(from, time_ns, bytes, lines);
        }
        true
    }

    fn gap(&mut self, from: Side, len: u64) -> bool {
        let goes_on = self.decoder.as_mut().is_some_and(|decoder| decoder.gap(from, len));
        if !goes_on {
            self.forget();
        }
        // What follows shows what it is.
        true
    }

    fn end(&mut self, from: Side, time_ns: u64, lines: &mut Vec<Line>) {
        self.release(lines);
        if let Some(decoder) = &mut self.decoder {
            decoder.end(from, time_ns, lines);
        }
    }

    fn is_waiting(&self) -> bool {
        !self.waiting.is_empty() || self.decoder.as_ref().is_some_and(|decoder| decoder.is_waiting())
    }

    fn release(&mut self, lines: &mut Vec<Line>) {
        if !self.waiting.is_empty() {
            self.decode_waiting(lines);
        }
        if let Some(decoder) = &mut self.decoder {
            decoder.release(lines);
        }
    }
}
