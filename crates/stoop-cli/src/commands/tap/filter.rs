//! Which calls, answers and messages are shown, by what the protocol says. Pure.

use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use std::os::unix::ffi::OsStrExt;
use stoop_tap::{Kind, Line};

use crate::sockets::Glob;
use crate::time;

/// Selects calls. Flags with different names must all match. If one flag is repeated, any of its
/// values must match.
#[derive(Args, Debug, Default)]
pub(crate) struct CallFlags {
    /// Show only methods that match this pattern, as a whole or by their last part: 'Run*',
    /// 'GET /containers/*', '/runtime.v1.*'
    #[arg(long, value_name = "GLOB", value_parser = method(), conflicts_with = "write")]
    pub(crate) method: Vec<Glob>,

    /// Show only answers with this status: ok, error, or a pattern such as '5*' or NOT_FOUND; with
    /// ! in front, only the others
    #[arg(long, value_name = "STATUS", value_parser = Status::parse, conflicts_with = "write")]
    pub(crate) status: Vec<Status>,

    /// Show only answers that took longer than this
    #[arg(long, value_name = "TIME", value_parser = time::parse, conflicts_with = "write")]
    pub(crate) slower: Option<Duration>,

    /// Show only what this end sends: the one that calls, or the one that answers
    #[arg(long, value_name = "END", value_enum, conflicts_with = "write")]
    pub(crate) sent_by: Option<Sender>,
}

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sender {
    /// The end that calls
    Client,
    /// The end that answers
    Server,
}

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    is_negated: bool,
    what: Expected,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    Success,
    Failure,
    Named(Glob),
}

fn method() -> impl TypedValueParser<Value = Glob> {
    OsStringValueParser::new().try_map(|text| Glob::new(text.as_bytes()))
}

impl Status {
    fn parse(text: &str) -> Result<Status, String> {
        let (is_negated, word) = match text.strip_prefix('!') {
            Some(word) => (true, word),
            None => (false, text),
        };
        let what = match word.to_ascii_lowercase().as_str() {
            "ok" => Expected::Success,
            "error" => Expected::Failure,
            _ => Expected::Named(Glob::new(word)?),
        };
        Ok(Status { is_negated, what })
    }

    fn matches(&self, ok: bool, line: &Line) -> bool {
        match &self.what {
            Expected::Success => ok,
            Expected::Failure => !ok,
            Expected::Named(glob) => glob.matches(status(line)),
        }
    }
}

/// Returns the status of an answer: the protocol's, or the first word.
fn status(line: &Line) -> &[u8] {
    match &line.status {
        Some(status) => status.as_bytes(),
        None => line.text.split(|byte| byte.is_ascii_whitespace()).next().unwrap_or_default(),
    }
}

impl CallFlags {
    /// Returns whether anything is left out.
    pub(super) fn is_any(&self) -> bool {
        !self.method.is_empty() || self.selects_answers() || self.sent_by.is_some()
    }

    /// Returns whether only answers are shown: then each says what it answers.
    pub(super) fn selects_answers(&self) -> bool {
        !self.status.is_empty() || self.slower.is_some()
    }

    /// Returns whether a line is shown, of this end.
    pub(super) fn matches(&self, line: &Line, sender: Option<Sender>) -> bool {
        let is_of_method =
            self.method.is_empty() || line.method.as_deref().is_some_and(|name| self.is_of(name));
        let is_sender = self.sent_by.is_none() || self.sent_by == sender;
        let is_slow = self.slower.is_none_or(|slower| {
            line.latency_ns.is_some_and(|latency| Duration::from_nanos(latency) > slower)
        });
        is_of_method && is_sender && is_slow && self.has_status(line)
    }

    /// A pattern matches a method as a whole, without the verb of HTTP, or by its last part.
    fn is_of(&self, name: &str) -> bool {
        let target = name.split_once(' ').map_or(name, |(_, target)| target);
        let last = name.rsplit(['/', '.', ' ']).next().unwrap_or_default();
        self.method.iter().any(|glob| [name, target, last].iter().any(|name| glob.matches(name)))
    }

    fn has_status(&self, line: &Line) -> bool {
        if self.status.is_empty() {
            return true;
        }
        let Kind::Answer { ok } = line.kind else { return false };
        let matches = |status: &&Status| status.matches(ok, line);
        let (negated, wanted): (Vec<_>, Vec<_>) = self.status.iter().partition(|status| status.is_negated);
        !negated.iter().any(matches) && (wanted.is_empty() || wanted.iter().any(matches))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop_tap::{Dialogue, Side, SocketKind};

    fn answer(status: &str, latency_ns: u64) -> Line {
        let mut dialogue = Dialogue::new(SocketKind::STREAM);
        dialogue.data(Side::First, 0, b"GET /v1/containers/json?all=1 HTTP/1.1\r\n\r\n", 0);
        let bytes = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
        dialogue.data(Side::Second, latency_ns, bytes.as_bytes(), 0).remove(0)
    }

    fn flags(methods: &[&str], statuses: &[&str]) -> CallFlags {
        CallFlags {
            method: methods.iter().map(|glob| Glob::new(glob).unwrap()).collect(),
            status: statuses.iter().map(|text| Status::parse(text).unwrap()).collect(),
            ..CallFlags::default()
        }
    }

    #[test]
    fn a_method_matches_as_a_whole_or_by_its_last_part() {
        let line = answer("200 OK", 5);
        for pattern in ["GET *", "GET /v1/containers/json", "/v1/*", "json", "js*"] {
            assert!(flags(&[pattern], &[]).matches(&line, None), "{pattern}");
        }
        for pattern in ["POST *", "containers", "/v1/containers"] {
            assert!(!flags(&[pattern], &[]).matches(&line, None), "{pattern}");
        }
        assert!(flags(&["x", "json"], &[]).matches(&line, None));
    }

    #[test]
    fn a_status_is_a_word_or_a_pattern() {
        let (good, bad) = (answer("200 OK", 5), answer("404 Not Found", 5));
        for (status, expected) in
            [("ok", [true, false]), ("error", [false, true]), ("4*", [false, true]), ("!OK", [false, true])]
        {
            let flags = flags(&[], &[status]);
            assert_eq!([&good, &bad].map(|line| flags.matches(line, None)), expected, "{status}");
        }
        assert!(!flags(&[], &["!ok", "!404"]).matches(&bad, None));
    }

    #[test]
    fn only_answers_are_slow() {
        let mut flags = flags(&[], &[]);
        flags.slower = Some(Duration::from_nanos(4));
        assert!(flags.matches(&answer("200 OK", 5), None) && !flags.matches(&answer("200 OK", 4), None));
        let mut call = answer("200 OK", 5);
        call.latency_ns = None;
        assert!(!flags.matches(&call, None));
    }
}
