//! Fields, enum values, and ranges of numbers: what the lines of a message or enum are read as.

use prost_types::descriptor_proto::{ExtensionRange, ReservedRange};
use prost_types::enum_descriptor_proto::EnumReservedRange;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, EnumValueOptions, FieldDescriptorProto,
    FieldOptions, MessageOptions, OneofDescriptorProto,
};

use super::names::{entry_name, is_identifier, json_name, synthetic_oneof, within};
use super::reader::{Reader, count, leaf, words};
use super::tree::{FormError, Node, unquote};

type Read<T> = Result<T, FormError>;

/// The types that are not messages, enums or groups.
pub const SCALARS: [(&str, Type); 15] = [
    ("double", Type::Double),
    ("float", Type::Float),
    ("int32", Type::Int32),
    ("int64", Type::Int64),
    ("uint32", Type::Uint32),
    ("uint64", Type::Uint64),
    ("sint32", Type::Sint32),
    ("sint64", Type::Sint64),
    ("fixed32", Type::Fixed32),
    ("fixed64", Type::Fixed64),
    ("sfixed32", Type::Sfixed32),
    ("sfixed64", Type::Sfixed64),
    ("bool", Type::Bool),
    ("string", Type::String),
    ("bytes", Type::Bytes),
];

/// The fields and oneofs of a message that is being read.
#[derive(Default)]
pub struct Oneofs {
    fields: Vec<FieldDescriptorProto>,
    names: Vec<String>,
    entries: Vec<DescriptorProto>,
}

impl Oneofs {
    /// Moves the fields into the message, and adds the oneofs that stand for `optional` in proto3.
    pub fn finish(mut self, message: &mut DescriptorProto) {
        let fields: Vec<String> = self.fields.iter().map(|field| field.name().to_owned()).collect();
        for field in self.fields.iter_mut().filter(|field| field.proto3_optional()) {
            let is_taken = |name: &str| {
                fields.iter().any(|field| field == name) || self.names.iter().any(|taken| taken == name)
            };
            let name = synthetic_oneof(field.name(), is_taken);
            field.oneof_index = Some(count(self.names.len()));
            self.names.push(name);
        }
        message.field = self.fields;
        message.nested_type.extend(self.entries);
        let oneof = |name| OneofDescriptorProto { name: Some(name), options: None };
        message.oneof_decl = self.names.into_iter().map(oneof).collect();
    }
}

