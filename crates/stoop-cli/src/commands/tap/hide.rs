//! Overwrites well-known secrets in the bytes of protobuf messages, in the same length. Pure.

use stoop_dynamic::MessageDescriptor;
use stoop_tap::mask;

/// Fields whose value is a secret.
const SECRETS: [&str; 10] = [
    "password",
    "passwd",
    "secret",
    "secrets",
    "token",
    "auth",
    "identity_token",
    "registry_token",
    "api_key",
    "access_key",
];
/// Fields that have environment variables: `NAME=value`, or messages with a `value`.
const ENVIRONMENTS: [&str; 2] = ["env", "envs"];
const ANY: &str = "google.protobuf.Any";
/// How deep messages are looked into.
const DEPTH_MAX: u32 = 50;

/// Overwrites the secrets in a message of this type.
pub(super) fn hide(kind: &MessageDescriptor, bytes: &mut [u8]) {
    fields(kind, bytes, false, DEPTH_MAX);
}

/// `is_value`: it is a variable, or an entry of a map of secrets.
fn fields(kind: &MessageDescriptor, bytes: &mut [u8], is_value: bool, depth: u32) {
    let mut at = 0;
    while let Some((number, start, end)) = field(bytes, &mut at) {
        let Some(field) = kind.get_field(number) else { continue };
        let (name, part) = (field.name(), &mut bytes[start..end]);
        let is_secret = SECRETS.contains(&name) || name.ends_with("_secrets");
        let is_variable = ENVIRONMENTS.contains(&name);
        match field.kind().as_message() {
            Some(inner) if depth > 0 => {
                let is_value = is_variable || is_secret && inner.is_map_entry();
                fields(inner, part, is_value, depth - 1);
            }
            Some(_) => part.fill(b'*'),
            None if is_secret || is_value && name == "value" => part.fill(b'*'),
            None if is_variable => {
                let name = part.iter().position(|byte| *byte == b'=').map_or(0, |name| name + 1);
                part[name..].fill(b'*');
            }
            // It may be JSON.
            None if kind.full_name() == ANY => part.copy_from_slice(&mask(part)),
            None => {}
        }
    }
}

/// Returns the number, the start and the end of the next field that has a length.
fn field(bytes: &[u8], at: &mut usize) -> Option<(u32, usize, usize)> {
    loop {
        let tag = varint(bytes, at)?;
        let len = match tag & 7 {
            0 => {
                varint(bytes, at)?;
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(bytes, at)?).ok()?,
            5 => 4,
            _ => return None,
        };
        let start = *at;
        *at = start.checked_add(len).filter(|end| *end <= bytes.len())?;
        if tag & 7 == 2 {
            return Some((u32::try_from(tag >> 3).ok()?, start, *at));
        }
    }
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stoop_dynamic::Schema;

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
    }

    fn hidden(method: &str, mut request: Vec<u8>) -> Vec<u8> {
        hide(&Schema::builtin().method(method, &[]).unwrap().input(), &mut request);
        request
    }

    #[test]
    fn credentials_and_variables_are_overwritten_and_nothing_else() {
        let pull = |password: &[u8], token: &[u8]| {
            let auth = [field(1, b"user"), field(2, password), field(5, token)].concat();
            [field(1, &field(1, b"image")), field(2, &auth)].concat()
        };
        let seen = hidden("runtime.v1.ImageService/PullImage", pull(b"secret", b"t"));
        assert_eq!(seen, pull(b"******", b"*"));
        let create = |value: &[u8]| {
            let variable = [field(1, b"KEY"), field(2, value)].concat();
            let config = [field(1, &field(1, b"web")), field(6, &variable)].concat();
            [field(1, b"pod"), field(2, &config)].concat()
        };
        let seen = hidden("runtime.v1.RuntimeService/CreateContainer", create(b"abc"));
        assert_eq!(seen, create(b"***"));
        let publish = |value: &[u8]| {
            let entry = [field(1, b"key"), field(2, value)].concat();
            [field(1, b"volume"), field(7, &entry)].concat()
        };
        assert_eq!(hidden("csi.v1.Node/NodePublishVolume", publish(b"abc")), publish(b"***"));
    }

    proptest! {
        #[test]
        fn anything_is_looked_at(mut bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let kind = Schema::builtin().method("runtime.v1.RuntimeService/CreateContainer", &[]).unwrap();
            hide(&kind.input(), &mut bytes);
        }
    }
}
