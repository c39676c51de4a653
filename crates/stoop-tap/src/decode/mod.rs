//! From the pieces of a connection to calls, answers and messages. Pure.
//!
//! Each protocol is a file with a type that implements [`Decode`]. The first bytes decide which; a
//! gap ends a decoder, unless it knows that it is inside a body.

mod assuan;
pub(crate) mod dbus;
mod fastcgi;
mod framed;
mod grpc;
mod hpack;
mod http1;
mod http2;
mod json;
mod jsonrpc;
mod known;
mod line;
mod mask;
mod methods;
mod mysql;
mod notify;
mod partial;
mod postgres;
mod protobuf;
mod redact;
mod resp;
mod secrets;
mod sniff;
mod ssh_agent;
mod syslog;
mod text;
mod ttrpc;
mod unseen;
mod uwsgi;
mod varlink;
mod wayland;
mod x11;

use std::sync::Arc;

use stoop_bpf::SocketKind;

use crate::follow::{Piece, Side, What};
use crate::passed::Passed;
use line::Decode;
pub use line::{Format, Kind, Line, Message, Protocol};
pub use mask::Masker;
pub use methods::{Field, Fields, Methods};
pub use redact::{mask, redact};
use sniff::Sniffed;

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
    decoder: Sniffed,
    /// The file descriptors of each direction that belong to the next line.
    fds: [u16; 2],
    files: [Vec<Passed>; 2],
    is_unread: [bool; 2],
}

impl Dialogue {
    /// Creates a decoder for a connection of sockets of this type.
    pub fn new(kind: SocketKind) -> Dialogue {
        Dialogue {
            kind,
            decoder: Sniffed::new(None),
            fds: [0; 2],
            files: Default::default(),
            is_unread: [false; 2],
        }
    }

    /// Uses what is known of the methods of gRPC: then the answer of a method that has one message
    /// is one line with its status.
    #[must_use]
    pub fn with_methods(self, methods: Arc<dyn Methods>) -> Dialogue {
        Dialogue { decoder: self.decoder.with_methods(methods), ..self }
    }

    /// Expects that the connection is older than the capture. Its first bytes may then be the rest
    /// of something that was not seen, such as compressed headers with credentials. Until they show
    /// a protocol, or are text, they are not shown.
    #[must_use]
    pub fn joined(self) -> Dialogue {
        Dialogue { decoder: self.decoder.joined(), ..self }
    }

    /// Says of which protocol that end is a server, by its address for example. If the connection
    /// is older than the capture, messages of X11 and Wayland are then found in the middle of it;
    /// of other protocols, nothing changes.
    #[must_use]
    pub fn served(self, protocol: Protocol, server: Side) -> Dialogue {
        Dialogue { decoder: self.decoder.served(protocol, server), ..self }
    }

    /// Returns the protocol of what was decoded last, if anything was. Of bytes that are too few to
    /// tell, it is one that they may begin.
    pub fn protocol(&self) -> Option<Protocol> {
        self.decoder.chosen()
    }

    /// Decodes a piece of the connection.
    pub fn piece(&mut self, piece: &Piece) -> Vec<Line> {
        let mut lines = Vec::new();
        match &piece.what {
            What::Data(data) => {
                self.is_unread[piece.from.index()] |= data.is_unread;
                self.files[piece.from.index()].extend(data.files.iter().cloned());
                lines = self.data(piece.from, piece.time_ns, &data.bytes, data.fds);
                let missing = u64::from(data.len).saturating_sub(data.bytes.len() as u64);
                lines.extend(self.gap(piece.from, missing));
            }
            What::Missed(len) => lines = self.gap(piece.from, *len),
            What::Lost(_) => {
                lines = self.release();
                self.decoder.lost();
            }
            What::End | What::Error(_) => self.decoder.end(piece.from, piece.time_ns, &mut lines),
            What::Connect { .. } => {}
        }
        lines
    }

    /// Decodes bytes that one end sent.
    pub fn data(&mut self, from: Side, time_ns: u64, bytes: &[u8], fds: u16) -> Vec<Line> {
        let mut lines = Vec::new();
        if self.kind == SocketKind::STREAM {
            self.decoder.data(from, time_ns, bytes, &mut lines);
        } else {
            self.decoder.packet(from, time_ns, bytes, &mut lines);
        }
        self.fds[from.index()] = self.fds[from.index()].saturating_add(fds);
        self.attach(&mut lines);
        lines
    }

    /// Returns whether bytes are held back, because the next ones may change what they mean: those
    /// that begin a connection and are too few to show its protocol, for example.
    pub fn is_waiting(&self) -> bool {
        self.decoder.is_waiting()
    }

    /// Decodes what is held back as it is.
    pub fn release(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        self.decoder.release(&mut lines);
        self.attach(&mut lines);
        lines
    }

    /// Adds to the line of a message what came with its begin. File descriptors come with the
    /// message that has them, or before it.
    fn attach(&mut self, lines: &mut [Line]) {
        for from in [Side::First, Side::Second] {
            let is_unread = self.is_unread[from.index()];
            lines.iter_mut().filter(|line| line.from == from).for_each(|line| line.is_unread = is_unread);
            let (fds, files) = (&mut self.fds[from.index()], &mut self.files[from.index()]);
            for line in lines.iter_mut().filter(|line| line.from == from) {
                self.is_unread[from.index()] = false;
                let own = line.own_fds.unwrap_or(*fds).min(*fds);
                line.fds = own;
                line.files = files.drain(..files.len().min(own.into())).collect();
                *fds -= own;
            }
        }
    }

    fn gap(&mut self, from: Side, len: u64) -> Vec<Line> {
        let lines = if len > 0 { self.release() } else { Vec::new() };
        if len > 0 {
            self.decoder.gap(from, len);
        }
        lines
    }
}

#[cfg(test)]
mod cuts;
#[cfg(test)]
mod tests;
