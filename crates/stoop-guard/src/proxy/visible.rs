//! Whether a container has the label that makes it visible: the server is asked.
//!
//! A container has the labels of its image, too. A client that makes images can therefore give
//! others' containers any label: one that the guard gives counts only if the image does not have
//! it.

use std::collections::HashMap;

use http::{Method, Request, StatusCode};
use serde_json::Value;

use super::Guard;
use super::body::{collect, empty};
use crate::request::target::Target;
use crate::rules::Label;

/// What the server says of one container or image is at most this long.
const MAX_BYTES: usize = 4 << 20;

impl Guard {
    /// Returns the full id of a container, if it is visible. Requests are forwarded with the id,
    /// which cannot become another container's, as a name could.
    pub(super) async fn visible_id(&self, name: &str, label: &Label, is_given: bool) -> Option<String> {
        let inspected = self.inspect("containers", name).await?;
        if !label.is_among(&inspected["Config"]["Labels"]) {
            return None;
        }
        if is_given && self.may_have(&inspected["Image"], label).await {
            return None;
        }
        inspected["Id"].as_str().map(str::to_owned)
    }

    /// Leaves containers out of a list whose label may be that of their image.
    pub(super) async fn only_given(&self, list: &mut Value, label: &Label) {
        let Value::Array(containers) = list else { return };
        let mut images: HashMap<String, bool> = HashMap::new();
        for container in containers.iter() {
            let image = container["ImageID"].as_str().unwrap_or_default();
            if !images.contains_key(image) {
                let may_have = self.may_have(&container["ImageID"], label).await;
                images.insert(image.to_owned(), may_have);
            }
        }
        containers.retain(|container| {
            images.get(container["ImageID"].as_str().unwrap_or_default()) == Some(&false)
        });
    }

    /// Returns whether an image has a label, or it is unknown.
    async fn may_have(&self, image: &Value, label: &Label) -> bool {
        let Some(id) = image.as_str() else { return true };
        match self.inspect("images", id).await {
            Some(inspected) => label.is_among(&inspected["Config"]["Labels"]),
            None => true,
        }
    }

    /// Asks the server for a container or an image.
    async fn inspect(&self, what: &str, name: &str) -> Option<Value> {
        let segments = [what, name, "json"].map(str::to_owned).to_vec();
        let mut request = Request::new(empty());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = Target { segments, query: Vec::new() }.to_text().parse().ok()?;
        let response = self.connect(None).await.ok()?.send(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        let bytes = collect(response.into_body(), MAX_BYTES).await.ok()?;
        serde_json::from_slice(&bytes).ok()
    }
}

impl Label {
    /// Returns whether an object of labels has this one.
    pub(super) fn is_among(&self, labels: &Value) -> bool {
        labels.get(&self.key).and_then(Value::as_str) == Some(&self.value)
    }
}
