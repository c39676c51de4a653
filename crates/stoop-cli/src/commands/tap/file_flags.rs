//! Flags about files: what is written, and what is read back.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::time;

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
    /// one and cannot be searched, such as compressed bodies. What is not decoded is searched as
    /// text.
    #[arg(short, long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) write: Option<PathBuf>,

    /// Write contents to the file as they are, secrets included
    #[arg(long, requires = "write")]
    pub(crate) secrets: bool,

    /// Capture at most this many bytes of each message
    #[arg(long, value_name = "BYTES", value_parser = size, conflicts_with = "no_payload")]
    pub(crate) snaplen: Option<u64>,

    /// Begin another file when one has this size, as in 100M; FILE gets numbers: app_00001.pcapng
    #[arg(long, value_name = "SIZE", value_parser = size, requires = "write")]
    pub(crate) rotate: Option<u64>,

    /// Begin another file after this time, as in 1h
    #[arg(long, value_name = "TIME", value_parser = time::parse, requires = "write")]
    pub(crate) rotate_every: Option<Duration>,

    /// Keep this many files of --rotate or --rotate-every, and remove the oldest
    #[arg(long, value_name = "N", requires = "write", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) keep: Option<u32>,
}

/// Parses a number of bytes: 4096, 64K, 16M, 1G.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        "K" | "k" => Some(1 << 10),
        "M" | "m" => Some(1 << 20),
        "G" | "g" => Some(1 << 30),
        _ => None,
    };
    let bytes = unit.zip(digits.parse::<u64>().ok()).and_then(|(unit, number)| number.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| "not a size, as in 4096, 64K, 16M".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_parsed() {
        assert_eq!((size("4096"), size("64K"), size("100M")), (Ok(4096), Ok(65536), Ok(100 << 20)));
        assert!(["", "0", "M", "1T", "-1", "99999999999G"].iter().all(|text| size(text).is_err()));
    }
}
