//! Protobuf's own types with a JSON form of their own. Does no I/O.

use std::collections::HashMap;

use prost_reflect::{DynamicMessage, Kind, MapKey, MessageDescriptor, Value};

use super::message::Reader;
use super::syntax::{Json, Type};
use super::{Fault, any, scalar};
use crate::json::{field_mask, time};

type Read = Result<DynamicMessage, Box<Fault>>;

/// Reads a message of such a type. Returns `None` if the type is another.
pub(super) fn read(reader: Reader, descriptor: &MessageDescriptor, json: Json<'_>) -> Option<Read> {
    let name = descriptor.full_name().strip_prefix("google.protobuf.")?;
    Some(match name {
        "Any" => any::read(reader, descriptor, json),
        "Timestamp" => {
            moment(descriptor, json, time::timestamp, "a time in RFC 3339, as 1970-01-01T00:00:00Z")
        }
        "Duration" => moment(descriptor, json, time::duration, "a duration in seconds, as 1.5s"),
        "FieldMask" => mask(descriptor, json),
        "Struct" => structure(reader, descriptor, json),
        "Value" => value(reader, descriptor, json),
        "ListValue" => list(reader, descriptor, json),
        name if super::super::is_wrapper(name) => wrapper(descriptor, json),
        _ => return None,
    })
}

fn moment(
    descriptor: &MessageDescriptor,
    json: Json<'_>,
    parse: fn(&str) -> Option<(i64, i32)>,
    wanted: &str,
) -> Read {
    let text = json.string()?;
    let (seconds, nanos) = parse(&text).ok_or_else(|| json.fault(format!("'{text}' is not {wanted}")))?;
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_number(1, Value::I64(seconds));
    message.set_field_by_number(2, Value::I32(nanos));
    Ok(message)
}

fn mask(descriptor: &MessageDescriptor, json: Json<'_>) -> Read {
    let text = json.string()?;
    let wrong = || json.fault(format!("'{text}' is not a list of paths in lowerCamelCase"));
    let paths = field_mask::paths(&text).ok_or_else(wrong)?;
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_number(1, Value::List(paths.into_iter().map(Value::String).collect()));
    Ok(message)
}

fn wrapper(descriptor: &MessageDescriptor, json: Json<'_>) -> Read {
    let mut message = DynamicMessage::new(descriptor.clone());
    if let Some(field) = descriptor.get_field(1) {
        let value = scalar::scalar(&field.kind(), json)?;
        if !crate::features::is_zero(&field, &value) {
            message.set_field(&field, value);
        }
    }
    Ok(message)
}

fn structure(reader: Reader, descriptor: &MessageDescriptor, json: Json<'_>) -> Read {
    let mut message = DynamicMessage::new(descriptor.clone());
    let Some(field) = descriptor.get_field(1) else { return Ok(message) };
    let Kind::Message(entry) = field.kind() else { return Ok(message) };
    let Kind::Message(of_values) = entry.map_entry_value_field().kind() else { return Ok(message) };
    let mut entries = HashMap::new();
    for member in json.members()? {
        let step = format!(".{}", member.name);
        let value = reader.message(&of_values, member.value).map_err(|fault| fault.within(step))?;
        if entries.insert(MapKey::String(member.name.clone()), Value::Message(value)).is_some() {
            return Err(Fault::new(member.at, format!("the key '{}' occurs twice", member.name)));
        }
    }
    message.set_field(&field, Value::Map(entries));
    Ok(message)
}

fn list(reader: Reader, descriptor: &MessageDescriptor, json: Json<'_>) -> Read {
    let mut message = DynamicMessage::new(descriptor.clone());
    let Some(field) = descriptor.get_field(1) else { return Ok(message) };
    let Kind::Message(of_values) = field.kind() else { return Ok(message) };
    let mut values = Vec::new();
    for (at, element) in json.elements()?.into_iter().enumerate() {
        let value = reader.message(&of_values, element).map_err(|fault| fault.within(format!("[{at}]")))?;
        values.push(Value::Message(value));
    }
    message.set_field(&field, Value::List(values));
    Ok(message)
}

fn value(reader: Reader, descriptor: &MessageDescriptor, json: Json<'_>) -> Read {
    let (number, value) = match json.kind() {
        Type::Null => (1, Value::EnumNumber(0)),
        Type::Number => (2, scalar::scalar(&Kind::Double, json)?),
        Type::String => (3, Value::String(json.string()?)),
        Type::Bool(value) => (4, Value::Bool(value)),
        Type::Object => (5, Value::Message(inner(reader, descriptor, 5, json)?)),
        Type::Array => (6, Value::Message(inner(reader, descriptor, 6, json)?)),
    };
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_number(number, value);
    Ok(message)
}

fn inner(reader: Reader, descriptor: &MessageDescriptor, number: u32, json: Json<'_>) -> Read {
    match descriptor.get_field(number).map(|field| field.kind()) {
        Some(Kind::Message(inner)) => reader.message(&inner, json),
        _ => Err(json.is_not("a value")),
    }
}
