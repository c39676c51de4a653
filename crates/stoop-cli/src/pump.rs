//! Copies pieces (bytes or messages) from a source to a sink until the end: the loop behind an echo
//! and behind both directions of a conversation.
//!
//! Nothing is truncated, merged or dropped: each piece is passed to the sink completely before the
//! next one is requested.

use std::io::{BufRead, BufReader, IoSlice, IoSliceMut, Read};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use stoop::internal::{Connection, Socket};
use stoop::{Allow, DESCRIPTORS_MAX, Outgoing, SocketExt};

use crate::failure::Failure;

/// How many bytes of a stream are read at a time.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// Accepts file descriptors received with data, to close them: refusing them would lose the bytes
/// they came with.
pub(crate) const DISCARD_DESCRIPTORS: Allow = Allow::descriptors(DESCRIPTORS_MAX);

/// A source of pieces.
pub(crate) trait Source {
    /// Returns the next piece, or `None` at the end.
    fn next(&mut self) -> Result<Option<&[u8]>, Failure>;
}

/// A destination of pieces.
pub(crate) trait Sink {
    /// Writes a whole piece.
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure>;

    /// Writes what was held back, after the last piece.
    fn finish(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// How a pump ended.
#[derive(Debug)]
pub(crate) enum End {
    /// The source reached its end.
    Finished,
    /// The source failed.
    Source(Failure),
    /// The sink failed. The piece it was given is lost.
    Sink(Failure),
}

impl End {
    /// Returns the failure, on either side.
    pub(crate) fn failure(self) -> Option<Failure> {
        match self {
            End::Finished => None,
            End::Source(failure) | End::Sink(failure) => Some(failure),
        }
    }
}

/// The progress of a pump, visible to other threads.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pieces: AtomicU64,
    waits: AtomicBool,
}

impl Progress {
    /// Returns the number of pieces the sink has accepted.
    pub(crate) fn pieces(&self) -> u64 {
        self.pieces.load(Ordering::Acquire)
    }

    /// Returns whether the pump is waiting for the source, and holds no piece.
    pub(crate) fn waits_for_source(&self) -> bool {
        self.waits.load(Ordering::Acquire)
    }

    fn took_one(&self) {
        self.pieces.fetch_add(1, Ordering::Release);
    }
}

/// Copies pieces until the source ends or one side fails.
pub(crate) fn pump(source: &mut dyn Source, sink: &mut dyn Sink, progress: &Progress) -> End {
    loop {
        progress.waits.store(true, Ordering::Release);
        let next = source.next();
        progress.waits.store(false, Ordering::Release);
        let piece = match next {
            Ok(Some(piece)) => piece,
            Ok(None) => return End::Finished,
            Err(failure) => return End::Source(failure),
        };
        if let Err(failure) = sink.put(piece) {
            return End::Sink(failure);
        }
        progress.took_one();
    }
}

/// A source that reads from a connection: bytes, or whole messages of any length.
#[derive(Debug)]
pub(crate) struct Receiver<'a> {
    connection: &'a Connection,
    buffer: Vec<u8>,
}

impl<'a> Receiver<'a> {
    pub(crate) fn new(connection: &'a Connection) -> Receiver<'a> {
        Receiver { connection, buffer: Vec::new() }
    }
}

impl Source for Receiver<'_> {
    fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        Ok(receive(self.connection, &mut self.buffer)?)
    }
}

/// Receives a piece: bytes into the buffer, or a whole message in its place. Returns `None` at the
/// end.
pub(crate) fn receive<'a>(
    connection: &Connection,
    buffer: &'a mut Vec<u8>,
) -> stoop::Result<Option<&'a [u8]>> {
    match connection {
        Connection::Stream(stream) => {
            buffer.resize(PIECE_BYTES, 0);
            let received = stream.recv_with(&mut [IoSliceMut::new(buffer)], DISCARD_DESCRIPTORS)?;
            Ok((received.len > 0).then(|| &buffer[..received.len]))
        }
        Connection::SeqPacket(socket) => {
            let (message, received) = socket.recv_vec_with(DISCARD_DESCRIPTORS)?;
            *buffer = message;
            Ok((!received.is_end()).then_some(buffer))
        }
        Connection::Datagram(socket) => {
            *buffer = socket.recv_vec_with(DISCARD_DESCRIPTORS)?.0;
            Ok(Some(buffer))
        }
    }
}

