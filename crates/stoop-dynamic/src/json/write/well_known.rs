//! The JSON forms of protobuf's own types that have one. Does no I/O.

use std::borrow::Cow;

use prost_reflect::{DynamicMessage, Kind, ReflectMessage, Value};

use crate::json::{field_mask, is_wrapper, time};

/// The JSON form of a message.
pub(super) enum Form<'m> {
    Null,
    Text(String),
    /// The value of this type in the message's place.
    Value(Cow<'m, Value>, Kind),
}

/// The value of a well-known type that has no JSON form: an invalid time, for example.
pub(super) struct NoForm;

/// Returns the JSON form of a well-known type, or `None` if the type is another.
pub(super) fn form(message: &DynamicMessage) -> Result<Option<Form<'_>>, NoForm> {
    let descriptor = message.descriptor();
    let Some(name) = descriptor.full_name().strip_prefix("google.protobuf.") else { return Ok(None) };
    let form = match name {
        "Timestamp" => moment(message, time::timestamp_text),
        "Duration" => moment(message, time::duration_text),
        "FieldMask" => mask(message),
        "Struct" | "ListValue" => only_field(message),
        "Value" => dynamic_value(message),
        name if is_wrapper(name) => only_field(message),
        _ => return Ok(None),
    };
    form.map(Some).ok_or(NoForm)
}

fn moment(message: &DynamicMessage, text: fn(i64, i32) -> Option<String>) -> Option<Form<'_>> {
    let (seconds, nanos) = (message.get_field_by_number(1)?, message.get_field_by_number(2)?);
    text(seconds.as_i64()?, nanos.as_i32()?).map(Form::Text)
}

fn mask(message: &DynamicMessage) -> Option<Form<'_>> {
    let paths = message.get_field_by_number(1)?;
    field_mask::text(paths.as_list()?.iter().filter_map(Value::as_str)).map(Form::Text)
}

fn only_field(message: &DynamicMessage) -> Option<Form<'_>> {
    let kind = message.descriptor().get_field(1)?.kind();
    Some(Form::Value(message.get_field_by_number(1)?, kind))
}

/// Returns the form of a `Value`. A number that is not finite has none.
fn dynamic_value(message: &DynamicMessage) -> Option<Form<'_>> {
    let Some((field, value)) = message.fields().next() else { return Some(Form::Null) };
    match value {
        Value::F64(number) if !number.is_finite() => None,
        value => Some(Form::Value(Cow::Borrowed(value), field.kind())),
    }
}
