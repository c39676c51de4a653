//! Records a peer's first bytes. Errors of HTTP libraries do not contain them, and only they show
//! what a server speaks that does not speak HTTP. Nothing beyond them is recorded, and the stream
//! is not changed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;

/// How many bytes are recorded: enough for the start of a line.
const PREFIX_MAX_BYTES: usize = 96;

#[derive(Debug, Default)]
struct Recorded {
    bytes: Vec<u8>,
    has_ended: bool,
}

/// A handle to a peer's first bytes.
#[derive(Clone, Debug)]
pub struct Opening(watch::Receiver<Recorded>);

impl Opening {
    /// Returns the first bytes received so far; empty if there are none.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    /// Waits for the first bytes. They are empty if the connection ended without any.
    pub async fn wait(&mut self) -> Vec<u8> {
        // An error means that the stream was dropped, and no more bytes will be recorded.
        let _ = self.0.wait_for(|recorded| recorded.has_ended || !recorded.bytes.is_empty()).await;
        self.bytes()
    }
}

/// A stream whose first bytes are recorded in an [`Opening`].
#[derive(Debug)]
pub struct RecordPrefix<S> {
    stream: S,
    max_bytes: usize,
    /// `None` once nothing more is to be recorded.
    recorder: Option<watch::Sender<Recorded>>,
}

impl<S> RecordPrefix<S> {
    /// Wraps a stream from which nothing has been read.
    pub fn new(stream: S) -> (RecordPrefix<S>, Opening) {
        RecordPrefix::up_to(PREFIX_MAX_BYTES, stream)
    }

    /// Wraps a stream from which nothing has been read, to record this number of bytes.
    pub(crate) fn up_to(max_bytes: usize, stream: S) -> (RecordPrefix<S>, Opening) {
        let (recorder, recorded) = watch::channel(Recorded::default());
        (RecordPrefix { stream, max_bytes, recorder: Some(recorder) }, Opening(recorded))
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
        {
            let mut is_all = false;
            recorder
                .send_modify(|recorded| is_all = recorded.push(&buffer.filled()[before..], self.max_bytes));
            if is_all {
                self.recorder = None;
            }
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
}
