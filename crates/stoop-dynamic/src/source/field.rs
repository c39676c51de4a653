//! Fields and extensions.

use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto};

use super::custom::Options;
use super::element::is_map_entry;
use super::options::{self, in_brackets};
use super::printer::{Printer, Syntax, path};
use crate::interfaces::members::SCALARS;
use crate::interfaces::names::within;

/// The surroundings of a field.
#[derive(Clone, Copy)]
struct Place<'m> {
    /// The messages that are defined there, too: maps and groups among them.
    messages: &'m [DescriptorProto],
    /// The position of what they are in.
    outer: &'m [i32],
    /// The full name of that.
    scope: &'m str,
    /// Whether a label is part of the field.
    is_labelled: bool,
}

impl Printer<'_> {
    /// Prints the fields of a message, each oneof once, at its first field.
    pub(super) fn fields(&mut self, message: &DescriptorProto, at: &[i32], full: &str) {
        let place = Place { messages: &message.nested_type, outer: at, scope: full, is_labelled: true };
        let oneof = |field: &FieldDescriptorProto| {
            let index = field.oneof_index.filter(|_| !field.proto3_optional());
            index.and_then(|index| usize::try_from(index).ok())
        };
        for (nth, field) in message.field.iter().enumerate() {
            let Some(index) = oneof(field) else {
                self.field(field, &path(at, 2, nth), place);
                continue;
            };
            if message.field[..nth].iter().any(|before| oneof(before) == Some(index)) {
                continue;
            }
            let name = message.oneof_decl.get(index).map(|oneof| oneof.name()).unwrap_or_default();
            let declared = path(at, 8, index);
            self.block(&declared, &format!("oneof {name}"), |printer| {
                printer.option_lines(&printer.custom(&declared, Options::ONEOF));
                for (nth, field) in message.field.iter().enumerate() {
                    if oneof(field) == Some(index) {
                        printer.field(field, &path(at, 2, nth), Place { is_labelled: false, ..place });
                    }
                }
            });
        }
    }

    /// Prints one field of a message, without what surrounds it.
    pub(crate) fn member(
        &mut self,
        (field, at): (&FieldDescriptorProto, &[i32]),
        (message, outer): (&DescriptorProto, &[i32]),
        scope: &str,
    ) {
        let is_labelled = field.oneof_index.is_none() || field.proto3_optional();
        self.field(field, at, Place { messages: &message.nested_type, outer, scope, is_labelled });
    }

    /// Prints extensions, those of one message that follow each other in one block.
    pub(super) fn extensions(
        &mut self,
        fields: &[FieldDescriptorProto],
        messages: &[DescriptorProto],
        at: &[i32],
        scope: &str,
    ) {
        let place = Place { messages, outer: at, scope, is_labelled: true };
        // The number of the list of extensions in a message, and in a file.
        let part = if at.is_empty() { 7 } else { 6 };
        let mut nth = 0;
        for group in fields.chunk_by(|one, next| one.extendee == next.extendee) {
            if at.is_empty() {
                self.gap();
            }
            self.line(&format!("extend {} {{", self.names.reference(scope, group[0].extendee())));
            self.indented(|printer| {
                for field in group {
                    printer.field(field, &path(at, part, nth), place);
                    nth += 1;
                }
            });
            self.line("}");
        }
    }

    /// Prints one extension of a message, which is defined elsewhere: next to these messages.
    pub(crate) fn foreign_extension(
        &mut self,
        field: &FieldDescriptorProto,
        extendee: &str,
        full: &str,
        messages: &[DescriptorProto],
    ) {
        self.line(&format!("extend {extendee} {{  // [{full}]"));
        let scope = full.rsplit_once('.').map(|(scope, _)| scope).unwrap_or_default();
        let place = Place { messages, outer: &[], scope, is_labelled: true };
        self.indented(|printer| printer.field(field, &[-1], place));
        self.line("}");
    }

    fn field(&mut self, field: &FieldDescriptorProto, at: &[i32], place: Place<'_>) {
        let nested = |name: &str| {
            let is_named = |message: &DescriptorProto| within(place.scope, message.name()) == name;
            place.messages.iter().position(is_named).map(|nth| (nth, &place.messages[nth]))
        };
        let named = nested(field.type_name().trim_start_matches('.'));
        let mut label = self.label(field).filter(|_| place.is_labelled).unwrap_or_default();
        let group = named.filter(|_| field.r#type() == Type::Group && !self.is_edition());
        let mut kind = self.type_of(field, place.scope);
        if let Some([key, value]) =
            named.filter(|(_, entry)| is_map_entry(entry)).map(|(_, entry)| entry.field.as_slice())
        {
            kind = format!("map<{}, {}>", self.type_of(key, place.scope), self.type_of(value, place.scope));
            label = "";
        }
        let name = group.map_or(field.name(), |(_, group)| group.name());
        let options = [options::of_field(field, self.is_edition()), self.custom(at, Options::FIELD)];
        let options = in_brackets(&options.concat());
        let head = format!("{label}{kind} {name} = {}{options}", field.number());
        let Some((nth, group)) = group else { return self.commented(at, &format!("{head};")) };
        // The number of the list of messages in a message, and in a file.
        let inner = path(place.outer, if place.outer.is_empty() { 4 } else { 3 }, nth);
        self.block(at, &head, |printer| printer.body(group, &inner, place.scope));
    }

    /// Returns the label with a space behind it, or `None` if it is implied.
    fn label(&self, field: &FieldDescriptorProto) -> Option<&'static str> {
        match (field.label(), self.syntax) {
            (Label::Repeated, _) => Some("repeated "),
            (Label::Required, Syntax::Proto2) => Some("required "),
            (Label::Optional, Syntax::Proto2) => Some("optional "),
            (_, Syntax::Edition(_)) | (Label::Required, Syntax::Proto3) => None,
            // Without a oneof, it does not stand for the label; an extension has none.
            (Label::Optional, Syntax::Proto3) => {
                let is_labelled = field.oneof_index.is_some() || field.extendee.is_some();
                (field.proto3_optional() && is_labelled).then_some("optional ")
            }
        }
    }

    fn type_of(&self, field: &FieldDescriptorProto, scope: &str) -> String {
        match field.r#type() {
            Type::Group if !self.is_edition() && self.is_group(field, scope) => "group".to_owned(),
            Type::Message | Type::Enum | Type::Group => self.names.reference(scope, field.type_name()),
            kind => {
                let scalar = SCALARS.iter().find(|(_, scalar)| *scalar == kind);
                scalar.map(|(name, _)| *name).unwrap_or_default().to_owned()
            }
        }
    }

    /// Returns whether a field with the encoding of a group is written as one: its message is
    /// defined in the same scope, and named alike.
    fn is_group(&self, field: &FieldDescriptorProto, scope: &str) -> bool {
        let full = field.type_name().trim_start_matches('.');
        let (outer, name) = full.rsplit_once('.').unwrap_or(("", full));
        outer == scope && name.eq_ignore_ascii_case(field.name())
    }
}
