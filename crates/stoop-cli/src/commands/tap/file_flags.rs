//! Flags about files: what is written, and what is read back.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::{size, time};

#[derive(Args, Debug)]
pub(crate) struct FileFlags {
    /// Read what an earlier -w, or stoop relay --record, has written; - is standard input
    ///
    /// Connections are selected by what the file says of their ends. A file that is still being
    /// written is read as far as it goes. With -w, what was read is written as pcapng: this is how
    /// a recording of a relay is opened in Wireshark.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) read: Option<PathBuf>,

    /// Write a pcapng file for Wireshark instead of printing; - is standard output
    ///
    /// Well-known secrets are overwritten in it, unless --secrets is given, and so is what may have
    /// one and cannot be searched: compressed bodies, and the first bytes of connections that are
    /// older than the capture, until they show a protocol (16 KiB at most). What is not decoded is
    /// searched as text.
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) write: Option<PathBuf>,

    /// Write contents to the file as they are, secrets included
    #[arg(long, requires = "write")]
    pub(crate) secrets: bool,

    /// Capture at most this many bytes of each message
    #[arg(long, value_name = "BYTES", value_parser = size::parse, conflicts_with = "no_payload")]
    pub(crate) snaplen: Option<u64>,

    /// Begin another file when one has this size, as in 100M; FILE gets numbers: app_00001.pcapng
    #[arg(long, value_name = "SIZE", value_parser = size::parse, requires = "write")]
    pub(crate) rotate: Option<u64>,

    /// Begin another file after this time, as in 1h
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "write")]
    pub(crate) rotate_every: Option<Duration>,

    /// Keep this many files of --rotate or --rotate-every, and remove the oldest
    #[arg(long, value_name = "N", requires = "write", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep: Option<u32>,
}
