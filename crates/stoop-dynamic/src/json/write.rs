//! Writes messages as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{
    DynamicMessage, Kind, MapKey, MessageDescriptor, ReflectMessage, SerializeOptions, Value,
};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use serde_json::value::RawValue;

use crate::Schema;

/// The limit on `Any` values nested in each other. Each level costs the sender only a few bytes,
/// so without a limit a short message could exhaust the stack.
const MAX_ANY_DEPTH: usize = 16;

const ANY: &str = "google.protobuf.Any";

/// Formatting options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Includes fields that have their default value.
    pub emit_defaults: bool,
    /// Writes a message on a single line.
    pub one_line: bool,
}

impl Style {
    /// Returns a message as JSON, without a newline at the end.
    ///
    /// ```
    /// use stoop_dynamic::{Schema, json};
    ///
    /// let response = Schema::builtin().method("grpc.health.v1.Health/Check", &[])?.output();
    /// let style = json::Style { one_line: true, ..json::Style::default() };
    /// let message = json::read(&response, r#"{"status": 1}"#)?;
    /// assert_eq!(style.text(&message), r#"{"status":"SERVING"}"#);
    /// // A field with its default value is left out, unless it is asked for.
    /// let message = json::read(&response, "{}")?;
    /// assert_eq!(style.text(&message), "{}");
    /// let style = json::Style { emit_defaults: true, ..style };
    /// assert_eq!(style.text(&message), r#"{"status":"UNKNOWN"}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn text(self, message: &DynamicMessage) -> String {
        let shown = Shown { message, style: self, any_depth: 0 };
        let text =
            if self.one_line { serde_json::to_string(&shown) } else { serde_json::to_string_pretty(&shown) };
        // Serialization cannot fail: numbers that are not finite and map keys are written as
        // strings.
        text.unwrap_or_else(|_| "null".into())
    }

    fn mapping(self) -> SerializeOptions {
        SerializeOptions::new().skip_default_fields(!self.emit_defaults)
    }
}

struct Shown<'m> {
    message: &'m DynamicMessage,
    style: Style,
    any_depth: usize,
}

impl Shown<'_> {
    fn with<'m>(&self, message: &'m DynamicMessage) -> Shown<'m> {
        Shown { message, ..*self }
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match well_known(self.message, self.style) {
            Some(value) => value.serialize(serializer),
            None => {
                let mut map = serializer.serialize_map(None)?;
                self.members(&mut map)?;
                map.end()
            }
        }
    }
}

/// Returns the JSON form of a well-known type. `None` if the type is not one, or if the value has
/// no such form.
fn well_known(message: &DynamicMessage, style: Style) -> Option<serde_json::Value> {
    let descriptor = message.descriptor();
    let is_own = matches!(
        descriptor.full_name().strip_prefix("google.protobuf."),
        Some(
            "Timestamp"
                | "Duration"
                | "FieldMask"
                | "Struct"
                | "Value"
                | "ListValue"
                | "Empty"
                | "BoolValue"
                | "BytesValue"
                | "DoubleValue"
                | "FloatValue"
                | "Int32Value"
                | "Int64Value"
                | "StringValue"
                | "UInt32Value"
                | "UInt64Value"
        )
    );
    let write = || message.serialize_with_options(serde_json::value::Serializer, &style.mapping()).ok();
    is_own.then(write).flatten()
}

