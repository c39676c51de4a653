//! Messages from a descriptor.

use std::fmt;
use std::io::{IoSliceMut, Read};
use std::os::fd::{AsFd, OwnedFd};

use super::beside::Beside;
use super::codec::Codec;
use super::decoder::{Begun, Decoder, Span};
use super::error::FrameError;
use super::native::Native;
use crate::error::{Error, Operation, Result};
use crate::message::Allow;
use crate::socket::retry;
use crate::sys;

/// Takes messages from a stream: many with one system call, each lent out of the buffer it was
/// received in.
///
/// Works on anything that reads: a [`Stream`](crate::Stream), a `&Stream` while a
/// [`FrameWriter`](super::FrameWriter) has the other direction, a pipe, a TCP connection. It reads
/// ahead: what is in its buffer is nowhere else, so give the stream to one reader only.
///
/// The buffer begins as large as one read and grows for a longer message, up to the limit; beyond 2
/// MiB it is given back once short messages follow.
///
/// On a non-blocking stream, and when a read timeout runs out, a call fails with
/// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock); what has come by then is kept, and the
/// next call goes on from there. `EINTR` is retried.
///
/// A [`FrameError`] lasts: the same error comes from every later call.
///
/// ```
/// use std::io::Write;
/// use stoop::Stream;
/// use stoop::frame::{FrameReader, Lines};
///
/// let (mut one, other) = Stream::pair()?;
/// one.write_all(b"a line\nanother\n")?;
/// drop(one);
/// let mut reader = FrameReader::new(other, Lines).max_bytes(80);
/// while let Some(line) = reader.next()? {
///     assert!(line.len() < 80);
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct FrameReader<R, C = Native> {
    io: R,
    decoder: Decoder<C>,
    beside: Beside<OwnedFd>,
    /// The message that comes next was being read into a caller's buffer when no more came: it is
    /// gathered here instead.
    gathers: bool,
}

impl<R: Read, C: Codec> FrameReader<R, C> {
    /// Reads messages from `io`. Allocates nothing before the first of them.
    pub fn new(io: R, codec: C) -> FrameReader<R, C> {
        FrameReader { io, decoder: Decoder::new(codec), beside: Beside::default(), gathers: false }
    }

    /// The longest message to take, in bytes; [`DEFAULT_MAX_BYTES`](super::DEFAULT_MAX_BYTES)
    /// unless told otherwise.
    pub fn max_bytes(mut self, max_bytes: usize) -> FrameReader<R, C> {
        self.decoder = self.decoder.max_bytes(max_bytes);
        self
    }

    /// How much to read at once, in bytes: 64 KiB unless told otherwise, 64 at least. A message of
    /// a quarter of this or more is read for itself, to the start of a page.
    pub fn read_bytes(mut self, read_bytes: usize) -> FrameReader<R, C> {
        self.decoder = self.decoder.read_bytes(read_bytes);
        self
    }

    /// The next message, lent until the next call; `None` where the stream ends behind a whole
    /// message. Reads only when no whole message is buffered, and waits on a blocking stream.
    ///
    /// # Errors
    /// Those of a [`FrameError`]: [`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge)
    /// where a length is beyond the limit, [`ErrorKind::PeerGone`](crate::ErrorKind::PeerGone)
    /// where the stream ends inside a frame,
    /// [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) for bytes of another framing,
    /// [`ErrorKind::SurplusDescriptors`](crate::ErrorKind::SurplusDescriptors) for a message with
    /// descriptors ([`FrameReader::next_with_descriptors`] takes them). Besides,
    /// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock) and whatever reading fails with.
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "it lends its buffer, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            match self.decoder.advance() {
                Ok(Some(span)) if span.descriptors == 0 => return Ok(Some(self.decoder.message(&span))),
                Ok(Some(span)) => return self.refuse(span.descriptors),
                Ok(None) => {}
                Err(error) => return Err(receiving(error)),
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// The next message if it is buffered whole; `None` otherwise. Never reads: when it gives
    /// `None`, a server has answered all there was, and it is time to flush.
    ///
    /// # Errors
    /// Those of a [`FrameError`], as [`FrameReader::next`].
    pub fn next_buffered(&mut self) -> Result<Option<&[u8]>> {
        match self.decoder.advance().map_err(receiving)? {
            Some(span) if span.descriptors == 0 => Ok(Some(self.decoder.message(&span))),
            Some(span) => self.refuse(span.descriptors),
            None => Ok(None),
        }
    }

