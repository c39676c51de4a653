//! What a guard decided about a request.

use crate::rules::client::Client;
use crate::rules::learn::{Learner, Seen};

/// A decision about one request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Decision {
    /// Who asked.
    pub client: Client,
    /// The method as it was asked for.
    pub method: String,
    /// The path and the query as they were asked for. They are the client's own text.
    pub target: String,
    /// What was decided.
    pub verdict: Verdict,
    /// Whether the request was forwarded: because it was allowed, or because of a dry run.
    pub was_forwarded: bool,
    /// What a learner learns from it.
    pub(crate) seen: Option<Seen>,
}

/// Whether a request is allowed, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// A rule allows it.
    Allowed {
        /// The rule, as it is written in the file.
        rule: String,
    },
    /// No rule allows it.
    Refused {
        /// The rule that came nearest: of the same method and path.
        rule: Option<String>,
        /// What is not allowed.
        why: String,
    },
    /// It has no single meaning, and is never forwarded.
    Unclear {
        /// What was not understood.
        why: String,
    },
    /// It is about a container that the client cannot see.
    Hidden {
        /// The rule that would allow it for a visible container.
        rule: String,
    },
}

impl Learner {
    /// Learns from a decision of a guard. Requests that were not understood teach nothing.
    pub fn saw(&mut self, decision: &Decision) {
        if let Some(seen) = &decision.seen {
            self.add(&decision.client.names, seen);
        }
    }
}
