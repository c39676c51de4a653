//! `:authority` rewriting: fixes the one thing in a client's HTTP/2 that servers reject on Unix
//! sockets.
//!
//! Clients built on gRPC's C core (Python, Ruby, PHP, C++) and others send the percent-encoded
//! path of the socket as `:authority`, the path itself, or nothing. A strict server closes the
//! connection for it. [`AuthorityRewriter`] takes a client's bytes and returns the bytes for the
//! server to read:
//!
//! - Everything up to the first header block passes unchanged. Only a preface that arrives alone
//!   is held back until the settings follow, as they must, so that the server answers both at
//!   once.
//! - If the authority of that block is valid, everything that follows passes too, and the rewriter
//!   is [done](AuthorityRewriter::is_done).
//! - Otherwise each header block of the connection is decoded, and encoded again with a valid
//!   authority.
//!
//! The rewritten blocks do not use HPACK's dynamic table. In HPACK, each block may add fields to a
//! table that both ends keep, and later blocks refer to its entries by index. A rewriter that
//! changes one block changes the table, so all later blocks would refer to wrong entries. Here the
//! client's table ends in the rewriter: its decoder resolves every reference, and its encoder
//! writes literals and references to the static table only, for which the server's decoder needs
//! no state.
//!
//! The rewriter also works around an error in [h2](https://docs.rs/h2). During a graceful shutdown,
//! a server ignores a call that a client opens after it has acknowledged the shutdown. The client
//! may still send a `WINDOW_UPDATE` for that call. h2 treats it as a connection error, which also
//! aborts the calls under way. Such frames are dropped.
//!
//! Malformed input passes unchanged as long as nothing was rewritten, for the server to reject
//! itself. After that it is replaced with a frame that the server rejects for the same reason.
//! Memory is bounded by twice [`BLOCK_MAX_BYTES`], and by the dynamic table of 4096 bytes, the
//! default of HTTP/2 for a client that was sent no other setting.
//!
//! | file | content |
//! |---|---|
//! | `frames.rs` | frame boundaries |
//! | `decode.rs` | header blocks to fields, with `table.rs` and `huffman.rs` |
//! | `fast_path.rs` | the fast path: whether the first block can pass without decoding |
//! | `encode.rs` | fields to header blocks and their frames |
//!
//! This module does no I/O and uses no clock. [`AuthorityStream`](crate::AuthorityStream) wraps it
//! around a stream.

mod blocks;
mod decode;
mod encode;
mod fast_path;
mod frames;
mod huffman;
mod table;

#[doc(hidden)]
pub use blocks::HeaderBlocks;
use decode::{Decoder, Field, Name};
use encode::Refusal;
use stoop_http::internal::PREFACE;

use frames::{FLAG_END_HEADERS, FLAG_END_STREAM, HEAD_BYTES, Head, Kind};

/// The longest header block that is decoded, frame headers included.
pub const BLOCK_MAX_BYTES: usize = 64 * 1024;

/// The replacement for an invalid authority. Other implementations of gRPC send the same on Unix
/// sockets.
const AUTHORITY: &[u8] = b"localhost";

/// The payload of the ping that [h2](https://docs.rs/h2), and so each server built with it, sends
/// during a graceful shutdown.
const LAST_PING: [u8; 8] = [0x0b, 0x7b, 0xa2, 0xf0, 0x8b, 0x9b, 0xfe, 0x54];

