//! Conversion between messages and JSON, by protobuf's JSON mapping.
//!
//! What the mapping cannot express is shown all the same, so that no response is lost for lack of
//! a schema. An `Any` of unknown type has its bytes as `value`, in base64. If the bytes are a JSON
//! object themselves, as in containerd's specifications, they are shown as they are. Fields are in
//! the order of the schema, and map keys are sorted.

mod opaque;
mod read;
mod write;

pub use read::{JsonError, Messages, messages, read};
pub use write::Style;