/// A sink that writes to a connection: bytes, or each piece as one message.
#[derive(Debug)]
pub(crate) struct Sender<'a>(pub(crate) &'a Connection);

impl Sink for Sender<'_> {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        let mut sent_bytes = send(self.0, piece)?;
        while sent_bytes < piece.len() {
            sent_bytes += send(self.0, &piece[sent_bytes..])?;
        }
        Ok(())
    }
}

/// Sends the beginning of a piece of a stream, or a whole message. Returns the number of bytes
/// sent.
pub(crate) fn send(connection: &Connection, piece: &[u8]) -> stoop::Result<usize> {
    let nothing_else = Outgoing::new();
    match connection {
        Connection::Stream(_) if piece.is_empty() => {}
        Connection::Stream(stream) => return stream.send_with(&[IoSlice::new(piece)], &nothing_else),
        // Not through `send`, which rejects the empty message: here it is passed on.
        Connection::SeqPacket(socket) if piece.is_empty() => {
            socket.send_with(&[IoSlice::new(piece)], &nothing_else)?;
        }
        Connection::SeqPacket(socket) => send_growing(socket.as_ref(), piece.len(), || socket.send(piece))?,
        Connection::Datagram(socket) => {
            send_growing(socket.as_ref(), piece.len(), || socket.send(piece).map(drop))?
        }
    }
    Ok(piece.len())
}

/// Sends a message. If it is too large for the send buffer, tries once more with the buffer
/// enlarged as far as needed and permitted.
pub(crate) fn send_growing(
    socket: &Socket,
    len_bytes: usize,
    send: impl Fn() -> stoop::Result<()>,
) -> stoop::Result<()> {
    match send() {
        Err(error) if error.kind() == stoop::ErrorKind::MessageTooLarge => {
            // The kernel doubles the number, which leaves space for what it adds to each message.
            socket.set_send_buffer_bytes(len_bytes)?;
            send()
        }
        result => result,
    }
}

/// Returns the socket of a connection.
pub(crate) fn socket(connection: &Connection) -> &Socket {
    match connection {
        Connection::Stream(stream) => stream.as_ref(),
        Connection::SeqPacket(socket) => socket.as_ref(),
        Connection::Datagram(socket) => socket.as_ref(),
    }
}

/// Shuts down one direction of a connection, or both. A datagram socket cannot signal its end. That
/// the peer has closed already is not an error.
pub(crate) fn shut(connection: &Connection, how: Shutdown) {
    let _ = match connection {
        Connection::Stream(stream) => stream.shutdown(how),
        Connection::SeqPacket(socket) => socket.shutdown(how),
        Connection::Datagram(_) => Ok(()),
    };
}

/// Returns a connection's file descriptor, to be polled.
pub(crate) fn descriptor(connection: &Connection) -> BorrowedFd<'_> {
    socket(connection).as_fd()
}

/// How input is split into pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Split {
    /// As it arrives.
    AsRead,
    /// After each newline, which belongs to the piece before it.
    Lines,
    /// Not at all: one piece, even if it is empty.
    Whole,
}

/// An input: a file, a pipe or a terminal.
#[derive(Debug)]
pub(crate) struct Input<R> {
    reader: BufReader<R>,
    split: Split,
    piece: Vec<u8>,
    done: bool,
    /// Its name in error messages.
    name: String,
}

