//! Formats a schema as `.proto` text, with comments if they are known. Does no I/O.

use prost_reflect::{
    EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor,
    ServiceDescriptor,
};
use std::fmt::Write;

use crate::Symbol;

/// Returns the definition of a service, method, message or enum as `.proto` text.
///
/// For a method, the text includes its input and output messages.
///
/// ```
/// use stoop_dynamic::{Schema, describe};
///
/// let health = Schema::from_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)?;
/// let text = describe(&health.symbol("HealthCheckRequest", &[])?);
/// assert_eq!(text, "message grpc.health.v1.HealthCheckRequest {\n  string service = 1;\n}\n");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn describe(symbol: &Symbol) -> String {
    let mut text = String::new();
    match symbol {
        Symbol::Service(found) => service(&mut text, found),
        Symbol::Method(found) => {
            comment(&mut text, "", &found.parent_file(), found.path());
            let _ = writeln!(text, "{}", rpc(found));
            text.push('\n');
            message(&mut text, "", &found.input());
            if found.output() != found.input() {
                text.push('\n');
                message(&mut text, "", &found.output());
            }
        }
        Symbol::Message(found) => message(&mut text, "", found),
        Symbol::Enum(found) => enumeration(&mut text, "", found),
    }
    text
}

fn service(text: &mut String, service: &ServiceDescriptor) {
    comment(text, "", &service.parent_file(), service.path());
    let _ = writeln!(text, "service {} {{", service.full_name());
    for method in service.methods() {
        comment(text, INDENT, &method.parent_file(), method.path());
        let _ = writeln!(text, "{INDENT}{}", rpc(&method));
    }
    text.push_str("}\n");
}

const INDENT: &str = "  ";

/// Returns a method's line, such as `rpc Watch(A) returns (stream B);`.
fn rpc(method: &MethodDescriptor) -> String {
    let stream = |is| if is { "stream " } else { "" };
    format!(
        "rpc {}({}{}) returns ({}{});",
        method.name(),
        stream(method.is_client_streaming()),
        method.input().full_name(),
        stream(method.is_server_streaming()),
        method.output().full_name()
    )
}

fn message(text: &mut String, indent: &str, message: &MessageDescriptor) {
    comment(text, indent, &message.parent_file(), message.path());
    let name = if indent.is_empty() { message.full_name() } else { message.name() };
    let _ = writeln!(text, "{indent}message {name} {{");
    let inner = format!("{indent}{INDENT}");
    for nested in message.child_messages().filter(|nested| !nested.is_map_entry()) {
        self::message(text, &inner, &nested);
    }
    for nested in message.child_enums() {
        enumeration(text, &inner, &nested);
    }
    let mut oneof = None;
    for field in message.fields() {
        let group = field.containing_oneof().filter(|group| !group.is_synthetic());
        if group != oneof {
            if oneof.is_some() {
                let _ = writeln!(text, "{inner}}}");
            }
            if let Some(group) = &group {
                let _ = writeln!(text, "{inner}oneof {} {{", group.name());
            }
            oneof = group;
        }
        let indent = if oneof.is_some() { format!("{inner}{INDENT}") } else { inner.clone() };
        comment(text, &indent, &message.parent_file(), field.path());
        let _ = writeln!(text, "{indent}{} {} = {};", type_of(&field), field.name(), field.number());
    }
    if oneof.is_some() {
        let _ = writeln!(text, "{inner}}}");
    }
    let _ = writeln!(text, "{indent}}}");
}

fn type_of(field: &FieldDescriptor) -> String {
    let name = |kind: Kind| match kind {
        Kind::Message(message) => message.full_name().to_owned(),
        Kind::Enum(values) => values.full_name().to_owned(),
        kind => format!("{kind:?}"),
    };
    if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
        let (key, value) = (entry.map_entry_key_field().kind(), entry.map_entry_value_field().kind());
        return format!("map<{}, {}>", name(key), name(value));
    }
    let optional = field.containing_oneof().is_some_and(|group| group.is_synthetic());
    let label = match (field.is_list(), optional) {
        (true, _) => "repeated ",
        (_, true) => "optional ",
        _ => "",
    };
    format!("{label}{}", name(field.kind()))
}

fn enumeration(text: &mut String, indent: &str, values: &EnumDescriptor) {
    comment(text, indent, &values.parent_file(), values.path());
    let name = if indent.is_empty() { values.full_name() } else { values.name() };
    let _ = writeln!(text, "{indent}enum {name} {{");
    let inner = format!("{indent}{INDENT}");
    for value in values.values() {
        comment(text, &inner, &values.parent_file(), value.path());
        let _ = writeln!(text, "{inner}{} = {};", value.name(), value.number());
    }
    let _ = writeln!(text, "{indent}}}");
}

/// Appends the comment on an element, if the schema contains its source info.
fn comment(text: &mut String, indent: &str, file: &FileDescriptor, path: &[i32]) {
    let info = file.file_descriptor_proto().source_code_info.as_ref();
    let place = info.and_then(|info| info.location.iter().find(|location| location.path == path));
    let Some(comment) = place.and_then(|place| place.leading_comments.as_deref()) else { return };
    for line in comment.trim_end().lines() {
        let _ = writeln!(
            text,
            "{indent}//{}",
            if line.is_empty() || line.starts_with(' ') { line.to_owned() } else { format!(" {line}") }
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;

    fn described(name: &str) -> String {
        describe(&Schema::builtin().symbol(name, &[]).unwrap())
    }

    #[test]
    fn a_method_is_described_with_its_messages() {
        let text = described("runtime.v1.RuntimeService/GetContainerEvents");
        assert!(text.contains("rpc GetContainerEvents(runtime.v1.GetEventsRequest)"), "{text}");
        assert!(text.contains("returns (stream runtime.v1.ContainerEventResponse);"), "{text}");
        assert!(text.contains("message runtime.v1.ContainerEventResponse {\n"), "{text}");
        assert!(text.starts_with("// "), "with its comment: {text}");
    }

    #[test]
    fn fields_of_every_sort() {
        let sandbox = described("runtime.v1.PodSandboxConfig");
        assert!(sandbox.contains("  map<string, string> labels = 6;\n"), "{sandbox}");
        assert!(sandbox.contains("  repeated runtime.v1.PortMapping port_mappings = 5;\n"), "{sandbox}");
        let health = described("grpc.health.v1.HealthCheckResponse");
        assert!(health.contains("  enum ServingStatus {\n    UNKNOWN = 0;\n"), "{health}");
        let ask = described("grpc.reflection.v1.ServerReflectionRequest");
        assert!(ask.contains("  oneof message_request {\n"), "{ask}");
        assert!(ask.contains("    string file_by_filename = 3;\n"), "{ask}");
    }

    /// The text can be compiled again, and describes the same schema.
    #[test]
    fn a_service_is_described_with_comments() {
        let text = described("runtime.v1.ImageService");
        assert!(text.contains("  // Images, those that a filter matches.\n  rpc ListImages("), "{text}");
    }
}
