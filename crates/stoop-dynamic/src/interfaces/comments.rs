//! From comments by name to source info, which has them by position.

use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, EnumDescriptorProto, FileDescriptorProto, SourceCodeInfo};

use super::names::within;
use super::reader::Comments;

/// The numbers of the fields of descriptors that a position is made of.
mod part {
    pub(super) const MESSAGES: i32 = 4;
    pub(super) const ENUMS: i32 = 5;
    pub(super) const SERVICES: i32 = 6;
    pub(super) const METHODS: i32 = 2;
    pub(super) const FIELDS: i32 = 2;
    pub(super) const NESTED: i32 = 3;
    pub(super) const NESTED_ENUMS: i32 = 4;
    pub(super) const VALUES: i32 = 2;
}

/// Adds the comments on the elements of a file to its source info.
pub fn attach(file: &mut FileDescriptorProto, comments: &Comments) {
    if comments.is_empty() {
        return;
    }
    let package = file.package().to_owned();
    let mut collector = Collector { comments, locations: Vec::new(), path: Vec::new() };
    for (at, service) in (0..).zip(&file.service) {
        let full = within(&package, service.name());
        collector.at(part::SERVICES, at, &full, |collector| {
            for (at, method) in (0..).zip(&service.method) {
                collector.at(part::METHODS, at, &within(&full, method.name()), |_| {});
            }
        });
    }
    (0..).zip(&file.message_type).for_each(|(at, message)| {
        collector.message(part::MESSAGES, at, message, &package);
    });
    (0..).zip(&file.enum_type).for_each(|(at, values)| {
        collector.enumeration(part::ENUMS, at, values, &package);
    });
    if !collector.locations.is_empty() {
        file.source_code_info = Some(SourceCodeInfo { location: collector.locations });
    }
}

struct Collector<'c> {
    comments: &'c Comments,
    locations: Vec<Location>,
    path: Vec<i32>,
}

impl Collector<'_> {
    /// Adds the comment on one element, then those on what is in it.
    fn at(&mut self, part: i32, at: i32, name: &str, inside: impl FnOnce(&mut Self)) {
        self.path.extend([part, at]);
        if let Some(comment) = self.comments.get(name) {
            let text: String = comment.split('\n').map(|line| format!(" {line}\n")).collect();
            self.locations.push(Location {
                path: self.path.clone(),
                span: vec![0, 0, 0],
                leading_comments: Some(text),
                ..Location::default()
            });
        }
        inside(self);
        self.path.truncate(self.path.len() - 2);
    }

    fn message(&mut self, part: i32, at: i32, message: &DescriptorProto, scope: &str) {
        let full = within(scope, message.name());
        self.at(part, at, &full, |collector| {
            for (at, field) in (0..).zip(&message.field) {
                collector.at(part::FIELDS, at, &within(&full, field.name()), |_| {});
            }
            (0..).zip(&message.nested_type).for_each(|(at, nested)| {
                collector.message(part::NESTED, at, nested, &full);
            });
            (0..).zip(&message.enum_type).for_each(|(at, values)| {
                collector.enumeration(part::NESTED_ENUMS, at, values, &full);
            });
        });
    }

    fn enumeration(&mut self, part: i32, at: i32, values: &EnumDescriptorProto, scope: &str) {
        let full = within(scope, values.name());
        self.at(part, at, &full, |collector| {
            for (at, value) in (0..).zip(&values.value) {
                collector.at(part::VALUES, at, &within(&full, value.name()), |_| {});
            }
        });
    }
}
