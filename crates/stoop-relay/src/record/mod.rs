//! Recording what a relay carries, and reading recordings.
//!
//! A recording is a file to which a relay appends everything that it receives, before it passes it
//! on: what a receiver has got is in the file. After SIGKILL it is readable up to the last whole
//! record. [`Recorder`] writes one, [`Recording`] reads one, in memory that does not grow with it.
//!
//! # Format
//!
//! All numbers are little-endian. The file begins with 16 bytes: `stooprec`, the version (`u16`, 1)
//! and six bytes that are 0. Records follow:
//!
//! | bytes | |
//! |---|---|
//! | 4 | length of the body |
//! | 4 | CRC-32 (that of zlib) of the four bytes of the length and of the body |
//! | … | body |
//!
//! A body is one byte for the kind of the record, `u64` nanoseconds since the start of the
//! recording, the `u64` number of the connection (0: none), and fields:
//!
//! - 1, started: `u64` nanoseconds since 1970; `u8` 1 stream, 2 seqpacket, 3 datagram; bytes: the
//!   address of the relay; bytes: that of the server; `u8` whether secrets are masked
//! - 2, opened: process of the client, process of the server
//! - 3, data: `u8` side, `u32` masked bytes, bytes, `u16` number of file descriptors, and for each
//!   `u8` type, optional `u64` size, bytes: path
//! - 4, ended: `u8` side that sends no more
//! - 5, reset: `u8` side that has reset the connection
//! - 6, closed: `u8` 0 by its ends, 1 idle, 2 the relay stopped, 3 an error, 4 an injected fault,
//!   5 it was open for as long as it may be
//! - 7, unreached: bytes: why the server could not be reached
//! - 8, lost: `u8` side whose message could not be received
//! - 9, stopped
//!
//! Bytes are a `u32` length and so many bytes. A side is 0 for the client, 1 for the server. An
//! optional value is a byte, 0 or 1, and the value after a 1. A process is: optional `u32` pid, uid
//! and gid, and bytes, empty if unknown: command name, path of the executable, control group. Types
//! of file descriptors: 0 other, 1 file, 2 directory, 3 pipe, 4 socket, 5 character device, 6 block
//! device.
//!
//! Masked bytes are `*`. In a Huffman-coded string of HTTP/2 they are the code of `*`, 0xf9, and if
//! its bits do not suffice for that, codes of other letters with as many bits as the secret had.
//!
//! On seqpacket and datagram sockets, each record of data is one message. On streams it is what one
//! read returned; file descriptors belong to its first byte. A reader ignores fields after those it
//! knows, and records of other kinds: they may be added without a new version.

mod describe;
mod format;
mod masking;
mod reader;
mod recorder;

pub(crate) use describe::{ids, process_of};
pub use format::{Closing, Entry, FileType, PassedFile, Process, Record, Side};
pub use reader::{Recording, Tail};
pub use recorder::Recorder;
pub(crate) use recorder::Watch;
