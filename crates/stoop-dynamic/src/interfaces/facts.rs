//! Which parts of file descriptors are facts. What is left out: comments and positions, options for
//! code generators, options that extensions define, and the imports that only these need.

use std::collections::{BTreeSet, HashMap, HashSet};

use prost_types::field_descriptor_proto::Label;
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, EnumValueOptions, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, FileOptions, MessageOptions, MethodOptions, ServiceOptions,
};

use super::names::{each_field, json_name, within};

/// The directory of protobuf's own files, which every program has.
const OWN: &str = "google/protobuf/";

/// Reduces a compiled set of files to facts, in a form that two compilers agree on. Files of
/// protobuf itself are left out.
///
/// # Errors
/// Returns an error if a file is written for an edition of protobuf.
pub fn facts(files: Vec<FileDescriptorProto>) -> Result<Vec<FileDescriptorProto>, String> {
    let homes = homes(&files);
    let needed: Vec<BTreeSet<String>> = files.iter().map(|file| needed(file, &homes, &files)).collect();
    let own = files.into_iter().zip(needed).filter(|(file, _)| !file.name().starts_with(OWN));
    own.map(|(file, needed)| of_file(file, &needed)).collect()
}

/// Returns the file that defines each type.
fn homes(files: &[FileDescriptorProto]) -> HashMap<String, String> {
    fn add(message: &DescriptorProto, scope: &str, file: &str, homes: &mut HashMap<String, String>) {
        let full = within(scope, message.name());
        message.nested_type.iter().for_each(|nested| add(nested, &full, file, homes));
        for values in &message.enum_type {
            homes.insert(within(&full, values.name()), file.to_owned());
        }
        homes.insert(full, file.to_owned());
    }
    let mut homes = HashMap::new();
    for file in files {
        file.message_type.iter().for_each(|message| add(message, file.package(), file.name(), &mut homes));
        for values in &file.enum_type {
            homes.insert(within(file.package(), values.name()), file.name().to_owned());
        }
    }
    homes
}

/// Returns the imports of a file that it needs, directly or for what they import publicly.
fn needed(
    file: &FileDescriptorProto,
    homes: &HashMap<String, String>,
    files: &[FileDescriptorProto],
) -> BTreeSet<String> {
    let mut names = HashSet::new();
    let mut copy = file.clone();
    let mut note = |field: &mut FieldDescriptorProto| {
        names.extend(field.type_name.clone());
        names.extend(field.extendee.clone());
    };
    copy.message_type.iter_mut().for_each(|message| each_field(message, &mut note));
    copy.extension.iter_mut().for_each(note);
    let methods = file.service.iter().flat_map(|service| &service.method);
    names.extend(methods.flat_map(|method| [method.input_type(), method.output_type()]).map(str::to_owned));
    let used: HashSet<&String> =
        names.iter().filter_map(|name| homes.get(name.trim_start_matches('.'))).collect();
    let is_needed = |import: &&String| reach(import, files).iter().any(|file| used.contains(file));
    let public =
        file.public_dependency.iter().filter_map(|at| file.dependency.get(usize::try_from(*at).ok()?));
    file.dependency.iter().filter(is_needed).chain(public).cloned().collect()
}

/// Returns a file, and what importing it imports, too.
fn reach(import: &str, files: &[FileDescriptorProto]) -> BTreeSet<String> {
    let mut reached = BTreeSet::from([import.to_owned()]);
    let mut left = vec![import.to_owned()];
    while let Some(file) = left.pop().and_then(|name| files.iter().find(|file| file.name() == name)) {
        for at in &file.public_dependency {
            let public = usize::try_from(*at).ok().and_then(|at| file.dependency.get(at));
            left.extend(public.filter(|public| reached.insert((*public).clone())).cloned());
        }
    }
    reached
}

