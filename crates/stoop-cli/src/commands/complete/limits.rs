//! How long a completion may take.

use std::time::Duration;

use crate::time;

/// How long to look for candidates. A directory on a network whose server is down, for example,
/// would otherwise block the user's shell.
const SEARCH: Duration = Duration::from_millis(500);

/// How long a server may take by default. People hardly notice a shorter pause.
const SERVER: Duration = Duration::from_millis(250);

/// The variable that sets how long a server may take.
const VARIABLE: &str = "STOOP_COMPLETE_TIMEOUT";

/// Returns how long a server may take that is asked for candidates.
pub(super) fn server() -> Duration {
    let given = std::env::var(VARIABLE).ok();
    given.and_then(|text| time::parse(&text).ok()).unwrap_or(SERVER)
}

/// Returns how long the whole search may take: after a server that does not answer, there is time
/// for what is known without it.
pub(super) fn search() -> Duration {
    SEARCH.saturating_add(server().saturating_mul(2))
}
