//! Files, services, messages and enums.

use prost_types::field_descriptor_proto::Type;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, MethodDescriptorProto, ServiceDescriptorProto,
};

use super::custom::Options;
use super::options::{self, in_brackets, ranges};
use super::printer::{Printer, Syntax, path};
use crate::interfaces::names::within;

impl Printer<'_> {
    /// Prints the whole file.
    pub(crate) fn whole(&mut self) {
        let file = self.file;
        self.line(&match self.syntax {
            Syntax::Proto2 => "syntax = \"proto2\";".to_owned(),
            Syntax::Proto3 => "syntax = \"proto3\";".to_owned(),
            Syntax::Edition(edition) => format!("edition = {};", options::quoted(edition)),
        });
        if !file.package().is_empty() {
            self.gap();
            self.line(&format!("package {};", file.package()));
        }
        for (at, import) in file.dependency.iter().enumerate() {
            if at == 0 {
                self.gap();
            }
            let is_public = file.public_dependency.iter().any(|public| usize::try_from(*public) == Ok(at));
            let public = if is_public { "public " } else { "" };
            self.line(&format!("import {public}{};", options::quoted(import)));
        }
        let options = [options::of_file(file), self.custom(&[], Options::FILE)].concat();
        if !options.is_empty() {
            self.gap();
        }
        self.option_lines(&options);
        for (at, service) in file.service.iter().enumerate() {
            self.gap();
            self.service(service, &[6, path_of(at)], service.name());
        }
        for (at, values) in file.enum_type.iter().enumerate() {
            self.gap();
            self.enumeration(values, &[5, path_of(at)], values.name());
        }
        let groups = groups(&file.extension);
        for (at, message) in file.message_type.iter().enumerate() {
            if !groups.contains(&within(file.package(), message.name()).as_str()) {
                self.gap();
                self.message(message, &[4, path_of(at)], file.package(), message.name());
            }
        }
        self.extensions(&file.extension, &file.message_type, &[], file.package());
    }

    /// Prints a service under this name.
    pub(crate) fn service(&mut self, service: &ServiceDescriptorProto, at: &[i32], name: &str) {
        self.block(at, &format!("service {name}"), |printer| {
            if service.options.as_ref().is_some_and(|options| options.deprecated()) {
                printer.line("option deprecated = true;");
            }
            printer.option_lines(&printer.custom(at, Options::SERVICE));
            let scope = within(printer.file.package(), service.name());
            for (nth, method) in service.method.iter().enumerate() {
                printer.method(method, &path(at, 2, nth), &scope);
            }
        });
    }

    /// Prints a method, as in a scope of this name.
    pub(crate) fn method(&mut self, method: &MethodDescriptorProto, at: &[i32], scope: &str) {
        let side = |is_stream, name| {
            let stream = if is_stream { "stream " } else { "" };
            format!("({stream}{})", self.names.reference(scope, name))
        };
        let input = side(method.client_streaming(), method.input_type());
        let output = side(method.server_streaming(), method.output_type());
        let head = format!("rpc {}{input} returns {output}", method.name());
        let options = [options::of_method(method), self.custom(at, Options::METHOD)].concat();
        if options.is_empty() {
            return self.commented(at, &format!("{head};"));
        }
        self.block(at, &head, |printer| printer.option_lines(&options));
    }

    /// Prints a message under this name. The scope is the one that it is defined in.
    pub(crate) fn message(&mut self, message: &DescriptorProto, at: &[i32], scope: &str, name: &str) {
        self.block(at, &format!("message {name}"), |printer| printer.body(message, at, scope));
    }

    /// Prints what is in a message or group.
    pub(super) fn body(&mut self, message: &DescriptorProto, at: &[i32], scope: &str) {
        let full = within(scope, message.name());
        self.option_lines(&options::of_message(message));
        self.option_lines(&self.custom(at, Options::MESSAGE));
        for (nth, values) in message.enum_type.iter().enumerate() {
            self.enumeration(values, &path(at, 4, nth), values.name());
        }
        let mut groups = groups(&message.field);
        groups.extend(self::groups(&message.extension));
        for (nth, nested) in message.nested_type.iter().enumerate() {
            let is_group = !self.is_edition() && groups.contains(&within(&full, nested.name()).as_str());
            if !is_group && !is_map_entry(nested) {
                self.message(nested, &path(at, 3, nth), &full, nested.name());
            }
        }
        self.fields(message, at, &full);
        let max = match message.options.as_ref().is_some_and(|options| options.message_set_wire_format()) {
            true => i32::MAX - 1,
            false => options::MAX_NUMBER,
        };
        let numbers = |start: i32, end: i32| (start, end.wrapping_sub(1));
        let extensions = message.extension_range.iter().map(|range| numbers(range.start(), range.end()));
        self.statement("extensions", &ranges(extensions, max));
        let reserved = message.reserved_range.iter().map(|range| numbers(range.start(), range.end()));
        self.statement("reserved", &ranges(reserved, max));
        self.reserved_names(&message.reserved_name);
        self.extensions(&message.extension, &message.nested_type, at, &full);
    }

    /// Prints an enum under this name.
    pub(crate) fn enumeration(&mut self, values: &EnumDescriptorProto, at: &[i32], name: &str) {
        self.block(at, &format!("enum {name}"), |printer| {
            printer.option_lines(&options::of_enum(values, printer.is_edition()));
            printer.option_lines(&printer.custom(at, Options::ENUM));
            for (nth, value) in values.value.iter().enumerate() {
                let at = path(at, 2, nth);
                let options = [options::of_enum_value(value), printer.custom(&at, Options::ENUM_VALUE)];
                let options = in_brackets(&options.concat());
                printer.commented(&at, &format!("{} = {}{options};", value.name(), value.number()));
            }
            let reserved = values.reserved_range.iter().map(|range| (range.start(), range.end()));
            printer.statement("reserved", &ranges(reserved, i32::MAX));
            printer.reserved_names(&values.reserved_name);
        });
    }

    fn statement(&mut self, keyword: &str, text: &str) {
        if !text.is_empty() {
            self.line(&format!("{keyword} {text};"));
        }
    }

    fn reserved_names(&mut self, names: &[String]) {
        let is_edition = self.is_edition();
        let name = |name: &String| if is_edition { name.clone() } else { options::quoted(name) };
        self.statement("reserved", &names.iter().map(name).collect::<Vec<_>>().join(", "));
    }
}

fn path_of(at: usize) -> i32 {
    i32::try_from(at).unwrap_or(i32::MAX)
}

/// Returns whether a message is what a map consists of.
pub(super) fn is_map_entry(message: &DescriptorProto) -> bool {
    message.options.as_ref().is_some_and(|options| options.map_entry())
}

/// Returns the full names of messages that are defined where a field is.
fn groups(fields: &[FieldDescriptorProto]) -> Vec<&str> {
    let groups = fields.iter().filter(|field| field.r#type() == Type::Group);
    groups.map(|field| field.type_name().trim_start_matches('.')).collect()
}
