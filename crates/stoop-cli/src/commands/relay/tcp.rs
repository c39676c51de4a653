//! A TCP port: reading it, and listening at it.

use std::fmt;
use std::io::ErrorKind;
use std::net::TcpListener;

use crate::exit::Exit;
use crate::failure::{Failure, describe};

/// A host, by name or number, and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostAndPort {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for HostAndPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown(f, "tcp")
    }
}

impl HostAndPort {
    pub(super) fn shown(&self, f: &mut fmt::Formatter<'_>, scheme: &str) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "{scheme}:[{}]:{}", self.host, self.port),
            false => write!(f, "{scheme}:{}:{}", self.host, self.port),
        }
    }
}

/// Reads a host and a port, neither of which is left out.
pub(super) fn host_and_port(rest: &str) -> Option<HostAndPort> {
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (host, port) = rest.rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let port = port.parse().ok()?;
    (!host.is_empty()).then(|| HostAndPort { host: host.to_owned(), port })
}

/// Listens at a host and a port. Returns the port that it is.
pub(super) fn listen(place: &HostAndPort) -> Result<(TcpListener, HostAndPort), Failure> {
    match TcpListener::bind((place.host.as_str(), place.port)) {
        Ok(listener) => {
            let port = listener.local_addr().map_or(place.port, |address| address.port());
            Ok((listener, HostAndPort { host: place.host.clone(), port }))
        }
        Err(error) => Err(not_listening(place, &error)),
    }
}

fn not_listening(place: &HostAndPort, error: &std::io::Error) -> Failure {
    let report = Failure::new(Exit::Failed, format!("cannot listen at {place}: {}", describe(error)));
    let port = place.port;
    match error.kind() {
        ErrorKind::AddrInUse => report
            .why("another program listens at this port")
            .next(format!("ss -ltnp 'sport = :{port}'    # which one"))
            .next(format!("stoop relay tcp:{}:0 …    # any free port", place.host)),
        ErrorKind::PermissionDenied => report
            .why("ports below 1024 are for root, or for programs with CAP_NET_BIND_SERVICE")
            .next("# use a port from 1024 on"),
        ErrorKind::AddrNotAvailable => report
            .why("no network interface of this machine has this address")
            .next("ip -brief address    # those that there are"),
        _ => report.why("the host could not be looked up").next(format!("getent hosts {}", place.host)),
    }
    .into()
}
