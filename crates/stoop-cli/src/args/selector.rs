//! Selects a socket by its address, by the name of a well-known endpoint, by a process that has it
//! open, or by its inode.

use std::ffi::OsString;
use std::fmt;

use clap::builder::{OsStringValueParser, TypedValueParser};

use super::shared::{ParseError, pid, read_endpoint};
use crate::endpoint::Endpoint;

/// The selected sockets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SocketSelector {
    /// Sockets at an address, or at a well-known endpoint.
    At(Endpoint),
    /// Sockets that this process has open.
    Pid(u32),
    /// The socket with this inode.
    Inode(u32),
}

impl fmt::Display for SocketSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketSelector::At(endpoint) => endpoint.fmt(f),
            SocketSelector::Pid(pid) => write!(f, "pid:{pid}"),
            SocketSelector::Inode(inode) => write!(f, "inode:{inode}"),
        }
    }
}

/// Returns a parser of `pid:N`, `inode:N`, `socket:[N]` as in `/proc/PID/fd`, an address, or a name
/// such as `docker`.
pub(crate) fn socket_selector() -> impl TypedValueParser<Value = SocketSelector> {
    OsStringValueParser::new().try_map(read)
}

fn read(text: OsString) -> Result<SocketSelector, ParseError> {
    const PREFIXES: [(&str, &str); 3] = [("pid:", ""), ("inode:", ""), ("socket:[", "]")];
    for (prefix, end) in PREFIXES {
        let Some(rest) = text.as_encoded_bytes().strip_prefix(prefix.as_bytes()) else { continue };
        let digits = std::str::from_utf8(rest).ok().and_then(|rest| rest.strip_suffix(end));
        return match (prefix, digits) {
            ("pid:", Some(digits)) => pid(digits).map(SocketSelector::Pid).ok(),
            (_, Some(digits)) => digits.parse().map(SocketSelector::Inode).ok(),
            _ => None,
        }
        .ok_or_else(|| {
            format!(
                "'{prefix}' must be followed by a number{}; for a file with such a name, write ./ in front",
                closed(end)
            )
            .into()
        });
    }
    read_endpoint(text).map(SocketSelector::At)
}

fn closed(end: &str) -> String {
    if end.is_empty() { String::new() } else { format!(" and '{end}'") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_parsed() {
        let which = |text: &str| read(text.into()).unwrap();
        assert_eq!(
            (which("pid:12"), which("inode:7"), which("socket:[7]")),
            (SocketSelector::Pid(12), SocketSelector::Inode(7), SocketSelector::Inode(7))
        );
        for address in ["/run/x", "@x", "dgram:/run/log", "./pid:abc", "./inode:x", "socket", "pid"] {
            assert!(matches!(which(address), SocketSelector::At(_)), "{address}");
        }
        assert!(matches!(which("docker"), SocketSelector::At(Endpoint::Named(_))));
        assert!(matches!(which("./docker"), SocketSelector::At(Endpoint::At(_))), "a file");
        for wrong in [
            "tcp:1.2.3.4",
            "pid:",
            "pid:abc",
            "pid:0",
            "pid:-1",
            "inode:x",
            "inode:99999999999",
            "socket:[7",
            "socket:[x]",
        ] {
            assert!(read(wrong.into()).is_err(), "{wrong}");
        }
        assert_eq!(which("pid:12").to_string(), "pid:12");
    }
}
