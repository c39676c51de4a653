//! Messages as JSON, by protobuf's own mapping, and back.
//!
//! What the mapping cannot say is shown all the same, so that an answer is never lost for want of a
//! schema: an `Any` whose type is not known has its bytes as `value`, in base64, or where they are
//! JSON themselves, as with containerd's specifications, as they are. Fields are in the order of
//! the schema, keys of maps sorted.

mod opaque;
mod read;
mod write;

pub use read::{JsonError, Messages, messages, read};
pub use write::Style;
