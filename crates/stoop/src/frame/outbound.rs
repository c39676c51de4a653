//! What a frame writer has accepted and not sent. Shared by the blocking and the async writer,
//! which differ in how they wait.

use std::io::{self, IoSlice, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use super::codec::{Codec, HEADER_ROOM_BYTES};
use super::direct_write::{DirectWrite, HEAD_BYTES, rest};
use super::encoder::Encoder;
use super::error::FrameError;
use super::native::Native;
use crate::control::{self, DESCRIPTORS_MAX};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::retry::retry;
use crate::sys;

/// Messages below this length, in bytes, are copied into the batch. Longer ones are sent without
/// copying.
const COPY_BELOW_BYTES: usize = 4096;

/// If a batch fills within this time, the next one may be larger: its messages wait no longer for
/// that.
const QUICKLY: Duration = Duration::from_millis(1);

/// The sending state of one stream: the batch, or the rest of a large message.
///
/// Each call that sends gets the stream. If it returns
/// [`ErrorKind::WouldBlock`], it has accepted nothing and can be
/// repeated.
#[derive(Debug)]
pub(crate) struct Outbound<C> {
    encoder: Encoder<C>,
    /// When the oldest pending message was sent.
    waiting_since: Option<Instant>,
}

impl<C: Codec> Outbound<C> {
    pub(crate) fn new(codec: C) -> Outbound<C> {
        Outbound { encoder: Encoder::new(codec), waiting_since: None }
    }

    pub(crate) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.encoder.set_max_bytes(max_bytes);
    }

    pub(crate) fn set_batch_bytes(&mut self, batch_bytes: usize) {
        self.encoder.set_batch_bytes(batch_bytes);
    }

    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        self.waiting_since
    }

    pub(crate) fn pending_bytes(&self) -> usize {
        self.encoder.pending().len()
    }

    /// Appends a message to the batch, or writes it immediately if it is large.
    #[inline]
    pub(crate) fn send(&mut self, io: &mut impl Write, message: &[u8]) -> Result<()> {
        if message.len() < COPY_BELOW_BYTES && self.push(message)? {
            return Ok(());
        }
        self.send_now(io, message)
    }

    /// Sends all pending bytes.
    pub(crate) fn flush(&mut self, io: &mut impl Write) -> Result<()> {
        while !self.encoder.is_empty() {
            let count = retry(|| not_zero(io.write(self.encoder.pending()))).map_err(sending)?;
            self.consume(count);
        }
        retry(|| io.flush()).map_err(sending)
    }

    /// Appends a message to the batch, if there is space.
    #[inline]
    fn push(&mut self, message: &[u8]) -> Result<bool> {
        let is_first = self.encoder.is_empty();
        let taken = self.encoder.push(message).map_err(framing)?;
        if is_first && taken {
            self.waiting_since = Some(Instant::now());
        }
        Ok(taken)
    }

    #[cold]
    fn send_now(&mut self, io: &mut impl Write, message: &[u8]) -> Result<()> {
        if message.len() >= COPY_BELOW_BYTES {
            return self.send_direct(io, message);
        }
        self.encoder.adapt(self.waiting_since.is_some_and(|since| since.elapsed() < QUICKLY));
        match self.flush(io) {
            Err(error) if !error.is_would_block() => Err(error),
            // Even a partial flush may have made enough space.
            flushed => {
                if self.push(message)? {
                    Ok(())
                } else {
                    flushed
                }
            }
        }
    }

    /// Sends the batch and then a large message, the latter without copying.
    fn send_direct(&mut self, io: &mut impl Write, message: &[u8]) -> Result<()> {
        let mut room = [0; HEADER_ROOM_BYTES];
        let header_bytes = self.encoder.header(message, 0, &mut room).map_err(framing)?;
        let header = &room[..header_bytes];
        if self.encoder.pending().len() + header_bytes > HEAD_BYTES {
            self.flush(io)?;
        }
        let mut direct = DirectWrite::new(self.encoder.pending(), [header, message, C::TRAILER]);
        let result = loop {
            let Some(piece) = direct.piece() else { break Ok(()) };
            match retry(|| not_zero(io.write_vectored(&piece))) {
                Ok(count) => direct.advance(count),
                Err(cause) => break Err(sending(cause)),
            }
        };
        let (of_pending, of_frame) = direct.sent();
        self.consume(of_pending);
        if of_frame == 0 {
            return result;
        }
        self.keep(rest([header, message, C::TRAILER], of_frame));
        or_later(result)
    }

    /// Keeps the unsent rest of a frame. Nothing else may be pending.
    fn keep(&mut self, rest: [&[u8]; 3]) {
        self.encoder.push_rest(&rest);
        if !self.encoder.is_empty() {
            self.waiting_since = Some(Instant::now());
        }
    }

    fn consume(&mut self, len_bytes: usize) {
        self.encoder.consume(len_bytes);
        if self.encoder.is_empty() {
            self.waiting_since = None;
        }
    }
}

impl Outbound<Native> {
    /// Sends a message with file descriptors, after all pending bytes.
    pub(crate) fn send_with_descriptors(
        &mut self,
        io: &mut (impl Write + AsFd),
        message: &[u8],
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<()> {
        let Some(count) = u8::try_from(descriptors.len()).ok().filter(|&n| usize::from(n) <= DESCRIPTORS_MAX)
        else {
            let detail =
                format!("{} descriptors in one message; at most {DESCRIPTORS_MAX} fit", descriptors.len());
            return Err(Error::new(Operation::Send, ErrorKind::Unsupported, detail));
        };
        let mut room = [0; HEADER_ROOM_BYTES];
        let header_bytes = self.encoder.header(message, count, &mut room).map_err(framing)?;
        let header = &room[..header_bytes];
        // The kernel attaches file descriptors to the first byte of a `sendmsg`, which must be this
        // frame's.
        self.flush(io)?;
        let control = encode(descriptors)?;
        let buffers = [IoSlice::new(header), IoSlice::new(message)];
        let count = retry(|| sys::send_message(io.as_fd(), &buffers, None, &control)).map_err(sending)?;
        self.keep(rest([header, message, &[]], count));
        or_later(self.flush(io))
    }
}

/// If the socket is full, the bytes stay pending, which is not an error.
fn or_later(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_would_block() => Ok(()),
        result => result,
    }
}

fn encode(descriptors: &[BorrowedFd<'_>]) -> Result<Vec<u8>> {
    let mut room = vec![0; control::space(descriptors.len() * 4)];
    let mut encoder = control::Encoder::new(&mut room);
    encoder
        .descriptors(descriptors.iter().map(|fd| fd.as_raw_fd()))
        .map_err(|error| Error::new(Operation::Send, ErrorKind::Other, error.to_string()))?;
    let used_bytes = encoder.finish().len();
    room.truncate(used_bytes);
    Ok(room)
}

/// Writing zero bytes is an error: such a stream never makes progress.
fn not_zero(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        written => written,
    }
}

fn sending(cause: io::Error) -> Error {
    Error::system(Operation::Send, cause)
}

fn framing(error: FrameError) -> Error {
    error.during(Operation::Send)
}