impl Reader<'_> {
    /// Reads the fields of a oneof.
    pub(super) fn oneof(&mut self, oneofs: &mut Oneofs, node: &Node, scope: &str) -> Read<()> {
        let [_, name] = words(node)?;
        if !is_identifier(name) || node.children.is_empty() || !node.comment.is_empty() {
            return Err(node.error("a oneof needs a name and fields, and takes no comment"));
        }
        let index = oneofs.names.iter().position(|known| known == name).unwrap_or_else(|| {
            oneofs.names.push(name.to_owned());
            oneofs.names.len() - 1
        });
        for child in &node.children {
            let before = oneofs.fields.len();
            self.field(oneofs, child, scope)?;
            let field = &mut oneofs.fields[before];
            if field.proto3_optional() || field.label() != Label::Optional {
                return Err(child.error("a field of a oneof has no label"));
            }
            field.oneof_index = Some(count(index));
        }
        Ok(())
    }

    /// Reads a field of a message.
    pub(super) fn field(&mut self, oneofs: &mut Oneofs, node: &Node, scope: &str) -> Read<()> {
        let (field, entry) = self.any_field(node, scope)?;
        self.note(within(scope, field.name()), node);
        oneofs.fields.push(field);
        oneofs.entries.extend(entry);
        Ok(())
    }

    /// Reads the extensions of a message.
    pub(super) fn extend(&mut self, node: &Node, scope: &str) -> Read<Vec<FieldDescriptorProto>> {
        let [_, extendee] = words(node)?;
        let extendee = self.type_name(node, extendee)?;
        if node.children.is_empty() || !node.comment.is_empty() {
            return Err(node.error("'extend' needs fields, and takes no comment"));
        }
        let mut fields = Vec::new();
        for child in &node.children {
            let (mut field, entry) = self.any_field(child, scope)?;
            if entry.is_some() || field.label() == Label::Required {
                return Err(child.error("an extension is not 'required' or a map"));
            }
            self.note(within(scope, field.name()), child);
            field.extendee = Some(extendee.clone());
            fields.push(field);
        }
        Ok(fields)
    }

    /// Reads `NUMBER NAME [LABEL] TYPE [OPTION…]`, and returns the entry's message if it is a map.
    fn any_field(
        &mut self,
        node: &Node,
        scope: &str,
    ) -> Read<(FieldDescriptorProto, Option<DescriptorProto>)> {
        leaf(node)?;
        let (number, name) = numbered(node)?;
        let mut rest = node.words[2..].iter().map(String::as_str).peekable();
        let mut field = new_field(name, number);
        match rest.peek() {
            Some(&"repeated") => field.label = Some(Label::Repeated.into()),
            Some(&"required") if !self.proto3 => field.label = Some(Label::Required.into()),
            Some(&"optional") if self.proto3 => field.proto3_optional = Some(true),
            _ => {}
        }
        if field.label() != Label::Optional || field.proto3_optional() {
            rest.next();
        }
        let mut entry = None;
        if rest.next_if_eq(&"map").is_some() {
            if field.label() != Label::Optional || field.proto3_optional() {
                return Err(node.error("a map has no label"));
            }
            let mut made = self.entry(node, name, &mut rest)?;
            field.label = Some(Label::Repeated.into());
            field.r#type = Some(Type::Message.into());
            field.type_name = Some(format!(".{}", within(scope, made.name())));
            made.options = Some(MessageOptions { map_entry: Some(true), ..Default::default() });
            entry = Some(made);
        } else {
            self.set_type(node, &mut field, &mut rest)?;
        }
        rest.try_for_each(|word| option(node, &mut field, word))?;
        Ok((field, entry))
    }

    fn set_type<'w>(
        &self,
        node: &Node,
        field: &mut FieldDescriptorProto,
        rest: &mut impl Iterator<Item = &'w str>,
    ) -> Read<()> {
        let mut next = || rest.next().ok_or_else(|| node.error("a field needs a type"));
        let word = next()?;
        let (kind, name) = match word {
            "enum" => (Type::Enum, Some(next()?)),
            "group" => (Type::Group, Some(next()?)),
            _ => match SCALARS.iter().find(|(name, _)| *name == word) {
                Some((_, scalar)) => (*scalar, None),
                None => (Type::Message, Some(word)),
            },
        };
        field.r#type = Some(kind.into());
        field.type_name = name.map(|name| self.type_name(node, name)).transpose()?;
        Ok(())
    }

    /// Returns the message that the entries of a map are.
    fn entry<'w>(
        &self,
        node: &Node,
        name: &str,
        rest: &mut impl Iterator<Item = &'w str>,
    ) -> Read<DescriptorProto> {
        let (mut key, mut value) = (new_field("key", 1), new_field("value", 2));
        self.set_type(node, &mut key, rest)?;
        self.set_type(node, &mut value, rest)?;
        Ok(DescriptorProto { name: Some(entry_name(name)), field: vec![key, value], ..Default::default() })
    }
}

fn new_field(name: &str, number: i32) -> FieldDescriptorProto {
    FieldDescriptorProto {
        name: Some(name.to_owned()),
        number: Some(number),
        label: Some(Label::Optional.into()),
        json_name: Some(json_name(name)),
        ..Default::default()
    }
}

