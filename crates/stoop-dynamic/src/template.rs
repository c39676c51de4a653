//! A message of a type with each of its fields set, to be filled in.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// Returns a message with each field set to its default: lists and maps have one element, and
/// messages have their own fields. Of a `oneof`, the first field is set. Types that contain
/// themselves end at the first repetition.
///
/// ```
/// use stoop_dynamic::{Schema, json, template};
///
/// let schema = Schema::builtin();
/// let request = schema.method("runtime.v1.RuntimeService/ListContainers", &[])?.input();
/// let style = json::Style { emit_defaults: true, one_line: true, ..Default::default() };
/// let text = style.text(&template(&request));
/// assert!(text.contains(r#""filter":{"id":"","state":{"state":"CONTAINER_CREATED"}"#), "{text}");
/// assert!(text.contains(r#""labelSelector":{"":""}"#), "{text}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn template(message: &MessageDescriptor) -> DynamicMessage {
    filled(message, &mut Vec::new())
}

/// `parents` are the types that contain this one.
fn filled(message: &MessageDescriptor, parents: &mut Vec<String>) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    // The well-known types have a JSON form of their own, and their defaults have one.
    if message.full_name().starts_with("google.protobuf.") {
        return filled;
    }
    parents.push(message.full_name().to_owned());
    for field in message.fields() {
        let is_first =
            field.containing_oneof().is_none_or(|oneof| oneof.fields().next() == Some(field.clone()));
        if let Some(value) = value_of(&field, parents).filter(|_| is_first) {
            filled.set_field(&field, value);
        }
    }
    parents.pop();
    filled
}

/// Returns the value of a field, or `None` if it has none that is useful.
fn value_of(field: &FieldDescriptor, parents: &mut Vec<String>) -> Option<Value> {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { return None };
        let value = one(&entry.map_entry_value_field(), parents)?;
        let key = MapKey::default_value(&entry.map_entry_key_field().kind());
        return Some(Value::Map(std::iter::once((key, value)).collect()));
    }
    let value = one(field, parents)?;
    Some(if field.is_list() { Value::List(vec![value]) } else { value })
}

/// Returns one value of a field, also of a list.
fn one(field: &FieldDescriptor, parents: &mut Vec<String>) -> Option<Value> {
    match field.kind() {
        // These have no default in JSON.
        Kind::Message(message)
            if ["google.protobuf.Any", "google.protobuf.Value"].contains(&message.full_name()) =>
        {
            None
        }
        Kind::Message(message) if parents.iter().any(|parent| parent == message.full_name()) => None,
        Kind::Message(message) => Some(Value::Message(filled(&message, parents))),
        kind => Some(Value::default_value(&kind)),
    }
}
