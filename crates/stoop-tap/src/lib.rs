//! Follows and decodes what Unix domain sockets transfer.
//!
//! [`Tap`] captures messages as they are received, on a running system, without a change to the
//! processes. It returns [`Piece`]s in order: bytes with their connection and direction, ends of
//! streams, errors, and losses where they happened. A [`Dialogue`] decodes the pieces of one
//! connection as calls and answers; [`pcapng::Writer`] writes them for Wireshark, and
//! [`pcapng::Reader`] reads them back. [`Trace`] gives the pieces of a program that it starts,
//! without a privilege.
//!
//! # Examples
//!
//! ```no_run
//! use std::time::Duration;
//! use stoop_tap::{CaptureOptions, Tap, What};
//!
//! let mut options = CaptureOptions::default();
//! options.all = true;
//! let mut tap = Tap::start(options)?;
//! for piece in tap.next(Duration::from_secs(1))? {
//!     if let What::Data(data) = &piece.what {
//!         println!("connection {}: {} bytes", piece.flow, data.len);
//!     }
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Contents
//!
//! | To | Use |
//! |---|---|
//! | capture and follow | [`Tap`], [`Tap::want`] |
//! | follow captured events without a kernel | [`Reorder`], [`Follow`] |
//! | decode a connection | [`Dialogue`] |
//! | overwrite secrets before they are stored | [`Masker`] |
//! | write a file for Wireshark, and read it | [`pcapng::Writer`], [`pcapng::Reader`] |
//! | watch a program without a privilege | [`Trace`] |
//! | count what sockets transfer, and compare | [`Counters`], [`top`] |
//!
//! # Limitations
//!
//! * A message is reported when its receiver takes its first byte. Data that no process receives,
//!   and data received with `splice(2)`, is not.
//! * Of a connection joined inside a frame of HTTP/2, the rest of that frame is skipped. If it is
//!   the end of headers and comes alone, a [`Masker`] searches it as text.
//! * In the middle of a connection, Assuan is recognized by a typical line if a piece begins with
//!   it or with whole lines before it. X11 and Wayland are if the server is known
//!   ([`Dialogue::served`]), from a piece on that consists of whole messages.
//! * If [`Tap::sees_receives`] is false, data that is peeked at (`MSG_PEEK`) is reported again, and
//!   ends of streams are not seen.
//! * The crate has no cargo features.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod decode;
mod direction;
mod follow;
mod open_files;
mod passed;
pub mod pcapng;
mod reorder;
mod sockets;
mod tap;
pub mod top;
mod trace;

pub use decode::{
    Dialogue, Field, Fields, Format, Kind, Line, Masker, Message, Methods, Protocol, mask, redact,
};
pub use follow::{Data, Endpoint, Flow, FlowId, Follow, Piece, Side, What};
pub use passed::{FileType, Passed};
pub use reorder::{Cause, Entry, Loss, Reorder};
pub use stoop_bpf::{
    CaptureOptions, Counters, End, Key, Latencies, Missing, NameKey, SocketCounts, SocketKind, Unavailable,
    Uncounted,
};
pub use tap::{Tap, names_of};
pub use trace::{Ended, Step, Trace, TraceError};

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
