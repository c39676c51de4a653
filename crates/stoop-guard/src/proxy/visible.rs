//! Whether a container has the label that makes it visible: the server is asked.

use http::{Method, Request, StatusCode};
use serde_json::Value;

use super::Guard;
use super::body::{collect, empty};
use crate::request::target::Target;
use crate::rules::Label;

/// What the server says of one container is at most this long.
const MAX_BYTES: usize = 4 << 20;

impl Guard {
    /// Returns the full id of a container, if it is visible. Requests are forwarded with the id,
    /// which cannot become another container's, as a name could.
    pub(super) async fn visible_id(&self, name: &str, label: &Label) -> Option<String> {
        let segments = ["containers", name, "json"].map(str::to_owned).to_vec();
        let mut request = Request::new(empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = Target { segments, query: Vec::new() }.to_text().parse().ok()?;
        let response = self.connect(None).await.ok()?.send(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let bytes = collect(response.into_body(), MAX_BYTES).await.ok()?;
        let inspected: Value = serde_json::from_slice(&bytes).ok()?;
        let is_visible = label.is_among(&inspected["Config"]["Labels"]);
        is_visible.then(|| inspected["Id"].as_str().map(str::to_owned)).flatten()
    }
}

impl Label {
    /// Returns whether an object of labels has this one.
    pub(super) fn is_among(&self, labels: &Value) -> bool {
        labels.get(&self.key).and_then(Value::as_str) == Some(&self.value)
    }
}