impl<R: Read> Input<R> {
    pub(crate) fn new(reader: R, split: Split, name: impl Into<String>) -> Input<R> {
        let reader = BufReader::with_capacity(PIECE_BYTES, reader);
        Input { reader, split, piece: Vec::new(), done: false, name: name.into() }
    }

    fn read(&mut self) -> std::io::Result<bool> {
        self.piece.clear();
        match self.split {
            Split::AsRead => {
                let bytes = loop {
                    match self.reader.fill_buf() {
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        result => break result?,
                    }
                };
                self.piece.extend_from_slice(bytes);
                let len = self.piece.len();
                self.reader.consume(len);
                Ok(len > 0)
            }
            Split::Lines => Ok(self.reader.read_until(b'\n', &mut self.piece)? > 0),
            Split::Whole => {
                self.reader.read_to_end(&mut self.piece)?;
                Ok(!std::mem::replace(&mut self.done, true))
            }
        }
    }
}

impl<R: Read> Source for Input<R> {
    fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        match self.read() {
            Ok(more) => Ok(more.then_some(&self.piece)),
            Err(error) => Err(Failure::io(format!("read {}", self.name), &error)),
        }
    }
}

/// A sink that discards everything.
#[derive(Debug)]
pub(crate) struct Discard;

impl Sink for Discard {
    fn put(&mut self, _: &[u8]) -> Result<(), Failure> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use stoop::{SeqPacket, Stream};
    use stoop_testkit::deadline;

    fn pieces(bytes: &[u8], split: Split) -> Vec<Vec<u8>> {
        let mut input = Input::new(bytes, split, "test");
        std::iter::from_fn(|| input.next().unwrap().map(<[u8]>::to_vec)).collect()
    }

    #[test]
    fn inputs_are_split() {
        assert_eq!(pieces(b"a\nbb\n\nc", Split::Lines), [&b"a\n"[..], b"bb\n", b"\n", b"c"]);
        assert_eq!(pieces(b"a\nb", Split::Whole), [b"a\nb"]);
        assert_eq!(pieces(b"", Split::Whole), [b""]);
        assert_eq!(pieces(b"", Split::Lines), [] as [&[u8]; 0]);
        assert_eq!(pieces(b"a\nb", Split::AsRead).concat(), b"a\nb");
    }

    #[test]
    fn a_stream_is_copied_unchanged() {
        deadline(Duration::from_secs(20), || {
            let (one, other) = Stream::pair().unwrap();
            let (one, other) = (Connection::Stream(one), Connection::Stream(other));
            let bytes: Vec<u8> = (0..3_000_000u32).map(|number| (number % 251) as u8).collect();
            let mut heard = Heard(Vec::new());
            let (sent, received) = (Progress::default(), Progress::default());
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    let mut input = Input::new(&bytes[..], Split::AsRead, "test");
                    assert!(matches!(pump(&mut input, &mut Sender(&one), &sent), End::Finished));
                    shut(&one, Shutdown::Write);
                });
                let end = pump(&mut Receiver::new(&other), &mut heard, &received);
                assert!(matches!(end, End::Finished));
            });
            assert!(heard.0 == bytes);
            assert!(sent.pieces() > 0 && received.pieces() > 0);
        });
    }

    #[test]
    fn packets_keep_their_boundaries_even_if_empty() {
        let (one, other) = SeqPacket::pair().unwrap();
        other.set_pass_credentials(true).unwrap();
        let (one, other) = (Connection::SeqPacket(one), Connection::SeqPacket(other));
        let large = vec![7; 300_000];
        for message in [&b"a"[..], b"", &large] {
            Sender(&one).put(message).unwrap();
            let mut receiver = Receiver::new(&other);
            assert_eq!(receiver.next().unwrap(), Some(message));
        }
        drop(one);
        assert_eq!(Receiver::new(&other).next().unwrap(), None);
    }

    struct Heard(Vec<u8>);

    impl Sink for Heard {
        fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
            self.0.extend_from_slice(piece);
            Ok(())
        }
    }
}
