//! What of the entries is shown: filters, messages, names of containers, and which end calls. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use stoop_tap::{FlowId, Format, Kind, Line, Message, Methods, Side};

use super::args::Tap as Flags;
use super::bodies::Bodies;
use super::containers::{Containers, has_names};
use super::filter::Sender;
use super::session::{Entry, Shown};
use crate::failure::Failure;

/// How much of a message a line of text has.
const TEXT_MAX: usize = 400;
/// Connections whose caller is remembered.
const CALLERS_MAX: usize = 50_000;

/// Decides what is shown, and remembers what later entries need.
pub(super) struct View<'f> {
    flags: &'f Flags,
    bodies: Arc<Bodies>,
    containers: Containers,
    /// The end of a connection that calls.
    callers: HashMap<FlowId, Side>,
}

/// What is added to an entry.
#[derive(Debug)]
pub(super) struct Seen {
    /// The end that is shown on the left.
    pub(super) left: Side,
    /// Its message as JSON.
    pub(super) body: Option<String>,
    /// The method that is called, with names of containers.
    pub(super) method: Option<String>,
    /// Whether the method stands in front of the answer, because the call is not shown.
    pub(super) with_method: bool,
}

impl<'f> View<'f> {
    /// Reads the schemas that are given.
    pub(super) fn new(flags: &'f Flags) -> Result<View<'f>, Failure> {
        #[cfg(feature = "grpc")]
        let bodies = Bodies::new(crate::commands::grpc::schema::given(&flags.schema)?);
        #[cfg(not(feature = "grpc"))]
        let bodies = Bodies::new();
        let (containers, callers) = (Containers::default(), HashMap::new());
        Ok(View { flags, bodies: Arc::new(bodies), containers, callers })
    }

    /// Returns what is known of methods, for the decoders.
    #[cfg(feature = "grpc")]
    pub(super) fn methods(&self) -> Option<Arc<dyn Methods>> {
        Some(Arc::<Bodies>::clone(&self.bodies))
    }

    #[cfg(not(feature = "grpc"))]
    pub(super) fn methods(&self) -> Option<Arc<dyn Methods>> {
        None
    }

    /// Looks at the next entry, and returns what to add to it; `None` if it is not shown.
    pub(super) fn see(&mut self, entry: &Entry) -> Option<Seen> {
        let Shown::Line(line) = &entry.what else {
            let is_shown = !self.flags.calls.is_any() || matches!(entry.what, Shown::Lost(_));
            let left = self.left(entry);
            return is_shown.then_some(Seen { left, body: None, method: None, with_method: false });
        };
        if line.kind == Kind::Call {
            if self.callers.len() >= CALLERS_MAX {
                self.callers.clear();
            }
            self.callers.insert(entry.flow, entry.from);
        }
        let body = self.body(entry.flow, line);
        let left = self.left(entry);
        let sender = if entry.from == left { Sender::Client } else { Sender::Server };
        let is_hidden = line.message.as_ref().is_some_and(is_http) && !self.flags.bodies;
        if is_hidden || !self.flags.calls.matches(line, Some(sender)) {
            return None;
        }
        let method = line.method.as_ref().map(|method| self.containers.named(method));
        Some(Seen { left, body, method, with_method: self.flags.calls.selects_answers() })
    }

    fn left(&self, entry: &Entry) -> Side {
        self.callers.get(&entry.flow).copied().unwrap_or(Side::First)
    }

    /// Returns the message as JSON, and learns names from it.
    fn body(&mut self, flow: FlowId, line: &Line) -> Option<String> {
        let method = line.method.as_deref().unwrap_or_default();
        if line.kind == Kind::Call {
            self.containers.called(flow, method, &line.text);
        }
        let message = line.message.as_ref()?;
        let has_names = has_names(method);
        if self.flags.stats && !has_names {
            return None;
        }
        let json = self.bodies.json(message)?;
        if has_names {
            self.containers.message(flow, method, message.is_response, &json);
        }
        Some(json)
    }

    /// Returns text with names of containers in place of their ids.
    pub(super) fn named(&self, text: &str) -> String {
        self.containers.named(text)
    }
}

fn is_http(message: &Message) -> bool {
    message.format == Format::Json
}

/// Returns as much of a message as a line shows.
pub(super) fn shortened(json: &str) -> String {
    match json.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &json[..end]),
        None => json.to_owned(),
    }
}
