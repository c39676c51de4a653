//! The three kinds of Unix domain socket. Performs no I/O.

use std::fmt;
use std::str::FromStr;

/// The kind (type) of a Unix domain socket.
///
/// Both ends must be of the same kind. Connecting to a path of another kind returns `EPROTOTYPE`
/// ([K-CONNECT-10]).
///
/// [K-CONNECT-10]: crate::kernel_facts#K-CONNECT-10
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// `SOCK_STREAM`: bytes in order, without message boundaries, over a connection.
    Stream,
    /// `SOCK_DGRAM`: whole messages, in order, none lost, without a connection.
    Datagram,
    /// `SOCK_SEQPACKET`: whole messages over a connection.
    SeqPacket,
}

impl Kind {
    /// Every kind, in the order in which a client that does not know the kind should try them.
    #[doc(hidden)]
    pub const ALL: [Kind; 3] = [Kind::Stream, Kind::Datagram, Kind::SeqPacket];

    /// Returns the word used in addresses and on the command line: `stream`, `dgram` or
    /// `seqpacket`.
    ///
    /// ```
    /// use stoop::Kind;
    ///
    /// assert_eq!(Kind::Datagram.word(), "dgram");
    /// assert_eq!("dgram".parse(), Ok(Kind::Datagram));
    /// assert_eq!(Kind::Datagram.to_string(), "datagram"); // in prose
    /// ```
    #[doc(hidden)]
    pub const fn word(self) -> &'static str {
        match self {
            Kind::Stream => "stream",
            Kind::Datagram => "dgram",
            Kind::SeqPacket => "seqpacket",
        }
    }

    /// Returns whether a server of this kind listens and accepts, rather than receiving directly.
    #[doc(hidden)]
    pub const fn is_connected(self) -> bool {
        !matches!(self, Kind::Datagram)
    }

    /// Returns the kernel's number for this kind (`SOCK_STREAM`, …).
    pub(crate) const fn to_raw(self) -> i32 {
        match self {
            Kind::Stream => libc::SOCK_STREAM,
            Kind::Datagram => libc::SOCK_DGRAM,
            Kind::SeqPacket => libc::SOCK_SEQPACKET,
        }
    }

    /// Returns the kind with this kernel number, if there is one.
    pub(crate) const fn from_raw(raw: i32) -> Option<Kind> {
        match raw {
            libc::SOCK_STREAM => Some(Kind::Stream),
            libc::SOCK_DGRAM => Some(Kind::Datagram),
            libc::SOCK_SEQPACKET => Some(Kind::SeqPacket),
            _ => None,
        }
    }
}

impl fmt::Display for Kind {
    /// Writes the name used in prose: `stream`, `datagram`, `seqpacket`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Datagram => "datagram",
            other => other.word(),
        })
    }
}

/// The error of parsing a [`Kind`] from a text that is not one of its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownKind;

impl fmt::Display for UnknownKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid socket kind, expected stream, dgram or seqpacket")
    }
}

impl std::error::Error for UnknownKind {}

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Kind, UnknownKind> {
        match text {
            "stream" => Ok(Kind::Stream),
            "dgram" | "datagram" => Ok(Kind::Datagram),
            "seqpacket" => Ok(Kind::SeqPacket),
            _ => Err(UnknownKind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_round_trip() {
        for kind in Kind::ALL {
            assert_eq!(kind.word().parse(), Ok(kind));
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(Kind::from_raw(kind.to_raw()), Some(kind));
        }
        assert_eq!("tcp".parse::<Kind>(), Err(UnknownKind));
        assert_eq!(Kind::from_raw(libc::SOCK_RAW), None);
    }
}
