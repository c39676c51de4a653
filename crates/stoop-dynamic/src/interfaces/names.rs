//! Names that protobuf derives from others.

use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto};

/// Returns the name of a field in JSON, unless it has another.
pub fn json_name(field: &str) -> String {
    camel(field, false)
}

/// Returns the name of the message that a map's entries are.
pub fn entry_name(field: &str) -> String {
    camel(field, true) + "Entry"
}

fn camel(name: &str, mut is_upper: bool) -> String {
    let mut text = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '_' => is_upper = true,
            c if is_upper => {
                text.push(c.to_ascii_uppercase());
                is_upper = false;
            }
            c => text.push(c),
        }
    }
    text
}

/// Returns the name of the oneof that stands for an `optional` of proto3, if `is_taken` tells which
/// names the message has.
pub fn synthetic_oneof(field: &str, is_taken: impl Fn(&str) -> bool) -> String {
    let mut name = if field.starts_with('_') { format!("X{field}") } else { format!("_{field}") };
    while is_taken(&name) {
        name.insert(0, 'X');
    }
    name
}

/// Returns whether a word is an identifier.
pub fn is_identifier(word: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && word.chars().all(is_part)
}

/// Returns whether a word is one identifier or several, with dots between them.
pub fn is_path(word: &str) -> bool {
    word.split('.').all(is_identifier)
}

/// Appends a name to that of its scope.
pub fn within(scope: &str, name: &str) -> String {
    if scope.is_empty() { name.to_owned() } else { format!("{scope}.{name}") }
}

/// Returns a file of this name, with its own package's name replaced everywhere, or `None` if one
/// of the two packages has no name.
pub fn renamed(file: &FileDescriptorProto, name: &str, package: &str) -> Option<FileDescriptorProto> {
    if file.package().is_empty() || package.is_empty() {
        return None;
    }
    let before = format!(".{}.", file.package());
    let rename = |type_name: &mut Option<String>| {
        if let Some(rest) = type_name.as_deref().and_then(|full| full.strip_prefix(&before)) {
            *type_name = Some(format!(".{package}.{rest}"));
        }
    };
    let mut copy = file.clone();
    (copy.name, copy.package) = (Some(name.to_owned()), Some(package.to_owned()));
    for method in copy.service.iter_mut().flat_map(|service| &mut service.method) {
        rename(&mut method.input_type);
        rename(&mut method.output_type);
    }
    copy.message_type.iter_mut().for_each(|message| {
        each_field(message, &mut |field| {
            rename(&mut field.type_name);
            rename(&mut field.extendee);
        })
    });
    for field in &mut copy.extension {
        rename(&mut field.type_name);
        rename(&mut field.extendee);
    }
    Some(copy)
}

/// Calls `each` with the fields and extensions in a message, and in those nested in it.
pub fn each_field(message: &mut DescriptorProto, each: &mut impl FnMut(&mut FieldDescriptorProto)) {
    message.field.iter_mut().chain(&mut message.extension).for_each(&mut *each);
    message.nested_type.iter_mut().for_each(|nested| each_field(nested, each));
}
