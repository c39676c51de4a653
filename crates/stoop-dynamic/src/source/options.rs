//! Options, quoted values, and ranges of numbers.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto, FileOptions, MethodDescriptorProto, field_options, file_options, method_options,
};

use crate::interfaces::names::json_name;

/// The largest number of a field.
pub(super) const MAX_NUMBER: i32 = 536_870_911;

/// Returns text between quotation marks.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c if c.is_ascii_control() => quoted += &format!("\\{:03o}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// Returns ranges of numbers, first and last, as they are written. `max` stands for the last one.
pub(super) fn ranges(ranges: impl Iterator<Item = (i32, i32)>, max: i32) -> String {
    let range = |(first, last): (i32, i32)| match last {
        last if last == first => first.to_string(),
        last if last == max => format!("{first} to max"),
        last => format!("{first} to {last}"),
    };
    ranges.map(range).collect::<Vec<_>>().join(", ")
}

/// Returns the options that are set, each as `name = value`.
fn set<'n>(options: impl IntoIterator<Item = (&'n str, Option<String>)>) -> Vec<String> {
    let options = options.into_iter();
    options.filter_map(|(name, value)| Some(format!("{name} = {}", value?))).collect()
}

fn flag(value: Option<bool>) -> Option<String> {
    value.map(|value| value.to_string())
}

pub(super) fn of_file(file: &FileDescriptorProto) -> Vec<String> {
    let none = FileOptions::default();
    let options = file.options.as_ref().unwrap_or(&none);
    let text = |value: &Option<String>| value.as_deref().map(quoted);
    let optimize = options.optimize_for.and_then(|mode| file_options::OptimizeMode::try_from(mode).ok());
    set([
        ("java_package", text(&options.java_package)),
        ("java_outer_classname", text(&options.java_outer_classname)),
        ("java_multiple_files", flag(options.java_multiple_files)),
        ("java_string_check_utf8", flag(options.java_string_check_utf8)),
        ("optimize_for", optimize.map(|mode| mode.as_str_name().to_owned())),
        ("go_package", text(&options.go_package)),
        ("cc_generic_services", flag(options.cc_generic_services)),
        ("java_generic_services", flag(options.java_generic_services)),
        ("py_generic_services", flag(options.py_generic_services)),
        ("deprecated", flag(options.deprecated)),
        ("cc_enable_arenas", flag(options.cc_enable_arenas)),
        ("objc_class_prefix", text(&options.objc_class_prefix)),
        ("csharp_namespace", text(&options.csharp_namespace)),
        ("swift_prefix", text(&options.swift_prefix)),
        ("php_class_prefix", text(&options.php_class_prefix)),
        ("php_namespace", text(&options.php_namespace)),
        ("php_metadata_namespace", text(&options.php_metadata_namespace)),
        ("ruby_package", text(&options.ruby_package)),
    ])
}

pub(super) fn of_method(method: &MethodDescriptorProto) -> Vec<String> {
    let Some(options) = &method.options else { return Vec::new() };
    let level = options.idempotency_level;
    let level = level.and_then(|level| method_options::IdempotencyLevel::try_from(level).ok());
    set([
        ("deprecated", flag(options.deprecated)),
        ("idempotency_level", level.map(|level| level.as_str_name().to_owned())),
    ])
}

pub(super) fn of_message(message: &DescriptorProto) -> Vec<String> {
    let Some(options) = &message.options else { return Vec::new() };
    set([
        ("message_set_wire_format", flag(options.message_set_wire_format)),
        ("no_standard_descriptor_accessor", flag(options.no_standard_descriptor_accessor)),
        ("deprecated", flag(options.deprecated)),
    ])
}

/// Returns the options of an enum. In a file with an edition, an open one is marked by `deprecated`
/// being false.
pub(super) fn of_enum(values: &EnumDescriptorProto, is_edition: bool) -> Vec<String> {
    let options = values.options.as_ref();
    let deprecated = options.and_then(|options| options.deprecated);
    let is_closed = is_edition && deprecated != Some(false);
    set([
        ("features.enum_type", is_closed.then(|| "CLOSED".to_owned())),
        ("allow_alias", flag(options.and_then(|options| options.allow_alias))),
        ("deprecated", flag(deprecated.filter(|is| *is))),
    ])
}

pub(super) fn of_enum_value(value: &EnumValueDescriptorProto) -> Vec<String> {
    let is_deprecated = value.options.as_ref().is_some_and(|options| options.deprecated());
    set([("deprecated", is_deprecated.then(|| "true".to_owned()))])
}

/// Returns options as they follow an element, with a space before them.
pub(super) fn in_brackets(options: &[String]) -> String {
    if options.is_empty() { String::new() } else { format!(" [{}]", options.join(", ")) }
}

/// Returns the options of a field, with what is written as one: its default, and its name in JSON.
/// In a file with an edition, labels, packing and groups are features.
pub(super) fn of_field(field: &FieldDescriptorProto, is_edition: bool) -> Vec<String> {
    let options = field.options.clone().unwrap_or_default();
    let has_own_name = field.json_name.is_some() && field.json_name() != json_name(field.name());
    let ctype = options.ctype.and_then(|kind| field_options::CType::try_from(kind).ok());
    let jstype = options.jstype.and_then(|kind| field_options::JsType::try_from(kind).ok());
    let mut all = set([
        ("default", field.default_value.as_deref().map(|value| default(field, value))),
        ("json_name", has_own_name.then(|| quoted(field.json_name()))),
        ("packed", flag(options.packed.filter(|_| !is_edition))),
        ("ctype", ctype.map(|kind| kind.as_str_name().to_owned())),
        ("jstype", jstype.map(|kind| kind.as_str_name().to_owned())),
        ("lazy", flag(options.lazy)),
        ("weak", flag(options.weak)),
        ("deprecated", flag(options.deprecated)),
    ]);
    if is_edition {
        all.extend(features(field, options.packed));
    }
    all
}

fn features(field: &FieldDescriptorProto, packed: Option<bool>) -> Vec<String> {
    // A field without presence is marked by what stands for `optional`, without a oneof.
    let is_implicit = field.proto3_optional() && field.oneof_index.is_none();
    let presence = match field.label() {
        Label::Required => Some("LEGACY_REQUIRED"),
        _ => is_implicit.then_some("IMPLICIT"),
    };
    let expanded = (packed == Some(false)).then_some("EXPANDED");
    let delimited = (field.r#type() == Type::Group).then_some("DELIMITED");
    set([
        ("features.field_presence", presence.map(str::to_owned)),
        ("features.repeated_field_encoding", expanded.map(str::to_owned)),
        ("features.message_encoding", delimited.map(str::to_owned)),
    ])
}

/// Returns a default as it is written. That of bytes is escaped already.
fn default(field: &FieldDescriptorProto, value: &str) -> String {
    match field.r#type() {
        Type::String => quoted(value),
        Type::Bytes => format!("\"{value}\""),
        _ => value.to_owned(),
    }
}
