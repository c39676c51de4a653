//! One socket, as a person names it: by address, by a process that has it, or by its inode.

use std::ffi::OsString;
use std::fmt;

use clap::builder::{OsStringValueParser, TypedValueParser};
use stoop::Target;

use super::shared::{Refusal, local};

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Which {
    /// Sockets at an address.
    At(Target),
    /// Sockets that a process has open.
    Pid(u32),
    /// The socket with this inode.
    Inode(u32),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Which::At(target) => target.fmt(f),
            Which::Pid(pid) => write!(f, "pid:{pid}"),
            Which::Inode(inode) => write!(f, "inode:{inode}"),
        }
    }
}

/// Reads one: `pid:N`, `inode:N`, `socket:[N]` as `/proc/PID/fd` shows it, or an address.
pub(super) fn which() -> impl TypedValueParser<Value = Which> {
    OsStringValueParser::new().try_map(read)
}

fn read(text: OsString) -> Result<Which, Refusal> {
    let number =
        |prefix: &str, end: &str| text.to_str()?.strip_prefix(prefix)?.strip_suffix(end)?.parse().ok();
    if let Some(pid) = number("pid:", "") {
        return Ok(Which::Pid(pid));
    }
    if let Some(inode) = number("inode:", "").or_else(|| number("socket:[", "]")) {
        return Ok(Which::Inode(inode));
    }
    local(text, Target::parse).map(Which::At)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets_are_named_in_several_ways() {
        let which = |text: &str| read(text.into()).unwrap();
        assert_eq!(
            (which("pid:12"), which("inode:7"), which("socket:[7]")),
            (Which::Pid(12), Which::Inode(7), Which::Inode(7))
        );
        for address in ["/run/x", "@x", "dgram:/run/log", "./pid:12", "pid:", "pid:x"] {
            assert!(matches!(which(address), Which::At(_)), "{address}");
        }
        assert!(read("tcp:1.2.3.4".into()).is_err());
        assert_eq!(which("pid:12").to_string(), "pid:12");
    }
}