impl Shown<'_> {
    fn members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if self.message.descriptor().full_name() == ANY {
            return self.any(map);
        }
        for field in self.message.descriptor().fields() {
            let shows = self.style.emit_defaults && !field.supports_presence();
            if shows || self.message.has_field(&field) {
                let value = self.message.get_field(&field);
                map.serialize_entry(
                    field.json_name(),
                    &Member { owner: self, value: &value, kind: field.kind() },
                )?;
            }
        }
        for (extension, value) in self.message.extensions() {
            map.serialize_entry(
                extension.json_name(),
                &Member { owner: self, value, kind: extension.kind() },
            )?;
        }
        Ok(())
    }

    fn any<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let (url, bytes) = (self.message.get_field_by_number(1), self.message.get_field_by_number(2));
        let url = url.as_deref().and_then(Value::as_str).unwrap_or_default();
        let bytes = bytes.as_deref().and_then(Value::as_bytes).cloned().unwrap_or_default();
        map.serialize_entry("@type", url)?;
        let name = type_name(url).unwrap_or_default();
        let known = self.message.descriptor().parent_pool().get_message_by_name(name);
        // Error details often have types that are missing from a server's schema.
        let known = known.or_else(|| Schema::builtin().pool().get_message_by_name(name));
        let known = known.filter(|_| self.any_depth < MAX_ANY_DEPTH);
        if let Some(inner) = known.and_then(|known| DynamicMessage::decode(known, bytes.clone()).ok()) {
            let inner = Shown { message: &inner, style: self.style, any_depth: self.any_depth + 1 };
            return match well_known(inner.message, self.style) {
                Some(value) => map.serialize_entry("value", &value),
                // `Any` has a JSON form of its own, too.
                None if name == ANY => map.serialize_entry("value", &inner),
                None => inner.members(map),
            };
        }
        match raw_object(&bytes) {
            Some(json) => map.serialize_entry("value", &json),
            None => map.serialize_entry("value", &STANDARD.encode(&bytes)),
        }
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

/// Returns the type that an `Any`'s URL names. A name with a leading dot is rejected, although
/// descriptor pools resolve it: the reader would take protobuf's own types for others.
pub(super) fn type_name(url: &str) -> Option<&str> {
    url.rsplit('/').next().filter(|name| !name.starts_with('.'))
}

/// A value in a message.
struct Member<'m> {
    owner: &'m Shown<'m>,
    value: &'m Value,
    kind: Kind,
}

impl Serialize for Member<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            Value::I64(value) => serializer.collect_str(value),
            Value::U64(value) => serializer.collect_str(value),
            Value::F32(value) if value.is_finite() => serializer.serialize_f32(*value),
            Value::F64(value) if value.is_finite() => serializer.serialize_f64(*value),
            Value::F32(value) => serializer.serialize_str(not_finite((*value).into())),
            Value::F64(value) => serializer.serialize_str(not_finite(*value)),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.serialize_str(&STANDARD.encode(value)),
            Value::EnumNumber(number) => self.enumerated(*number, serializer),
            Value::Message(message) => self.owner.with(message).serialize(serializer),
            Value::List(values) => {
                let mut list = serializer.serialize_seq(Some(values.len()))?;
                for value in values {
                    list.serialize_element(&Member { value, kind: self.kind.clone(), ..*self })?;
                }
                list.end()
            }
            Value::Map(values) => {
                let entry = self.kind.as_message().map(MessageDescriptor::map_entry_value_field);
                let kind = entry.map_or_else(|| self.kind.clone(), |field| field.kind());
                let mut entries: Vec<_> = values.iter().map(|(key, value)| (key_text(key), value)).collect();
                entries.sort_by(|one, other| one.0.cmp(&other.0));
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(&key, &Member { value, kind: kind.clone(), ..*self })?;
                }
                map.end()
            }
        }
    }
}

impl Member<'_> {
    fn enumerated<S: Serializer>(&self, number: i32, serializer: S) -> Result<S::Ok, S::Error> {
        let Some(values) = self.kind.as_enum() else { return serializer.serialize_i32(number) };
        if values.full_name() == "google.protobuf.NullValue" {
            return serializer.serialize_unit();
        }
        match values.get_value(number) {
            Some(value) => serializer.serialize_str(value.name()),
            None => serializer.serialize_i32(number),
        }
    }
}

