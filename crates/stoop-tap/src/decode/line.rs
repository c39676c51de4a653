//! What decoders return, and what they have in common. Pure.

use crate::follow::Side;
use crate::passed::Passed;

/// How many bytes of an incomplete message are kept. Longer ones are not decoded.
pub(super) const INCOMPLETE_MAX: usize = 1 << 20;

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Protocol {
    /// HTTP/1.0 and HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// gRPC.
    Grpc,
    /// ttrpc, between containerd and its shims.
    Ttrpc,
    /// varlink.
    Varlink,
    /// JSON-RPC, and so the language server protocol.
    JsonRpc,
    /// The protocol of MySQL and MariaDB.
    Mysql,
    /// FastCGI.
    FastCgi,
    /// uwsgi, the protocol of uWSGI.
    Uwsgi,
    /// The protocol of Redis.
    Redis,
    /// The protocol of PostgreSQL, version 3.
    Postgres,
    /// D-Bus.
    Dbus,
    /// Wayland.
    Wayland,
    /// X11.
    X11,
    /// Assuan, between the programs of GnuPG.
    Assuan,
    /// The protocol of SSH agents.
    SshAgent,
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
            Protocol::Grpc => "grpc",
            Protocol::Ttrpc => "ttrpc",
            Protocol::Varlink => "varlink",
            Protocol::JsonRpc => "json-rpc",
            Protocol::Mysql => "mysql",
            Protocol::FastCgi => "fastcgi",
            Protocol::Uwsgi => "uwsgi",
            Protocol::Redis => "redis",
            Protocol::Postgres => "postgresql",
            Protocol::Dbus => "dbus",
            Protocol::Wayland => "wayland",
            Protocol::X11 => "x11",
            Protocol::Assuan => "assuan",
            Protocol::SshAgent => "ssh-agent",
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
    /// For an answer: its status as the protocol spells it, such as `404` or `NOT_FOUND`; if the
    /// protocol has none, `None`.
    pub status: Option<String>,
    /// A message of the call. A body of HTTP is a line of its own, without text.
    pub message: Option<Message>,
    /// For an answer: the time since its call.
    pub latency_ns: Option<u64>,
    /// The length of the message in bytes, if known.
    pub len: Option<u64>,
    /// The number of file descriptors that came with it.
    pub fds: u16,
    /// What the first of these are, as far as that is known.
    pub files: Vec<Passed>,
    /// How many the message has by its protocol, if that is known. If it is unknown, they are
    /// those that came with its begin.
    pub(super) own_fds: Option<u16>,
    /// Whether its begin waited in the queue when the capture began, so that its time is not that
    /// of its reception.
    pub is_unread: bool,
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
        Line {
            time_ns,
            from,
            protocol,
            kind,
            method: None,
            text,
            status: None,
            message: None,
            latency_ns: None,
            len: None,
            fds: 0,
            files: Vec::new(),
            own_fds: None,
            is_unread: false,
        }
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

    pub(super) fn status(mut self, status: impl Into<String>) -> Line {
        self.status = Some(status.into());
        self
    }

    pub(super) fn with_fds(mut self, fds: Option<u16>) -> Line {
        self.own_fds = fds;
        self
    }

    pub(super) fn len(mut self, len: u64) -> Line {
        self.len = Some(len);
        self
    }
}

/// What a [`Message`] is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// Protobuf: a message of gRPC or ttrpc.
    #[default]
    Protobuf,
    /// JSON: a body of HTTP.
    Json,
}

/// A message that belongs to a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// What it is written in.
    pub format: Format,
    /// The method that it belongs to, as in [`Line::method`]. That of gRPC and ttrpc is
    /// `/package.Service/Method`, if it is known.
    pub method: String,
    /// Whether the server sent it.
    pub is_response: bool,
    /// Its bytes. Fewer than `len` if it is long, or was not captured as a whole.
    pub bytes: Vec<u8>,
    /// Its length.
    pub len: u64,
    /// The name of its compression, if it is compressed; empty if that is unknown.
    pub encoding: Option<String>,
    is_lost: bool,
}

impl Message {
    pub(super) fn new(len: u64, is_compressed: bool) -> Message {
        Message { len, encoding: is_compressed.then(String::new), ..Message::default() }
    }

    /// A body of HTTP.
    pub(super) fn json(method: &str, is_response: bool) -> Message {
        Message { format: Format::Json, method: method.to_owned(), is_response, ..Message::default() }
    }

    /// Some bytes were not captured: the others are worth nothing.
    pub(super) fn lose(&mut self) {
        self.is_lost = true;
        self.bytes = Vec::new();
    }

    pub(super) fn is_intact(&self) -> bool {
        !self.is_lost
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

    /// Any bytes may be missing from here on. Returns `false` if the decoder cannot go on.
    fn lost(&mut self) -> bool {
        false
    }

    /// Returns whether bytes are held back because the next ones may change what they mean.
    fn is_waiting(&self) -> bool {
        false
    }

    /// Decodes what is held back as it is.
    fn release(&mut self, _lines: &mut Vec<Line>) {}

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

/// Returns the same as text.
pub(super) fn shown(text: &[u8], max: usize) -> String {
    String::from_utf8_lossy(&shortened(text, max)).into_owned()
}
