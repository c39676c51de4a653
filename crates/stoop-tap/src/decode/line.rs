//! What decoders return, and what they have in common. Pure.

use crate::follow::Side;

/// How many bytes of an incomplete message are kept. Longer ones are not decoded.
pub(super) const INCOMPLETE_MAX: usize = 1 << 20;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2, without the contents of its headers.
    Http2,
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
            Protocol::Http2 => "http2",
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

    pub(super) fn new(
        time_ns: u64,
        from: Side,
        protocol: Protocol,
        kind: Kind,
        text: impl Into<Vec<u8>>,
    ) -> Line {
        let text = text.into();
        Line { time_ns, from, protocol, kind, method: None, text, latency_ns: None, len: None, fds: 0 }
    }

    /// Adds what the answer's call was, and how long ago.
    pub(super) fn answers(mut self, call: Option<Call>) -> Line {
        if let Some(call) = call {
            self.latency_ns = Some(self.time_ns.saturating_sub(call.time_ns));
            self.method = Some(call.method);
        }
        self
    }

    pub(super) fn called(mut self, method: impl Into<String>) -> Line {
        self.method = Some(method.into());
        self
    }

    pub(super) fn len(mut self, len: u64) -> Line {
        self.len = Some(len);
        self
    }
}

/// A call without an answer so far.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) time_ns: u64,
    pub(super) method: String,
}

/// A decoder of one protocol.
pub(super) trait Decode: std::fmt::Debug + Send {
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

/// Returns the first `max` bytes, and whether that is not all.
pub(super) fn shortened(bytes: &[u8], max: usize) -> Vec<u8> {
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
