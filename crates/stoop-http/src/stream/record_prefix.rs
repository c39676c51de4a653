//! Records a peer's first bytes. Errors of HTTP libraries do not contain them, and only they show
//! what a server speaks that does not speak HTTP. Nothing beyond them is recorded, and the stream
//! is not changed.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;

/// How many bytes are recorded: enough for the start of a line.
const PREFIX_MAX_BYTES: usize = 96;

#[derive(Debug, Default)]
struct Recorded {
    bytes: Vec<u8>,
    /// Whether nothing more is recorded.
    has_ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    recorded: Mutex<Recorded>,
    progress: Notify,
}

impl Shared {
    fn recorded(&self) -> MutexGuard<'_, Recorded> {
        self.recorded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle to a peer's first bytes.
#[derive(Clone, Debug)]
pub struct Opening(Arc<Shared>);

impl Opening {
    /// Returns the first bytes received so far; empty if there are none.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.recorded().bytes.clone()
    }

    /// Waits for the first bytes. They are empty if the connection ended without any.
    pub async fn wait(&mut self) -> Vec<u8> {
        loop {
            // It is notified from here on, even before it is polled.
            let progress = self.0.progress.notified();
            {
                let recorded = self.0.recorded();
                if recorded.has_ended || !recorded.bytes.is_empty() {
                    return recorded.bytes.clone();
                }
            }
            progress.await;
        }
    }
}

/// The other end of an [`Opening`], which waits no longer when this is dropped.
#[derive(Debug)]
struct Recorder(Arc<Shared>);

impl Recorder {
    /// Records bytes, and returns whether recording is complete.
    fn push(&self, new: &[u8], max_bytes: usize) -> bool {
        let is_complete = self.0.recorded().push(new, max_bytes);
        self.0.progress.notify_waiters();
        is_complete
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.0.recorded().has_ended = true;
        self.0.progress.notify_waiters();
    }
}

/// A stream whose first bytes are recorded in an [`Opening`].
#[derive(Debug)]
pub struct RecordPrefix<S> {
    stream: S,
    max_bytes: usize,
    /// `None` once nothing more is to be recorded.
    recorder: Option<Recorder>,
}

impl<S> RecordPrefix<S> {
    /// Wraps a stream from which nothing has been read.
    pub fn new(stream: S) -> (RecordPrefix<S>, Opening) {
        RecordPrefix::up_to(PREFIX_MAX_BYTES, stream)
    }

    /// Wraps a stream from which nothing has been read, to record this number of bytes.
    pub(crate) fn up_to(max_bytes: usize, stream: S) -> (RecordPrefix<S>, Opening) {
        let shared = Arc::<Shared>::default();
        let opening = Opening(shared.clone());
        (RecordPrefix { stream, max_bytes, recorder: Some(Recorder(shared)) }, opening)
    }

    /// Returns the stream.
    pub fn into_inner(self) -> S {
        self.stream
    }
}

impl Recorded {
    /// Records bytes, and returns whether recording is complete.
    fn push(&mut self, new: &[u8], max_bytes: usize) -> bool {
        let room = max_bytes - self.bytes.len();
        self.bytes.extend_from_slice(&new[..new.len().min(room)]);
        self.has_ended |= new.is_empty();
        self.has_ended || self.bytes.len() == max_bytes
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for RecordPrefix<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, has_room) = (buffer.filled().len(), buffer.remaining() > 0);
        let result = Pin::new(&mut self.stream).poll_read(cx, buffer);
        // With an empty buffer, a read of 0 bytes does not mean the end of the stream.
        if has_room
            && result.is_ready()
            && let Some(recorder) = &self.recorder
            && recorder.push(&buffer.filled()[before..], self.max_bytes)
        {
            self.recorder = None;
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for RecordPrefix<S> {
    write_within!(stream);
    flush_within!(stream);
    shutdown_within!(stream);
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;

    #[tokio::test(flavor = "current_thread")]
    async fn an_empty_read_buffer_is_not_eof() {
        let (mut server, client) = duplex(100);
        let (mut client, opening) = RecordPrefix::new(client);
        server.write_all(b"SSH-2.0").await.unwrap();
        assert_eq!(client.read(&mut []).await.unwrap(), 0);
        client.read_exact(&mut [0; 7]).await.unwrap();
        assert_eq!(opening.bytes(), b"SSH-2.0");
    }

    #[tokio::test(flavor = "current_thread")]
    async fn the_opening_is_awaited_until_the_stream_is_dropped() {
        let (mut server, client) = duplex(100);
        let (mut client, mut opening) = RecordPrefix::new(client);
        let mut other = opening.clone();
        let (seen, ()) = tokio::join!(opening.wait(), async {
            server.write_all(b"220 mail").await.unwrap();
            client.read_exact(&mut [0; 8]).await.unwrap();
        });
        assert_eq!((seen, other.wait().await), (b"220 mail".to_vec(), b"220 mail".to_vec()));
        let (client, mut silent) = RecordPrefix::new(duplex(100).0);
        let (seen, ()) = tokio::join!(silent.wait(), async { drop(client) });
        assert_eq!(seen, b"");
    }
}
