//! Frames for tasks: the readers and writers of [`frame`](crate::frame), which wait for readiness
//! instead of blocking. Codecs, buffers and the pairing of file descriptors with frames are the
//! same.

use std::borrow::Borrow;
use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use tokio::io::ReadBuf;

use super::Stream;
use crate::Allow;
use crate::error::Result;
use crate::frame::error::FrameError;
use crate::frame::{Codec, Inbound, Native, Outbound, read_failed};

/// Reads messages from a stream: many with one system call, each lent out of the receive buffer.
///
/// `R` is a [`Stream`], a reference to one, or its read half ([`split`](super::split)). The
/// reader reads ahead, and buffered bytes exist nowhere else. Use only one reader per stream.
///
/// For limits, buffers and errors see the blocking [`FrameReader`](crate::frame::FrameReader). A
/// failure to decode is permanent: every later call returns the same error.
///
/// ```
/// use stoop::aio::{FrameReader, FrameWriter, Stream};
/// use stoop::frame::Lines;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (one, other) = Stream::pair()?;
/// let mut writer = FrameWriter::new(one, Lines);
/// writer.send(b"a line").await?;
/// writer.send(b"another").await?;
/// writer.flush().await?; // both, in one system call
/// drop(writer);
///
/// let mut reader = FrameReader::new(other, Lines).max_bytes(80);
/// assert_eq!(reader.next().await?, Some(&b"a line"[..]));
/// assert_eq!(reader.next().await?, Some(&b"another"[..]));
/// assert_eq!(reader.next().await?, None);
/// # Ok::<(), stoop::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameReader<R, C = Native> {
    stream: R,
    inbound: Inbound<C>,
}

impl<R: Borrow<Stream>, C: Codec> FrameReader<R, C> {
    /// Creates a reader. Memory is allocated with the first message.
    pub fn new(stream: R, codec: C) -> FrameReader<R, C> {
        FrameReader { stream, inbound: Inbound::new(codec) }
    }

    /// Sets the maximum length of a message, in bytes. The default is 16 MiB.
    pub fn max_bytes(mut self, max_bytes: usize) -> FrameReader<R, C> {
        self.inbound.set_max_bytes(max_bytes);
        self
    }

    /// Sets the size of a read, in bytes. The default is 64 KiB; the minimum is 64 bytes.
    pub fn read_bytes(mut self, read_bytes: usize) -> FrameReader<R, C> {
        self.inbound.set_read_bytes(read_bytes);
        self
    }

    /// Returns the next message, lent until the next call, or `None` if the stream ends after a
    /// complete message.
    ///
    /// Reads only if no complete message is buffered.
    ///
    /// # Errors
    /// Returns an error if the stream cannot be read or decoded, or if the message announces file
    /// descriptors. The blocking [`FrameReader::next`](crate::frame::FrameReader::next) lists the
    /// cases.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, no message is lost: what has
    /// been received stays buffered.
    pub async fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            if let Some(span) = self.inbound.next_span()? {
                return Ok(Some(self.inbound.message(&span)));
            }
            if !self.fill().await? {
                return Ok(None);
            }
        }
    }

    /// Returns the next message if it is buffered completely, or `None` otherwise. Never reads.
    ///
    /// When it returns `None`, a server has processed everything it received, and it is time to
    /// flush.
    ///
    /// # Errors
    /// Returns an error if the buffered bytes cannot be decoded.
    pub fn next_buffered(&mut self) -> Result<Option<&[u8]>> {
        let span = self.inbound.next_span()?;
        Ok(span.map(|span| self.inbound.message(&span)))
    }

    /// Reads once. Returns `false` at the end of the stream if that is between two frames.
    async fn fill(&mut self) -> Result<bool> {
        let (stream, mut room) = (self.stream.borrow(), ReadBuf::new(self.inbound.room()));
        // `poll_receive` saves the second call that would find the queue empty.
        poll_fn(|cx| stream.poll_receive(cx, &mut room)).await.map_err(read_failed)?;
        let count = room.filled().len();
        self.inbound.filled(count)
    }

    /// Returns the error that made the stream undecodable, if any.
    #[doc(hidden)]
    pub fn failure(&self) -> Option<FrameError> {
        self.inbound.decoder().failure()
    }

    /// Returns how many bytes are buffered that are not part of a delivered message.
    pub fn unread_bytes(&self) -> usize {
        self.inbound.decoder().unread_bytes()
    }

    /// Returns a reference to the stream. Reading from it removes bytes from the messages.
    pub fn get_ref(&self) -> &R {
        &self.stream
    }

    /// Returns the stream. Buffered bytes are lost; see [`FrameReader::unread_bytes`].
    pub fn into_inner(self) -> R {
        self.stream
    }
}

