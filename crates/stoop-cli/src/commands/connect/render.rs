//! Formats what the server sends as JSON lines, with `--json`.

use stoop::Kind;
use stoop::internal::Connection;

use crate::failure::Failure;
use crate::output::{Data, Event, Message, Output, PeerInfo, whole_len};
use crate::pump::{Sink, socket};

/// Prints each message, or each piece of a stream, as an event.
pub(super) struct JsonLines {
    output: Output,
    server: PeerInfo,
    is_stream: bool,
    /// The start of a character of a stream, whose remaining bytes have not arrived yet.
    held: Vec<u8>,
}

impl JsonLines {
    pub(super) fn new(output: Output, connection: &Connection) -> JsonLines {
        let server = PeerInfo::from(&socket(connection).peer());
        JsonLines { output, server, is_stream: connection.kind() == Kind::Stream, held: Vec::new() }
    }

    fn emit(&self, bytes: Vec<u8>) -> Result<(), Failure> {
        let (sender, size) = (self.server.clone(), bytes.len());
        let message = Message { from: None, sender, size, descriptors: Vec::new(), data: Data(bytes) };
        self.output.emit(&Event::Message(message))
    }
}

impl Sink for JsonLines {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if !self.is_stream {
            return self.emit(piece.to_vec());
        }
        self.held.extend_from_slice(piece);
        let rest = self.held.split_off(whole_len(&self.held));
        let bytes = std::mem::replace(&mut self.held, rest);
        if bytes.is_empty() { Ok(()) } else { self.emit(bytes) }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        let held = std::mem::take(&mut self.held);
        if held.is_empty() { Ok(()) } else { self.emit(held) }
    }
}
