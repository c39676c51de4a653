//! Chooses a decoder by the first bytes.

use std::sync::Arc;

use super::known::{self, Place, Schemas, Shows};
use super::line::{Decode, Line, Protocol};
use super::methods::Methods;
use super::unseen::Unseen;
use super::{notify, syslog, text};
use crate::follow::Side;

/// A decoder that is chosen by the first bytes. While no other protocol is recognized, bytes are
/// text, and the next ones may show what it is.
#[derive(Debug, Default)]
pub(super) struct Sniffed {
    decoder: Option<Box<dyn Decode>>,
    schemas: Schemas,
    /// Whether it decodes what follows an upgrade. Then there is no other one.
    is_upgraded: bool,
    /// What may go on with something that was not seen.
    unseen: Unseen,
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

impl Sniffed {
    pub(super) fn new(schemas: Schemas) -> Sniffed {
        Sniffed { schemas, ..Sniffed::default() }
    }

    pub(super) fn with_methods(self, methods: Arc<dyn Methods>) -> Sniffed {
        Sniffed { schemas: Some(methods), ..self }
    }

    pub(super) fn joined(self) -> Sniffed {
        Sniffed { unseen: Unseen::joined(), ..self }
    }

    pub(super) fn served(self, protocol: Protocol, server: Side) -> Sniffed {
        match known::served(protocol).filter(|_| self.unseen.is_joined()) {
            Some(served) => Sniffed { decoder: Some((served.decoder)(server)), ..self },
            None => self,
        }
    }

    /// Creates what decodes the bytes behind an upgrade.
    fn upgraded(schemas: &Schemas) -> Box<dyn Decode> {
        Box::new(Sniffed { is_upgraded: true, ..Sniffed::new(schemas.clone()) })
    }

    /// Returns the protocol that was chosen last. While bytes wait, it is the first one that they
    /// may begin.
    pub(super) fn chosen(&self) -> Option<Protocol> {
        let guess = || known::guess(&self.begin(self.waiting.first()?.from), self.place());
        self.decoder.as_ref().map(|decoder| decoder.protocol()).or_else(guess)
    }

    /// Goes on where any bytes may be missing, of either end.
    pub(super) fn lost(&mut self) {
        if !self.decoder.as_mut().is_some_and(|decoder| decoder.lost()) {
            self.forget();
        }
    }

    /// Chooses again by the next bytes.
    fn forget(&mut self) {
        if self.decoder.as_ref().is_some_and(|decoder| decoder.protocol() != Protocol::Text) {
            self.unseen = Unseen::joined();
        }
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

    fn stream(&self, bytes: &[u8]) -> Box<dyn Decode> {
        match known::find(bytes, self.place()) {
            Some(known) => (known.decoder)(&self.schemas, Sniffed::upgraded),
            None => Box::new(text::Text),
        }
    }

    fn place(&self) -> Place {
        Place { is_upgraded: self.is_upgraded, is_joined: self.unseen.is_joined() }
    }

    fn begin(&self, from: Side) -> Vec<u8> {
        let mine = self.waiting.iter().filter(|waiting| waiting.from == from);
        mine.flat_map(|waiting| &waiting.bytes[..]).copied().collect()
    }

    /// Takes a part of the begin of a direction.
    fn first(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) {
        self.waiting.push(Waiting { from, time_ns, bytes: bytes.to_vec() });
        match known::begin(&self.begin(from), self.place()) {
            Shows::TooShort(_) => return,
            Shows::Protocol(known) => self.decoder = Some((known.decoder)(&self.schemas, Sniffed::upgraded)),
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
        if decoder.protocol() != Protocol::Text {
            self.unseen = Unseen::default();
        } else if self.unseen.take(from, bytes) > 0 {
            let text = "joined in the middle: not shown";
            let line = Line::message(time_ns, from, Protocol::Bytes, text);
            lines.push(line.len(bytes.len() as u64));
            self.decoder = Some(decoder);
            return;
        }
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
