//! Mends the one thing in a client's HTTP/2 that servers refuse on local sockets: an `:authority`
//! that is no authority.
//!
//! Clients built on gRPC's C core (Python, Ruby, PHP, C++) and others send the percent-encoded path
//! of the socket, the path itself, or nothing. A strict server ends the connection for it.
//! [`Mender`] takes a client's bytes and gives the bytes the server is to read:
//!
//! - everything up to the first header block goes through as it comes, but for a preface that comes
//!   alone: it waits for the settings that have to follow, so that the server answers both at once;
//! - where the authority of that block is fine, so does all that follows, and the mender is
//!   [done](Mender::is_done);
//! - else each header block of the connection is decoded and written again with an authority that
//!   is fine. The new blocks use no dynamic table, so that whatever the client's encoder refers
//!   back to, the server's decoder needs to know nothing of it.
//!
//! One thing more is kept from such a server: clients that it has told to go, and whose newest call
//! it ignores for that, may still make room for that call's answer, which h2 takes for an error
//! that ends the calls under way, too.
//!
//! What is malformed before anything was changed goes through too, for the server to refuse in its
//! own way. After that it becomes a frame that the server refuses for the same reason. Memory is
//! bounded by [`BLOCK_MAX_BYTES`], twice, and by the dynamic table of 4096 bytes that HTTP/2 gives
//! a client which was told nothing else.
//!
//! | file | what is there |
//! |---|---|
//! | `frames.rs` | where frames begin and end |
//! | `decode.rs` | header blocks to fields, with the dynamic table of `table.rs` and the code of `huffman.rs` |
//! | `look.rs` | whether the first block needs any of that |
//! | `encode.rs` | fields to header blocks and their frames |
//!
//! Pure: no I/O and no clock, here and below. [`Mended`](crate::Mended) is this around a stream.

mod decode;
mod encode;
mod frames;
mod huffman;
mod look;
mod table;

use decode::{Decoder, Field, Name};
pub(crate) use frames::PREFACE;
use frames::{FLAG_END_HEADERS, FLAG_END_STREAM, HEAD_BYTES, Head, Kind};

/// The longest header block that is looked at, with the frames it comes in.
pub const BLOCK_MAX_BYTES: usize = 64 * 1024;

/// What a broken authority is replaced with: what other implementations of gRPC send on local
/// sockets.
const AUTHORITY: &[u8] = b"localhost";

/// What [h2](https://docs.rs/h2), and so each server made with it, pings with at the end of a connection.
const LAST_PING: [u8; 8] = [0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54];

/// See the [module](self).
#[derive(Debug)]
pub struct Mender {
    phase: Phase,
    at: At,
    /// Whether the preface is still to go through.
    owes_preface: bool,
    /// What is held back: the beginning of a frame's head, or a header block as far as it has come,
    /// heads and all.
    held: Vec<u8>,
    /// Where in `held` the newest frame begins; beyond 0 in a block of several frames.
    newest: usize,
    decoder: Decoder,
    list_max_bytes: usize,
    /// The newest call that the server takes from this client.
    last_call: u32,
    /// Whether the server has been told that the client knows that it ends the connection.
    is_ending: bool,
    /// The block written again; kept for its memory.
    encoded: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// No header block has come.
    Looking,
    /// The first one was fine, or none of ours to judge.
    Passing,
    /// Every block is written again.
    Mending,
    /// The server has been given a reason to end the connection.
    Refused,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// So many bytes into the preface.
    Preface(usize),
    /// In a frame's head.
    Head,
    /// So many bytes before the end of a frame that goes through.
    Through(usize),
    /// So many bytes before the end of a frame that does not.
    Skipped(usize),
    /// So many bytes before the end of a frame that is held back.
    Held(usize),
}

/// Why a connection is refused, as the server is to see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    /// Frames out of order, or too long.
    Protocol,
    /// A header block that cannot be decoded.
    Compression,
}