fn of_file(file: FileDescriptorProto, needed: &BTreeSet<String>) -> Result<FileDescriptorProto, String> {
    let syntax = match file.syntax() {
        "" | "proto2" => None,
        "proto3" => Some("proto3".to_owned()),
        other => return Err(format!("'{}' has the syntax '{other}'", file.name())),
    };
    let public: HashSet<&String> = file
        .public_dependency
        .iter()
        .filter_map(|at| file.dependency.get(usize::try_from(*at).ok()?))
        .collect();
    let kept: Vec<&String> = file.dependency.iter().filter(|import| needed.contains(*import)).collect();
    let positions = kept.iter().enumerate().filter(|(_, import)| public.contains(*import));
    let mut of = FileDescriptorProto {
        public_dependency: positions.map(|(at, _)| i32::try_from(at).unwrap_or(i32::MAX)).collect(),
        dependency: kept.into_iter().cloned().collect(),
        options: deprecated(file.options.as_ref().map(FileOptions::deprecated))
            .map(|deprecated| FileOptions { deprecated, ..Default::default() }),
        syntax,
        source_code_info: None,
        weak_dependency: Vec::new(),
        package: file.package.filter(|package| !package.is_empty()),
        ..file
    };
    of.message_type.iter_mut().for_each(of_message);
    of.enum_type.iter_mut().for_each(of_enum);
    of.extension.iter_mut().for_each(of_field);
    for service in &mut of.service {
        service.options = deprecated(service.options.as_ref().map(ServiceOptions::deprecated))
            .map(|deprecated| ServiceOptions { deprecated, ..Default::default() });
        for method in &mut service.method {
            let options = method.options.take().unwrap_or_default();
            let options = MethodOptions {
                deprecated: options.deprecated.filter(|is| *is),
                idempotency_level: options.idempotency_level.filter(|level| *level != 0),
                uninterpreted_option: Vec::new(),
            };
            method.options = (options != MethodOptions::default()).then_some(options);
            method.client_streaming = method.client_streaming.filter(|is| *is);
            method.server_streaming = method.server_streaming.filter(|is| *is);
        }
    }
    Ok(of)
}

/// Returns the option if it is set.
fn deprecated(option: Option<bool>) -> Option<Option<bool>> {
    option.filter(|is| *is).map(Some)
}

fn of_message(message: &mut DescriptorProto) {
    let options = message.options.take().unwrap_or_default();
    let options = MessageOptions {
        deprecated: options.deprecated.filter(|is| *is),
        map_entry: options.map_entry.filter(|is| *is),
        message_set_wire_format: options.message_set_wire_format.filter(|is| *is),
        ..MessageOptions::default()
    };
    message.options = (options != MessageOptions::default()).then_some(options);
    message.field.iter_mut().chain(&mut message.extension).for_each(of_field);
    message.enum_type.iter_mut().for_each(of_enum);
    message.nested_type.iter_mut().for_each(of_message);
    // The entries of maps follow, in the order of their fields.
    let place = |nested: &DescriptorProto| {
        let is_entry = nested.options.as_ref().is_some_and(MessageOptions::map_entry);
        let ends = |field: &FieldDescriptorProto| field.type_name().rsplit('.').next() == Some(nested.name());
        is_entry.then(|| message.field.iter().position(ends))
    };
    message.nested_type.sort_by_key(place);
    message.oneof_decl.iter_mut().for_each(|oneof| oneof.options = None);
    message.extension_range.iter_mut().for_each(|range| range.options = None);
}

fn of_enum(values: &mut EnumDescriptorProto) {
    let options = values.options.take().unwrap_or_default();
    let options = EnumOptions {
        allow_alias: options.allow_alias.filter(|is| *is),
        deprecated: options.deprecated.filter(|is| *is),
        uninterpreted_option: Vec::new(),
    };
    values.options = (options != EnumOptions::default()).then_some(options);
    for value in &mut values.value {
        value.options = deprecated(value.options.as_ref().map(EnumValueOptions::deprecated))
            .map(|deprecated| EnumValueOptions { deprecated, ..Default::default() });
    }
}

fn of_field(field: &mut FieldDescriptorProto) {
    let options = field.options.take().unwrap_or_default();
    let options = FieldOptions {
        packed: options.packed,
        deprecated: options.deprecated.filter(|is| *is),
        ..FieldOptions::default()
    };
    field.options = (options != FieldOptions::default()).then_some(options);
    field.label.get_or_insert(Label::Optional.into());
    field.proto3_optional = field.proto3_optional.filter(|is| *is);
    let name = json_name(field.name());
    field.json_name.get_or_insert(name);
}
