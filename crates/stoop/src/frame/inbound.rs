//! What a frame reader has received: undecoded bytes, and the file descriptors whose frame has not
//! been delivered. Shared by the blocking and the async reader, which differ in how they wait.

use std::io::{self, IoSliceMut};
use std::os::fd::{BorrowedFd, OwnedFd};

use super::codec::Codec;
use super::decoder::{Decoder, Span};
use super::error::FrameError;
use super::fd_queue::FdQueue;
use crate::error::{Error, Operation, Result};
use crate::message::Allow;
use crate::retry::retry;
use crate::sys;

/// The receiving state of one stream. It holds at most one message, one read, and the file
/// descriptors of two reads.
#[derive(Debug)]
pub(crate) struct Inbound<C> {
    pub(super) decoder: Decoder<C>,
    fds: FdQueue<OwnedFd>,
}

impl<C: Codec> Inbound<C> {
    pub(crate) fn new(codec: C) -> Inbound<C> {
        Inbound { decoder: Decoder::new(codec), fds: FdQueue::default() }
    }

    pub(crate) fn set_max_bytes(&mut self, max_bytes: usize) {
        self.decoder.set_max_bytes(max_bytes);
    }

    pub(crate) fn set_read_bytes(&mut self, read_bytes: usize) {
        self.decoder.set_read_bytes(read_bytes);
    }

    pub(crate) fn decoder(&self) -> &Decoder<C> {
        &self.decoder
    }

    /// Returns the next message if it has arrived completely. The message must not have file
    /// descriptors.
    #[inline]
    pub(crate) fn next_span(&mut self) -> Result<Option<Span>> {
        match self.decoder.advance() {
            Ok(Some(span)) if span.descriptors != 0 => self.refuse(span.descriptors),
            Ok(span) => Ok(span),
            Err(error) => Err(receiving(error)),
        }
    }

    /// Returns the bytes of a message that has been found.
    #[inline]
    pub(crate) fn message(&self, span: &Span) -> &[u8] {
        self.decoder.message(span)
    }

    /// Returns the space for the next read.
    pub(crate) fn room(&mut self) -> &mut [u8] {
        self.decoder.room()
    }

    /// Records a read of this many bytes. Returns `false` at the end of the stream if that is
    /// between two frames.
    pub(crate) fn filled(&mut self, count: usize) -> Result<bool> {
        self.decoder.filled(count);
        if count == 0 {
            self.decoder.finish().map_err(receiving)?;
        }
        Ok(count != 0)
    }

    /// Rejects a message with file descriptors in a plain read, with which the kernel has discarded
    /// them.
    #[cold]
    pub(super) fn refuse<T>(&mut self, descriptors: u8) -> Result<T> {
        let error = FrameError::SurplusDescriptors { count: descriptors.into(), allowed: 0 };
        self.decoder.fail(error).map_err(receiving)
    }

    /// Returns the next message with its file descriptors if it has arrived completely.
    pub(crate) fn claim(&mut self, allow: Allow) -> Result<Option<(Span, Vec<OwnedFd>)>> {
        let claimed = self.claim_next(allow);
        self.close_after_failure();
        claimed
    }

    fn claim_next(&mut self, allow: Allow) -> Result<Option<(Span, Vec<OwnedFd>)>> {
        let Some(span) = self.decoder.advance().map_err(receiving)? else { return Ok(None) };
        // Compare with the allowance before claiming: a peer that announces too many has not
        // necessarily sent them.
        let announced = usize::from(span.descriptors);
        let claimed = allow.check(announced).and_then(|()| self.fds.claim(span.position, announced));
        let descriptors = claimed.or_else(|error| self.decoder.fail(error)).map_err(receiving)?;
        Ok(Some((span, descriptors)))
    }

    /// Reads once from a socket, with file descriptors. Returns `false` at the end of the stream if
    /// that is between two frames.
    pub(crate) fn fill_with_descriptors(&mut self, socket: BorrowedFd<'_>, allow: Allow) -> Result<bool> {
        let filled = self.fill_from(socket, allow);
        self.close_after_failure();
        filled
    }

    fn fill_from(&mut self, socket: BorrowedFd<'_>, allow: Allow) -> Result<bool> {
        // A position in the stream, not in the buffer: `room` may move the unread bytes.
        let from = self.decoder.filled_position();
        let room = self.decoder.room();
        let arrival =
            retry(|| sys::receive_message(socket, &mut [IoSliceMut::new(room)], 0)).map_err(failed)?;
        self.decoder.filled(arrival.len);
        let came = arrival.incoming.descriptors;
        let is_cut = arrival.flags & libc::MSG_CTRUNC != 0 || arrival.incoming.malformed;
        let checked = if is_cut { Err(FrameError::DescriptorsTruncated) } else { allow.check(came.len()) };
        let kept = checked.and_then(|()| self.fds.push(from..self.decoder.filled_position(), came));
        kept.or_else(|error| self.decoder.fail(error)).map_err(receiving)?;
        if arrival.len == 0 {
            // File descriptors whose frame never arrived: an error even at a frame boundary.
            let stray = !self.fds.is_empty();
            let ended = self.decoder.finish();
            let ended = if stray && ended.is_ok() { self.decoder.fail(self.fds.stray()) } else { ended };
            ended.map_err(receiving)?;
        }
        Ok(arrival.len != 0)
    }

    /// Closes the waiting file descriptors of a stream that cannot be decoded any further.
    fn close_after_failure(&mut self) {
        if self.decoder.failure().is_some() {
            self.fds.clear();
        }
    }
}

impl Allow {
    fn check(self, count: usize) -> std::result::Result<(), FrameError> {
        let allowed = self.most_descriptors();
        if count > allowed { Err(FrameError::SurplusDescriptors { count, allowed }) } else { Ok(()) }
    }
}

pub(super) fn receiving(error: FrameError) -> Error {
    error.during(Operation::Receive)
}

pub(crate) fn failed(cause: io::Error) -> Error {
    Error::system(Operation::Receive, cause)
}
