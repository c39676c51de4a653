//! Flags shared by several commands: how to bind a server's address, and how to connect to one.

use std::error::Error;
use std::ffi::OsString;
use std::time::Duration;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use stoop::internal::{Place, Target};
use stoop::{Address, AddressError, Kind};

use super::notation;
use crate::endpoint::{Endpoint, instance};
use crate::{names, output, time};

/// The error for an invalid address.
pub(crate) type ParseError = Box<dyn Error + Send + Sync>;

/// Returns a parser of addresses that a server binds, optionally with a kind in front, or `fd:N`.
/// The name of a well-known endpoint is rejected, because clients would take it for that.
pub(crate) fn bind_target() -> impl TypedValueParser<Value = Target> {
    OsStringValueParser::new().try_map(read_bind_target)
}

pub(crate) fn read_bind_target(text: OsString) -> Result<Target, ParseError> {
    match read_endpoint(text)? {
        Endpoint::At(target) => Ok(target),
        Endpoint::Named(name) => {
            let name = name.word();
            Err(format!("'{name}' stands for the address of a well-known server; for a file, write ./{name}")
                .into())
        }
    }
}

/// Returns a parser of addresses or names of well-known endpoints. For a file with such a name,
/// write ./ in front.
pub(crate) fn endpoint() -> impl TypedValueParser<Value = Endpoint> {
    OsStringValueParser::new().try_map(read_endpoint)
}

pub(crate) fn read_endpoint(text: OsString) -> Result<Endpoint, ParseError> {
    let word = text.to_str().unwrap_or_default();
    if let Ok(name) = word.parse() {
        return Ok(Endpoint::Named(name));
    }
    match instance(word) {
        Some(address) => Ok(Endpoint::At(Target { kind: None, place: Place::Address(address) })),
        None => local(text, Target::parse).map(Endpoint::At),
    }
}

/// Returns a parser of plain addresses.
fn address() -> impl TypedValueParser<Value = Address> {
    OsStringValueParser::new().try_map(|text| local(text, Address::parse))
}

/// Parses an address. Understands the notations of other programs, and rejects network addresses:
/// they would be valid as file names, but that is never what the user means.
pub(crate) fn local<T>(
    text: OsString,
    parse: fn(OsString) -> Result<T, AddressError>,
) -> Result<T, ParseError> {
    let text = notation::translate(text)?;
    if let Some(what) = unexpanded(text.as_encoded_bytes()) {
        return Err(format!("{what}; for a file with such a name, write ./ in front").into());
    }
    let what = match other_scheme(text.as_encoded_bytes()) {
        Some(scheme) if is_network(scheme) => format!("'{scheme}:' is for networks"),
        Some(scheme) => format!("stoop does not know addresses of '{scheme}:'"),
        None if is_host_and_port(text.as_encoded_bytes()) => "it is a host and a port".into(),
        // The caller's message shows the text already.
        None => return parse(text).map_err(|error| error.kind().to_string().into()),
    };
    Err(format!("not a Unix socket address: {what}; for a file with such a name, write ./ in front").into())
}

/// Returns why the text is not what was meant, if a shell or a program has left it unread: quotes
/// within quotes, or a home directory or variable that was not expanded.
fn unexpanded(text: &[u8]) -> Option<&'static str> {
    let is_name = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'_';
    match text {
        [start @ (b'\'' | b'"'), .., end] if start == end => Some("the address is in quotes of its own"),
        [b'~'] | [b'~', b'/', ..] => Some(TILDE),
        [b'~', rest @ ..] if rest.first().is_some_and(is_name) && rest.contains(&b'/') => Some(TILDE),
        [b'$', b'{', ..] => Some(VARIABLE),
        [b'$', rest @ ..] if rest.first().is_some_and(is_name) => Some(VARIABLE),
        [b' ' | b'\t' | b'\n' | b'\r', ..] => Some("the address begins with a space"),
        [b'\\', b'0', ..] => Some("the NUL of an abstract name is written as '@' here: @name"),
        [b'\\', b'\\', ..] => Some("not a Unix socket address: it is a named pipe of Windows"),
        _ => None,
    }
}

const TILDE: &str = "'~' was not expanded to a home directory: no shell has read it";
const VARIABLE: &str = "the variable was not expanded: no shell has read it";

/// Returns what precedes the colon if that makes it another address: any URL scheme but a local
/// one, and the schemes of socat and others.
fn other_scheme(text: &[u8]) -> Option<&str> {
    let colon = text.iter().position(|&byte| byte == b':')?;
    let scheme = std::str::from_utf8(&text[..colon]).ok()?;
    let is_scheme = !scheme.is_empty()
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-".contains(&byte));
    let rest = &text[colon + 1..];
    let is_url = is_scheme && scheme != "unix" && rest.starts_with(b"//")
        || is_scheme && rest.starts_with(b"/") && !LOCAL.contains(&scheme);
    (is_url || is_transport(scheme) || OTHERS.contains(&&*scheme.to_ascii_lowercase())).then_some(scheme)
}

