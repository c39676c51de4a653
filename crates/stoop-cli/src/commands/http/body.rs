//! The body of a request: given as text, or read from a file or standard input while it is sent.
//!
//! A thread reads at most a few pieces ahead: reading keeps pace with the server, and memory use is
//! bounded.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use stoop::escaped;
use tokio::sync::mpsc;

use crate::args::Http;
use crate::failure::Failure;

/// How many bytes are read at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// How many pieces may wait to be sent.
const PIECES_AHEAD: usize = 2;

/// The body to send.
pub(super) enum RequestBody {
    Nothing,
    Text(Bytes),
    File { file: File, left_bytes: Option<u64>, json: bool },
}

impl RequestBody {
    /// Opens what the flags name.
    pub(super) fn open(flags: &Http) -> Result<RequestBody, Failure> {
        let Some(data) = &flags.data else { return Ok(RequestBody::Nothing) };
        match data.as_bytes().strip_prefix(b"@") {
            None => Ok(RequestBody::Text(Bytes::copy_from_slice(data.as_bytes()))),
            Some(b"-") => {
                let input = rustix::io::dup(io::stdin());
                Ok(RequestBody::file(
                    File::from(input.map_err(|error| Failure::io("read standard input", &error.into()))?),
                    false,
                ))
            }
            Some(path) => {
                let path = Path::new(OsStr::from_bytes(path));
                let name = escaped(path.as_os_str().as_bytes()).to_string();
                let file = open(path).map_err(|error| Failure::io(format!("open '{name}'"), &error))?;
                Ok(RequestBody::file(file, path.extension().is_some_and(|end| end == "json")))
            }
        }
    }

    fn file(mut file: File, json: bool) -> RequestBody {
        // Only a regular file has a known length, and its position may not be at the start.
        let regular = file.metadata().ok().filter(std::fs::Metadata::is_file);
        let left_bytes =
            regular.and_then(|file_at| Some(file_at.len().saturating_sub(file.stream_position().ok()?)));
        RequestBody::File { file, left_bytes, json }
    }

    /// Returns the content type it appears to have.
    pub(super) fn content_type(&self) -> Option<&'static str> {
        let json = match self {
            RequestBody::Nothing => return None,
            RequestBody::Text(text) => serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok(),
            RequestBody::File { json, .. } => *json,
        };
        Some(if json { "application/json" } else { "application/octet-stream" })
    }

    /// Starts to read it.
    pub(super) fn into_body(self) -> BodyStream {
        match self {
            RequestBody::Nothing => BodyStream { pieces: Pieces::One(None), left_bytes: Some(0) },
            RequestBody::Text(text) => {
                BodyStream { left_bytes: Some(text.len() as u64), pieces: Pieces::One(Some(text)) }
            }
            RequestBody::File { file, left_bytes, .. } => {
                let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
                // Reading a terminal or a pipe may block indefinitely, so this thread is never
                // joined.
                std::thread::spawn(move || read(file.take(left_bytes.unwrap_or(u64::MAX)), &sender));
                BodyStream { pieces: Pieces::Read(receiver), left_bytes }
            }
        }
    }
}

/// Opens a file, and rejects a directory, which can be opened but not read. This is detected before
/// a request is sent.
fn open(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if file.metadata()?.is_dir() { Err(io::ErrorKind::IsADirectory.into()) } else { Ok(file) }
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
