//! Which fields of protobuf messages are secrets. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use stoop_dynamic::MessageDescriptor;
use stoop_tap::{Field, Fields};

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

/// The fields of a message of a type.
#[derive(Debug)]
pub(super) struct Known {
    kind: MessageDescriptor,
    /// Whether it is a variable, or an entry of a map of secrets.
    is_value: bool,
}

impl Known {
    pub(super) fn new(kind: MessageDescriptor) -> Known {
        Known { kind, is_value: false }
    }
}

impl Fields for Known {
    fn field(&self, number: u32) -> Field {
        let Some(field) = self.kind.get_field(number) else { return Field::Text };
        let name = field.name();
        let is_variable = ENVIRONMENTS.contains(&name);
        match field.kind().as_message() {
            Some(inner) => {
                let is_value = is_variable || is_secret(name) && inner.is_map_entry();
                Field::Message(Arc::new(Known { kind: inner.clone(), is_value }))
            }
            None if is_secret(name) || self.is_value && name == "value" => Field::Secret,
            None if is_variable => Field::Variable,
            // It may be JSON.
            None => Field::Text,
        }
    }

    fn has_secrets(&self) -> bool {
        has_secrets(&self.kind, &mut HashSet::new())
    }
}

fn is_secret(name: &str) -> bool {
    SECRETS.contains(&name) || name.ends_with("_secrets")
}

fn has_secrets(kind: &MessageDescriptor, seen: &mut HashSet<String>) -> bool {
    seen.insert(kind.full_name().to_owned())
        && kind.fields().any(|field| {
            let (name, kind) = (field.name(), field.kind());
            let mut is_inside = || kind.as_message().is_some_and(|inner| has_secrets(inner, seen));
            is_secret(name) || ENVIRONMENTS.contains(&name) || is_inside()
        })
}

#[cfg(test)]
mod tests {
    use stoop_dynamic::Schema;
    use stoop_tap::{Masker, Methods, Side, SocketKind};

    use super::*;

    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, bytes.len() as u8][..], bytes].concat()
    }

    /// What a request becomes, in a frame of ttrpc.
    fn hidden(service: &str, method: &str, request: &[u8]) -> Vec<u8> {
        let names = [field(1, service.as_bytes()), field(2, method.as_bytes())].concat();
        let call = [&names[..], &field(3, request)].concat();
        let mut frame = [&(call.len() as u32).to_be_bytes()[..], &[0, 0, 0, 1, 1, 0], &call].concat();
        let schema: Arc<dyn Methods> = Arc::new(super::super::bodies::Bodies::new(None));
        Masker::new(SocketKind::STREAM).with_methods(schema).data(Side::First, &mut frame);
        frame.split_off(frame.len() - request.len())
    }

    #[test]
    fn credentials_and_variables_are_overwritten_and_nothing_else() {
        let pull = |password: &[u8], token: &[u8]| {
            let auth = [field(1, b"user"), field(2, password), field(5, token)].concat();
            [field(1, &field(1, b"image")), field(2, &auth)].concat()
        };
        let seen = hidden("runtime.v1.ImageService", "PullImage", &pull(b"secret", b"t"));
        assert_eq!(seen, pull(b"******", b"*"));
        let create = |value: &[u8]| {
            let variable = [field(1, b"KEY"), field(2, value)].concat();
            let config = [field(1, &field(1, b"web")), field(6, &variable)].concat();
            [field(1, b"pod"), field(2, &config)].concat()
        };
        let seen = hidden("runtime.v1.RuntimeService", "CreateContainer", &create(b"abc"));
        assert_eq!(seen, create(b"***"));
        let publish = |value: &[u8]| {
            let entry = [field(1, b"key"), field(2, value)].concat();
            [field(1, b"volume"), field(7, &entry)].concat()
        };
        assert_eq!(hidden("csi.v1.Node", "NodePublishVolume", &publish(b"abc")), publish(b"***"));
    }

    #[test]
    fn a_compressed_message_is_kept_only_if_it_cannot_have_secrets() {
        let input = |method: &str| Known::new(Schema::builtin().method(method, &[]).unwrap().input());
        assert!(input("runtime.v1.ImageService/PullImage").has_secrets());
        assert!(!input("runtime.v1.RuntimeService/Version").has_secrets());
    }
}
