//! What was recorded against what came. Pure.

mod exact;
#[cfg(feature = "grpc")]
mod grpc;
mod http;
mod json;
mod masked;
mod message;
mod postgres;

pub(super) use exact::{Bytes, Messages};
#[cfg(feature = "grpc")]
pub(super) use grpc::{Grpc, Schemas, looks_like_http2};
pub(super) use http::Http;
pub(super) use postgres::{Postgres, looks_like_postgres};

/// What was recorded of one side of a connection, and what came of it.
pub(super) trait Compare {
    /// The other side has sent this: what it is answered may depend on it.
    fn sent(&mut self, _bytes: &[u8]) {}

    /// This was recorded. If secrets in it are masked, `*` stands for any bytes.
    fn recorded(&mut self, bytes: &[u8], is_masked: bool);

    /// This came.
    fn came(&mut self, bytes: &[u8]);

    /// The side is recorded to have ended.
    fn recorded_end(&mut self);

    /// The side has ended.
    fn came_end(&mut self);

    /// Compares what was not yet compared.
    fn verdict(&mut self) -> Verdict;
}

/// What a comparison came to so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Everything that was recorded came.
    Same,
    /// Something that was recorded is still to come.
    Missing,
    /// Something else came.
    Different(Difference),
}

/// The first difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Difference {
    /// Its place, as in `response 2, header 'content-type'`.
    pub(super) place: String,
    pub(super) recorded: String,
    pub(super) now: String,
    /// The request that was answered, if the protocol has them.
    pub(super) request: Option<String>,
}

impl Difference {
    pub(super) fn new(
        place: impl Into<String>,
        recorded: impl Into<String>,
        now: impl Into<String>,
    ) -> Difference {
        Difference { place: place.into(), recorded: recorded.into(), now: now.into(), request: None }
    }
}

/// What stands for nothing.
pub(super) const NOTHING: &str = "(nothing)";
const END: &str = "(the end of the connection)";

/// How many bytes of each side of a difference are shown.
const SHOWN_BYTES: usize = 60;

/// Formats the bytes around a place for people.
fn excerpt(bytes: &[u8], at: usize) -> String {
    let start = at.saturating_sub(SHOWN_BYTES / 3);
    let end = (start + SHOWN_BYTES).min(bytes.len());
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < bytes.len() { "…" } else { "" });
    format!("{before}{}{after}", bytes[start..end].escape_ascii())
}
