//! Anything, recorded and with faults: what is read is recorded before it goes on, and waits in a
//! queue until it is due.
//!
//! A reset needs bytes of the sender that stay unread ([K-END-3]), so reading stops at the byte
//! that is to be reset, and goes on from there only to find that something comes.
//!
//! [K-END-3]: stoop::kernel_facts#K-END-3

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::net::{RecvFlags, recv};
use stoop::{Allow, DESCRIPTORS_MAX, ErrorKind};

use super::descriptors::{self, Reader};
use super::messages::Messages;
use super::outcome::{Drained, EndKind, Filled, errno_of, filled};
use super::tools::{PIECE_BYTES, Tools};
use super::{bytes, packets};
use crate::counters::Counters;
use crate::end::End;
use crate::fault::{Gate, Injector};
use crate::record::Watch;

/// How many bytes, and how many pieces, wait at most until they are due.
const WAITING_BYTES: usize = 4 * PIECE_BYTES;
const WAITING_PIECES: usize = 4096;

/// What is done with the data of one direction.
#[derive(Debug, Default)]
pub(crate) struct Hooks {
    pub(crate) watch: Option<Watch>,
    pub(crate) injector: Option<Injector>,
}

/// What is held of one direction.
#[derive(Debug)]
pub(crate) struct Hooked {
    hooks: Hooks,
    allows_descriptors: bool,
    reader: Reader,
    queue: VecDeque<Piece>,
    waiting_bytes: usize,
    /// Nothing more is read.
    is_over: bool,
    /// Nothing more is read before the queue is empty.
    drains_first: bool,
    /// The sink takes no more: its event is waited for, not the time.
    is_blocked: bool,
}

/// Bytes of a stream, or a message.
#[derive(Debug)]
struct Piece {
    bytes: Vec<u8>,
    written: usize,
    fds: Vec<OwnedFd>,
    due: Option<Instant>,
}

impl Hooked {
    pub(super) fn new(hooks: Hooks, allows_descriptors: bool) -> Hooked {
        Hooked {
            hooks,
            allows_descriptors,
            reader: Reader::default(),
            queue: VecDeque::new(),
            waiting_bytes: 0,
            is_over: false,
            drains_first: false,
            is_blocked: false,
        }
    }

    /// Returns whether something is to be written before more is read. What is not yet due is, only
    /// after the end or if too much waits.
    pub(super) fn is_holding(&self) -> bool {
        let is_full = self.waiting_bytes >= WAITING_BYTES || self.queue.len() >= WAITING_PIECES;
        match self.queue.front() {
            Some(piece) => is_full || self.is_over || self.drains_first || piece.is_due(),
            // The end does not arrive either.
            None => self.is_over && self.hooks.injector.as_ref().is_some_and(Injector::holds_end),
        }
    }

    /// Returns when the next piece is due, if that is what is waited for.
    pub(super) fn due(&self) -> Option<Instant> {
        self.queue.front().filter(|_| !self.is_blocked)?.due
    }

    pub(super) fn fill(
        &mut self,
        source: &End,
        sink: &End,
        tools: &mut Tools,
        counters: &Counters,
    ) -> (Filled, Drained) {
        let room = match self.hooks.injector.as_mut().map_or(Gate::Open(usize::MAX), Injector::gate) {
            Gate::Open(room) => room,
            // What came before arrives first.
            Gate::Stall => return (Filled::Nothing, Drained::All),
            Gate::Reset if !self.queue.is_empty() => {
                self.drains_first = true;
                return (Filled::Some(0), Drained::Later);
            }
            Gate::Reset => return (self.at_reset(source), Drained::All),
        };
        let (bytes, fds) = match self.read(source, &mut tools.buffer[..PIECE_BYTES.min(room)]) {
            Ok(read) => read,
            Err(came) => {
                self.note_end(came);
                return (came, Drained::All);
            }
        };
        if let Some(watch) = &mut self.hooks.watch {
            watch.data(&bytes, &fds);
        }
        let fds = if self.allows_descriptors {
            fds
        } else {
            counters.lost_descriptors(fds.len());
            Vec::new()
        };
        let len = bytes.len();
        self.plan(bytes, fds, !source.is_byte_stream());
        (Filled::Some(len), self.drain(sink, counters))
    }

