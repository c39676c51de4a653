//! Writes messages as JSON.

mod annotate;
mod any;
#[cfg(test)]
mod tests;
mod well_known;

use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, EnumDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, Value};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use self::annotate::{Annotated, Comment, comment};
use self::any::Content;
use self::well_known::Form;
use crate::features::{is_closed, is_implicit, is_zero};
use crate::json::has_own_form;

/// Formatting options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Includes fields that have their default value.
    pub emit_defaults: bool,
    /// Writes a message on a single line.
    pub one_line: bool,
    /// Writes for a human reader: an enum is shown even if it is zero, the times of the CRI have
    /// their date in a comment, and bytes that are text have that text in a comment. The values
    /// themselves are the same, but a text with comments is not JSON. Without effect on a single
    /// line.
    pub annotated: bool,
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
        self.write(message).0
    }

    /// Returns a message as JSON, or `None` if protobuf's JSON mapping cannot express it: it
    /// contains an `Any` of unknown type, or an invalid value of a well-known type, such as a
    /// timestamp in the year 10000.
    ///
    /// ```
    /// use stoop_dynamic::{DynamicMessage, Schema, Value, json};
    ///
    /// let schema = Schema::builtin();
    /// let duration = schema.pool().get_message_by_name("google.protobuf.Duration").unwrap();
    /// let mut message = DynamicMessage::new(duration);
    /// message.set_field_by_name("seconds", Value::I64(1));
    /// assert_eq!(json::Style::default().exact_text(&message).as_deref(), Some("\"1s\""));
    /// // Seconds and nanoseconds must have the same sign.
    /// message.set_field_by_name("nanos", Value::I32(-1));
    /// assert_eq!(json::Style::default().exact_text(&message), None);
    /// ```
    pub fn exact_text(self, message: &DynamicMessage) -> Option<String> {
        let (text, is_exact) = self.write(message);
        is_exact.then_some(text)
    }

    fn write(self, message: &DynamicMessage) -> (String, bool) {
        let comment = Comment::default();
        let context = Context { style: self, is_exact: Cell::new(true), comment: Comment::clone(&comment) };
        let shown = Shown { message, context: &context, any_depth: 0 };
        let mut text = Vec::new();
        let written = match self.one_line {
            true => shown.serialize(&mut serde_json::Serializer::new(&mut text)),
            false => {
                let format = Annotated::new(comment);
                shown.serialize(&mut serde_json::Serializer::with_formatter(&mut text, format))
            }
        };
        // Serialization cannot fail: numbers that are not finite and map keys are written as
        // strings.
        let text = written.ok().and_then(|()| String::from_utf8(text).ok());
        (text.unwrap_or_else(|| "null".into()), context.is_exact.get())
    }

    /// Returns whether comments and zero enums are written.
    fn is_annotated(self) -> bool {
        self.annotated && !self.one_line
    }
}

/// What all parts of a message share.
struct Context {
    style: Style,
    /// Whether the mapping can express everything so far.
    is_exact: Cell<bool>,
    /// The comment on the value that is being written.
    comment: Comment,
}

/// A message, as it is written.
struct Shown<'m> {
    message: &'m DynamicMessage,
    context: &'m Context,
    any_depth: usize,
}

impl<'m> Shown<'m> {
    fn with<'i>(&self, message: &'i DynamicMessage) -> Shown<'i>
    where
        'm: 'i,
    {
        Shown { message, ..*self }
    }

    /// Notes that the mapping cannot express a value, which is written in another form.
    fn inexact(&self) {
        self.context.is_exact.set(false);
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match well_known::form(self.message) {
            Ok(Some(Form::Null)) => serializer.serialize_unit(),
            Ok(Some(Form::Text(text))) => serializer.serialize_str(&text),
            Ok(Some(Form::Value(value, kind))) => {
                Member { owner: self, value: &value, kind }.serialize(serializer)
            }
            form => {
                if form.is_err() {
                    self.inexact();
                }
                let mut map = serializer.serialize_map(None)?;
                self.members(&mut map)?;
                map.end()
            }
        }
    }
}

impl Shown<'_> {
    fn members<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        if self.message.descriptor().full_name() == any::NAME {
            return self.any(map);
        }
        let style = self.context.style;
        for field in self.message.descriptor().fields() {
            let value = self.message.get_field(&field);
            let is_enum = || matches!(*value, Value::EnumNumber(_));
            let shows = match is_implicit(&field) {
                true => style.emit_defaults || !is_zero(&field, &value) || style.is_annotated() && is_enum(),
                false => self.message.has_field(&field),
            };
            if shows {
                let member = Member { owner: self, value: &value, kind: field.kind() };
                map.serialize_entry(field.json_name(), &member)?;
                if style.is_annotated() {
                    self.context.comment.set(comment(&field, &value));
                }
            }
        }
        for (extension, value) in self.message.extensions() {
            let member = Member { owner: self, value, kind: extension.kind() };
            map.serialize_entry(extension.json_name(), &member)?;
        }
        Ok(())
    }
}

impl Shown<'_> {
    /// Writes the members of an `Any`. The bytes of an unknown type are written as `value`.
    fn any<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        match any::content(self.message, self.any_depth) {
            Content::Nothing => Ok(()),
            Content::Message(url, inner) => {
                map.serialize_entry("@type", &url)?;
                let shown = Shown { message: &inner, context: self.context, any_depth: self.any_depth + 1 };
                match has_own_form(&inner.descriptor()) {
                    true => map.serialize_entry("value", &shown),
                    false => shown.members(map),
                }
            }
            Content::Json(url, json) => self.opaque(map, &url, &json),
            Content::Bytes(url, base64) => self.opaque(map, &url, &base64),
        }
    }

    fn opaque<M: SerializeMap>(
        &self,
        map: &mut M,
        url: &str,
        value: &impl Serialize,
    ) -> Result<(), M::Error> {
        self.inexact();
        map.serialize_entry("@type", url)?;
        map.serialize_entry("value", value)
    }
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
            Value::F32(value) => match integer((*value).into()) {
                Some(whole) => serializer.serialize_i64(whole),
                None if value.is_finite() => serializer.serialize_f32(*value),
                None => serializer.serialize_str(not_finite((*value).into())),
            },
            Value::F64(value) => match integer(*value) {
                Some(whole) => serializer.serialize_i64(whole),
                None if value.is_finite() => serializer.serialize_f64(*value),
                None => serializer.serialize_str(not_finite(*value)),
            },
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
        match value_name(values, number) {
            Some(name) => serializer.serialize_str(name),
            None => {
                if is_closed(values) {
                    self.owner.inexact();
                }
                serializer.serialize_i32(number)
            }
        }
    }
}

/// Returns the name of a number; of several names, the one that is declared first.
fn value_name(values: &EnumDescriptor, number: i32) -> Option<&str> {
    values.get_value(number)?;
    let declared = &values.enum_descriptor_proto().value;
    declared.iter().find(|value| value.number() == number).map(|value| value.name())
}

/// Returns a whole number that is written as one, as most programs do: `1`, not `1.0`. The sign of
/// zero would be lost.
fn integer(value: f64) -> Option<i64> {
    const MAX: f64 = 1e15;
    let is_whole = value.trunc() == value && value.abs() < MAX;
    (is_whole && !(value == 0.0 && value.is_sign_negative())).then_some(value as i64)
}

fn not_finite(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

pub(super) fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
