//! Messages of a seqpacket socket: whole, one after the other, with their file descriptors.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use stoop::{Allow, DESCRIPTORS_MAX, ErrorKind, Outgoing, SeqPacket, SocketExt};

use super::outcome::{Drained, EndKind, Filled, drained, errno_of, filled};
use crate::counters::Counters;
use crate::end::into_io;

/// How much of a send buffer a message may not use (`unix_dgram_sendmsg`).
const KERNELS_BYTES: usize = 32;

/// The space that the kernel needs for a message in addition to its bytes, generously.
const OVERHEAD_BYTES: usize = 4096;

/// The message that is held.
#[derive(Debug, Default)]
pub(crate) struct Packets {
    held: Option<(Vec<u8>, Vec<OwnedFd>)>,
}

impl Packets {
    /// Prepares `source`: only with credentials a message of no bytes differs from the end
    /// ([K-DGRAM-13]).
    ///
    /// [K-DGRAM-13]: stoop::kernel_facts#K-DGRAM-13
    pub(super) fn new(source: &SeqPacket) -> io::Result<Packets> {
        source.set_pass_credentials(true).map_err(into_io)?;
        Ok(Packets::default())
    }

    pub(super) fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    pub(super) fn fill(
        &mut self,
        source: &SeqPacket,
        sink: &SeqPacket,
        counters: &Counters,
    ) -> (Filled, Drained) {
        // A look, so that a full descriptor table shows before anything is lost.
        let look = source.peek_with(&mut [IoSliceMut::new(&mut [0])], Allow::descriptors(DESCRIPTORS_MAX));
        if look.is_err_and(|error| error.kind() == ErrorKind::ControlTruncated) {
            return (Filled::Exhausted, Drained::All);
        }
        match source.recv_vec_with(Allow::descriptors(DESCRIPTORS_MAX)) {
            Ok((_, received)) if received.is_end() => (Filled::End(EndKind::Shutdown), Drained::All),
            Ok((message, received)) => {
                let len = message.len();
                self.held = Some((message, received.descriptors));
                (Filled::Some(len), self.drain(sink, counters))
            }
            Err(error) => (filled(errno_of(&error)), Drained::All),
        }
    }

    pub(super) fn drain(&mut self, sink: &SeqPacket, counters: &Counters) -> Drained {
        let Some((message, fds)) = &mut self.held else { return Drained::All };
        loop {
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            let Err(errno) = send(sink, message, &borrowed) else {
                counters.message(borrowed.len());
                break;
            };
            match errno {
                Errno::PERM if !fds.is_empty() => {
                    counters.lost_descriptors(fds.len());
                    fds.clear();
                }
                // Its writer had a larger buffer than ours.
                Errno::MSGSIZE if sink.set_send_buffer_bytes(message.len() + OVERHEAD_BYTES).is_ok() => {
                    if !fits(sink, message.len()) {
                        counters.lost_message();
                        break;
                    }
                }
                errno => return drained(errno),
            }
        }
        self.held = None;
        Drained::All
    }
}

/// Sends a message. `SeqPacket::send` refuses one of no bytes, because its receivers may take it
/// for the end; here it is what the client wanted.
fn send(sink: &SeqPacket, message: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    if !message.is_empty() {
        let sent = sink.send_with(&[IoSlice::new(message)], &Outgoing::new().descriptors(fds));
        return sent.map(drop).map_err(|error| errno_of(&error));
    }
    let mut room = vec![MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(fds).size()];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    if !fds.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    sendmsg(sink, &[], &mut ancillary, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).map(drop)
}

fn fits(sink: &SeqPacket, len: usize) -> bool {
    sink.send_buffer_bytes().is_ok_and(|bytes| bytes > len + KERNELS_BYTES)
}
