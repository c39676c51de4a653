//! Reading messages from a stream.

use std::fmt;
use std::io::{IoSliceMut, Read};
use std::os::fd::OwnedFd;

use super::codec::Codec;
use super::decoder::NextFrame;
use super::descriptor_source::DescriptorSource;
use super::error::FrameError;
use super::inbound::{Inbound, failed, receiving};
use super::native::Native;
use crate::error::Result;
use crate::message::Allow;
use crate::retry::retry;

/// Reads messages from a stream: many with one system call, each lent out of the receive buffer.
///
/// It works with anything that implements [`Read`]: a [`Stream`](crate::Stream), a
/// `&Stream` while a [`FrameWriter`](super::FrameWriter) uses the other direction, a pipe, a TCP
/// connection. The reader reads ahead, and buffered bytes exist nowhere else. Use only one reader
/// per stream.
///
/// The buffer starts at the size of one read and grows, up to the limit, for a longer message.
/// Beyond 2 MiB it is freed once short messages follow.
///
/// If the stream is nonblocking, or a read timeout expires, a call fails with
/// [`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock). The bytes received so far are kept, and
/// the next call continues from there. `EINTR` is retried.
///
/// An error of the framing is permanent: every later call returns the same error.
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
    inbound: Inbound<C>,
    /// A read into the caller's buffer ran out of bytes inside the next message, which is therefore
    /// gathered in the decoder's buffer instead.
    gathers: bool,
}

impl<R: Read, C: Codec> FrameReader<R, C> {
    /// Creates a reader. Memory is allocated with the first message.
    pub fn new(io: R, codec: C) -> FrameReader<R, C> {
        FrameReader { io, inbound: Inbound::new(codec), gathers: false }
    }

