//! Responses without what the client may not see.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};
use http::{HeaderMap, Response};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use serde_json::Value;

use super::Guard;
use super::body::{BoxError, GuardBody, collect, full, whole};
use super::protocol::Protocol;
use super::respond::unavailable;
use crate::json::redact::redact;
use crate::rules::Label;
use crate::rules::rule::{Filter, Rule};

/// A response that is filtered as a whole is at most this long.
const MAX_BYTES: usize = 64 << 20;

/// One event is at most this long.
const MAX_EVENT_BYTES: usize = 1 << 20;

/// What is left out of a response.
pub(super) struct Wanted {
    redacted: Vec<String>,
    filter: Option<(Filter, Label)>,
    /// Whether the label counts only if the guard gave it, and not the image.
    is_given: bool,
}

impl Wanted {
    pub(super) fn new(rule: Rule, visible: Option<Label>, own: Option<Label>) -> Wanted {
        let is_given = visible.is_some() && visible == own;
        Wanted { redacted: rule.redact, filter: rule.filter.zip(visible), is_given }
    }

    pub(super) fn is_needed(&self) -> bool {
        !self.redacted.is_empty() || self.filter.is_some()
    }

    /// Leaves out of a value what the client may not see.
    fn apply(&self, value: &mut Value) {
        self.redacted.iter().for_each(|path| redact(value, path));
        match &self.filter {
            Some((Filter::Containers, label)) => only_labelled(value, label),
            Some((Filter::Networks, _)) => without_containers(value),
            Some((Filter::Events, _)) | None => {}
        }
    }
}

fn only_labelled(value: &mut Value, label: &Label) {
    match value {
        Value::Array(containers) => containers.retain(|container| label.is_among(&container["Labels"])),
        other => *other = Value::Array(Vec::new()),
    }
}

fn without_containers(value: &mut Value) {
    match value {
        Value::Array(networks) => networks.iter_mut().for_each(without_containers),
        Value::Object(network) => {
            // With `verbose`, services have their tasks, too.
            network.remove("Containers");
            network.remove("Services");
        }
        _ => {}
    }
}

/// Filters a response. What cannot be filtered is not passed on.
pub(super) async fn apply(
    guard: &Guard,
    response: Response<stoop_http::Body>,
    wanted: Wanted,
) -> Response<GuardBody> {
    let (mut head, body) = response.into_parts();
    if head.headers.contains_key(CONTENT_ENCODING) {
        return unavailable(Protocol::Http, &"its response is compressed and cannot be filtered");
    }
    remove_length(&mut head.headers);
    if let Some((Filter::Events, label)) = wanted.filter {
        let events = Events { body: whole(body), label, unread: BytesMut::new(), has_ended: false };
        return Response::from_parts(head, events.boxed_unsync());
    }
    let value = match collect(body, MAX_BYTES).await {
        Ok(bytes) => serde_json::from_slice::<Value>(&bytes).ok(),
        Err(_) => None,
    };
    match value {
        Some(mut value) => {
            wanted.apply(&mut value);
            if let Some((Filter::Containers, label)) = wanted.filter.as_ref().filter(|_| wanted.is_given) {
                guard.only_given(&mut value, label).await;
            }
            Response::from_parts(head, full(value.to_string()))
        }
        None => unavailable(Protocol::Http, &"its response is not JSON and cannot be filtered"),
    }
}

fn remove_length(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
}

/// A stream of events, one in a line, without those of containers that are not visible.
struct Events {
    body: GuardBody,
    label: Label,
    unread: BytesMut,
    has_ended: bool,
}

impl Events {
    /// Takes the whole lines out of what was read, and returns those that are visible.
    fn lines(&mut self) -> Bytes {
        let mut visible = BytesMut::new();
        while let Some(at) = self.unread.iter().position(|byte| *byte == b'\n') {
            let line = self.unread.split_to(at + 1);
            if is_visible(&line, &self.label) {
                visible.extend_from_slice(&line);
            }
        }
        visible.freeze()
    }
}

/// Returns whether an event is about a visible container.
fn is_visible(line: &[u8], label: &Label) -> bool {
    let Ok(event) = serde_json::from_slice::<Value>(line) else { return false };
    event["Type"] == "container" && label.is_among(&event["Actor"]["Attributes"])
}

impl Body for Events {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        while !self.has_ended {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.unread.extend_from_slice(&data);
                    }
                }
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => {
                    self.has_ended = true;
                    self.unread.extend_from_slice(b"\n");
                }
            }
            let visible = self.lines();
            if self.unread.len() > MAX_EVENT_BYTES {
                return Poll::Ready(Some(Err("an event is too long to be filtered".into())));
            }
            if !visible.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(visible))));
            }
        }
        Poll::Ready(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn label() -> Label {
        Label { key: "web".into(), value: "yes".into() }
    }

    fn filtered(filter: Filter, mut value: Value) -> Value {
        Wanted { redacted: Vec::new(), filter: Some((filter, label())), is_given: false }.apply(&mut value);
        value
    }

    #[test]
    fn only_containers_with_the_label_are_listed() {
        let list =
            json!([{"Id": "a", "Labels": {"web": "yes"}}, {"Id": "b", "Labels": {"web": "no"}}, {"Id": "c"}]);
        assert_eq!(filtered(Filter::Containers, list), json!([{"Id": "a", "Labels": {"web": "yes"}}]));
        assert_eq!(filtered(Filter::Containers, json!({"message": "x"})), json!([]));
        let networks = json!([{"Name": "bridge", "Containers": {"b": {}}}]);
        assert_eq!(filtered(Filter::Networks, networks), json!([{"Name": "bridge"}]));
    }

    #[test]
    fn only_events_of_visible_containers_pass() {
        let event = |kind: &str, web: &str| {
            json!({"Type": kind, "Actor": {"ID": "a", "Attributes": {"web": web}}}).to_string()
        };
        assert!(is_visible(event("container", "yes").as_bytes(), &label()));
        assert!(!is_visible(event("container", "no").as_bytes(), &label()));
        assert!(!is_visible(event("network", "yes").as_bytes(), &label()));
        assert!(!is_visible(b"{", &label()));
    }
}
