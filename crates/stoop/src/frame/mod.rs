//! Messages on a byte stream: what one side sends as a message the other side gets as that message.
//!
//! - [`FrameWriter`] gathers small messages into one buffer and hands it to the kernel in one call;
//!   large ones go out from where they lie. [`FrameReader`] reads much at a time and lends each
//!   message out of its buffer.
//! - A [`Codec`] says where a message begins and ends: [`Native`], which is stoop's own and the
//!   fastest, or one that others speak too: [`LengthDelimited`], [`Varint`], [`Lines`].
//! - [`Decoder`] and [`Encoder`] are the same without the I/O: bytes in, messages out, no clock, no
//!   descriptor. Whatever moves the bytes can use them.
//!
//! A length is compared with the limit before anything is allocated for it. What cannot be read on
//! from is a [`FrameError`], and the reader gives the same error ever after: a stream that is out
//! of step never gets back in.
//!
//! Never in here: threads, timers, a message that is half delivered, a descriptor without its
//! message.
//!
//! ```
//! use stoop::Stream;
//! use stoop::frame::{FrameReader, FrameWriter, Native};
//!
//! let (one, other) = Stream::pair()?;
//! let mut writer = FrameWriter::new(one, Native);
//! writer.send(b"first")?;
//! writer.send(b"second")?;
//! writer.flush()?; // both, in one system call
//! drop(writer);
//!
//! let mut reader = FrameReader::new(other, Native);
//! assert_eq!(reader.next()?, Some(&b"first"[..]));
//! assert_eq!(reader.next()?, Some(&b"second"[..]));
//! assert_eq!(reader.next()?, None);
//! # Ok::<(), stoop::Error>(())
//! ```

mod beside;
mod buffer;
mod codec;
mod decoder;
mod delimited;
mod encoder;
mod error;
mod lines;
mod native;
mod reader;
mod straight;
mod writer;

pub use buffer::{PAGE_BYTES, PageBuffer};
pub use codec::{Codec, HEADER_ROOM_BYTES, Head, Step};
pub use decoder::Decoder;
pub use delimited::{LengthDelimited, Varint};
pub use encoder::Encoder;
pub use error::FrameError;
pub use lines::Lines;
pub use native::Native;
pub use reader::FrameReader;
pub use writer::FrameWriter;

/// The longest message, in bytes, that readers and writers take unless told otherwise: 16 MiB.
pub const DEFAULT_MAX_BYTES: usize = 16 << 20;
