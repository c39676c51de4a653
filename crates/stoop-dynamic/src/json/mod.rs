//! Conversion between messages and JSON, by protobuf's JSON mapping.
//!
//! What the mapping cannot express is shown all the same, so that no response is lost for lack of
//! a schema. An `Any` of unknown type has its bytes as `value`, in base64. If the bytes are a JSON
//! object themselves, as in containerd's specifications, they are shown as they are. Fields are in
//! the order of the schema, and map keys are sorted.

mod error;
mod field_mask;
mod number;
mod read;
mod required;
#[cfg(test)]
mod tests;
mod time;
mod write;

use prost_reflect::{DescriptorPool, MessageDescriptor};

use crate::Schema;

pub use error::JsonError;
pub use read::{Messages, ParseOptions, messages, read};
pub use required::missing_required;
pub use write::Style;

/// Returns whether the last part of a name in `google.protobuf` is that of a wrapper: a message
/// whose only field is a value, and whose JSON form is that value.
fn is_wrapper(name: &str) -> bool {
    let wrapped = name.strip_suffix("Value");
    matches!(
        wrapped,
        Some("Bool" | "Bytes" | "Double" | "Float" | "Int32" | "Int64" | "String" | "UInt32" | "UInt64")
    )
}

/// Returns whether a type has a JSON form other than an object of its fields. In an `Any`, such a
/// form is the member `value`.
fn has_own_form(descriptor: &MessageDescriptor) -> bool {
    let name = descriptor.full_name().strip_prefix("google.protobuf.");
    name.is_some_and(|name| {
        let named = ["Any", "Duration", "FieldMask", "ListValue", "Struct", "Timestamp", "Value"];
        named.contains(&name) || is_wrapper(name)
    })
}

/// Returns the type that an `Any`'s URL names, if it is known.
///
/// Error details often have types that are missing from a server's schema, so the built-in types
/// are known, too. A name with a leading dot is unknown, although descriptor pools resolve it:
/// protobuf's own types would not be recognized by it.
fn any_type(pool: &DescriptorPool, url: &str) -> Option<MessageDescriptor> {
    let name = url.rsplit('/').next().filter(|name| !name.starts_with('.'))?;
    pool.get_message_by_name(name).or_else(|| Schema::builtin().pool().get_message_by_name(name))
}
