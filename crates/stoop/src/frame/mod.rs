//! Message framing on byte streams: each message that one side sends arrives as one message.
//!
//! - [`FrameWriter`] gathers small messages in a buffer and passes them to the kernel in one call.
//!   Large messages are sent without copying. [`FrameReader`] reads large pieces and lends each
//!   message out of its buffer.
//! - A [`Codec`] defines where a message begins and ends. [`Native`] is stoop's own format and the
//!   fastest. [`LengthDelimited`], [`Varint`] and [`Lines`] are formats that other programs speak
//!   too.
//!
//! With the feature `tokio`, `aio::FrameReader` and `aio::FrameWriter` do the same for tasks.
//!
//! A length is compared with the limit before memory is allocated for it. A stream that cannot be
//! decoded any further gives an error, and every later call returns the same error: a stream that
//! has lost synchronization never regains it.
//!
//! This module has no threads and no timers. It never delivers part of a message, or file
//! descriptors without their message.
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

pub(crate) mod buffer;
mod codec;
pub(crate) mod decoder;
mod delimited;
mod descriptor_source;
mod direct_write;
pub(crate) mod encoder;
pub(crate) mod error;
mod fd_queue;
mod inbound;
mod lines;
mod native;
mod outbound;
mod reader;
mod writer;

pub use codec::Codec;
pub use delimited::{LengthDelimited, Varint};
pub use lines::Lines;
pub use native::Native;
pub use reader::FrameReader;
pub use writer::FrameWriter;

#[cfg(feature = "tokio")]
pub(crate) use inbound::{Inbound, failed as read_failed};
#[cfg(feature = "tokio")]
pub(crate) use outbound::Outbound;

/// The default limit on a message's length, for readers and writers: 16 MiB.
const DEFAULT_MAX_BYTES: usize = 16 << 20;
