//! Values that are not messages: numbers, strings, bytes, enums, map keys. Does no I/O.

use std::str::FromStr;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{EnumDescriptor, Kind, MapKey, Value};

use super::Fault;
use super::syntax::{Json, Type};
use crate::features::is_closed;
use crate::json::number::{integer, is_number};
use crate::resolve::nearest;

/// Accepts base64 with and without padding. Bits that are left over at the end are ignored, as
/// protobuf's own parsers ignore them.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads a value that is not a message.
pub(super) fn scalar(kind: &Kind, json: Json<'_>) -> Result<Value, Box<Fault>> {
    Ok(match kind {
        Kind::Double => Value::F64(fraction(json, f64::is_finite)?),
        // Parsed as what it will be: by way of a double, a number might be rounded twice.
        Kind::Float => Value::F32(fraction(json, f32::is_finite)?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(whole(json, "32 bits with a sign")?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(whole(json, "64 bits with a sign")?),
        Kind::Uint32 | Kind::Fixed32 => Value::U32(whole(json, "32 bits without a sign")?),
        Kind::Uint64 | Kind::Fixed64 => Value::U64(whole(json, "64 bits without a sign")?),
        Kind::Bool => match json.kind() {
            Type::Bool(value) => Value::Bool(value),
            _ => return Err(json.is_not("true or false")),
        },
        Kind::String => Value::String(json.string()?),
        Kind::Bytes => Value::Bytes(base64(json)?.into()),
        Kind::Enum(values) => Value::EnumNumber(enumerated(values, json)?),
        Kind::Message(_) => return Err(json.is_not("a value")),
    })
}

/// Returns the text of a number, which may be in quotes.
fn number_text(json: Json<'_>) -> Result<String, Box<Fault>> {
    match json.kind() {
        Type::Number => Ok(json.text().to_owned()),
        Type::String => {
            let text = json.string()?;
            if is_number(&text) { Ok(text) } else { Err(json.fault(format!("'{text}' is not a number"))) }
        }
        _ => Err(json.is_not("a number")),
    }
}

fn whole<T: TryFrom<i128>>(json: Json<'_>, limits: &str) -> Result<T, Box<Fault>> {
    let text = number_text(json)?;
    let number = integer(&text);
    let fits = number.and_then(|number| T::try_from(number).ok());
    fits.ok_or_else(|| json.fault(format!("{text} is not an integer of {limits}")))
}

fn fraction<T: FromStr + Copy>(json: Json<'_>, is_finite: fn(T) -> bool) -> Result<T, Box<Fault>> {
    if json.kind() == Type::String {
        let name = match json.string()?.as_str() {
            "NaN" => "NaN",
            "Infinity" => "inf",
            "-Infinity" => "-inf",
            _ => "",
        };
        if let Ok(special) = name.parse() {
            return Ok(special);
        }
    }
    let text = number_text(json)?;
    let number = text.parse().ok().filter(|&number| is_finite(number));
    number.ok_or_else(|| json.fault(format!("{text} is out of range")))
}

/// Reads bytes in base64, with either alphabet.
pub(super) fn base64(json: Json<'_>) -> Result<Vec<u8>, Box<Fault>> {
    let text = json.string()?.replace('-', "+").replace('_', "/");
    BASE64.decode(text).map_err(|_| json.fault("bytes must be in base64"))
}

fn enumerated(values: &EnumDescriptor, json: Json<'_>) -> Result<i32, Box<Fault>> {
    match json.kind() {
        Type::Null if is_null_value(values) => Ok(0),
        Type::Number => {
            let number = whole(json, "32 bits with a sign")?;
            if is_closed(values) && values.get_value(number).is_none() {
                return Err(json.fault(format!("'{}' has no value {number}", values.full_name())));
            }
            Ok(number)
        }
        Type::String => {
            let name = json.string()?;
            let found = values.get_value_by_name(&name).map(|value| value.number());
            found.ok_or_else(|| {
                let names = values.values().map(|value| value.name().to_owned());
                let fault = json.fault(format!("'{}' has no value '{name}'", values.full_name()));
                fault.nearest(nearest(&name, names))
            })
        }
        _ => Err(json.is_not(&format!("a name or number of '{}'", values.full_name()))),
    }
}

/// Returns whether the only value of an enum is JSON's null.
pub(super) fn is_null_value(values: &EnumDescriptor) -> bool {
    values.full_name() == "google.protobuf.NullValue"
}

/// Reads a key of a map, which JSON writes as a string.
pub(super) fn map_key(kind: &Kind, name: &str) -> Option<MapKey> {
    let whole = || integer(name).filter(|_| is_number(name));
    Some(match kind {
        Kind::String => MapKey::String(name.to_owned()),
        Kind::Bool => MapKey::Bool(name.parse().ok()?),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => MapKey::I32(whole()?.try_into().ok()?),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => MapKey::I64(whole()?.try_into().ok()?),
        Kind::Uint32 | Kind::Fixed32 => MapKey::U32(whole()?.try_into().ok()?),
        Kind::Uint64 | Kind::Fixed64 => MapKey::U64(whole()?.try_into().ok()?),
        Kind::Double | Kind::Float | Kind::Bytes | Kind::Enum(_) | Kind::Message(_) => return None,
    })
}