impl<R: Borrow<Stream>> FrameReader<R, Native> {
    /// Returns the next message with the file descriptors attached to it, in order and
    /// close-on-exec.
    ///
    /// If the stream's policy refuses file descriptors
    /// ([`Policy::refuse_descriptors`](crate::Policy::refuse_descriptors)), none are accepted,
    /// whatever `allow` says. Use only this call on a stream that carries file descriptors: the
    /// other calls use plain reads, with which the kernel discards them ([K-FD-7]).
    ///
    /// # Errors
    /// Returns an error if the stream cannot be read or decoded, or if more file descriptors arrive
    /// than allowed, or others than announced. The blocking
    /// [`FrameReader::next_with_descriptors`](crate::frame::FrameReader::next_with_descriptors)
    /// lists the cases.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, no message and no file
    /// descriptor is lost.
    ///
    /// # Examples
    /// ```
    /// use std::os::fd::AsFd;
    /// use stoop::Allow;
    /// use stoop::aio::{FrameReader, FrameWriter, Stream};
    /// use stoop::frame::Native;
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let (one, other) = Stream::pair()?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let mut writer = FrameWriter::new(one, Native);
    /// writer.send_with_descriptors(b"a pipe", &[pipe.as_fd()]).await?;
    ///
    /// let mut reader = FrameReader::new(other, Native);
    /// let (message, pipes) = reader.next_with_descriptors(Allow::descriptors(1)).await?.unwrap();
    /// assert_eq!((message, pipes.len()), (&b"a pipe"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-FD-7]: crate::kernel_facts#K-FD-7
    pub async fn next_with_descriptors(&mut self, allow: Allow) -> Result<Option<(&[u8], Vec<OwnedFd>)>> {
        let stream = self.stream.borrow();
        let allow = if stream.get_ref().as_ref().accepts_descriptors() { allow } else { Allow::NOTHING };
        loop {
            if let Some((span, descriptors)) = self.inbound.claim(allow)? {
                return Ok(Some((self.inbound.message(&span), descriptors)));
            }
            let inbound = &mut self.inbound;
            let fill = |socket: &crate::Stream| inbound.fill_with_descriptors(socket.as_fd(), allow);
            if !stream.receiving(fill).await? {
                return Ok(None);
            }
        }
    }
}

/// Sends messages on a stream: small ones batched into few system calls, large ones without
/// copying.
///
/// `W` is a [`Stream`], a reference to one, or its write half ([`split`](super::split)).
/// Batching is that of the blocking [`FrameWriter`](crate::frame::FrameWriter): **a message that is
/// not flushed is not sent**. Dropping a writer sends what the peer's queue has room for, and
/// ignores errors.
///
/// ```
/// use stoop::aio::{FrameReader, FrameWriter, Stream};
/// use stoop::frame::Native;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let (one, other) = Stream::pair()?;
/// let sending = tokio::spawn(async move {
///     let mut writer = FrameWriter::new(one, Native);
///     writer.send(&[7; 1 << 20]).await?; // waits for room more than once
///     writer.flush().await
/// });
/// let mut reader = FrameReader::new(other, Native);
/// assert_eq!(reader.next().await?.map(<[u8]>::len), Some(1 << 20));
/// sending.await??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FrameWriter<W: Borrow<Stream>, C: Codec = Native> {
    stream: W,
    outbound: Outbound<C>,
}

