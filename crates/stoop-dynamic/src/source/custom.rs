//! Options that extensions define.

use prost_reflect::{DynamicMessage, Kind, Value};

use super::options::quoted;
use super::printer::Printer;
use crate::features::custom::{mark, marked};

/// An element that has options: their type, and their number in it.
#[derive(Clone, Copy)]
pub(super) struct Options(&'static str, i32);

impl Options {
    pub(super) const FILE: Options = Options("FileOptions", 8);
    pub(super) const MESSAGE: Options = Options("MessageOptions", 7);
    pub(super) const FIELD: Options = Options("FieldOptions", 8);
    pub(super) const ONEOF: Options = Options("OneofOptions", 2);
    pub(super) const ENUM: Options = Options("EnumOptions", 3);
    pub(super) const ENUM_VALUE: Options = Options("EnumValueOptions", 3);
    pub(super) const SERVICE: Options = Options("ServiceOptions", 3);
    pub(super) const METHOD: Options = Options("MethodOptions", 4);
}

impl Printer<'_> {
    /// Returns the options of the element at this position that extensions define, each as
    /// `(name) = value`. Those of unknown extensions have no name, and are left out.
    pub(super) fn custom(&self, at: &[i32], options: Options) -> Vec<String> {
        let Options(kind, number) = options;
        let Some(bytes) = self.location(&mark(at, number)).and_then(marked) else { return Vec::new() };
        let kind = self.names.message(&format!("google.protobuf.{kind}"));
        let message = kind.and_then(|kind| DynamicMessage::decode(kind, &bytes[..]).ok());
        let mut written = Vec::new();
        for (extension, value) in message.iter().flat_map(DynamicMessage::extensions) {
            let values = match value {
                Value::List(values) => values.as_slice(),
                value => std::slice::from_ref(value),
            };
            let name = self.names.reference(self.file.package(), extension.full_name());
            let each = values.iter().map(|value| format!("({name}) = {}", text(value, &extension.kind())));
            written.extend(each);
        }
        written
    }
}

/// Returns a value as it is written in an option.
fn text(value: &Value, kind: &Kind) -> String {
    match value {
        Value::Message(message) => format!("{{ {} }}", message.to_text_format()),
        Value::String(text) => quoted(text),
        Value::Bytes(bytes) => format!("\"{}\"", bytes.escape_ascii()),
        Value::EnumNumber(number) => {
            let value = kind.as_enum().and_then(|kind| kind.get_value(*number));
            value.map_or_else(|| number.to_string(), |value| value.name().to_owned())
        }
        Value::F64(number) => fraction(*number, number),
        Value::F32(number) => fraction(f64::from(*number), number),
        Value::Bool(value) => value.to_string(),
        Value::I32(number) => number.to_string(),
        Value::I64(number) => number.to_string(),
        Value::U32(number) => number.to_string(),
        Value::U64(number) => number.to_string(),
        // Not a value of an option.
        Value::List(_) | Value::Map(_) => String::new(),
    }
}

fn fraction(number: f64, shown: &impl std::fmt::Debug) -> String {
    match number {
        number if number.is_nan() => "nan".to_owned(),
        number if number.is_infinite() => if number > 0.0 { "inf" } else { "-inf" }.to_owned(),
        _ => format!("{shown:?}"),
    }
}