    /// Sets the maximum length of a message, in bytes. The default is 16 MiB.
    ///
    /// ```
    /// use stoop::frame::{FrameReader, FrameWriter, Native};
    /// use stoop::{ErrorKind, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// FrameWriter::new(one, Native).send(&[0; 101])?;
    /// let mut reader = FrameReader::new(other, Native).max_bytes(100);
    /// assert_eq!(reader.next().unwrap_err().kind(), ErrorKind::MessageTooLarge);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_bytes(mut self, max_bytes: usize) -> FrameReader<R, C> {
        self.inbound.set_max_bytes(max_bytes);
        self
    }

    /// Sets the size of a read, in bytes. The default is 64 KiB; the minimum is 64 bytes.
    ///
    /// A message of at least a quarter of this is read separately, to the start of a page.
    pub fn read_bytes(mut self, read_bytes: usize) -> FrameReader<R, C> {
        self.inbound.set_read_bytes(read_bytes);
        self
    }

    /// Returns the next message, lent until the next call, or `None` if the stream ends after a
    /// complete message.
    ///
    /// Reads only if no complete message is buffered, and then waits if the stream is blocking.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - a message exceeds the limit
    ///   ([`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge));
    /// - the stream ends inside a frame ([`ErrorKind::PeerClosed`](crate::ErrorKind::PeerClosed));
    /// - the bytes are not of this framing ([`ErrorKind::Protocol`](crate::ErrorKind::Protocol));
    /// - the message announces file descriptors, which [`FrameReader::next_with_descriptors`]
    ///   accepts ([`ErrorKind::SurplusDescriptors`](crate::ErrorKind::SurplusDescriptors));
    /// - no complete message arrives in time
    ///   ([`ErrorKind::WouldBlock`](crate::ErrorKind::WouldBlock));
    /// - reading fails.
    ///
    /// The first four are permanent.
    ///
    /// # Examples
    /// ```
    /// use std::io::Write;
    /// use stoop::frame::{FrameReader, LengthDelimited};
    /// use stoop::{ErrorKind, Stream};
    ///
    /// let (mut one, other) = Stream::pair()?;
    /// one.write_all(b"\0\0\0\x05hello\0\0\0\x05wor")?;
    /// drop(one);
    /// let mut reader = FrameReader::new(other, LengthDelimited::BIG_ENDIAN);
    /// assert_eq!(reader.next()?, Some(&b"hello"[..]));
    /// assert_eq!(reader.next().unwrap_err().kind(), ErrorKind::PeerClosed); // inside a message
    /// assert_eq!(reader.next().unwrap_err().kind(), ErrorKind::PeerClosed); // permanently
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    #[expect(clippy::should_implement_trait, reason = "it lends its buffer, which an iterator cannot")]
    pub fn next(&mut self) -> Result<Option<&[u8]>> {
        loop {
            if let Some(span) = self.inbound.next_span()? {
                return Ok(Some(self.inbound.message(&span)));
            }
            if !self.fill()? {
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
    /// Returns an error if the buffered bytes cannot be decoded (see
    /// [`FrameReader::next`]).
    ///
    /// # Examples
    /// ```
    /// use stoop::Stream;
    /// use stoop::frame::{FrameReader, FrameWriter, Native};
    ///
    /// let (one, other) = Stream::pair()?;
    /// let mut writer = FrameWriter::new(&one, Native);
    /// writer.send(b"first")?;
    /// writer.send(b"second")?;
    /// writer.flush()?;
    /// let mut reader = FrameReader::new(&other, Native);
    /// assert_eq!(reader.next()?, Some(&b"first"[..])); // reads both
    /// assert_eq!(reader.next_buffered()?, Some(&b"second"[..]));
    /// assert_eq!(reader.next_buffered()?, None); // does not block
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_buffered(&mut self) -> Result<Option<&[u8]>> {
        let span = self.inbound.next_span()?;
        Ok(span.map(|span| self.inbound.message(&span)))
    }

    /// Returns the length of the next message in bytes, without consuming it, or `None` at the end.
    ///
    /// On a blocking stream it waits for the header, or with [`Lines`](super::Lines) for the whole
    /// line.
    ///
    /// # Errors
    /// Returns an error if the stream cannot be read or decoded; [`FrameReader::next`] lists the
    /// cases.
    ///
    /// # Examples
    /// ```
    /// use stoop::Stream;
    /// use stoop::frame::{FrameReader, FrameWriter, Native};
    ///
    /// let (one, other) = Stream::pair()?;
    /// FrameWriter::new(one, Native).send(&[7; 5000])?;
    /// let mut reader = FrameReader::new(other, Native);
    /// let len = reader.next_len()?.expect("a message");
    /// let mut buffer = vec![0; len];
    /// assert_eq!(reader.read_into(&mut buffer)?, Some(5000));
    /// assert_eq!(reader.next_len()?, None); // the end
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn next_len(&mut self) -> Result<Option<usize>> {
        Ok(self.peek_frame()?.map(|next| next.len_bytes))
    }

    /// Reads the next message into `buffer` and returns its length, or `None` at the end.
    ///
    /// Bytes that are not buffered yet are read directly into `buffer`. This is fastest if it
    /// begins at a page boundary. After an error the contents of `buffer` are unspecified.
    ///
    /// # Errors
    /// Returns an error if the stream cannot be read or decoded; [`FrameReader::next`] lists the
    /// cases. It also returns an error if the message is longer than `buffer`
    /// ([`ErrorKind::MessageTooLarge`](crate::ErrorKind::MessageTooLarge)). In that case the
    /// message stays available to the next call, and the stream is intact.
    ///
    /// # Examples
    /// ```
    /// use stoop::frame::{FrameReader, FrameWriter, Native};
    /// use stoop::{ErrorKind, Stream};
    ///
    /// let (one, other) = Stream::pair()?;
    /// FrameWriter::new(one, Native).send(b"hello")?;
    /// let mut reader = FrameReader::new(other, Native);
    /// let error = reader.read_into(&mut [0; 4]).unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
    /// let mut buffer = [0; 16];
    /// assert_eq!(reader.read_into(&mut buffer)?, Some(5)); // nothing was lost
    /// assert_eq!(&buffer[..5], b"hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_into(&mut self, buffer: &mut [u8]) -> Result<Option<usize>> {
        loop {
            let Some(next) = self.peek_frame()? else { return Ok(None) };
            if next.descriptors != 0 {
                return self.inbound.refuse(next.descriptors);
            }
            let (len_bytes, max_bytes) = (next.len_bytes, buffer.len());
            let Some(message) = buffer.get_mut(..len_bytes) else {
                let (len_bytes, max_bytes) = (len_bytes as u64, max_bytes as u64);
                return Err(receiving(FrameError::TooLong { len_bytes, max_bytes }));
            };
            if next.is_whole {
                if let Some(span) = self.inbound.decoder.advance().map_err(receiving)? {
                    message.copy_from_slice(self.inbound.decoder.message(&span));
                }
                self.gathers = false;
                return Ok(Some(len_bytes));
            }
            // A trailer would have to be read between the message and the next header.
            if C::TRAILER.is_empty() && !self.gathers {
                return self.read_direct(next, message);
            }
            self.fill()?;
        }
    }

    /// Reads the rest of a message directly to its destination, and the header of the next one if
    /// it arrives with it.
    fn read_direct(&mut self, next: NextFrame, message: &mut [u8]) -> Result<Option<usize>> {
        let mut filled = self.inbound.decoder.lend_message(next, message);
        loop {
            let (io, room) = (&mut self.io, self.inbound.decoder.header_room());
            let rest = &mut message[filled..];
            let rest_bytes = rest.len();
            // The second buffer holds only a header: if the next message has already arrived, the
            // same call tells its length.
            let read = retry(|| io.read_vectored(&mut [IoSliceMut::new(rest), IoSliceMut::new(room)]));
            match read {
                Ok(count) if count >= rest_bytes => {
                    self.inbound.decoder.completed(next, count - rest_bytes);
                    return Ok(Some(message.len()));
                }
                Ok(0) => {
                    self.inbound.decoder.given_back(&message[..filled]);
                    return self.inbound.decoder.finish().map_err(receiving).map(|()| None);
                }
                Ok(count) => filled += count,
                Err(cause) => {
                    self.inbound.decoder.given_back(&message[..filled]);
                    self.gathers = true;
                    return Err(failed(cause));
                }
            }
        }
    }

    /// Returns the next frame as soon as its length is known, or `None` at the end.
    fn peek_frame(&mut self) -> Result<Option<NextFrame>> {
        loop {
            if let Some(next) = self.inbound.decoder.peek_frame().map_err(receiving)? {
                return Ok(Some(next));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Reads once. Returns `false` at the end of the stream if that is between two frames.
    #[cold]
    fn fill(&mut self) -> Result<bool> {
        let (io, room) = (&mut self.io, self.inbound.room());
        let count = retry(|| io.read(room)).map_err(failed)?;
        self.inbound.filled(count)
    }
}

impl<R: DescriptorSource> FrameReader<R, Native> {
    /// Returns the next message with the file descriptors attached to it, in order and
    /// close-on-exec.
    ///
    /// If the stream's policy refuses file descriptors
    /// ([`Policy::refuse_descriptors`](crate::Policy::refuse_descriptors)), none are accepted,
    /// whatever `allow` says.
    ///
    /// Use only this call on a stream that carries file descriptors. The other calls use plain
    /// reads, and the kernel then discards ancillary data ([K-FD-7]). At most twice the allowed
    /// number of file descriptors is held at any time.
    ///
    /// # Errors
    /// Returns an error if
    ///
    /// - the stream cannot be read or decoded; [`FrameReader::next`] lists the cases;
    /// - more file descriptors arrive than allowed
    ///   ([`ErrorKind::SurplusDescriptors`](crate::ErrorKind::SurplusDescriptors));
    /// - the file descriptor table of this process is full
    ///   ([`ErrorKind::ControlTruncated`](crate::ErrorKind::ControlTruncated));
    /// - the file descriptors received differ from those announced
    ///   ([`ErrorKind::Protocol`](crate::ErrorKind::Protocol)).
    ///
    /// The last three are permanent, and every file descriptor received is closed.
    ///
    /// # Examples
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
    ///
    /// [K-FD-7]: crate::kernel_facts#K-FD-7
    pub fn next_with_descriptors(&mut self, allow: Allow) -> Result<Option<(&[u8], Vec<OwnedFd>)>> {
        let allow = if self.io.accepts_descriptors() { allow } else { Allow::NOTHING };
        loop {
            if let Some((span, descriptors)) = self.inbound.claim(allow)? {
                return Ok(Some((self.inbound.message(&span), descriptors)));
            }
            if !self.inbound.fill_with_descriptors(self.io.as_fd(), allow)? {
                return Ok(None);
            }
        }
    }
}

impl<R, C: Codec> FrameReader<R, C> {
    /// Returns the error that made the stream undecodable, if any.
    #[doc(hidden)]
    pub fn failure(&self) -> Option<FrameError> {
        self.inbound.decoder().failure()
    }

    /// Returns how many bytes are buffered that are not part of a delivered message.
    ///
    /// ```
    /// use std::io::Write;
    /// use stoop::Stream;
    /// use stoop::frame::{FrameReader, Lines};
    ///
    /// let (mut one, other) = Stream::pair()?;
    /// one.write_all(b"a line\npart")?;
    /// let mut reader = FrameReader::new(other, Lines);
    /// assert_eq!(reader.next()?, Some(&b"a line"[..]));
    /// assert_eq!(reader.unread_bytes(), 4); // would be lost with the reader
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unread_bytes(&self) -> usize {
        self.inbound.decoder().unread_bytes()
    }

    /// Returns the current size of the buffer, in bytes.
    #[doc(hidden)]
    pub fn buffer_bytes(&self) -> usize {
        self.inbound.decoder().buffer_bytes()
    }

    /// Returns a reference to the stream. Reading from it removes bytes from the messages.
    pub fn get_ref(&self) -> &R {
        &self.io
    }

    /// Returns the stream. Buffered bytes are lost; see [`FrameReader::unread_bytes`].
    pub fn into_inner(self) -> R {
        self.io
    }
}

impl<R: fmt::Debug, C: fmt::Debug> fmt::Debug for FrameReader<R, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FrameReader")
            .field("io", &self.io)
            .field("inbound", &self.inbound)
            .finish_non_exhaustive()
    }
}