fn not_finite(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost_reflect::prost::Message;

    fn message(name: &str) -> DynamicMessage {
        DynamicMessage::new(Schema::builtin().pool().get_message_by_name(name).unwrap())
    }

    fn line(message: &DynamicMessage) -> String {
        Style { one_line: true, ..Style::default() }.text(message)
    }

    fn any(url: &str, bytes: Vec<u8>) -> DynamicMessage {
        let mut any = message("google.protobuf.Any");
        any.set_field_by_name("type_url", Value::String(url.into()));
        any.set_field_by_name("value", Value::Bytes(bytes.into()));
        any
    }

    #[test]
    fn any_values_are_shown() {
        let mut exit = message("containerd.events.TaskExit");
        exit.set_field_by_name("container_id", Value::String("c1".into()));
        exit.set_field_by_name("pid", Value::U32(7));
        let shown = line(&any("containerd.events.TaskExit", exit.encode_to_vec()));
        assert_eq!(shown, r#"{"@type":"containerd.events.TaskExit","containerId":"c1","pid":7}"#);
        let json = line(&any("types.containerd.io/x/Spec", br#"{"a": [1]}"#.to_vec()));
        assert_eq!(json, r#"{"@type":"types.containerd.io/x/Spec","value":{"a": [1]}}"#);
        assert_eq!(line(&any("x/y", vec![0xff])), r#"{"@type":"x/y","value":"/w=="}"#);
        let mut time = message("google.protobuf.Timestamp");
        time.set_field_by_name("seconds", Value::I64(1));
        let shown = line(&any("type.googleapis.com/google.protobuf.Timestamp", time.encode_to_vec()));
        assert_eq!(
            shown,
            r#"{"@type":"type.googleapis.com/google.protobuf.Timestamp","value":"1970-01-01T00:00:01Z"}"#
        );
    }

    #[test]
    fn json_inside_any_stays_on_one_line() {
        let shown = line(&any("x/Spec", b"{\r\n\t\"a\":\n1.10}\n".to_vec()));
        assert_eq!(shown, r#"{"@type":"x/Spec","value":{   "a": 1.10}}"#);
    }

    #[test]
    fn a_type_url_with_a_leading_dot_is_unknown() {
        let inner = any("x/none", vec![0xff]).encode_to_vec();
        let shown = line(&any("x/google.protobuf.Any", inner.clone()));
        assert_eq!(shown, r#"{"@type":"x/google.protobuf.Any","value":{"@type":"x/none","value":"/w=="}}"#);
        for name in ["Any", "StringValue", "Timestamp"] {
            let dotted = any(&format!("x/.google.protobuf.{name}"), inner.clone());
            let shown = line(&dotted);
            assert_eq!(shown.matches("@type").count(), 1, "{shown}");
            assert_eq!(crate::json::read(&dotted.descriptor(), &shown).unwrap(), dotted);
        }
    }

    #[test]
    fn any_nesting_is_limited() {
        let mut nested = any("x/y", vec![0xff]);
        for _ in 0..2000 {
            nested = any("google.protobuf.Any", nested.encode_to_vec());
        }
        assert!(line(&nested).contains("\"value\":\""));
    }

    #[test]
    fn an_invalid_timestamp_is_shown_as_fields() {
        let mut time = message("google.protobuf.Timestamp");
        time.set_field_by_name("seconds", Value::I64(i64::MAX));
        assert_eq!(line(&time), format!("{{\"seconds\":\"{}\"}}", i64::MAX));
    }

    #[test]
    fn defaults_are_emitted_on_request() {
        let mut response = message("runtime.v1.VersionResponse");
        response.set_field_by_name("runtime_name", Value::String("x".into()));
        assert_eq!(line(&response), r#"{"runtimeName":"x"}"#);
        let all = Style { one_line: true, emit_defaults: true };
        assert_eq!(
            all.text(&response),
            r#"{"version":"","runtimeName":"x","runtimeVersion":"","runtimeApiVersion":""}"#
        );
        let indented = "{\n  \"runtimeName\": \"x\"\n}";
        assert_eq!(Style::default().text(&response), indented);
    }

    #[test]
    fn maps_are_sorted_and_enums_named() {
        let mut sandbox = message("runtime.v1.PodSandbox");
        let labels = ["b", "a"].map(|key| (MapKey::String(key.into()), Value::String("1".into())));
        sandbox.set_field_by_name("labels", Value::Map(labels.into_iter().collect()));
        sandbox.set_field_by_name("state", Value::EnumNumber(1));
        sandbox.set_field_by_name("created_at", Value::I64(5));
        let expected = r#"{"state":"SANDBOX_NOTREADY","createdAt":"5","labels":{"a":"1","b":"1"}}"#;
        assert_eq!(line(&sandbox), expected);
        sandbox.set_field_by_name("state", Value::EnumNumber(77));
        assert!(line(&sandbox).contains("\"state\":77"));
    }
}
