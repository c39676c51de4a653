//! Required fields, which proto2 has and a message may lack. Does no I/O.

use prost_reflect::{DynamicMessage, ReflectMessage, Value};

/// Returns the paths of the required fields that a message lacks, at any depth, such as
/// `parts[0].name`. Messages inside an `Any` are not checked.
///
/// Protobuf's own libraries neither send nor accept a message that lacks one.
///
/// ```
/// use stoop_dynamic::{Schema, json};
///
/// # let directory = stoop_testkit::tempdir();
/// # let file = directory.path().join("old.proto");
/// std::fs::write(&file, r#"
///     syntax = "proto2";
///     message Old { required int32 id = 1; repeated Old kids = 2; }
/// "#)?;
/// let schema = Schema::from_protos(&[&file], &[])?;
/// let old = schema.pool().get_message_by_name("Old").ok_or("no such message")?;
/// let message = json::read(&old, r#"{"kids": [{"id": 1}, {}]}"#)?;
/// assert_eq!(json::missing_required(&message), ["id", "kids[1].id"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn missing_required(message: &DynamicMessage) -> Vec<String> {
    let mut missing = Vec::new();
    collect(message, "", &mut missing);
    missing
}

fn collect(message: &DynamicMessage, path: &str, missing: &mut Vec<String>) {
    for field in message.descriptor().fields() {
        if field.is_required() && !message.has_field(&field) {
            missing.push(format!("{path}{}", field.json_name()));
        }
    }
    for (field, value) in message.fields() {
        inner(value, &format!("{path}{}", field.json_name()), missing);
    }
    for (extension, value) in message.extensions() {
        inner(value, &format!("{path}{}", extension.json_name()), missing);
    }
}

fn inner(value: &Value, path: &str, missing: &mut Vec<String>) {
    match value {
        Value::Message(message) => collect(message, &format!("{path}."), missing),
        Value::List(values) => {
            for (at, value) in values.iter().enumerate().filter(|(_, value)| value.as_message().is_some()) {
                inner(value, &format!("{path}[{at}]"), missing);
            }
        }
        Value::Map(entries) => {
            let messages = entries.iter().filter(|(_, value)| value.as_message().is_some());
            let mut messages: Vec<_> =
                messages.map(|(key, value)| (super::write::key_text(key), value)).collect();
            messages.sort_by(|one, other| one.0.cmp(&other.0));
            for (key, value) in messages {
                inner(value, &format!("{path}.{key}"), missing);
            }
        }
        _ => {}
    }
}
