//! Reads an `Any` of unknown type from JSON: its bytes in base64, or an object whose text is the
//! bytes.
//!
//! prost-reflect can only read types that have a schema. So each `Any` of unknown type is replaced
//! with a stand-in: an `Any` of a known type, whose value contains a mark, the original type URL
//! and the bytes. After the message was read, the stand-ins are found by their mark and converted
//! back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, ReflectMessage, Value as Field};
use serde_json::{Map, Value, json};

use super::write::type_name;

/// The type of stand-ins. Every schema has it, and its JSON form is bytes in base64.
const STAND_IN: &str = "type.googleapis.com/google.protobuf.BytesValue";

/// Precedes the bytes of a stand-in, so that a genuine value of that type is not mistaken for one.
/// Then follow the length of the type's URL, the URL, and the bytes.
const MARK: &[u8] = b"\0stoop: no schema\0";

/// Reads a message that contains an `Any` of unknown type. Returns `None` if it contains none, or
/// is invalid for another reason.
pub(super) fn read(message: &MessageDescriptor, text: &str) -> Option<DynamicMessage> {
    let mut value: Value = serde_json::from_str(text).ok()?;
    let pool = message.parent_pool();
    if !replace(&mut value, pool) {
        return None;
    }
    let mut read = DynamicMessage::deserialize(message.clone(), value).ok()?;
    restore(&mut read);
    Some(read)
}

/// Replaces each `Any` of unknown type with a stand-in, and returns whether there was one.
fn replace(value: &mut Value, pool: &DescriptorPool) -> bool {
    match value {
        Value::Array(values) => values.iter_mut().fold(false, |any, value| replace(value, pool) | any),
        Value::Object(members) => match stand_in(members, pool) {
            Some(replacement) => {
                *value = replacement;
                true
            }
            // An `Any` of known type is encoded to bytes when it is read. A stand-in in it would
            // not be found again.
            None if members.contains_key("@type") => false,
            None => members.values_mut().fold(false, |any, value| replace(value, pool) | any),
        },
        _ => false,
    }
}

fn stand_in(members: &Map<String, Value>, pool: &DescriptorPool) -> Option<Value> {
    let url = members.get("@type")?.as_str()?;
    if members.len() != 2 || type_name(url).is_some_and(|name| pool.get_message_by_name(name).is_some()) {
        return None;
    }
    let bytes = match members.get("value")? {
        Value::String(text) => STANDARD.decode(text).ok()?,
        object @ Value::Object(_) => object.to_string().into_bytes(),
        _ => return None,
    };
    let length = u32::try_from(url.len()).ok()?.to_be_bytes();
    let marked = [MARK, &length, url.as_bytes(), &bytes].concat();
    Some(json!({ "@type": STAND_IN, "value": STANDARD.encode(marked) }))
}

/// Converts stand-ins back.
fn restore(message: &mut DynamicMessage) {
    if let Some((url, bytes)) = original(message) {
        message.set_field_by_number(1, Field::String(url));
        message.set_field_by_number(2, Field::Bytes(bytes.into()));
        return;
    }
    for (_, value) in message.fields_mut() {
        match value {
            Field::Message(inner) => restore(inner),
            Field::List(values) => values.iter_mut().filter_map(Field::as_message_mut).for_each(restore),
            Field::Map(entries) => entries.values_mut().filter_map(Field::as_message_mut).for_each(restore),
            _ => {}
        }
    }
}

fn original(message: &DynamicMessage) -> Option<(String, Vec<u8>)> {
    if message.descriptor().full_name() != "google.protobuf.Any" {
        return None;
    }
    let (url, bytes) = (message.get_field_by_number(1)?, message.get_field_by_number(2)?);
    if url.as_str()? != STAND_IN {
        return None;
    }
    let marked = <Vec<u8> as Message>::decode(bytes.as_bytes()?.clone()).ok()?;
    let (length, rest) = marked.strip_prefix(MARK)?.split_first_chunk()?;
    let (url, bytes) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
    Some((String::from_utf8(url.to_vec()).ok()?, bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use crate::Schema;
    use crate::json::{Style, read};

    fn back(text: &str) -> String {
        let container = "containerd.services.containers.v1.CreateContainerRequest";
        let descriptor = Schema::builtin().pool().get_message_by_name(container).unwrap();
        Style { one_line: true, ..Style::default() }.text(&read(&descriptor, text).unwrap())
    }

    #[test]
    fn unknown_any_values_round_trip() {
        for text in [
            r#"{"container":{"id":"a","spec":{"@type":"types.containerd.io/Spec","value":{"ociVersion":"1.1.0"}}}}"#,
            r#"{"container":{"spec":{"@type":"x/y","value":"/w=="},"extensions":{"k":{"@type":"z","value":""}}}}"#,
            r#"{"container":{"spec":{"@type":"type.googleapis.com/google.protobuf.Duration","value":"1s"}}}"#,
        ] {
            assert_eq!(back(text), text);
        }
    }

    #[test]
    fn malformed_input_is_rejected_by_the_server() {
        let container = Schema::builtin().pool().get_message_by_name("google.protobuf.Any").unwrap();
        for text in [
            r#"{"@type":"x/y","value":"no base64"}"#,
            r#"{"@type":"x/y","other":1}"#,
            r#"{"@type":"x/y","value":1}"#,
            r#"{"@type":"google.protobuf.Duration","value":{"a":1}}"#,
        ] {
            assert!(read(&container, text).is_err(), "{text}");
        }
    }
}