impl Mender {
    /// For one connection, from its first byte on. `list_max_bytes` is the longest header list that
    /// the server accepts (16 KiB as a rule): a longer one is cut a little beyond, where the
    /// server refuses it.
    pub fn new(list_max_bytes: usize) -> Mender {
        Mender {
            phase: Phase::Looking,
            at: At::Preface(0),
            owes_preface: false,
            held: Vec::new(),
            newest: 0,
            decoder: Decoder::default(),
            list_max_bytes,
            last_call: 0,
            is_ending: false,
            encoded: Vec::new(),
        }
    }

    /// Whether everything from here on goes through as it is, so that the mender can be dropped.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Passing
    }

    /// Takes what the client has sent, and appends what the server is to read. Some may be held
    /// back.
    pub fn push(&mut self, mut input: &[u8], output: &mut Vec<u8>) {
        output.reserve(PREFACE.len() + self.held.len() + input.len());
        self.pay_preface(output);
        while !input.is_empty() {
            match (self.phase, self.at) {
                (Phase::Passing, _) => return output.extend_from_slice(input),
                (Phase::Refused, _) => return,
                (_, At::Preface(matched)) => self.preface(matched, &mut input, output),
                (_, At::Head) => self.head(&mut input, output),
                (_, At::Through(left)) => {
                    let part = take(&mut input, left);
                    output.extend_from_slice(part);
                    self.at = if part.len() == left { At::Head } else { At::Through(left - part.len()) };
                }
                (_, At::Skipped(left)) => {
                    let left = left - take(&mut input, left).len();
                    self.at = if left == 0 { At::Head } else { At::Skipped(left) };
                }
                (_, At::Held(left)) => {
                    let part = take(&mut input, left);
                    self.held.extend_from_slice(part);
                    self.at = At::Held(left - part.len());
                    self.end_of_held_frame(output);
                }
            }
        }
    }

    /// The client sends no more: appends what was held back where nothing has been changed so far.
    pub fn finish(&mut self, output: &mut Vec<u8>) {
        self.pay_preface(output);
        if self.phase == Phase::Looking {
            self.pass(output);
        }
    }

    fn pay_preface(&mut self, output: &mut Vec<u8>) {
        if std::mem::take(&mut self.owes_preface) {
            output.extend_from_slice(PREFACE);
        }
    }

    fn preface(&mut self, matched: usize, input: &mut &[u8], output: &mut Vec<u8>) {
        let part = take(input, PREFACE.len() - matched);
        if part == PREFACE && input.is_empty() {
            self.owes_preface = true;
        } else {
            output.extend_from_slice(part);
        }
        let matched = matched + part.len();
        if &PREFACE[matched - part.len()..matched] != part {
            self.phase = Phase::Passing;
        }
        self.at = if matched == PREFACE.len() { At::Head } else { At::Preface(matched) };
    }

    fn head(&mut self, input: &mut &[u8], output: &mut Vec<u8>) {
        let have = self.held.len() - self.newest;
        self.held.extend_from_slice(take(input, HEAD_BYTES - have));
        let Some(head) = Head::parse(&self.held[self.newest..]) else { return };
        let goes_on = self.newest > 0;
        let belongs = goes_on && head.kind == Kind::Continuation && head.stream == self.stream();
        if goes_on && !belongs {
            return self.refuse(Refusal::Protocol, output);
        }
        if !goes_on && self.may_be_late(&head) {
            self.held.clear();
            self.at = At::Skipped(head.len);
            return;
        }
        if !goes_on && head.kind != Kind::Headers && !self.is_answer_to_ping(&head) {
            output.append(&mut self.held);
            self.at = if head.len == 0 { At::Head } else { At::Through(head.len) };
            return;
        }
        if self.held.len() + head.len > BLOCK_MAX_BYTES {
            return self.refuse(Refusal::Protocol, output);
        }
        self.held.reserve(head.len);
        self.at = At::Held(head.len);
        self.end_of_held_frame(output);
    }

    /// Whether this frame may answer the ping with which servers make sure that a client knows of
    /// the end.
    fn is_answer_to_ping(&self, head: &Head) -> bool {
        self.phase == Phase::Mending && head.kind == frames::PING && head.len == LAST_PING.len()
    }

    /// Whether the server has been told already that this call comes too late. It takes back what
    /// it has said to be ignored, and cuts off all other calls, where one of those makes room
    /// for its answer.
    fn may_be_late(&self, head: &Head) -> bool {
        self.is_ending && head.kind == frames::WINDOW_UPDATE && head.stream > self.last_call && head.len > 0
    }

    /// The stream of the block that is held.
    fn stream(&self) -> u32 {
        Head::parse(&self.held).map_or(0, |head| head.stream)
    }

    fn end_of_held_frame(&mut self, output: &mut Vec<u8>) {
        if !matches!(self.at, At::Held(0)) {
            return;
        }
        self.at = At::Head;
        if Head::parse(&self.held).is_some_and(|head| head.kind == frames::PING) {
            self.is_ending |= self.held.ends_with(&LAST_PING);
            return output.append(&mut self.held);
        }
        let ends =
            Head::parse(&self.held[self.newest..]).is_some_and(|head| head.flags & FLAG_END_HEADERS != 0);
        if !ends {
            self.newest = self.held.len();
            return;
        }
        if self.phase == Phase::Looking && self.looks_fine() {
            return self.pass(output);
        }
        match self.rewrite() {
            Ok(changed) if changed || self.phase == Phase::Mending => {
                self.phase = Phase::Mending;
                if !self.is_ending {
                    self.last_call = self.last_call.max(self.stream());
                }
                let first = Head::parse(&self.held).map_or(0, |head| head.flags);
                encode::frames(self.stream(), first & FLAG_END_STREAM, &self.encoded, output);
                self.held.clear();
                self.newest = 0;
            }
            Ok(_) => self.pass(output),
            Err(refusal) => self.refuse(refusal, output),
        }
    }

    /// Most first blocks are, and a connection then costs no more than this look.
    fn looks_fine(&self) -> bool {
        frames::block(&self.held).is_some_and(|block| look::is_plainly_fine(&block, is_authority))
    }

    /// Writes the block that is held again, and says whether it had to be changed.
    fn rewrite(&mut self) -> Result<bool, Refusal> {
        let block = frames::block(&self.held).ok_or(Refusal::Protocol)?;
        let (mut changed, mut list_bytes) = (false, 0);
        let (encoded, list_max_bytes) = (&mut self.encoded, self.list_max_bytes);
        encoded.clear();
        let keep = |field: Field<'_>| {
            // All of a list that is too long must be decoded, for the table's sake. It need not be kept.
            if list_bytes > list_max_bytes {
                return;
            }
            let field = if is_fine(&field) {
                field
            } else {
                changed = true;
                Field::Literal { name: Name::Static(table::AUTHORITY), value: AUTHORITY, sensitive: false }
            };
            list_bytes += field.list_bytes();
            encode::field(&field, encoded);
        };
        self.decoder.decode(&block, keep).map_err(|_| Refusal::Compression)?;
        Ok(changed)
    }

    /// Lets what is held go through, and all that follows.
    fn pass(&mut self, output: &mut Vec<u8>) {
        output.append(&mut self.held);
        self.phase = Phase::Passing;
    }

    /// Leaves it to the server to refuse what is held; where blocks have been changed already, by
    /// something that is refused for the same reason.
    fn refuse(&mut self, refusal: Refusal, output: &mut Vec<u8>) {
        if self.phase == Phase::Looking {
            return self.pass(output);
        }
        encode::refused(refusal, output);
        self.held = Vec::new();
        self.phase = Phase::Refused;
    }
}

/// Whether a strict server accepts this field, as far as authorities go.
fn is_fine(field: &Field<'_>) -> bool {
    match field {
        Field::Static(index) => *index != table::AUTHORITY,
        Field::Literal { name, value, .. } => !name.is_authority() || is_authority(value),
    }
}

fn is_authority(text: &[u8]) -> bool {
    http::uri::Authority::try_from(text).is_ok()
}

/// The first bytes of the input, as many as there are of so many, which are then no longer in it.
fn take<'i>(input: &mut &'i [u8], len: usize) -> &'i [u8] {
    let (part, rest) = input.split_at(len.min(input.len()));
    *input = rest;
    part
}

#[cfg(all(test, feature = "client"))]
mod against_h2;
#[cfg(test)]
mod tests;