    /// The length of the next message in bytes, which stays where it is; `None` at the end. Waits
    /// for its header (of a line: for the line) on a blocking stream.
    ///
    /// # Errors
    /// As [`FrameReader::next`].
    pub fn next_len(&mut self) -> Result<Option<usize>> {
        Ok(self.begun()?.map(|begun| begun.len_bytes))
    }

    /// Puts the next message into `buffer`, and returns its length; `None` at the end. What is not
    /// buffered already is read straight into `buffer`: fastest where that is a
    /// [`PageBuffer`](super::PageBuffer).
    ///
    /// # Errors
    /// As [`FrameReader::next`]; and
    /// [`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge) where the message is
    /// longer than `buffer`: it is still there for the next call, and nothing else is wrong.
    /// After any error the contents of `buffer` mean nothing.
    pub fn read_into(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        loop {
            let Some(begun) = self.begun()? else { return Ok(None) };
            if begun.descriptors != 0 {
                return self.refuse(begun.descriptors);
            }
            let (len_bytes, max_bytes) = (begun.len_bytes, buffer.len());
            let Some(message) = buffer.get_mut(..len_bytes) else {
                let (len_bytes, max_bytes) = (len_bytes as u64, max_bytes as u64);
                return Err(receiving(FrameError::TooLong { len_bytes, max_bytes }));
            };
            if begun.is_whole {
                if let Some(span) = self.decoder.advance().map_err(receiving)? {
                    message.copy_from_slice(self.decoder.message(&span));
                }
                self.gathers = false;
                return Ok(Some(len_bytes));
            }
            if C::TRAILER.is_empty() && !self.gathers {
                return self.read_straight(begun, message);
            }
            self.fill()?;
        }
    }

    /// Reads the rest of a message to where it belongs, with the header of the next one where that
    /// comes along.
    fn read_straight(&mut self, begun: Begun, message: &mut [u8]) -> Result<Option<usize>> {
        let mut filled = self.decoder.lend_message(begun, message);
        loop {
            let (io, room) = (&mut self.io, self.decoder.header_room());
            let rest = &mut message[filled..];
            let rest_bytes = rest.len();
            let read = retry(|| io.read_vectored(&mut [IoSliceMut::new(rest), IoSliceMut::new(room)]));
            match read {
                Ok(count) if count >= rest_bytes => {
                    self.decoder.completed(begun, count - rest_bytes);
                    return Ok(Some(message.len()));
                }
                Ok(0) => {
                    self.decoder.given_back(&message[..filled]);
                    return self.decoder.finish().map_err(receiving).map(|()| None);
                }
                Ok(count) => filled += count,
                Err(cause) => {
                    self.decoder.given_back(&message[..filled]);
                    self.gathers = true;
                    return Err(Error::system(Operation::Receive, cause));
                }
            }
        }
    }

