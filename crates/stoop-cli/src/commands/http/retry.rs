//! `--retry`: which results are repeated, and when, as in curl. Pure.

use std::time::Duration;

use http::StatusCode;
use http::header::{HeaderMap, RETRY_AFTER};

use super::curl_args::CurlFlags;

/// The longest delay that is chosen here.
const MAX_DELAY: Duration = Duration::from_secs(600);

/// Why a request failed, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cause {
    TimedOut,
    NoServer,
    Other,
}

/// Returns whether the request is repeated after this failure.
pub(super) fn repeats(flags: &CurlFlags, cause: Cause) -> bool {
    match cause {
        _ if flags.retry_all_errors => true,
        Cause::TimedOut => true,
        Cause::NoServer => flags.retry_connrefused,
        Cause::Other => false,
    }
}

/// Returns whether a status says that the same request may succeed later.
pub(super) fn is_transient(status: StatusCode) -> bool {
    matches!(status.as_u16(), 408 | 429 | 500 | 502 | 503 | 504)
}

/// Returns the delay that the server asks for, in seconds. A date is not understood.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Returns the delay before this repetition, counted from 0.
pub(super) fn delay(flags: &CurlFlags, repetition: u32, asked: Option<Duration>) -> Duration {
    let doubled = Duration::from_secs(1 << repetition.min(10)).min(MAX_DELAY);
    asked.or(flags.retry_delay).unwrap_or(doubled)
}
