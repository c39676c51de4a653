//! From the pieces of a connection to calls, answers and messages. Pure.
//!
//! Each protocol is a file with a type that implements [`Decode`]. The first bytes decide which; a
//! gap ends a decoder, unless it knows that it is inside a body.

pub(crate) mod dbus;
mod http1;
mod notify;
mod postgres;
mod redact;
mod resp;
mod syslog;
mod text;

use stoop_bpf::SocketKind;

use crate::follow::{Piece, Side, What};
pub use redact::{mask, redact};

/// How many bytes of an incomplete message are kept. Longer ones are not decoded.
const INCOMPLETE_MAX: usize = 1 << 20;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// The protocol of Redis.
    Redis,
    /// The protocol of PostgreSQL, version 3.
    Postgres,
    /// D-Bus.
    Dbus,
    /// Log messages with a priority, as `/dev/log` takes them.
    Syslog,
    /// Assignments, as `sd_notify` and journald take them.
    Notify,
    /// Text.
    Text,
    /// Anything else.
    Bytes,
}

impl Protocol {
    /// Returns a short name.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Http1 => "http",
            Protocol::Redis => "redis",
            Protocol::Postgres => "postgresql",
            Protocol::Dbus => "dbus",
            Protocol::Syslog => "syslog",
            Protocol::Notify => "notify",
            Protocol::Text => "text",
            Protocol::Bytes => "bytes",
        }
    }
}

/// What a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A call, to which an answer is expected.
    Call,
    /// An answer, and whether it is a success.
    Answer {
        /// Whether the protocol calls it a success.
        ok: bool,
    },
    /// A message that is neither.
    Message,
}

/// A decoded message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Line {
    /// When its last byte was received.
    pub time_ns: u64,
    /// The end that sent it.
    pub from: Side,
    /// The protocol.
    pub protocol: Protocol,
    /// What it is.
    pub kind: Kind,
    /// What was called, for grouping: a method without its parameters. Also that of an answer's
    /// call, if known.
    pub method: Option<String>,
    /// A description in one line, as sent: not safe to print.
    pub text: Vec<u8>,
    /// For an answer: the time since its call.
    pub latency_ns: Option<u64>,
    /// The length of the message in bytes, if known.
    pub len: Option<u64>,
    /// The number of file descriptors that came with it.
    pub fds: u16,
}

impl Line {
    /// Creates a message that is neither call nor answer.
    pub fn message(time_ns: u64, from: Side, protocol: Protocol, text: impl Into<Vec<u8>>) -> Line {
        Line::new(time_ns, from, protocol, Kind::Message, text)
    }

    fn new(time_ns: u64, from: Side, protocol: Protocol, kind: Kind, text: impl Into<Vec<u8>>) -> Line {
        let text = text.into();
        Line { time_ns, from, protocol, kind, method: None, text, latency_ns: None, len: None, fds: 0 }
    }

    /// Adds what the answer's call was, and how long ago.
    fn answers(mut self, call: Option<Call>) -> Line {
        if let Some(call) = call {
            self.latency_ns = Some(self.time_ns.saturating_sub(call.time_ns));
            self.method = Some(call.method);
        }
        self
    }

    fn called(mut self, method: impl Into<String>) -> Line {
        self.method = Some(method.into());
        self
    }

    fn len(mut self, len: u64) -> Line {
        self.len = Some(len);
        self
    }
}

/// A call without an answer so far.
#[derive(Clone, Debug)]
struct Call {
    time_ns: u64,
    method: String,
}

/// A decoder of one protocol.
trait Decode: std::fmt::Debug + Send {
    /// Returns the protocol.
    fn protocol(&self) -> Protocol;

    /// Takes bytes that one end sent. Returns `false` if they are not of this protocol.
    fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], lines: &mut Vec<Line>) -> bool;

    /// Skips bytes that were not captured. Returns `false` if the decoder cannot go on behind them.
    fn gap(&mut self, _from: Side, _len: u64) -> bool {
        false
    }

    /// The end has sent everything.
    fn end(&mut self, _from: Side, _time_ns: u64, _lines: &mut Vec<Line>) {}
}

