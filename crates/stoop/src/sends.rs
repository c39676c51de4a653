//! The messages in a stream's queue, as they were sent, with their file descriptors.
//!
//! A stream has no boundaries, but one read ends with the bytes that carry file descriptors and may
//! begin with others ([K-FD-5]). A program that passes them on has to know which are which before
//! it reads, and a look at the first bytes may return descriptors of later ones ([K-FD-18]).
//!
//! [K-FD-5]: crate::kernel_facts#K-FD-5
//! [K-FD-18]: crate::kernel_facts#K-FD-18

use crate::Stream;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::sys;

/// What a stream's queue begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueueFront {
    /// This many bytes, at least one, that carry no file descriptors.
    Plain(usize),
    /// This many bytes, at least one, of which the first carries file descriptors.
    Descriptors(usize),
}

/// Finds out what the queue of a stream begins with. `queued` is the number of bytes in it, or
/// fewer. Does not block, and takes nothing from the queue.
///
/// # Errors
/// Returns an error if the file descriptor table is full
/// ([`ErrorKind::ControlTruncated`]), or if the kernel does not
/// permit the look.
pub fn front(stream: &Stream, queued: usize, buffer: &mut [u8]) -> Result<QueueFront> {
    let queued = queued.min(buffer.len());
    // One byte less, so that the last message does not fit and ends the look where it begins.
    let (whole, carries) = peek(stream, &mut buffer[..queued.saturating_sub(1)])?;
    if whole == 0 {
        // One message fills all of that. A read of so many bytes does not go beyond it.
        return Ok(QueueFront::Plain(queued.max(1)));
    }
    if !carries {
        return Ok(QueueFront::Plain(whole));
    }
    match peek(stream, &mut buffer[..whole - 1])?.0 {
        0 => Ok(QueueFront::Descriptors(whole)),
        plain => Ok(QueueFront::Plain(plain)),
    }
}

/// Returns how many bytes the whole messages in front have, and whether the last of them carries
/// file descriptors.
fn peek(stream: &Stream, buffer: &mut [u8]) -> Result<(usize, bool)> {
    match sys::peek_sends(std::os::fd::AsFd::as_fd(stream), buffer) {
        Ok(peeked) if peeked.flags & libc::MSG_CTRUNC != 0 => Err(Error::new(
            Operation::Receive,
            ErrorKind::ControlTruncated,
            "the file descriptor table is full",
        )),
        Ok(peeked) => Ok((peeked.len, !peeked.incoming.descriptors.is_empty())),
        Err(cause) if cause.raw_os_error() == Some(libc::EFAULT) => Ok((0, false)),
        Err(cause) => Err(Error::system(Operation::Receive, cause)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSliceMut, Write};
    use std::os::fd::AsFd;

    use proptest::prelude::*;

    use super::*;
    use crate::{Allow, SocketExt};

    proptest! {
        /// Read piece by piece as `front` says, descriptors come with the byte they were sent with.
        #[test]
        fn pieces_are_as_they_were_sent(sends in proptest::collection::vec((1usize..9000, 0usize..3), 1..12)) {
            let (one, other) = Stream::pair().unwrap();
            let mut sent = Vec::new();
            let mut offset = 0;
            for &(len, count) in &sends {
                if count == 0 {
                    (&one).write_all(&vec![7; len]).unwrap();
                } else {
                    let fds = vec![one.as_fd(); count];
                    prop_assert_eq!(one.send_fds(&vec![7; len], &fds).unwrap(), len);
                    sent.push((offset, count));
                }
                offset += len;
            }
            let mut buffer = vec![0; 1 << 18];
            let (mut at, mut came) = (0, Vec::new());
            while at < offset {
                let queued = other.unread_bytes().unwrap();
                prop_assert_eq!(queued, offset - at);
                let (len, carries) = match front(&other, queued, &mut buffer).unwrap() {
                    QueueFront::Plain(len) => (len, false),
                    QueueFront::Descriptors(len) => (len, true),
                };
                let mut parts = [IoSliceMut::new(&mut buffer[..len])];
                let received = other.recv_with(&mut parts, Allow::descriptors(9)).unwrap();
                let count = received.descriptors.len();
                prop_assert!(carries <= (count > 0));
                if count > 0 {
                    came.push((at, count));
                }
                at += received.len;
            }
            prop_assert_eq!(came, sent);
        }
    }
}
