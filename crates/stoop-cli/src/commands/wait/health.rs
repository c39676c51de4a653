//! Asks a server in its own protocol whether it works.

use std::io::{Read, Write};
use std::time::Duration;

use stoop::{Address, Stream, escaped};
use stoop_inspect::endpoints::{self, Service};
use stoop_inspect::internal::{Exchange, by_answer, exchange};

use super::args::Protocol;
use super::protocol::{
    self, Unhealthy, Verdict, http_answer, http_request, known_answer, mysql_answer, postgres_answer,
    postgres_request, redis_answer,
};
use crate::accepted;
use crate::deadline::Deadline;

/// How long a server may take to speak first.
const GREETING_LIMIT: Duration = Duration::from_millis(500);

/// The most bytes that are read of a greeting.
const MAX_GREETING: usize = 64;

/// A health check.
#[derive(Debug)]
pub(super) enum HealthCheck {
    /// In a protocol whose answers are understood. For HTTP, a path is requested, and a status from
    /// `status_limit` on is not healthy.
    Protocol { protocol: Protocol, path: String, status_limit: u16 },
    /// By the beginning of an answer.
    Exchange(&'static Exchange, &'static str),
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
        match (protocol, known.and_then(|service| HealthCheck::of_service(service, path))) {
            (None, Some(check)) => Some(check),
            (given, _) => {
                let usual = known.and_then(|service| service.health_path);
                Some(HealthCheck::in_protocol(given.or_else(|| by_name(address))?, usual, path))
            }
        }
    }

    /// Returns the check for a service, if one is known.
    pub(super) fn of_service(service: &'static Service, path: Option<&str>) -> Option<HealthCheck> {
        let protocol = match service.protocol {
            endpoints::Protocol::Http => Some(Protocol::Http),
            #[cfg(feature = "grpc")]
            endpoints::Protocol::Grpc => Some(Protocol::Grpc),
            endpoints::Protocol::Postgres => Some(Protocol::Postgres),
            endpoints::Protocol::Mysql => Some(Protocol::Mysql),
            endpoints::Protocol::Redis => Some(Protocol::Redis),
            _ => None,
        };
        match protocol {
            Some(protocol) => Some(HealthCheck::in_protocol(protocol, service.health_path, path)),
            None => Some(HealthCheck::Exchange(exchange(service)?, service.what)),
        }
    }

    fn in_protocol(protocol: Protocol, usual: Option<&str>, path: Option<&str>) -> HealthCheck {
        let status_limit = if path.is_some() || usual.is_some() { 400 } else { 500 };
        let path = path.or(usual).unwrap_or("/").to_owned();
        HealthCheck::Protocol { protocol, path, status_limit }
    }

    /// Makes the check on a new connection. The error says why the server is not healthy.
    pub(super) fn make(&self, stream: Stream, limit: &Deadline) -> Result<(), String> {
        match self {
            HealthCheck::Protocol { protocol, path, status_limit } => match protocol {
                Protocol::Http => {
                    ask(stream, &http_request(path), limit, |bytes| http_answer(bytes, *status_limit))
                }
                #[cfg(feature = "grpc")]
                Protocol::Grpc => super::grpc::check(stream, limit),
                Protocol::Postgres => ask(stream, &postgres_request(), limit, postgres_answer),
                Protocol::Mysql => ask(stream, b"", limit, mysql_answer),
                Protocol::Redis => ask(stream, protocol::REDIS_REQUEST, limit, redis_answer),
            },
            HealthCheck::Exchange(exchange, what) => {
                ask(stream, exchange.send, limit, |bytes| known_answer(bytes, exchange, what))
            }
        }
    }
}

/// Reads what a server says that speaks first, and returns the service that says this. The error is
/// what it said. Nothing is sent.
///
/// This takes its time even if that of the check is over: without it, nothing would be known.
pub(super) fn greeting(stream: &Stream) -> Result<&'static Service, Vec<u8>> {
    let greeting = Deadline::from_now(Some(GREETING_LIMIT));
    let (mut bytes, mut buffer) = (Vec::new(), [0; MAX_GREETING]);
    while bytes.len() < MAX_GREETING {
        let left = greeting.left().filter(|left| !left.is_zero());
        if left.is_none() || stream.set_read_timeout(left).is_err() {
            break;
        }
        match (&*stream).read(&mut buffer) {
            Ok(count @ 1..) => bytes.extend_from_slice(&buffer[..count]),
            _ => break,
        }
        if let Some(service) = by_answer(&bytes) {
            return Ok(service);
        }
    }
    Err(bytes)
}

/// Says what is known of an answer that is not one of the expected protocol.
fn describe(why: Unhealthy, bytes: &[u8]) -> String {
    match why {
        Unhealthy::Says(text) => text,
        Unhealthy::Speaks { not } if bytes.starts_with(b"HTTP/1.") => {
            format!("it does not speak {not}: it responds in HTTP")
        }
        Unhealthy::Speaks { not } => match by_answer(bytes) {
            Some(service) => format!("it does not speak {not}: it answers like {}", service.what),
            None => {
                format!("it does not speak {not}: it answers '{}'", escaped(&bytes[..bytes.len().min(40)]))
            }
        },
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
            return verdict.map_err(|why| describe(why, &bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns what is checked: a protocol, or the name of a service.
    fn words(check: &HealthCheck) -> String {
        match check {
            HealthCheck::Protocol { protocol, path, status_limit } => {
                format!("{protocol:?} {path} {status_limit}")
            }
            HealthCheck::Exchange(_, what) => (*what).to_owned(),
        }
    }

    #[test]
    fn the_protocol_follows_from_the_name() {
        let of = |path: &str| HealthCheck::of(&Address::path(path).unwrap(), None, None).as_ref().map(words);
        for (path, expected) in [
            ("/tmp/.s.PGSQL.5432", Some("Postgres / 500")),
            ("/srv/mysqld.sock", Some("Mysql / 500")),
            ("./redis-server.sock", Some("Redis / 500")),
            ("/var/run/docker.sock", Some("Http /_ping 400")),
            ("/run/dbus/system_bus_socket", Some("the system bus of D-Bus")),
            ("/run/php/php8.2-fpm.sock", Some("PHP's FastCGI process manager")),
            ("/run/app.sock", None),
        ] {
            assert_eq!(of(path).as_deref(), expected, "{path}");
        }
        let given = |path, flag| words(&HealthCheck::of(&Address::path(path).unwrap(), flag, None).unwrap());
        assert_eq!(given("/x", Some(Protocol::Http)), "Http / 500");
        assert_eq!(given("/run/dbus/system_bus_socket", Some(Protocol::Redis)), "Redis / 500");
    }

    #[test]
    fn an_answer_of_another_protocol_is_named() {
        let speaks = |bytes: &[u8]| describe(Unhealthy::Speaks { not: "X" }, bytes);
        assert_eq!(speaks(b"-ERR unknown command 'GET'"), "it does not speak X: it answers like Redis");
        assert_eq!(speaks(b"HTTP/1.1 400"), "it does not speak X: it responds in HTTP");
        assert_eq!(speaks(b"\x07?"), "it does not speak X: it answers '%07?'");
    }
}
