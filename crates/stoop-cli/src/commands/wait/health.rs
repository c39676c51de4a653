//! Asks a server in its own protocol whether it works.

use std::io::{Read, Write};

use stoop::{Address, Stream};
use stoop_inspect::endpoints;

use super::args::Protocol;
use super::protocol::{
    self, Verdict, http_answer, http_request, mysql_answer, postgres_answer, postgres_request, redis_answer,
};
use crate::accepted;
use crate::deadline::Deadline;

/// A health check: a protocol, and for HTTP the path to request.
#[derive(Debug)]
pub(super) struct HealthCheck {
    protocol: Protocol,
    path: String,
    /// The lowest status of HTTP that is not healthy.
    status_limit: u16,
}

impl HealthCheck {
    /// Returns the check for a server at this address: as the flags say, else as is usual there.
    /// `None` if the protocol is not known.
    pub(super) fn of(
        address: &Address,
        protocol: Option<Protocol>,
        path: Option<&str>,
    ) -> Option<HealthCheck> {
        let known = endpoints::recognise(address);
        let protocol = protocol.or_else(|| match known?.protocol {
            endpoints::Protocol::Http => Some(Protocol::Http),
            #[cfg(feature = "grpc")]
            endpoints::Protocol::Grpc => Some(Protocol::Grpc),
            endpoints::Protocol::Postgres => Some(Protocol::Postgres),
            endpoints::Protocol::Mysql => Some(Protocol::Mysql),
            endpoints::Protocol::Redis => Some(Protocol::Redis),
            _ => None,
        });
        let protocol = protocol.or_else(|| by_name(address))?;
        let usual = known.filter(|_| path.is_none()).and_then(|service| service.health_path);
        let status_limit = if path.is_some() || usual.is_some() { 400 } else { 500 };
        Some(HealthCheck { protocol, path: path.or(usual).unwrap_or("/").to_owned(), status_limit })
    }

    /// Makes the check on a new connection. The error says why the server is not healthy.
    pub(super) fn make(&self, stream: Stream, limit: &Deadline) -> Result<(), String> {
        match self.protocol {
            Protocol::Http => {
                ask(stream, &http_request(&self.path), limit, |bytes| http_answer(bytes, self.status_limit))
            }
            #[cfg(feature = "grpc")]
            Protocol::Grpc => super::grpc::check(stream, limit),
            Protocol::Postgres => ask(stream, &postgres_request(), limit, postgres_answer),
            Protocol::Mysql => ask(stream, b"", limit, mysql_answer),
            Protocol::Redis => ask(stream, protocol::REDIS_REQUEST, limit, redis_answer),
        }
    }
}

/// Returns the protocol of a server at another place, whose socket is named as it usually is.
fn by_name(address: &Address) -> Option<Protocol> {
    let name = address.as_pathname()?.file_name()?.to_str()?;
    let has = |words: [&str; 2]| words.iter().any(|word| name.contains(word));
    match name {
        _ if name.starts_with(".s.PGSQL.") => Some(Protocol::Postgres),
        _ if has(["mysql", "mariadb"]) => Some(Protocol::Mysql),
        _ if has(["redis", "valkey"]) => Some(Protocol::Redis),
        _ if ["docker.sock", "podman.sock"].contains(&name) => Some(Protocol::Http),
        _ => None,
    }
}

/// Sends a request, and reads until the answer can be judged.
fn ask(
    stream: Stream,
    request: &[u8],
    limit: &Deadline,
    judge: impl Fn(&[u8]) -> Verdict,
) -> Result<(), String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 1024]);
    let told = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => accepted::no_answer().to_owned(),
        _ => format!("the connection broke: {error}"),
    };
    stream.set_write_timeout(limit.left()).map_err(|error| error.to_string())?;
    (&stream).write_all(request).map_err(told)?;
    loop {
        stream.set_read_timeout(limit.left()).map_err(|error| error.to_string())?;
        let count = (&stream).read(&mut buffer).map_err(told)?;
        if count == 0 {
            return Err("it closed the connection without an answer".into());
        }
        bytes.extend_from_slice(&buffer[..count]);
        if let Some(verdict) = judge(&bytes) {
            return verdict;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_protocol_follows_from_the_name() {
        let of = |path: &str| HealthCheck::of(&Address::path(path).unwrap(), None, None);
        assert_eq!(of("/tmp/.s.PGSQL.5432").unwrap().protocol, Protocol::Postgres);
        assert_eq!(of("/srv/mysqld.sock").unwrap().protocol, Protocol::Mysql);
        assert_eq!(of("./redis-server.sock").unwrap().protocol, Protocol::Redis);
        let docker = of("/var/run/docker.sock").unwrap();
        assert_eq!(
            (docker.protocol, docker.path.as_str(), docker.status_limit),
            (Protocol::Http, "/_ping", 400)
        );
        assert!(of("/run/app.sock").is_none());
        let given = HealthCheck::of(&Address::path("/x").unwrap(), Some(Protocol::Http), None).unwrap();
        assert_eq!((given.path.as_str(), given.status_limit), ("/", 500));
    }
}
