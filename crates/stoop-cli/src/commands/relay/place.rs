//! What can be at either side of a relay: a Unix socket, TCP, or what `wire.rs` has.

use std::ffi::OsString;
use std::fmt;

use clap::builder::{OsStringValueParser, TypedValueParser};
use stoop::internal::Target;

use super::tcp::{HostAndPort, host_and_port};
use super::wire::{self, Wire};
use crate::args::shared::{ParseError, read_bind_target, read_endpoint};
use crate::endpoint::Endpoint;

/// What clients connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Front {
    Unix(Target),
    Tcp(HostAndPort),
    Wire(Wire),
}

/// What they are relayed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    Unix(Endpoint),
    Tcp(HostAndPort),
    Wire(Wire),
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Server::Unix(endpoint) => endpoint.fmt(f),
            Server::Tcp(place) => place.fmt(f),
            Server::Wire(wire) => wire.fmt(f),
        }
    }
}

/// Returns a parser of what a relay listens at.
pub(crate) fn front() -> impl TypedValueParser<Value = Front> {
    OsStringValueParser::new().try_map(|text| match tcp(&text)? {
        Some(place) => Ok::<_, ParseError>(Front::Tcp(place)),
        None => match wire::read(text.to_str().unwrap_or_default())? {
            Some(wire) => Ok(Front::Wire(wire)),
            None => read_bind_target(text).map(Front::Unix),
        },
    })
}

/// Returns a parser of what a relay connects to.
pub(super) fn server() -> impl TypedValueParser<Value = Server> {
    OsStringValueParser::new().try_map(|text| match tcp(&text)? {
        Some(place) => Ok::<_, ParseError>(Server::Tcp(place)),
        None => match wire::read(text.to_str().unwrap_or_default())? {
            Some(wire) => Ok(Server::Wire(wire)),
            None => read_endpoint(text).map(Server::Unix),
        },
    })
}

/// Reads `tcp:HOST:PORT`, in whatever case, as socat and curl write it too. The host is never left
/// out: it has to be said whether the network is meant or this machine only.
fn tcp(text: &OsString) -> Result<Option<HostAndPort>, ParseError> {
    let Some((scheme, rest)) = text.to_str().and_then(|text| text.split_once(':')) else { return Ok(None) };
    let scheme = scheme.to_ascii_lowercase();
    if !["tcp", "tcp4", "tcp6", "tcp-listen", "tcp4-listen", "tcp6-listen"].contains(&scheme.as_str()) {
        return Ok(None);
    }
    match host_and_port(rest) {
        Some(place) => Ok(Some(place)),
        None => Err("a host and a port are needed: tcp:127.0.0.1:8080 for this machine alone".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<String>, String> {
        let place = tcp(&OsString::from(text)).map_err(|error| error.to_string())?;
        Ok(place.map(|place| place.to_string()))
    }

    #[test]
    fn hosts_and_ports_are_read_and_can_be_typed_back() {
        for (text, place) in [
            ("tcp:127.0.0.1:80", "tcp:127.0.0.1:80"),
            ("tcp://host.example:8080", "tcp:host.example:8080"),
            ("TCP:localhost:1", "tcp:localhost:1"),
            ("tcp:[::1]:65535", "tcp:[::1]:65535"),
        ] {
            assert_eq!(read(text), Ok(Some(place.to_owned())));
            assert_eq!(read(place), Ok(Some(place.to_owned())));
        }
    }

    #[test]
    fn a_host_is_never_guessed() {
        for text in ["tcp:80", "tcp::80", "tcp:host", "tcp:host:", "tcp:host:65536", "tcp-listen:80"] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in ["./tcp", "stream:./x", "@tcp", "docker"] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
    }
}
