//! `Any`: a message with its type. Does no I/O.

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};

use super::Fault;
use super::message::Reader;
use super::scalar::base64;
use super::syntax::{Json, Member, Type};
use crate::json::{any_type, has_own_form};

/// Reads an `Any`. If its type is unknown, `value` is its bytes: in base64, or as a JSON object
/// whose text is the bytes.
pub(super) fn read(
    reader: Reader,
    descriptor: &MessageDescriptor,
    json: Json<'_>,
) -> Result<DynamicMessage, Box<Fault>> {
    let members = json.members()?;
    let mut message = DynamicMessage::new(descriptor.clone());
    if members.is_empty() {
        return Ok(message);
    }
    let (types, members): (Vec<_>, Vec<_>) = members.into_iter().partition(|member| member.name == "@type");
    let [of_type] = &types[..] else {
        return Err(json.fault("an 'Any' needs one '@type', the URL of its type"));
    };
    let url = of_type.value.string()?;
    let bytes = match any_type(descriptor.parent_pool(), &url) {
        Some(known) if has_own_form(&known) => {
            reader.message(&known, value_of(json, &members)?)?.encode_to_vec()
        }
        Some(known) => reader.fields(&known, without_empty(&known, members).into_iter())?.encode_to_vec(),
        None if is_url(&url) => opaque(value_of(json, &members)?)?,
        None => return Err(of_type.value.fault(format!("'{url}' is not the URL of a type"))),
    };
    message.set_field_by_number(1, Value::String(url));
    message.set_field_by_number(2, Value::Bytes(bytes.into()));
    Ok(message)
}

/// Returns whether a text may be the URL of a type that is unknown here: it has a slash, or it is a
/// name with a package, as containerd writes it.
fn is_url(url: &str) -> bool {
    match url.rsplit_once('/') {
        Some((_, name)) => !name.is_empty(),
        None => url.contains('.'),
    }
}

/// Returns the member `value`, which must be the only one.
fn value_of<'t>(json: Json<'t>, members: &[Member<'t>]) -> Result<Json<'t>, Box<Fault>> {
    match members {
        [Member { name, value, .. }] if name == "value" => Ok(*value),
        [] => Err(json.fault("an 'Any' of this type needs a 'value'")),
        members => {
            let other = members.iter().find(|member| member.name != "value").or(members.last());
            Err(other.map_or_else(
                || json.fault("expected 'value'"),
                |other| {
                    Fault::new(
                        other.at,
                        format!("expected only 'value' beside '@type', found '{}'", other.name),
                    )
                },
            ))
        }
    }
}

/// Removes the `value` that some writers add to an `Empty`.
fn without_empty<'t>(known: &MessageDescriptor, members: Vec<Member<'t>>) -> Vec<Member<'t>> {
    let is_empty = |member: &Member<'_>| {
        member.name == "value" && member.value.members().is_ok_and(|members| members.is_empty())
    };
    let has_value = known.full_name() != "google.protobuf.Empty";
    members.into_iter().filter(|member| has_value || !is_empty(member)).collect()
}

fn opaque(value: Json<'_>) -> Result<Vec<u8>, Box<Fault>> {
    match value.kind() {
        Type::Object => Ok(value.text().as_bytes().to_vec()),
        Type::String => base64(value),
        _ => Err(value.is_not("bytes in base64, because the type is unknown,")),
    }
}
