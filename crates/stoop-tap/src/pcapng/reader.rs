//! Reading back.

use std::collections::VecDeque;
use std::io::{self, Read};

use stoop_bpf::End;

use super::SECTION;
use super::block;
use super::contents::Contents;
use super::label::Label;
#[cfg(doc)]
use crate::follow::What;
use crate::follow::{Flow, FlowId, Piece};

/// Reads a file that [`Writer`](super::Writer) has written: an iterator over its pieces.
///
/// Packets of other programs are read, too, if they are TCP or UDP over IPv4 on the link type
/// `RAW`; everything else is counted. [`Piece::time_ns`] is the time since 1970. The pieces end at
/// the first block that is not whole; [`Reader::tail`] then returns how the file ends.
///
/// # Examples
///
/// ```
/// use stoop_tap::pcapng::{Label, Reader, Writer};
/// use stoop_tap::{Data, Protocol, Side, SocketKind};
///
/// let (mut writer, end) = (Writer::new("example"), Label::default());
/// writer.open(1, SocketKind::STREAM, Protocol::Text, [&end, &end], 5_000);
/// writer.data(1, Side::First, 6_000, &Data::new(b"hello".to_vec()));
/// let file = writer.take();
///
/// let mut reader = Reader::new(&file[..])?;
/// let piece = reader.next().expect("a piece")?;
/// assert_eq!((piece.flow, piece.time_ns), (1, 6_000));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    offset: u64,
    tail: Option<Tail>,
    body: Vec<u8>,
    file: Contents,
    ready: VecDeque<Piece>,
}

/// How a file ends. Offsets are where the last whole block ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tail {
    /// With a whole block.
    Whole,
    /// Within a block: it is still being written, or was cut off.
    Incomplete {
        /// The offset of the block, in bytes.
        offset: u64,
    },
    /// With something that is not a block.
    Damaged {
        /// Its offset, in bytes.
        offset: u64,
    },
}

impl<R: Read> Reader<R> {
    /// Begins to read.
    ///
    /// # Errors
    /// Returns an error of kind `InvalidData` if it does not begin as a pcapng file, and any error
    /// of reading.
    pub fn new(from: R) -> io::Result<Reader<R>> {
        let mut reader = Reader {
            from,
            offset: 0,
            tail: None,
            body: Vec::new(),
            file: Contents::default(),
            ready: VecDeque::new(),
        };
        match reader.block()? {
            Ok(SECTION) => {
                reader.file.block(SECTION, &reader.body, &mut reader.ready);
                Ok(reader)
            }
            _ => Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "not a pcapng file: it begins with no section",
            )),
        }
    }

    /// Returns how the file ends, after the last piece was read.
    pub fn tail(&self) -> Option<Tail> {
        self.tail
    }

    /// Returns how many packets and other blocks were left out, because they are of no known form.
    pub fn skipped(&self) -> u64 {
        self.file.skipped()
    }

    /// Returns a connection.
    pub fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.file.flow(id)
    }

    /// Returns what is known of an end, or of a listener: of [`Flow::ends`] or [`What::Connect`].
    pub fn label(&self, end: End) -> Option<&Label> {
        self.file.label(end)
    }

    /// Reads a block into `body`, without its frame, and returns its type.
    fn block(&mut self) -> io::Result<Result<u32, Tail>> {
        let offset = self.offset;
        self.body.clear();
        (&mut self.from).take(12).read_to_end(&mut self.body)?;
        let first = match self.body.first_chunk::<12>() {
            Some(first) => *first,
            None if self.body.is_empty() => return Ok(Err(Tail::Whole)),
            None => return Ok(Err(Tail::Incomplete { offset })),
        };
        let Some((kind, len, order)) = block::begin(first, self.file.order()) else {
            return Ok(Err(Tail::Damaged { offset }));
        };
        self.body.drain(..8);
        // Grows with what is there, not with what a damaged length promises.
        (&mut self.from).take(len as u64 - 12).read_to_end(&mut self.body)?;
        if self.body.len() < len - 8 {
            return Ok(Err(Tail::Incomplete { offset }));
        }
        let trailer = self.body.split_off(len - 12);
        if trailer.try_into().map(|word| order.u32(word) as usize) != Ok(len) {
            return Ok(Err(Tail::Damaged { offset }));
        }
        self.file.set_order(order);
        self.offset += len as u64;
        Ok(Ok(kind))
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = io::Result<Piece>;

    fn next(&mut self) -> Option<io::Result<Piece>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(Ok(piece));
            }
            if self.tail.is_some() {
                return None;
            }
            match self.block() {
                Ok(Ok(kind)) => self.file.block(kind, &self.body, &mut self.ready),
                Ok(Err(tail)) => self.tail = Some(tail),
                Err(error) => {
                    self.tail = Some(Tail::Incomplete { offset: self.offset });
                    return Some(Err(error));
                }
            }
        }
    }
}
