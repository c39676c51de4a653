//! Flags that several verbs share: how to make a server's address, and how to reach one.

use std::error::Error;
use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use stoop::{Address, AddressError, Kind, Target};

use crate::endpoint::Endpoint;
use crate::{names, time};

/// What an address that cannot be is answered with.
pub(super) type Refusal = Box<dyn Error + Send + Sync>;

/// Reads an address as it is typed, with a kind in front or not, or `fd:N`.
pub(super) fn target() -> impl TypedValueParser<Value = Target> {
    OsStringValueParser::new().try_map(|text| local(text, Target::parse))
}

/// Reads an address, or the name of a well-known endpoint. A file that has such a name is written
/// with ./ in front.
pub(super) fn endpoint() -> impl TypedValueParser<Value = Endpoint> {
    OsStringValueParser::new().try_map(read_endpoint)
}

pub(super) fn read_endpoint(text: OsString) -> Result<Endpoint, Refusal> {
    match text.to_str().and_then(|word| word.parse().ok()) {
        Some(name) => Ok(Endpoint::Named(name)),
        None => local(text, Target::parse).map(Endpoint::At),
    }
}

/// Reads a plain address.
fn address() -> impl TypedValueParser<Value = Address> {
    OsStringValueParser::new().try_map(|text| local(text, Address::parse))
}

/// Reads it, unless it is meant for a network: as a file name it would be possible, and never what
/// is meant.
pub(super) fn local<T>(text: OsString, parse: fn(OsString) -> Result<T, AddressError>) -> Result<T, Refusal> {
    match network_scheme(text.as_encoded_bytes()) {
        Some(scheme) => Err(format!(
            "no local address: '{scheme}:' is for networks; a file of that name is written with ./ in front"
        )
        .into()),
        None => Ok(parse(text)?),
    }
}

/// What stands before the colon, where that makes it a network's address: any URL but a local one,
/// and what socat and others write.
fn network_scheme(text: &[u8]) -> Option<&str> {
    const NETWORKS: [&str; 9] = ["tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "ip", "vsock", "sctp"];
    let colon = text.iter().position(|&byte| byte == b':')?;
    let scheme = std::str::from_utf8(&text[..colon]).ok()?;
    let is_scheme = !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let is_url = is_scheme && scheme != "unix" && text[colon + 1..].starts_with(b"//");
    (is_url || NETWORKS.contains(&scheme.to_ascii_lowercase().as_str())).then_some(scheme)
}

/// Reads the number of a process.
pub(super) fn pid(text: &str) -> Result<u32, &'static str> {
    let number = text.parse().ok().filter(|&number| (1..=i32::MAX as u32).contains(&number));
    number.ok_or("not the number of a process, as in 812")
}

fn kind(text: &str) -> Result<Kind, stoop::UnknownKind> {
    text.parse()
}

/// Reads permission bits as `chmod` does: octal digits.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let octal = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    mode.filter(|&mode| mode <= 0o777).ok_or_else(|| "not permission bits, as in 660".into())
}

/// Which kind of socket.
#[derive(Args, Debug)]
pub(crate) struct KindFlag {
    /// Kind of socket: stream, dgram or seqpacket; it may also stand in front of the address, as in
    /// dgram:/run/log
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    pub(crate) kind: Option<Kind>,
}

/// How a server's address is made, and who may come.
#[derive(Args, Debug)]
pub(crate) struct Serving {
    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Permission bits of the socket file, exactly these whatever the umask
    #[arg(long, value_name = "OCTAL", value_parser = mode)]
    pub(crate) mode: Option<u32>,

    /// Owner of the socket file, by name or number
    #[arg(long, value_name = "USER", value_parser = names::parse_user)]
    pub(crate) owner: Option<u32>,

    /// Group of the socket file, by name or number
    #[arg(long, value_name = "GROUP", value_parser = names::parse_group)]
    pub(crate) group: Option<u32>,

    /// How many clients may wait to be accepted
    #[arg(long, value_name = "N")]
    pub(crate) backlog: Option<u32>,

    /// Admit this user, by name or number, and nobody who is not named; may be repeated
    #[arg(long = "allow-uid", value_name = "USER", value_parser = names::parse_user)]
    pub(crate) allow_uid: Vec<u32>,

    /// Admit members of this group, by name or number, and nobody who is not named; may be repeated
    #[arg(long = "allow-gid", value_name = "GROUP", value_parser = names::parse_group)]
    pub(crate) allow_gid: Vec<u32>,

    /// Take the address over from a live server, without an instant at which a client is refused
    #[arg(long)]
    pub(crate) replace: bool,

    /// Make the directories that are missing on the way, with mode 755
    #[arg(long)]
    pub(crate) mkdir: bool,
}

/// How a server is reached.
#[derive(Args, Debug)]
pub(crate) struct Reach {
    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Wait this long for a server that has not started yet, as in 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) wait: Option<Duration>,

    /// Address of our own for datagrams, instead of one that the kernel chooses
    #[arg(long, value_name = "ADDR", value_parser = address())]
    pub(crate) bind: Option<Address>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_from_paths() {
        for network in ["http://x", "tcp:1.2.3.4", "TCP:host:80", "udp6:[::1]:5", "ssh://host/x"] {
            assert!(network_scheme(network.as_bytes()).is_some(), "{network}");
        }
        for local in [
            "unix:///x",
            "unix:x",
            "./tcp:x",
            "/tcp:x",
            "tcp",
            "stream:x",
            "stream:/x",
            "@tcp:x",
            "a b://",
            "fd:3",
            ":",
        ] {
            assert_eq!(network_scheme(local.as_bytes()), None, "{local}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!((mode("660"), mode("0600"), mode("0")), (Ok(0o660), Ok(0o600), Ok(0)));
        for wrong in ["", "rw", "888", "1777", "+660", "7777777777777"] {
            assert!(mode(wrong).is_err(), "{wrong}");
        }
    }
}