/// What may precede the colon in an address of stoop, or of a socket that is selected.
const LOCAL: [&str; 9] =
    ["fd", "unix", "stream", "dgram", "seqpacket", "abstract", "unix-abstract", "pid", "inode"];

/// Schemes that are for networks even without `//`, and socat's with what it does there behind
/// them: `TCP4-LISTEN`.
const TRANSPORTS: [&str; 15] = [
    "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "udplite", "ip", "ip4", "ip6", "vsock", "sctp", "dccp",
    "openssl", "ssl",
];

/// Schemes of what is neither a socket of this machine nor a network.
const OTHERS: [&str; 5] = ["npipe", "exec", "system", "pty", "hvsock"];

fn is_transport(scheme: &str) -> bool {
    let lower = scheme.to_ascii_lowercase();
    let base = lower.split('-').next().unwrap_or_default();
    TRANSPORTS.contains(&base)
}

fn is_network(scheme: &str) -> bool {
    const URLS: [&str; 8] = ["http", "https", "ws", "wss", "ssh", "ftp", "grpc", "tls"];
    is_transport(scheme) || URLS.contains(&scheme.to_ascii_lowercase().as_str())
}

/// Returns whether this is `host:80`, `127.0.0.1:80`, `[::1]:80` or `:80`, perhaps with a path.
fn is_host_and_port(text: &[u8]) -> bool {
    let text = text.split(|&byte| byte == b'/').next().unwrap_or_default();
    let Some((host, port)) = std::str::from_utf8(text).ok().and_then(|text| text.rsplit_once(':')) else {
        return false;
    };
    let is_host = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(host) => host.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
        None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_*".contains(&byte)),
    };
    let is_port = port.len() <= 5 && !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && is_port && !host.starts_with('.') && !LOCAL.contains(&host)
}

/// Parses a process id, or a process as it is printed: `812/postgres`.
pub(crate) fn pid(text: &str) -> Result<u32, &'static str> {
    let digits = text.split_once('/').map_or(text, |(digits, _)| digits);
    let number = digits.parse().ok().filter(|&number| (1..=i32::MAX as u32).contains(&number));
    number.ok_or("not a process id, as in 812")
}

fn kind(text: &str) -> Result<Kind, stoop::internal::UnknownKind> {
    text.parse()
}

/// Parses permission bits as `chmod` does: octal digits.
pub(crate) fn mode(text: &str) -> Result<u32, String> {
    let octal = !text.is_empty() && text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = octal.then(|| u32::from_str_radix(text, 8).ok()).flatten();
    mode.filter(|&mode| mode <= 0o777).ok_or_else(|| "not an octal mode, as in 660".into())
}

/// The kind of socket.
#[derive(Args, Debug, Default)]
pub(crate) struct KindFlag {
    /// Kind of socket: stream, dgram or seqpacket; may also precede the address, as in
    /// dgram:/run/log
    #[arg(long = "kind", value_name = "KIND", value_parser = kind)]
    pub(crate) kind: Option<Kind>,
}

/// How a server's address is bound, and which clients are allowed.
#[derive(Args, Debug, Default)]
pub(crate) struct BindFlags {
    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Permission bits of the socket file, regardless of the umask
    #[arg(long, value_name = "OCTAL", value_parser = mode)]
    pub(crate) mode: Option<u32>,

    /// Owner of the socket file, by name or number
    #[arg(long, value_name = "USER", value_parser = names::parse_user)]
    pub(crate) owner: Option<u32>,

    /// Group of the socket file, by name or number
    #[arg(long, value_name = "GROUP", value_parser = names::parse_group)]
    pub(crate) group: Option<u32>,

    /// Maximum number of clients waiting to be accepted
    #[arg(long, value_name = "N")]
    pub(crate) backlog: Option<u32>,

    /// Allow this user, by name or number, and no one not listed; may be repeated
    #[arg(long = "allow-uid", value_name = "USER", value_parser = names::parse_user)]
    pub(crate) allow_uid: Vec<u32>,

    /// Allow members of this group, by name or number, and no one not listed; may be repeated
    #[arg(long = "allow-gid", value_name = "GROUP", value_parser = names::parse_group)]
    pub(crate) allow_gid: Vec<u32>,

    /// Take over the address from a live server without refusing any client
    #[arg(long)]
    pub(crate) replace: bool,

