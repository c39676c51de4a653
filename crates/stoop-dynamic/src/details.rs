//! Error details: `google.rpc.Status`, which servers may send with a status, and its messages.

use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message;
use tonic::Status;

use crate::Schema;
use crate::ttrpc::RpcStatus;

/// Returns the details of a status, as messages of type `google.protobuf.Any`.
///
/// [`json`](super::json) shows their contents if `schema` or the built-in schema has their types.
/// The result is empty if the server sent no details, or none that can be decoded.
///
/// ```
/// use stoop_dynamic::{Schema, Symbol, details, json};
/// use prost_reflect::prost::Message;
/// use tonic::{Code, Status};
///
/// let schema = Schema::builtin();
/// let Symbol::Message(rpc_status) = schema.symbol("google.rpc.Status", &[])? else { panic!() };
/// let sent = json::read(&rpc_status, r#"{"code": 3, "details": [
///     {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "NO_DISK"}
/// ]}"#)?;
/// let status = Status::with_details(Code::InvalidArgument, "", sent.encode_to_vec().into());
/// let found = details(&status, &schema);
/// assert_eq!(found.len(), 1);
/// assert!(json::Style::default().text(&found[0]).contains("NO_DISK"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn details(status: &Status, schema: &Schema) -> Vec<DynamicMessage> {
    let Ok(status) = RpcStatus::decode(status.details()) else { return Vec::new() };
    let any = |schema: &Schema| schema.pool().get_message_by_name("google.protobuf.Any");
    let Some(any) = any(schema).or_else(|| any(&Schema::builtin())) else { return Vec::new() };
    let dynamic = |detail: &prost_types::Any| {
        let mut message = DynamicMessage::new(any.clone());
        message.transcode_from(detail).ok().map(|()| message)
    };
    status.details.iter().filter_map(dynamic).collect()
}
