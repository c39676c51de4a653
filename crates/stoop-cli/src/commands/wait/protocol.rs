//! Health checks of common protocols: what to send, and what the answer means. Pure.

use stoop::escaped;
use stoop_inspect::internal::{Exchange, Fit};

/// Whether an answer shows that the server works, or why not. `None`: the answer is incomplete.
pub(super) type Verdict = Option<Result<(), Unhealthy>>;

/// Why a server is not healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unhealthy {
    /// As it says itself.
    Says(String),
    /// The answer is not one of this protocol.
    Speaks { not: &'static str },
}

use Unhealthy::{Says, Speaks};

/// An answer that begins like none of a protocol.
fn foreign(not: &'static str) -> Result<(), Unhealthy> {
    Err(Speaks { not })
}

/// Judges an answer by its beginning, as the table of services has it.
pub(super) fn known_answer(bytes: &[u8], exchange: &Exchange, what: &'static str) -> Verdict {
    match exchange.fit(bytes) {
        Fit::Yes => Some(Ok(())),
        Fit::No => Some(foreign(what)),
        Fit::Incomplete => None,
    }
}

/// Returns the request for a path.
pub(super) fn http_request(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: stoop\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

/// Judges the start of a response: only a status below `limit` is healthy.
pub(super) fn http_answer(bytes: &[u8], limit: u16) -> Verdict {
    let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
        // A status line is short.
        return (bytes.len() > 1024).then(|| foreign("HTTP"));
    };
    let line = std::str::from_utf8(&bytes[..end]).unwrap_or_default().trim_end();
    let mut words = line.split(' ');
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = words.next().and_then(|status| status.parse::<u16>().ok()).filter(|_| is_http);
    Some(match status {
        Some(status) if status < limit => Ok(()),
        Some(status) => Err(Says(format!("it responded with {status}"))),
        None => foreign("HTTP"),
    })
}

/// PostgreSQL's version 3.0 of the protocol.
const POSTGRES_VERSION: u32 = 3 << 16;

/// The error of a PostgreSQL server that is starting up, shutting down or recovering.
const CANNOT_CONNECT_NOW: &str = "57P03";

/// Returns the message with which a client of PostgreSQL begins.
pub(super) fn postgres_request() -> Vec<u8> {
    let mut body = POSTGRES_VERSION.to_be_bytes().to_vec();
    for text in ["user", "stoop", "database", "postgres", "application_name", "stoop wait", ""] {
        body.extend([text.as_bytes(), b"\0"].concat());
    }
    let length = u32::try_from(body.len() + 4).expect("a short message");
    [length.to_be_bytes().to_vec(), body].concat()
}

/// Judges the first message of a PostgreSQL server: a request to authenticate, or an error. As with
/// `pg_isready`, only one error means that it is not ready.
pub(super) fn postgres_answer(bytes: &[u8]) -> Verdict {
    match bytes.first()? {
        b'R' => Some(Ok(())),
        b'E' => {
            let length = u32::from_be_bytes(bytes.get(1..5)?.try_into().ok()?) as usize;
            if length > 1 << 16 {
                return Some(foreign("PostgreSQL's protocol"));
            }
            let fields = bytes.get(5..length + 1)?.split(|&byte| byte == 0);
            let field = |kind| fields.clone().find_map(|field| field.strip_prefix(&[kind]));
            match field(b'C') {
                Some(code) if code == CANNOT_CONNECT_NOW.as_bytes() => {
                    Some(Err(Says(escaped(field(b'M').unwrap_or_default()).to_string())))
                }
                _ => Some(Ok(())),
            }
        }
        _ => Some(foreign("PostgreSQL's protocol")),
    }
}

/// The command that asks a Redis server whether it works.
pub(super) const REDIS_REQUEST: &[u8] = b"PING\r\n";

/// Judges the answer of a Redis server. One that requires a password, or denies the command, works.
pub(super) fn redis_answer(bytes: &[u8]) -> Verdict {
    let end = bytes.iter().position(|&byte| byte == b'\n');
    let line = match end {
        Some(end) => String::from_utf8_lossy(&bytes[..end]).trim_end().to_owned(),
        None if bytes.len() > 1024 => String::new(),
        None => return None,
    };
    let works = ["+PONG", "-NOAUTH", "-NOPERM"].iter().any(|start| line.starts_with(start));
    Some(match line.strip_prefix('-') {
        _ if works => Ok(()),
        Some(error) => Err(Says(escaped(error).to_string())),
        None => foreign("the protocol of Redis"),
    })
}