    /// Replace a socket file as stale even if another machine or mount may have its server
    #[arg(long)]
    pub(crate) assume_stale: bool,

    /// Create missing parent directories, with mode 755
    #[arg(long)]
    pub(crate) mkdir: bool,
}

/// Whether status messages are printed.
#[derive(Args, Debug)]
pub(crate) struct QuietFlag {
    /// Print no status messages on standard error, only errors
    #[arg(long, short)]
    quiet: bool,
}

impl QuietFlag {
    /// Suppresses status messages for the rest of the process, if requested.
    pub(crate) fn apply(&self) {
        if self.quiet {
            output::set_quiet();
        }
    }
}

/// How to connect to a server.
#[derive(Args, Debug)]
pub(crate) struct ConnectFlags {
    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Wait up to this time for the server to start, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) wait: Option<Duration>,

    /// Bind this address to receive datagrams, instead of one chosen by the kernel
    #[arg(long, value_name = "ADDR", value_parser = address())]
    pub(crate) bind: Option<Address>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn network_addresses_are_distinguished_from_paths() {
        for network in [
            "http://x",
            "tcp:1.2.3.4",
            "TCP:host:80",
            "udp6:[::1]:5",
            "ssh://host/x",
            "TCP4-LISTEN:80,fork",
            "OPENSSL:host:443",
            "vsock:2:1024",
            "npipe:x",
            "EXEC:date",
        ] {
            assert!(other_scheme(network.as_bytes()).is_some(), "{network}");
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
            assert_eq!(other_scheme(local.as_bytes()), None, "{local}");
        }
    }

    #[test]
    fn a_host_and_a_port_are_not_a_file() {
        for network in [
            "127.0.0.1:8080",
            ":8080",
            "localhost:80",
            "my-host.example:443",
            "[::1]:5",
            "*:80",
            "localhost:80/v1",
            ":8080/",
        ] {
            assert!(is_host_and_port(network.as_bytes()), "{network}");
        }
        for file in [
            "fd:3",
            "unix:80",
            "stream:80",
            "./a:80",
            "/a:80",
            "@a:80",
            "a:b",
            "a:",
            "a:123456",
            ".:1",
            "a b:1",
            "80",
        ] {
            assert!(!is_host_and_port(file.as_bytes()), "{file}");
        }
    }

    #[test]
    fn notations_of_others_are_read() {
        let read = |text: &str| local(text.into(), Address::parse).map_err(|error| error.to_string());
        assert_eq!(read("http://unix:/run/app.sock:"), Ok(Address::path("/run/app.sock").unwrap()));
        for (text, why) in [
            ("http://unix:/run/app.sock:/v1", "stoop http"),
            ("http://unix/x", "'http:' is for networks"),
            ("npipe:////./pipe/docker_engine", "does not know addresses of 'npipe:'"),
            (r"\\.\pipe\docker_engine", "a named pipe of Windows"),
            ("passenger:/run/x", "does not know addresses of 'passenger:'"),
            ("'/run/x.sock'", "in quotes"),
            ("\"/run/x.sock\"", "in quotes"),
            ("~/x.sock", "'~' was not expanded"),
            ("~alice/x.sock", "'~' was not expanded"),
            ("$HOME/x.sock", "variable was not expanded"),
            ("${XDG_RUNTIME_DIR}/x.sock", "variable was not expanded"),
            ("localhost:80", "a host and a port"),
            (" /run/x.sock", "begins with a space"),
            ("\t@x", "begins with a space"),
            ("\nx.sock", "begins with a space"),
            (r"\0x", "written as '@' here"),
            (r"\0", "written as '@' here"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        // Of a file with such a name, the refusal says how it is written.
        for text in ["./ x.sock", r"./\0x", "/run/ x.sock", "@ x"] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    proptest! {
        /// In front of anything, another's notation is understood or refused, and never a relative
        /// path.
        #[test]
        fn notations_of_others_are_no_relative_paths(
            start in "(passenger:/|c:/|~/|~root/|\\$HOME|\\$\\{X\\}|unix:|unix://|http://unix:|UNIX-CONNECT:|unix:path=|unix:abstract=|http\\+unix://%2F|local:|\
                      ipc://|unix@|abns@|tcp:|TCP-LISTEN:|vsock:|npipe://|https?://|ws://|ssh://|:80|a\\.b:80|\\[::1\\]:80)",
            rest in "(/[a-z%20:;,=/?]{0,12})?",
        ) {
            let typed = format!("{start}{rest}");
            if let Ok(address) = local(typed.clone().into(), Address::parse) {
                let is_local = address.as_abstract_name().is_some()
                    || address.as_pathname().is_some_and(std::path::Path::is_absolute);
                prop_assert!(is_local, "{typed} is {address}");
            }
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
