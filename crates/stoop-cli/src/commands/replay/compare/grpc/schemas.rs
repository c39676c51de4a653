//! Messages of gRPC by the definitions of their method.

use serde_json::Value as Json;
use stoop_dynamic::{DynamicMessage, MethodDescriptor, Schema, Value, json};

/// Definitions of methods: those that were given come before the built-in ones.
#[derive(Clone, Debug)]
pub(in super::super::super) struct Schemas(Vec<Schema>);

impl Schemas {
    /// Uses these definitions, and the built-in ones.
    pub(in super::super::super) fn new(given: Option<Schema>) -> Schemas {
        Schemas(given.into_iter().chain([Schema::builtin()]).collect())
    }

    fn method(&self, path: &str) -> Option<MethodDescriptor> {
        let (service, method) = path.strip_prefix('/')?.split_once('/')?;
        let services = self.0.iter().filter_map(|schema| schema.pool().get_service_by_name(service));
        services
            .flat_map(|service| service.methods().collect::<Vec<_>>())
            .find(|found| found.name() == method)
    }

    /// Returns a message as JSON. `None` if the method is unknown, or anything in the message is.
    pub(super) fn json(&self, path: &str, is_response: bool, bytes: &[u8]) -> Option<Json> {
        let method = self.method(path)?;
        let kind = if is_response { method.output() } else { method.input() };
        let message = DynamicMessage::decode(kind, bytes).ok().filter(is_known)?;
        serde_json::from_str(&json::Style::default().text(&message)).ok()
    }
}

/// Returns whether all fields of a message are known: only then its JSON is all of it.
fn is_known(message: &DynamicMessage) -> bool {
    message.unknown_fields().next().is_none() && message.fields().all(|(_, value)| is_value_known(value))
}

fn is_value_known(value: &Value) -> bool {
    match value {
        Value::Message(message) => is_known(message),
        Value::List(values) => values.iter().all(is_value_known),
        Value::Map(values) => values.values().all(is_value_known),
        _ => true,
    }
}