    /// Finds whether the byte that is to be reset has come.
    fn at_reset(&mut self, source: &End) -> Filled {
        let is_end = match source {
            End::SeqPacket(socket) => {
                match socket.peek_with(&mut [IoSliceMut::new(&mut [0])], Allow::descriptors(DESCRIPTORS_MAX))
                {
                    Ok(received) => Ok(received.is_end()),
                    // It came, and is larger than the byte that was asked for.
                    Err(error) if error.kind() == ErrorKind::MessageTruncated => Ok(false),
                    Err(error) => Err(errno_of(&error)),
                }
            }
            _ => recv(source, &mut [0; 1], RecvFlags::DONTWAIT | RecvFlags::PEEK).map(|(len, _)| len == 0),
        };
        let came = match is_end {
            Ok(true) => Filled::End(EndKind::Shutdown),
            Ok(false) => Filled::Fault,
            Err(errno) => filled(errno),
        };
        self.note_end(came);
        came
    }

    fn note_end(&mut self, came: Filled) {
        let Filled::End(kind) = came else { return };
        self.is_over = true;
        match (kind, &self.hooks.watch) {
            (EndKind::Shutdown, Some(watch)) => watch.ended(),
            (EndKind::Reset | EndKind::NotFramed, Some(watch)) => watch.reset(),
            (_, None) => {}
        }
    }

    fn read(&mut self, source: &End, buffer: &mut [u8]) -> Result<(Vec<u8>, Vec<OwnedFd>), Filled> {
        match source {
            End::Stream(stream) => {
                let (len, fds) = self.reader.read(stream, buffer, &mut 0)?;
                Ok((buffer[..len].to_vec(), fds))
            }
            _ if let Some(messages) = Messages::of(source) => messages.receive(),
            _ => match recv(source, &mut *buffer, RecvFlags::DONTWAIT) {
                Ok((0, _)) if source.is_reset_beyond() => Err(Filled::End(EndKind::Reset)),
                Ok((0, _)) => Err(Filled::End(EndKind::Shutdown)),
                Ok((len, _)) => Ok((buffer[..len].to_vec(), Vec::new())),
                Err(errno) => Err(filled(errno)),
            },
        }
    }

    /// Queues what came, as the faults want it.
    fn plan(&mut self, bytes: Vec<u8>, fds: Vec<OwnedFd>, is_message: bool) {
        let Some(injector) = &mut self.hooks.injector else {
            self.push(Piece { bytes, written: 0, fds, due: None });
            return;
        };
        let (mut at, mut fds, mut pieces) = (0, fds, Vec::new());
        while at < bytes.len() || (is_message && pieces.is_empty() && at == 0) {
            let pass = injector.pass(bytes.len() - at);
            let mut piece = bytes[at..at + pass.len].to_vec();
            if let Some((place, change)) = pass.corrupt {
                piece[place] ^= change;
            }
            let due = Some(injector.instant(pass.due));
            // A second copy of a message has no file descriptors.
            for copy in 0..pass.copies {
                let fds = if copy == 0 { std::mem::take(&mut fds) } else { Vec::new() };
                pieces.push(Piece { bytes: piece.clone(), written: 0, fds, due });
            }
            at += pass.len;
            if is_message {
                break;
            }
        }
        pieces.into_iter().for_each(|piece| self.push(piece));
    }

    fn push(&mut self, piece: Piece) {
        self.waiting_bytes += piece.bytes.len();
        self.queue.push_back(piece);
    }

    pub(super) fn drain(&mut self, sink: &End, counters: &Counters) -> Drained {
        while let Some(piece) = self.queue.front_mut() {
            if !piece.is_due() {
                return Drained::Later;
            }
            let outcome = write(sink, piece, counters);
            self.is_blocked = outcome != Drained::All;
            if self.is_blocked {
                return outcome;
            }
            self.waiting_bytes -= piece.bytes.len();
            self.queue.pop_front();
        }
        self.drains_first = false;
        match self.is_holding() {
            true => Drained::Later,
            false => Drained::All,
        }
    }
}

impl Piece {
    fn is_due(&self) -> bool {
        self.due.is_none_or(|due| due <= Instant::now())
    }
}

/// Writes as much of a piece as the sink takes.
fn write(sink: &End, piece: &mut Piece, counters: &Counters) -> Drained {
    let rest = &piece.bytes[piece.written..];
    let (written, outcome) = match (sink, Messages::of(sink)) {
        (End::Stream(stream), _) => descriptors::write(stream, rest, &mut piece.fds, counters),
        (_, Some(messages)) => (0, packets::deliver(messages, rest, &mut piece.fds, counters)),
        _ => {
            counters.lost_descriptors(piece.fds.len());
            piece.fds.clear();
            bytes::write(sink, rest)
        }
    };
    piece.written += written;
    outcome
}
