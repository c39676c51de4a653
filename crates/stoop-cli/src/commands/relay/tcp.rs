//! Listening at a TCP port.

use std::io::ErrorKind;
use std::net::TcpListener;

use super::place::HostAndPort;
use crate::exit::Exit;
use crate::failure::{Failure, describe};

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