    /// The frame that comes next, as soon as its length is known; `None` at the end.
    fn begun(&mut self) -> Result<Option<Begun>> {
        loop {
            if let Some(begun) = self.decoder.look().map_err(receiving)? {
                return Ok(Some(begun));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads once; `false` at a proper end.
    #[cold]
    fn fill(&mut self) -> Result<bool> {
        let (io, room) = (&mut self.io, self.decoder.room());
        let count = retry(|| io.read(room)).map_err(|cause| Error::system(Operation::Receive, cause))?;
        self.decoder.filled(count);
        if count == 0 {
            self.decoder.finish().map_err(receiving)?;
        }
        Ok(count != 0)
    }

    /// A message with descriptors where none are wanted: a plain read has let the kernel drop them.
    #[cold]
    fn refuse<T>(&mut self, descriptors: u8) -> Result<T> {
        let error = FrameError::SurplusDescriptors { count: descriptors.into(), allowed: 0 };
        self.decoder.fail(error).map_err(receiving)
    }
}

impl<R: Read + AsFd> FrameReader<R, Native> {
    /// The next message with the descriptors that were sent with it, in order and close-on-exec; as
    /// [`FrameReader::next`].
    ///
    /// Call nothing else on a stream on which descriptors travel: the other calls read plainly, and
    /// the kernel drops what comes beside (K-FD-7). At most twice the allowed number is held at
    /// any time.
    ///
    /// # Errors
    /// As [`FrameReader::next`].
    /// [`ErrorKind::SurplusDescriptors`](crate::ErrorKind::SurplusDescriptors) where more come than
    /// allowed, [`ErrorKind::ControlTruncated`](crate::ErrorKind::ControlTruncated) where this
    /// process's table is full, [`ErrorKind::Protocol`](crate::ErrorKind::Protocol) where
    /// descriptors and announcements differ. Each lasts, and every descriptor that has come is
    /// closed.
    ///
    /// ```
    /// use std::os::fd::AsFd;
    /// use stoop::frame::{FrameReader, FrameWriter, Native};
    /// use stoop::{Allow, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// let (pipe, _writer) = std::io::pipe()?;
    /// let mut writer = FrameWriter::new(one, Native);
    /// writer.send(b"no descriptor")?;
    /// writer.send_with_descriptors(b"a pipe", &[pipe.as_fd()])?;
    ///
    /// let mut reader = FrameReader::new(other, Native);
    /// let (message, none) = reader.next_with_descriptors(Allow::descriptors(1))?.unwrap();
    /// assert_eq!((message, none.len()), (&b"no descriptor"[..], 0));
    /// let (message, pipes) = reader.next_with_descriptors(Allow::descriptors(1))?.unwrap();
    /// assert_eq!((message, pipes.len()), (&b"a pipe"[..], 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_with_descriptors(&mut self, allow: Allow) -> Result<Option<(&[u8], Vec<OwnedFd>)>> {
        let claimed = self.claim(allow);
        if self.decoder.failure().is_some() {
            self.beside.clear();
        }
        Ok(claimed?.map(|(span, descriptors)| (self.decoder.message(&span), descriptors)))
    }

    fn claim(&mut self, allow: Allow) -> Result<Option<(Span, Vec<OwnedFd>)>> {
        loop {
            if let Some(span) = self.decoder.advance().map_err(receiving)? {
                let announced = usize::from(span.descriptors);
                let claimed =
                    allow.check(announced).and_then(|()| self.beside.claim(span.position, announced));
                let descriptors = claimed.or_else(|error| self.decoder.fail(error)).map_err(receiving)?;
                return Ok(Some((span, descriptors)));
            }
            if !self.fill_with_descriptors(allow)? {
                return Ok(None);
            }
        }
    }

    fn fill_with_descriptors(&mut self, allow: Allow) -> Result<bool> {
        let from = self.decoder.filled_position();
        let (io, room) = (&self.io, self.decoder.room());
        let arrival = retry(|| sys::receive_message(io.as_fd(), &mut [IoSliceMut::new(room)], 0))
            .map_err(|cause| Error::system(Operation::Receive, cause))?;
        self.decoder.filled(arrival.len);
        let came = arrival.incoming.descriptors;
        let is_cut = arrival.flags & libc::MSG_CTRUNC != 0 || arrival.incoming.malformed;
        let checked = if is_cut { Err(FrameError::CutDescriptors) } else { allow.check(came.len()) };
        let kept = checked.and_then(|()| self.beside.came(from..self.decoder.filled_position(), came));
        kept.or_else(|error| self.decoder.fail(error)).map_err(receiving)?;
        if arrival.len == 0 {
            let stray = !self.beside.is_empty();
            let ended = self.decoder.finish();
            let ended = if stray && ended.is_ok() { self.decoder.fail(self.beside.stray()) } else { ended };
            ended.map_err(receiving)?;
        }
        Ok(arrival.len != 0)
    }
}

impl Allow {
    fn check(self, count: usize) -> std::result::Result<(), FrameError> {
        let allowed = self.most_descriptors();
        if count > allowed { Err(FrameError::SurplusDescriptors { count, allowed }) } else { Ok(()) }
    }
}

impl<R, C: Codec> FrameReader<R, C> {
    /// What made the stream unreadable, if anything has.
    pub fn failure(&self) -> Option<FrameError> {
        self.decoder.failure()
    }

    /// How many bytes are buffered and not part of a message given out.
    pub fn unread_bytes(&self) -> usize {
        self.decoder.unread_bytes()
    }

    /// How large the buffer is now, in bytes.
    pub fn buffer_bytes(&self) -> usize {
        self.decoder.buffer_bytes()
    }

    /// The stream. Reading from it takes bytes away from the messages.
    pub fn get_ref(&self) -> &R {
        &self.io
    }

    /// Gives the stream back. What is buffered is lost: see [`FrameReader::unread_bytes`].
    pub fn into_inner(self) -> R {
        self.io
    }
}

fn receiving(error: FrameError) -> Error {
    error.during(Operation::Receive)
}

impl<R: fmt::Debug, C: fmt::Debug> fmt::Debug for FrameReader<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader")
            .field("io", &self.io)
            .field("decoder", &self.decoder)
            .finish_non_exhaustive()
    }
}