impl<W: Borrow<Stream>, C: Codec> FrameWriter<W, C> {
    /// Creates a writer. Memory is allocated with the first message.
    pub fn new(stream: W, codec: C) -> FrameWriter<W, C> {
        FrameWriter { stream, outbound: Outbound::new(codec) }
    }

    /// Sets the maximum length of a message, in bytes. The default is 16 MiB.
    pub fn max_bytes(mut self, max_bytes: usize) -> FrameWriter<W, C> {
        self.outbound.set_max_bytes(max_bytes);
        self
    }

    /// Sets the size of the largest batch, in bytes. The default is 128 KiB; the minimum is 4 KiB.
    pub fn batch_bytes(mut self, batch_bytes: usize) -> FrameWriter<W, C> {
        self.outbound.set_batch_bytes(batch_bytes);
        self
    }

    /// Sends a message: appends it to the batch, or writes it immediately if it is large. Waits for
    /// room if the batch is full.
    ///
    /// When it returns, the message has been accepted: at most its rest is pending, until
    /// [`FrameWriter::flush`].
    ///
    /// # Errors
    /// Returns an error if the message exceeds the limit, if this framing cannot carry it, or if
    /// writing fails. The blocking [`FrameWriter::send`](crate::frame::FrameWriter::send) lists the
    /// cases.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, the message was not accepted,
    /// and the stream is intact.
    pub async fn send(&mut self, message: &[u8]) -> Result<()> {
        let outbound = &mut self.outbound;
        self.stream.borrow().sending(|mut stream| outbound.send(&mut stream, message)).await
    }

    /// Sends all pending bytes, waiting for room.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, the rest stays pending.
    pub async fn flush(&mut self) -> Result<()> {
        let outbound = &mut self.outbound;
        self.stream.borrow().sending(|mut stream| outbound.flush(&mut stream)).await
    }

    /// Flushes if the oldest pending message was sent at least `limit` ago. Returns whether it was.
    ///
    /// # Errors
    /// Returns an error if writing fails.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, the rest stays pending.
    pub async fn flush_if_older(&mut self, limit: Duration) -> Result<bool> {
        let is_due = self.waiting_since().is_some_and(|since| since.elapsed() >= limit);
        if is_due {
            self.flush().await?;
        }
        Ok(is_due)
    }

    /// Returns when the oldest pending message was sent.
    #[doc(hidden)]
    pub fn waiting_since(&self) -> Option<Instant> {
        self.outbound.waiting_since()
    }

    /// Returns how many bytes are pending.
    pub fn pending_bytes(&self) -> usize {
        self.outbound.pending_bytes()
    }

    /// Returns a reference to the stream. Writing to it inserts bytes between the messages.
    pub fn get_ref(&self) -> &W {
        &self.stream
    }
}

impl<W: Borrow<Stream>> FrameWriter<W, Native> {
    /// Sends a message with file descriptors, immediately and after all pending bytes.
    ///
    /// The receiver gets its own copies together with exactly this message
    /// ([`FrameReader::next_with_descriptors`]).
    ///
    /// # Errors
    /// Returns an error if the message or its file descriptors cannot be sent. The blocking
    /// [`FrameWriter::send_with_descriptors`](crate::frame::FrameWriter::send_with_descriptors)
    /// lists the cases.
    ///
    /// # Cancel safety
    /// This method is cancel safe. If dropped before it completes, neither the message nor a file
    /// descriptor was sent.
    pub async fn send_with_descriptors(
        &mut self,
        message: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<()> {
        let outbound = &mut self.outbound;
        let send =
            |mut stream: &crate::Stream| outbound.send_with_descriptors(&mut stream, message, descriptors);
        self.stream.borrow().sending(send).await
    }
}

impl<W: Borrow<Stream>, C: Codec> Drop for FrameWriter<W, C> {
    fn drop(&mut self) {
        // A drop can neither wait nor report errors. Callers that need that flush first.
        let _ = self.outbound.flush(&mut self.stream.borrow().get_ref());
    }
}
