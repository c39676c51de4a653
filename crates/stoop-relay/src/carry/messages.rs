//! The sockets that have messages, as one.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use stoop::{Allow, DESCRIPTORS_MAX, Datagram, ErrorKind, Outgoing, Result, SeqPacket, SocketExt};

use super::outcome::{EndKind, Filled, errno_of, filled};
use crate::end::End;

/// How much of a send buffer a message may not use (`unix_dgram_sendmsg`).
const KERNELS_BYTES: usize = 32;

/// The space that the kernel needs for a message in addition to its bytes, generously.
const OVERHEAD_BYTES: usize = 4096;

/// A message and its file descriptors.
pub(crate) type Message = (Vec<u8>, Vec<OwnedFd>);

/// A socket with messages.
#[derive(Clone, Copy)]
pub(crate) enum Messages<'a> {
    SeqPacket(&'a SeqPacket),
    Datagram(&'a Datagram),
}

impl<'a> Messages<'a> {
    pub(crate) fn of(end: &'a End) -> Option<Messages<'a>> {
        match end {
            End::SeqPacket(socket) => Some(Messages::SeqPacket(socket)),
            End::Datagram(socket) => Some(Messages::Datagram(socket)),
            _ => None,
        }
    }

    /// Prepares a source: only with credentials a message of no bytes differs from the end
    /// ([K-DGRAM-13]).
    ///
    /// [K-DGRAM-13]: stoop::kernel_facts#K-DGRAM-13
    pub(crate) fn prepare(self) -> Result<()> {
        match self {
            Messages::SeqPacket(socket) => socket.set_pass_credentials(true),
            Messages::Datagram(_) => Ok(()),
        }
    }

    /// Receives a message.
    pub(crate) fn receive(self) -> std::result::Result<Message, Filled> {
        let allow = Allow::descriptors(DESCRIPTORS_MAX);
        // A look, so that a full descriptor table shows before anything is lost.
        let mut byte = [0];
        let mut parts = [IoSliceMut::new(&mut byte)];
        let look = match self {
            Messages::SeqPacket(socket) => socket.peek_with(&mut parts, allow).map(drop),
            Messages::Datagram(socket) => socket.peek_with(&mut parts, allow).map(drop),
        };
        if look.is_err_and(|error| error.kind() == ErrorKind::ControlTruncated) {
            return Err(Filled::Exhausted);
        }
        let received = match self {
            Messages::SeqPacket(socket) => socket.recv_vec_with(allow),
            Messages::Datagram(socket) => socket.recv_vec_with(allow),
        };
        match received {
            Ok((_, received)) if self.ends() && received.is_end() => Err(Filled::End(EndKind::Shutdown)),
            Ok((message, received)) => Ok((message, received.descriptors)),
            Err(error) => Err(filled(errno_of(&error))),
        }
    }

    fn ends(self) -> bool {
        matches!(self, Messages::SeqPacket(_))
    }

    /// Sends a message. `SeqPacket::send` refuses one of no bytes, because its receivers may take
    /// it for the end; here it is what the client wanted.
    pub(crate) fn send(self, message: &[u8], fds: &[BorrowedFd<'_>]) -> std::result::Result<(), Errno> {
        let parts = [IoSlice::new(message)];
        let outgoing = Outgoing::new().descriptors(fds);
        let sent = match self {
            Messages::Datagram(socket) => socket.send_with(&parts, &outgoing).map(drop),
            Messages::SeqPacket(socket) if !message.is_empty() => {
                socket.send_with(&parts, &outgoing).map(drop)
            }
            Messages::SeqPacket(socket) => return send_empty(socket, fds),
        };
        sent.map_err(|error| errno_of(&error))
    }

    /// Enlarges the send buffer for a message whose writer had a larger one than ours. Returns
    /// false if no buffer may be as large.
    pub(crate) fn enlarge(self, len: usize) -> bool {
        match self {
            Messages::SeqPacket(socket) => enlarge(socket, len),
            Messages::Datagram(socket) => enlarge(socket, len),
        }
    }
}

fn send_empty(socket: &SeqPacket, fds: &[BorrowedFd<'_>]) -> std::result::Result<(), Errno> {
    let mut room = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(fds).size()];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    sendmsg(socket, &[], &mut ancillary, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map(drop)
}

fn enlarge(socket: &impl SocketExt, len: usize) -> bool {
    socket.set_send_buffer_bytes(len + OVERHEAD_BYTES).is_ok()
        && socket.send_buffer_bytes().is_ok_and(|bytes| bytes > len + KERNELS_BYTES)
}

/// Borrows file descriptors, to send them.
pub(crate) fn borrowed(fds: &[OwnedFd]) -> Vec<BorrowedFd<'_>> {
    fds.iter().map(AsFd::as_fd).collect()
}