/// Judges the greeting of a MySQL server: its handshake, or an error.
pub(super) fn mysql_answer(bytes: &[u8]) -> Verdict {
    const HANDSHAKE: [u8; 2] = [9, 10];
    let length =
        usize::from(*bytes.first()?) | usize::from(*bytes.get(1)?) << 8 | usize::from(*bytes.get(2)?) << 16;
    match *bytes.get(4)? {
        version if HANDSHAKE.contains(&version) => Some(Ok(())),
        0xff if length < 1 << 16 => {
            let text = bytes.get(7..length + 4)?;
            Some(Err(Says(escaped(text).to_string())))
        }
        _ => Some(foreign("MySQL's protocol")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(verdict: Verdict) -> String {
        match verdict.unwrap().unwrap_err() {
            Says(text) => text,
            Speaks { not } => format!("it does not speak {not}"),
        }
    }

    #[test]
    fn the_status_of_http_counts() {
        assert_eq!(http_answer(b"HTTP/1.1 200 OK\r\n", 400), Some(Ok(())));
        assert_eq!(http_answer(b"HTTP/1.0 404 Not Found\r\n", 500), Some(Ok(())));
        assert_eq!(error(http_answer(b"HTTP/1.1 404 Not Found\r\n", 400)), "it responded with 404");
        assert_eq!(error(http_answer(b"HTTP/1.1 503\r\n", 500)), "it responded with 503");
        assert_eq!(http_answer(b"HTTP/1.1 2", 400), None);
        assert_eq!(error(http_answer(b"+OK\r\n", 400)), "it does not speak HTTP");
    }

    #[test]
    fn a_postgres_server_that_starts_is_not_ready() {
        let message = |fields: &str| {
            let body = format!("{fields}\0");
            [b"E".as_slice(), &(body.len() as u32 + 4).to_be_bytes(), body.as_bytes()].concat()
        };
        let starting = message("SFATAL\0C57P03\0Mthe database system is starting up\0");
        assert_eq!(error(postgres_answer(&starting)), "the database system is starting up");
        assert_eq!(postgres_answer(&starting[..20]), None);
        let refused = message("SFATAL\0C28000\0Mrole \"stoop\" does not exist\0");
        assert_eq!(postgres_answer(&refused), Some(Ok(())));
        assert_eq!(postgres_answer(b"R\0\0\0\x08\0\0\0\0"), Some(Ok(())));
        assert!(error(postgres_answer(b"HTTP/1.1 400")).contains("PostgreSQL"));
        assert_eq!(postgres_request()[..8], [0, 0, 0, 66, 0, 3, 0, 0]);
    }

    #[test]
    fn a_redis_server_that_loads_is_not_ready() {
        for works in ["+PONG\r\n", "-NOAUTH Authentication required.\r\n"] {
            assert_eq!(redis_answer(works.as_bytes()), Some(Ok(())), "{works}");
        }
        assert_eq!(error(redis_answer(b"-LOADING Redis is loading\r\n")), "LOADING Redis is loading");
        assert_eq!(redis_answer(b"+PO"), None);
        assert!(error(redis_answer(b"HTTP/1.1 400\r\n")).contains("Redis"));
    }

    #[test]
    fn a_mysql_server_greets() {
        assert_eq!(mysql_answer(b"\x4a\0\0\0\x0a8.0.36\0"), Some(Ok(())));
        let full = b"\x17\0\0\0\xff\x10\x04Too many connections";
        assert_eq!(error(mysql_answer(full)), "Too many connections");
        assert_eq!(mysql_answer(&full[..9]), None);
    }

    proptest::proptest! {
        #[test]
        fn no_answer_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..64)) {
            let _ = (http_answer(&bytes, 400), postgres_answer(&bytes), redis_answer(&bytes), mysql_answer(&bytes));
        }
    }
}
