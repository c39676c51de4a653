//! What a guard has decided: reported, counted, and learned from.

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use stoop_guard::{Decision, Learner, Verdict};

use crate::failure::Failure;
use crate::output::{Event, Output, PeerInfo};

pub(super) fn handler(
    output: Output,
    counts: Arc<Counts>,
    learning: Option<Learning>,
) -> impl Fn(Decision) + Send + Sync + 'static {
    move |decision| {
        counts.count(&decision);
        if let Some(learning) = &learning {
            learning.saw(&decision);
        }
        output.note(&event(decision));
    }
}

/// What the rules can say about a request.
const VERDICTS: [&str; 5] = ["allowed", "refused", "unclear", "hidden", "unknown"];

fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Allowed { .. } => "allowed",
        Verdict::Refused { .. } => "refused",
        Verdict::Unclear { .. } => "unclear",
        Verdict::Hidden { .. } => "hidden",
        _ => "unknown",
    }
}

fn event(decision: Decision) -> Event {
    let client = &decision.client;
    let verdict = word(&decision.verdict);
    let (rule, reason) = match decision.verdict {
        Verdict::Allowed { rule } => (Some(rule), None),
        Verdict::Refused { rule, why } => (rule, Some(why)),
        Verdict::Unclear { why } => (None, Some(why)),
        Verdict::Hidden { rule } => (Some(rule), Some("the container lacks the label".into())),
        _ => (None, None),
    };
    let workload = client.workload.to_string();
    let peer = PeerInfo::new(client.pid, client.uid, client.gid);
    Event::Request {
        peer,
        workload: Some(workload).filter(|name| name != "-"),
        names: decision.client.names,
        method: decision.method,
        target: decision.target,
        verdict,
        forwarded: decision.was_forwarded,
        rule,
        reason,
    }
}

/// How many requests were decided how.
#[derive(Debug, Default)]
pub(super) struct Counts {
    verdicts: [AtomicU64; VERDICTS.len()],
    forwarded: AtomicU64,
}

impl Counts {
    fn count(&self, decision: &Decision) {
        let word = word(&decision.verdict);
        if let Some(at) = VERDICTS.iter().position(|verdict| *verdict == word) {
            self.verdicts[at].fetch_add(1, Ordering::Relaxed);
        }
        self.forwarded.fetch_add(u64::from(decision.was_forwarded), Ordering::Relaxed);
    }

    /// Returns the totals, for the end.
    pub(super) fn event(&self) -> Event {
        let all: u64 = self.verdicts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
        let forwarded = self.forwarded.load(Ordering::Relaxed);
        Event::Guarded { forwarded, refused: all.saturating_sub(forwarded) }
    }

    /// Returns the counts as OpenMetrics text.
    pub(super) fn openmetrics(&self, connections: u64) -> String {
        let mut text = format!(
            "# TYPE stoop_guard_connections_open gauge\n\
             # HELP stoop_guard_connections_open Connections at the moment.\n\
             stoop_guard_connections_open {connections}\n\
             # TYPE stoop_guard_requests counter\n\
             # HELP stoop_guard_requests Requests by what the rules say about them.\n"
        );
        for (verdict, count) in VERDICTS.iter().zip(&self.verdicts) {
            let count = count.load(Ordering::Relaxed);
            text.push_str(&format!("stoop_guard_requests_total{{verdict=\"{verdict}\"}} {count}\n"));
        }
        let forwarded = self.forwarded.load(Ordering::Relaxed);
        text.push_str(&format!(
            "# TYPE stoop_guard_forwarded counter\n\
             # HELP stoop_guard_forwarded Requests that the server got: in a dry run also those that the rules refuse.\n\
             stoop_guard_forwarded_total {forwarded}\n# EOF\n"
        ));
        text
    }
}

/// Rules that are learned, and the file they are written to whenever there are more.
pub(super) struct Learning(Mutex<(Learner, File, String)>);

impl Learning {
    /// Creates the file. One that exists is never overwritten.
    pub(super) fn new(path: &std::path::Path) -> Result<Learning, Failure> {
        let file = OpenOptions::new().write(true).create_new(true).open(path);
        let file = file.map_err(|error| Failure::io(format!("create '{}'", path.display()), &error))?;
        Ok(Learning(Mutex::new((Learner::new(), file, String::new()))))
    }

    fn saw(&self, decision: &Decision) {
        let mut learned = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (learner, file, written) = &mut *learned;
        learner.saw(decision);
        let text = learner.to_toml();
        if text != *written && write(file, &text).is_ok() {
            *written = text;
        }
    }
}

fn write(file: &mut File, text: &str) -> std::io::Result<()> {
    file.rewind()?;
    file.write_all(text.as_bytes())?;
    file.set_len(text.len() as u64)
}
