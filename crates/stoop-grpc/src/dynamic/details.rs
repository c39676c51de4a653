//! The details of an error: `google.rpc.Status`, which servers may put beside a status, and the
//! messages in it.

use prost_reflect::DynamicMessage;
use prost_reflect::prost::Message;
use tonic::Status;

use super::Schema;
use crate::ttrpc::RpcStatus;

/// What the server said beside its status, as messages of `google.protobuf.Any`:
/// [`json`](super::json) shows what is in them as far as `schema` or what is built in knows it.
/// Empty where it said nothing, or nothing that can be read.
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
