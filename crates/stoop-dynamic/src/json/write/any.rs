//! What an `Any` contains. Does no I/O.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, ReflectMessage, Value};
use serde_json::value::RawValue;

use crate::json::any_type;

pub(super) const NAME: &str = "google.protobuf.Any";

/// The limit on `Any` values nested in each other. Each level costs the sender only a few bytes,
/// so without a limit a short message could exhaust the stack.
const MAX_DEPTH: usize = 16;

/// What an `Any` contains.
pub(super) enum Content {
    Nothing,
    Message(String, DynamicMessage),
    /// Bytes of an unknown type that are a JSON object.
    Json(String, Box<RawValue>),
    /// Bytes of an unknown type, or bytes that are not valid for a known one, in base64.
    Bytes(String, String),
}

/// Returns what an `Any` inside `depth` others contains.
pub(super) fn content(message: &DynamicMessage, depth: usize) -> Content {
    let (url, bytes) = (message.get_field_by_number(1), message.get_field_by_number(2));
    let url = url.as_deref().and_then(Value::as_str).unwrap_or_default().to_owned();
    let bytes = bytes.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
    if url.is_empty() && bytes.is_empty() {
        return Content::Nothing;
    }
    let known = any_type(message.descriptor().parent_pool(), &url).filter(|_| depth < MAX_DEPTH);
    if let Some(inner) = known.and_then(|known| DynamicMessage::decode(known, bytes.clone()).ok()) {
        return Content::Message(url, inner);
    }
    match raw_object(&bytes) {
        Some(json) => Content::Json(url, json),
        None => Content::Bytes(url, STANDARD.encode(&bytes)),
    }
}

/// Returns the bytes if they are a JSON object, with numbers as written. A line break or a tab,
/// which can occur only between tokens, becomes a space, so that a message on a single line stays
/// on it.
fn raw_object(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let json = serde_json::from_str::<&RawValue>(text).ok()?.get();
    let json = json.starts_with('{').then(|| json.replace(['\n', '\r', '\t'], " "))?;
    RawValue::from_string(json).ok()
}