/// The decoders of one connection.
///
/// # Examples
///
/// ```
/// use stoop_tap::{Dialogue, Kind, Side, SocketKind};
///
/// let mut dialogue = Dialogue::new(SocketKind::STREAM);
/// let mut lines = dialogue.data(Side::First, 1_000, b"GET /info HTTP/1.1\r\nHost: x\r\n\r\n", 0);
/// lines.extend(dialogue.data(Side::Second, 4_000, b"HTTP/1.1 204 No Content\r\n\r\n", 0));
/// assert_eq!(lines[0].text, b"GET /info");
/// assert_eq!((lines[1].kind, lines[1].latency_ns), (Kind::Answer { ok: true }, Some(3_000)));
/// ```
#[derive(Debug)]
pub struct Dialogue {
    kind: SocketKind,
    decoder: Option<Box<dyn Decode>>,
}

impl Dialogue {
    /// Creates a decoder for a connection of sockets of this type.
    pub fn new(kind: SocketKind) -> Dialogue {
        Dialogue { kind, decoder: None }
    }

    /// Returns the protocol of what was decoded last, if anything was.
    pub fn protocol(&self) -> Option<Protocol> {
        self.decoder.as_ref().map(|decoder| decoder.protocol())
    }

    /// Decodes a piece of the connection.
    pub fn piece(&mut self, piece: &Piece) -> Vec<Line> {
        let mut lines = Vec::new();
        match &piece.what {
            What::Data(data) => {
                lines = self.data(piece.from, piece.time_ns, &data.bytes, data.fds);
                let missing = u64::from(data.len).saturating_sub(data.bytes.len() as u64);
                self.gap(piece.from, missing);
            }
            What::Missed(len) => self.gap(piece.from, *len),
            What::Lost(_) => self.decoder = None,
            What::End | What::Error(_) => {
                if let Some(decoder) = &mut self.decoder {
                    decoder.end(piece.from, piece.time_ns, &mut lines);
                }
            }
            What::Connect { .. } => {}
        }
        lines
    }

    /// Decodes bytes that one end sent.
    pub fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], fds: u16) -> Vec<Line> {
        let mut lines = Vec::new();
        let is_packets = self.kind != SocketKind::STREAM;
        let mut decoder =
            self.decoder.take().filter(|_| !is_packets).unwrap_or_else(|| sniff(bytes, is_packets));
        if !decoder.data(from, time_ns, bytes, &mut lines) {
            decoder = Box::new(text::Text);
            decoder.data(from, time_ns, bytes, &mut lines);
        }
        self.decoder = Some(decoder);
        if let Some(line) = lines.first_mut() {
            line.fds = fds;
        }
        lines
    }

    fn gap(&mut self, from: Side, len: u64) {
        if len > 0 && !self.decoder.as_mut().is_some_and(|decoder| decoder.gap(from, len)) {
            self.decoder = None;
        }
    }
}

/// Chooses a decoder by the first bytes.
fn sniff(bytes: &[u8], is_packet: bool) -> Box<dyn Decode> {
    if is_packet {
        return match bytes {
            _ if syslog::begins(bytes) => Box::new(syslog::Syslog),
            _ if notify::begins(bytes) => Box::new(notify::Notify),
            _ => Box::new(text::Text),
        };
    }
    match bytes {
        _ if http1::begins(bytes) => Box::new(http1::Http1::default()),
        _ if resp::begins(bytes) => Box::new(resp::Resp::default()),
        _ if postgres::begins(bytes) => Box::new(postgres::Postgres::default()),
        _ if dbus::begins(bytes) => Box::new(dbus::Dbus::default()),
        _ if syslog::begins(bytes) => Box::new(syslog::Syslog),
        _ => Box::new(text::Text),
    }
}

/// Returns the first `max` bytes, and whether that is not all.
fn shortened(bytes: &[u8], max: usize) -> Vec<u8> {
    match bytes.get(..max).filter(|_| bytes.len() > max) {
        None => bytes.to_vec(),
        Some(begin) => {
            // Not inside a character.
            let end = (0..4).map(|back| max - back).find(|at| bytes[*at] & 0xc0 != 0x80).unwrap_or(max);
            let mut text = begin[..end].to_vec();
            text.extend("…".as_bytes());
            text
        }
    }
}

#[cfg(test)]
mod tests;
