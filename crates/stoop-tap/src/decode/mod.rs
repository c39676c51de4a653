//! From the pieces of a connection to calls, answers and messages. Pure.
//!
//! Each protocol is a file with a type that implements [`Decode`]. The first bytes decide which; a
//! gap ends a decoder, unless it knows that it is inside a body.

pub(crate) mod dbus;
mod http1;
mod http2;
mod line;
mod notify;
mod postgres;
mod redact;
mod resp;
mod syslog;
mod text;

use stoop_bpf::SocketKind;

use crate::follow::{Piece, Side, What};
use line::Decode;
pub use line::{Kind, Line, Protocol};
pub use redact::{mask, redact};

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
        _ if http2::begins(bytes) => Box::new(http2::Http2::default()),
        _ if resp::begins(bytes) => Box::new(resp::Resp::default()),
        _ if postgres::begins(bytes) => Box::new(postgres::Postgres::default()),
        _ if dbus::begins(bytes) => Box::new(dbus::Dbus::default()),
        _ if syslog::begins(bytes) => Box::new(syslog::Syslog),
        _ => Box::new(text::Text),
    }
}

#[cfg(test)]
mod tests;