/// Reads an option of a field.
fn option(node: &Node, field: &mut FieldDescriptorProto, word: &str) -> Read<()> {
    let text = |word| unquote(word).ok_or_else(|| node.error(format!("'{word}' is badly quoted")));
    let options = || -> FieldOptions { FieldOptions::default() };
    match word.split_once('=') {
        Some(("default", value)) => field.default_value = Some(text(value)?),
        Some(("json", value)) => field.json_name = Some(text(value)?),
        None if word == "packed" => field.options.get_or_insert_with(options).packed = Some(true),
        None if word == "unpacked" => field.options.get_or_insert_with(options).packed = Some(false),
        None if word == "deprecated" => field.options.get_or_insert_with(options).deprecated = Some(true),
        _ => return Err(node.error(format!("'{word}' is not expected in a field"))),
    }
    Ok(())
}

/// Reads `NUMBER NAME`.
fn numbered(node: &Node) -> Read<(i32, &str)> {
    match node.words.as_slice() {
        [number, name, ..] if is_identifier(name) => {
            let number = whole(number).ok_or_else(|| node.error(format!("'{number}' is not a number")))?;
            Ok((number, name))
        }
        _ => Err(node.error("a line here is 'NUMBER NAME …'")),
    }
}

/// Reads a number as it is written: without a plus or leading zeros.
fn whole(word: &str) -> Option<i32> {
    let number: i32 = word.parse().ok()?;
    (number.to_string() == word).then_some(number)
}

/// Reads a value of an enum.
pub fn value(node: &Node) -> Read<EnumValueDescriptorProto> {
    let (number, name) = numbered(node)?;
    let options = match &node.words[2..] {
        [] => None,
        [word] if word == "deprecated" => {
            Some(EnumValueOptions { deprecated: Some(true), ..Default::default() })
        }
        _ => return Err(node.error("only 'deprecated' may follow the name")),
    };
    Ok(EnumValueDescriptorProto { name: Some(name.to_owned()), number: Some(number), options })
}

/// Reads reserved numbers and names, or ranges of extensions, of a message.
pub fn ranges(message: &mut DescriptorProto, node: &Node) -> Read<()> {
    for word in plain(node)? {
        if node.keyword() == "reserved" && is_identifier(word) {
            message.reserved_name.push(word.to_owned());
            continue;
        }
        let (first, last) = range(node, word)?;
        // The end is the first number that is not included.
        let end = last.checked_add(1).ok_or_else(|| node.error(format!("'{last}' is too large")))?;
        match node.keyword() {
            "reserved" => message.reserved_range.push(ReservedRange { start: Some(first), end: Some(end) }),
            _ => message.extension_range.push(ExtensionRange {
                start: Some(first),
                end: Some(end),
                options: None,
            }),
        }
    }
    Ok(())
}

/// Reads reserved numbers and names of an enum.
pub fn reserved_values(values: &mut EnumDescriptorProto, node: &Node) -> Read<()> {
    for word in plain(node)? {
        if is_identifier(word) {
            values.reserved_name.push(word.to_owned());
            continue;
        }
        let (first, last) = range(node, word)?;
        // The end is included, unlike a message's.
        values.reserved_range.push(EnumReservedRange { start: Some(first), end: Some(last) });
    }
    Ok(())
}

/// Returns the words after the first of a line that has nothing else.
fn plain(node: &Node) -> Read<impl Iterator<Item = &str>> {
    leaf(node)?;
    if node.words.len() < 2 || !node.comment.is_empty() {
        return Err(node.error(format!("'{}' needs numbers or names, and takes no comment", node.keyword())));
    }
    Ok(node.words[1..].iter().map(String::as_str))
}

/// Reads `NUMBER` or `FIRST..LAST`.
fn range(node: &Node, word: &str) -> Read<(i32, i32)> {
    let (first, last) = word.split_once("..").unwrap_or((word, word));
    let range = whole(first).zip(whole(last)).filter(|(first, last)| first <= last);
    range.ok_or_else(|| node.error(format!("'{word}' is not a number or a range of numbers")))
}
