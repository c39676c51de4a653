//! The message of a unary gRPC request, as JSON and written anew. Pure.

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use serde_json::Value;
use stoop_dynamic::{DynamicMessage, Schema, json};

use crate::request::target::Target;

/// A message's compression flag and length.
const PREFIX_BYTES: usize = 5;

/// Reads the one message of a request.
pub(super) fn message(schema: &Schema, target: &Target, body: &[u8]) -> Result<(Value, Bytes), String> {
    let [service, method] = &target.segments[..] else { return Err("the path is not a method".into()) };
    let service = schema.pool().get_service_by_name(service).ok_or("the schema lacks the service")?;
    let method = service.methods().find(|one| one.name() == method).ok_or("the schema lacks the method")?;
    if method.is_client_streaming() {
        return Err("conditions on a stream of messages are not supported".into());
    }
    let message = DynamicMessage::decode(method.input(), unframed(body)?);
    let message = message.map_err(|_| "the message does not match the schema")?;
    if message.unknown_fields().next().is_some() {
        return Err("the message has fields that the schema lacks".into());
    }
    let text = json::Style::default().exact_text(&message).ok_or("the message has no JSON")?;
    let value = serde_json::from_str(&text).map_err(|_| "the message has no JSON")?;
    // From the JSON that is judged: what it does not show is not forwarded.
    let judged = json::read(&method.input(), &text).map_err(|_| "the message has no JSON")?;
    Ok((value, framed(&judged)))
}

fn unframed(body: &[u8]) -> Result<&[u8], &'static str> {
    let Some((prefix, rest)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err("the message is cut short");
    };
    let [flag, length @ ..] = *prefix;
    match (flag, u32::from_be_bytes(length) as usize == rest.len()) {
        (0, true) => Ok(rest),
        (0, false) => Err("the request is not one message"),
        _ => Err("the message is compressed"),
    }
}

fn framed(message: &DynamicMessage) -> Bytes {
    let bytes = message.encode_to_vec();
    let mut framed = BytesMut::with_capacity(PREFIX_BYTES + bytes.len());
    framed.put_u8(0);
    framed.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    framed.extend_from_slice(&bytes);
    framed.freeze()
}
