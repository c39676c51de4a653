//! Why input cannot be decompressed.

use std::error::Error;
use std::fmt;

/// The largest window that is decoded. HTTP allows no larger one (RFC 9659), and the format's
/// specification recommends that every decoder supports it.
pub const MAX_WINDOW_BYTES: u64 = 8 << 20;

/// Why bytes cannot be decompressed.
#[derive(Debug, PartialEq, Eq)]
pub enum ZstdError {
    /// The output exceeds the limit.
    TooLarge,
    /// The input is not valid, or requires what is not supported.
    Damaged(DamagedZstd),
}

/// Why input cannot be decompressed.
#[derive(Debug, PartialEq, Eq)]
pub enum DamagedZstd {
    /// Something other than a frame begins here.
    NotAFrame,
    /// The input ends within a frame.
    Truncated,
    /// A frame requires a window of this many bytes.
    Window(u64),
    /// A frame requires the dictionary with this number.
    Dictionary(u32),
    /// The content does not match its checksum.
    Checksum,
    /// The content does not have the size that its header states.
    Size,
    /// The frame is invalid in another way.
    Corrupt(String),
}

impl From<DamagedZstd> for ZstdError {
    fn from(damaged: DamagedZstd) -> ZstdError {
        ZstdError::Damaged(damaged)
    }
}

impl fmt::Display for DamagedZstd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DamagedZstd::NotAFrame => f.write_str("not a zstd frame"),
            DamagedZstd::Truncated => f.write_str("truncated zstd frame"),
            DamagedZstd::Window(bytes) => write!(
                f,
                "zstd frame with a window of {bytes} bytes, more than the {} of HTTP",
                MAX_WINDOW_BYTES
            ),
            DamagedZstd::Dictionary(id) => write!(f, "zstd frame that requires the dictionary {id}"),
            DamagedZstd::Checksum => f.write_str("corrupt zstd frame: the checksum does not match"),
            DamagedZstd::Size => f.write_str("corrupt zstd frame: the size does not match"),
            DamagedZstd::Corrupt(why) => write!(f, "corrupt zstd frame: {why}"),
        }
    }
}

impl fmt::Display for ZstdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZstdError::TooLarge => f.write_str("zstd frame with more content than is accepted"),
            ZstdError::Damaged(damaged) => damaged.fmt(f),
        }
    }
}

impl Error for DamagedZstd {}
impl Error for ZstdError {}
