//! The body of a request: texts and files in sequence, read while they are sent.
//!
//! A thread reads at most a few pieces ahead: reading keeps pace with the server, and memory use is
//! bounded.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use stoop::escaped;
use tokio::sync::mpsc;

use crate::failure::Failure;

/// How many bytes are read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// How many pieces may wait to be sent.
const PIECES_AHEAD: usize = 2;

/// The body to send, which can be sent again if all of its files are regular files.
#[derive(Debug, Default)]
pub(super) struct RequestBody {
    pub(super) parts: Vec<Part>,
    /// The content type it appears to have.
    pub(super) content_type: Option<String>,
}

/// A part of a body.
#[derive(Debug)]
pub(super) enum Part {
    Text(Bytes),
    File(FilePart),
}

/// A file that was opened. A regular file is sent from its position to its end.
#[derive(Debug)]
pub(super) struct FilePart {
    file: File,
    /// The position and the length of a regular file.
    range: Option<(u64, u64)>,
}

impl FilePart {
    /// Opens a file, or standard input for `-`.
    pub(super) fn named(path: &OsStr) -> Result<FilePart, Failure> {
        if path == "-" { FilePart::stdin() } else { FilePart::open(Path::new(path)) }
    }

    /// Opens a file. Rejects a directory, which can be opened but not read: this is detected before
    /// a request is sent.
    fn open(path: &Path) -> Result<FilePart, Failure> {
        let name = escaped(path.as_os_str().as_bytes()).to_string();
        let open = || {
            let file = File::open(path)?;
            if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
        };
        Ok(FilePart::new(open().map_err(|error: io::Error| Failure::io(format!("open '{name}'"), &error))?))
    }

    /// Returns standard input.
    fn stdin() -> Result<FilePart, Failure> {
        let input = rustix::io::dup(io::stdin());
        input
            .map(|input| FilePart::new(File::from(input)))
            .map_err(|error| Failure::io("read standard input", &error.into()))
    }

    fn new(mut file: File) -> FilePart {
        // Only a regular file has a known length, and its position may not be at the start.
        let regular = file.metadata().ok().filter(std::fs::Metadata::is_file);
        let range = regular.and_then(|found| {
            let start = file.stream_position().ok()?;
            Some((start, found.len().saturating_sub(start)))
        });
        FilePart { file, range }
    }

    /// Returns a reader of it, independent of others if it is a regular file.
    fn reader(&self) -> io::Result<Box<dyn Read + Send>> {
        let file = self.file.try_clone()?;
        Ok(match self.range {
            None => Box::new(file),
            Some((start, len)) => Box::new(ReadAt { file, at: start, end: start + len }),
        })
    }

    /// Reads it whole.
    pub(super) fn read(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.reader()?.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Reads a part of a file, and leaves its position alone.
struct ReadAt {
    file: File,
    at: u64,
    end: u64,
}

impl Read for ReadAt {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(buffer.len());
        let len = self.file.read_at(&mut buffer[..left], self.at)?;
        self.at += len as u64;
        Ok(len)
    }
}

impl Part {
    fn len_bytes(&self) -> Option<u64> {
        match self {
            Part::Text(text) => Some(text.len() as u64),
            Part::File(file) => file.range.map(|(_, len)| len),
        }
    }
}

impl RequestBody {
    /// Returns a body without a content type.
    pub(super) fn of(parts: Vec<Part>) -> RequestBody {
        RequestBody { parts, content_type: None }
    }

    /// Returns its length, if it is known.
    pub(super) fn len_bytes(&self) -> Option<u64> {
        self.parts.iter().map(Part::len_bytes).sum()
    }

    /// Returns whether it can be sent more than once.
    pub(super) fn is_repeatable(&self) -> bool {
        self.len_bytes().is_some()
    }

    /// Starts to read it.
    pub(super) fn stream(&self) -> io::Result<BodyStream> {
        let left_bytes = self.len_bytes();
        if let [] | [Part::Text(_)] = self.parts[..] {
            let text = self.parts.first().map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::File(_) => unreachable!("matched above"),
            });
            return Ok(BodyStream { pieces: Pieces::One(text.filter(|text| !text.is_empty())), left_bytes });
        }
        let mut all: Box<dyn Read + Send> = Box::new(io::empty());
        for part in &self.parts {
            all = match part {
                Part::Text(text) => Box::new(all.chain(io::Cursor::new(text.clone()))),
                Part::File(file) => Box::new(all.chain(file.reader()?)),
            };
        }
        let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
        // Reading a terminal or a pipe may block indefinitely, so this thread is never joined.
        std::thread::spawn(move || read(all, &sender));
        Ok(BodyStream { pieces: Pieces::Read(receiver), left_bytes })
    }
}

fn read(mut from: impl Read, to: &mpsc::Sender<io::Result<Bytes>>) {
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let piece = match from.read(&mut piece) {
            Ok(0) => return,
            Ok(len) => {
                piece.truncate(len);
                Ok(Bytes::from(piece))
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(error),
        };
        let failed = piece.is_err();
        if to.blocking_send(piece).is_err() || failed {
            return;
        }
    }
}

/// A body that is being sent.
pub(super) struct BodyStream {
    pieces: Pieces,
    left_bytes: Option<u64>,
}

enum Pieces {
    One(Option<Bytes>),
    Read(mpsc::Receiver<io::Result<Bytes>>),
}

impl Body for BodyStream {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = match &mut self.pieces {
            Pieces::One(piece) => piece.take().map(Ok),
            Pieces::Read(receiver) => ready!(receiver.poll_recv(cx)),
        };
        if let (Some(Ok(piece)), Some(left)) = (&piece, &mut self.left_bytes) {
            *left = left.saturating_sub(piece.len() as u64);
        }
        if piece.is_none() && self.left_bytes.is_some_and(|left| left > 0) {
            let error =
                io::Error::new(io::ErrorKind::UnexpectedEof, "the file was truncated while it was sent");
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left_bytes == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left_bytes.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
