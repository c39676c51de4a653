//! Formats parts of a schema as `.proto` source, with comments if they are known. Does no I/O.

use prost_reflect::{
    EnumDescriptor, ExtensionDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};

use crate::Symbol;
use crate::source::{Names, Printer};

/// Returns the definition of a service, method, message, field, enum or file as `.proto` source.
///
/// What is not a file or a field has its full name. For a method, the text includes its input and
/// output messages; for a field, the message or enum that is its type; for a message, the known
/// extensions of it, with their names in JSON.
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
    match symbol {
        Symbol::Service(found) => print(&found.parent_file(), |printer| {
            printer.service(found.service_descriptor_proto(), found.path(), found.full_name());
        }),
        Symbol::Method(found) => {
            let service = found.parent_service();
            let mut text = print(&found.parent_file(), |printer| {
                printer.method(found.method_descriptor_proto(), found.path(), service.full_name());
            });
            text += &format!("\n{}", message(&found.input()));
            if found.output() != found.input() {
                text += &format!("\n{}", message(&found.output()));
            }
            text
        }
        Symbol::Message(found) => message(found),
        Symbol::Field(found) => field(found),
        Symbol::Enum(found) => enumeration(found),
        Symbol::File(found) => print(found, |printer| printer.whole()),
    }
}

fn field(field: &FieldDescriptor) -> String {
    let parent = field.parent_message();
    let mut text = print(&parent.parent_file(), |printer| {
        let member = (field.field_descriptor_proto(), field.path());
        printer.member(member, (parent.descriptor_proto(), parent.path()), parent.full_name());
    });
    match field.kind() {
        // The field shows them itself.
        _ if field.is_map() || field.is_group() => {}
        Kind::Message(kind) => text += &format!("\n{}", message(&kind)),
        Kind::Enum(kind) => text += &format!("\n{}", enumeration(&kind)),
        _ => {}
    }
    text
}

fn enumeration(values: &EnumDescriptor) -> String {
    print(&values.parent_file(), |printer| {
        printer.enumeration(values.enum_descriptor_proto(), values.path(), values.full_name());
    })
}

fn message(message: &MessageDescriptor) -> String {
    let full = message.full_name();
    let scope = full.rsplit_once('.').map(|(scope, _)| scope).unwrap_or_default();
    let mut text = print(&message.parent_file(), |printer| {
        printer.message(message.descriptor_proto(), message.path(), scope, full);
    });
    // Those that are defined inside are printed there.
    let inside = format!("{full}.");
    let elsewhere = message.extensions().filter(|extension| !extension.full_name().starts_with(&inside));
    let mut extensions: Vec<ExtensionDescriptor> = elsewhere.collect();
    extensions.sort_by_key(ExtensionDescriptor::number);
    for extension in extensions {
        let file = extension.parent_file();
        let around = extension.parent_message();
        let siblings = match &around {
            Some(around) => &around.descriptor_proto().nested_type,
            None => &file.file_descriptor_proto().message_type,
        };
        text += "\n";
        text += &print(&file, |printer| {
            let field = extension.field_descriptor_proto();
            printer.foreign_extension(field, full, extension.full_name(), siblings);
        });
    }
    text
}

fn print(file: &FileDescriptor, print: impl FnOnce(&mut Printer<'_>)) -> String {
    let names = Names::new(file.parent_pool());
    let mut printer = Printer::new(file.file_descriptor_proto(), &names);
    print(&mut printer);
    printer.into_text()
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

    #[test]
    fn a_field_is_described_with_its_type() {
        let state = described("runtime.v1.ContainerStatus.state");
        assert!(state.contains("runtime.v1.ContainerState state = 3;\n\n"), "{state}");
        assert!(state.contains("enum runtime.v1.ContainerState {\n"), "{state}");
        let labels = described("runtime.v1.PodSandboxConfig.labels");
        assert!(labels.ends_with("map<string, string> labels = 6;\n"), "{labels}");
        let part = described("grpc.reflection.v1.ServerReflectionRequest.file_by_filename");
        assert!(part.ends_with("string file_by_filename = 3;\n") && !part.contains("optional"), "{part}");
    }

    #[test]
    fn a_service_is_described_with_comments() {
        let text = described("runtime.v1.ImageService");
        assert!(text.contains("  // Images, those that a filter matches.\n  rpc ListImages("), "{text}");
    }

    #[test]
    fn a_file_is_described_as_a_whole() {
        let text = described("k8s.io/kms/apis/v2/api.proto");
        assert!(text.starts_with("syntax = \"proto3\";\n\npackage v2;\n\n"), "{text}");
    }
}