/// The `:authority` rewriter for one connection. See the [module documentation](self).
#[derive(Debug)]
pub struct AuthorityRewriter {
    phase: Phase,
    at: At,
    /// Whether the preface is held back.
    owes_preface: bool,
    /// The bytes held back: the beginning of a frame's header, or the frames of an incomplete
    /// header block, frame headers included.
    held: Vec<u8>,
    /// The offset in `held` of the newest frame; not 0 only in a block of several frames.
    newest: usize,
    decoder: Decoder,
    list_max_bytes: usize,
    /// The newest call that the server accepts from this client.
    last_call: u32,
    /// Whether the client has acknowledged the server's shutdown.
    is_ending: bool,
    /// The rewritten block. A field so that its allocation is reused.
    encoded: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Phase {
    /// No header block has arrived.
    Looking,
    /// The first block was valid, or the bytes are not HTTP/2.
    Passing,
    /// Every block is rewritten.
    Rewriting,
    /// The server has been sent a frame that it rejects.
    Refused,
}

#[derive(Clone, Copy, Debug)]
enum At {
    /// In the preface, after this many bytes.
    Preface(usize),
    /// In a frame's header.
    Head,
    /// In a frame that passes unchanged, with this many bytes left.
    Through(usize),
    /// In a frame that is dropped, with this many bytes left.
    Skipped(usize),
    /// In a frame that is held back, with this many bytes left.
    Held(usize),
}

impl AuthorityRewriter {
    /// Creates a rewriter for one connection, from its first byte on.
    ///
    /// `list_max_bytes` is the longest header list that the server accepts (usually 16 KiB). A
    /// longer list is truncated to slightly more than that length, which the server rejects.
    pub fn new(list_max_bytes: usize) -> AuthorityRewriter {
        AuthorityRewriter {
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

    /// Returns whether everything from here on passes unchanged, so that the rewriter can be
    /// dropped.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Passing
    }

    /// Takes bytes that the client has sent, and appends the bytes for the server to `output`.
    ///
    /// Some bytes may be held back.
    ///
    /// ```
    /// use stoop_grpc::authority::AuthorityRewriter;
    ///
    /// // A preface, empty settings, and a call whose `:authority` is the path of the socket.
    /// let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    /// let call = b"\0\0\x0c\x01\x05\0\0\0\x01\x83\x86\x84\x41\x07/a.sock";
    /// let (mut rewriter, mut output) = (AuthorityRewriter::new(16 * 1024), Vec::new());
    /// rewriter.push(preface, &mut output);
    /// assert_eq!(output, preface);
    /// rewriter.push(call, &mut output);
    /// assert!(output.ends_with(b"localhost"));
    /// assert!(!rewriter.is_done(), "each further block is rewritten, too");
    /// ```
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

    /// Ends the input. Appends what is held back if nothing has been rewritten.
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

    /// Returns whether this frame may acknowledge the ping of a graceful shutdown.
    ///
    /// h2 sends `GOAWAY` with the highest stream id first, then a ping. When the ping is
    /// acknowledged, the client is known to have seen the `GOAWAY`, and the server sends another
    /// one with the last stream id that it processes.
    fn is_answer_to_ping(&self, head: &Head) -> bool {
        self.phase == Phase::Rewriting && head.kind == frames::PING && head.len == LAST_PING.len()
    }

    /// Returns whether this frame is a `WINDOW_UPDATE` for a call that the server ignores.
    ///
    /// For such a call h2 has no state. It treats the frame as a connection error and aborts all
    /// other calls, although it has promised to ignore the call.
    fn may_be_late(&self, head: &Head) -> bool {
        self.is_ending && head.kind == frames::WINDOW_UPDATE && head.stream > self.last_call && head.len > 0
    }

    /// Returns the stream id of the block that is held back.
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
        if self.phase == Phase::Looking && self.passes_fast_path() {
            return self.pass(output);
        }
        // A block is rewritten while looking only to find out whether it has to be changed; if
        // not, `held` passes as it is. Once one block was changed, all later ones must be
        // rewritten: they may refer to entries of the dynamic table that the server's decoder does
        // not have.
        match self.rewrite() {
            Ok(changed) if changed || self.phase == Phase::Rewriting => {
                self.phase = Phase::Rewriting;
                // Calls that are opened after the acknowledgment are the ones that the server
                // ignores.
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

    /// Returns whether the first block can pass without being decoded. Most do, and cost no more
    /// than this check.
    fn passes_fast_path(&self) -> bool {
        frames::block(&self.held).is_some_and(|block| fast_path::is_known_valid(&block, is_authority))
    }

    /// Decodes the block that is held back into `encoded`, and returns whether a field was
    /// replaced.
    fn rewrite(&mut self) -> Result<bool, Refusal> {
        let block = frames::block(&self.held).ok_or(Refusal::Protocol)?;
        let (mut changed, mut list_bytes) = (false, 0);
        let (encoded, list_max_bytes) = (&mut self.encoded, self.list_max_bytes);
        encoded.clear();
        let keep = |field: Field<'_>| {
            // The rest of a list that is too long must still be decoded, because it changes the
            // dynamic table. It is not encoded: a block of references to one large entry could
            // expand without bound.
            if list_bytes > list_max_bytes {
                return;
            }
            let field = if is_valid(&field) {
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

    /// Passes what is held back, and everything that follows.
    fn pass(&mut self, output: &mut Vec<u8>) {
        output.append(&mut self.held);
        self.phase = Phase::Passing;
    }

    /// Passes what is held back for the server to reject, or, if blocks have been rewritten,
    /// replaces it with a frame that is rejected for the same reason.
    fn refuse(&mut self, refusal: Refusal, output: &mut Vec<u8>) {
        if self.phase == Phase::Looking {
            return self.pass(output);
        }
        encode::refused(refusal, output);
        self.held = Vec::new();
        self.phase = Phase::Refused;
    }
}

/// Returns whether a strict server accepts this field. Only `:authority` is checked.
fn is_valid(field: &Field<'_>) -> bool {
    match field {
        Field::Static(index) => *index != table::AUTHORITY,
        Field::Literal { name, value, .. } => !name.is_authority() || is_authority(value),
    }
}

fn is_authority(text: &[u8]) -> bool {
    http::uri::Authority::try_from(text).is_ok()
}

/// Removes up to `len` bytes from the beginning of the input and returns them.
fn take<'i>(input: &mut &'i [u8], len: usize) -> &'i [u8] {
    let (part, rest) = input.split_at(len.min(input.len()));
    *input = rest;
    part
}

#[cfg(all(test, feature = "client"))]
mod against_h2;
#[cfg(test)]
mod tests;
