//! Options that extensions define. prost-types drops them, so they are kept as marks: in the source
//! info, below the position of the options, encoded in base64.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::prost::encoding::{DecodeContext, decode_key, skip_field};
use prost_reflect::prost::{DecodeError, Message};
use prost_reflect::prost_types::{FileDescriptorProto, source_code_info::Location};

/// What follows the position of the options in the position of a mark. No compiler writes it.
const MARK: i32 = -1;

/// The first number of an option that an extension defines.
const FIRST_EXTENSION: u32 = 1000;

/// Returns the position of the mark of an element, whose options have this number in it.
pub(crate) fn mark(element: &[i32], options: i32) -> Vec<i32> {
    [element, &[options, MARK]].concat()
}

/// Returns the encoded options that a mark keeps.
pub(crate) fn marked(location: &Location) -> Option<Vec<u8>> {
    STANDARD.decode(location.leading_detached_comments.first()?).ok()
}

/// Removes all marks, and what would be taken for one.
pub(crate) fn unmark(file: &mut FileDescriptorProto) {
    if let Some(info) = &mut file.source_code_info {
        info.location.retain(|location| location.path.last() != Some(&MARK));
    }
}

/// Keeps the options that are encoded in a file.
pub(super) fn keep(file: &mut FileDescriptorProto, bytes: &[u8]) -> Result<(), DecodeError> {
    let mut found = Found(Vec::new());
    found.in_file(&File::decode(bytes)?)?;
    if !found.0.is_empty() {
        file.source_code_info.get_or_insert_default().location.append(&mut found.0);
    }
    Ok(())
}

/// Returns the part of encoded options that extensions define.
fn extensions(options: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let (mut rest, mut found) = (options, Vec::new());
    while !rest.is_empty() {
        let before = rest;
        let (number, kind) = decode_key(&mut rest)?;
        skip_field(kind, number, &mut rest, DecodeContext::default())?;
        if number >= FIRST_EXTENSION {
            found.extend_from_slice(&before[..before.len() - rest.len()]);
        }
    }
    Ok(found)
}

/// The marks found so far.
struct Found(Vec<Location>);

impl Found {
    fn options(&mut self, at: &[i32], number: i32, options: Option<&[u8]>) -> Result<(), DecodeError> {
        let options = extensions(options.unwrap_or_default())?;
        if !options.is_empty() {
            self.0.push(Location {
                path: mark(at, number),
                span: vec![0, 0, 0],
                leading_detached_comments: vec![STANDARD.encode(options)],
                ..Location::default()
            });
        }
        Ok(())
    }

    /// Finds the options of elements that consist of nothing else.
    fn plain<T: Plain>(&mut self, at: &[i32], list: i32, elements: &[T]) -> Result<(), DecodeError> {
        each(at, list, elements, |at, element| self.options(at, T::NUMBER, element.options()))
    }

    fn in_file(&mut self, file: &File) -> Result<(), DecodeError> {
        self.options(&[], 8, file.options.as_deref())?;
        each(&[], 4, &file.message_type, |at, message| self.in_message(at, message))?;
        each(&[], 5, &file.enum_type, |at, values| self.in_enum(at, values))?;
        each(&[], 6, &file.service, |at, service| {
            self.options(at, 3, service.options.as_deref())?;
            self.plain(at, 2, &service.method)
        })?;
        self.plain(&[], 7, &file.extension)
    }

    fn in_message(&mut self, at: &[i32], message: &DescribedMessage) -> Result<(), DecodeError> {
        self.options(at, 7, message.options.as_deref())?;
        self.plain(at, 2, &message.field)?;
        each(at, 3, &message.nested_type, |at, nested| self.in_message(at, nested))?;
        each(at, 4, &message.enum_type, |at, values| self.in_enum(at, values))?;
        self.plain(at, 6, &message.extension)?;
        self.plain(at, 8, &message.oneof_decl)
    }

    fn in_enum(&mut self, at: &[i32], values: &DescribedEnum) -> Result<(), DecodeError> {
        self.options(at, 3, values.options.as_deref())?;
        self.plain(at, 2, &values.value)
    }
}

fn each<T>(
    at: &[i32],
    list: i32,
    elements: &[T],
    mut find: impl FnMut(&[i32], &T) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    let numbered = (0..).zip(elements);
    numbered.into_iter().try_for_each(|(nth, element)| find(&[at, &[list, nth]].concat(), element))
}

/// An element that has options, and nothing in it that has.
trait Plain {
    /// The number of the options in it.
    const NUMBER: i32;

    fn options(&self) -> Option<&[u8]>;
}

/// Declares elements without others in them.
macro_rules! plain {
    ($name:ident, $tag:literal, $number:literal) => {
        #[derive(Clone, PartialEq, Message)]
        struct $name {
            #[prost(bytes = "vec", optional, tag = $tag)]
            options: Option<Vec<u8>>,
        }

        impl Plain for $name {
            const NUMBER: i32 = $number;

            fn options(&self) -> Option<&[u8]> {
                self.options.as_deref()
            }
        }
    };
}

plain!(Field, "8", 8);
plain!(Oneof, "2", 2);
plain!(EnumValue, "3", 3);
plain!(Method, "4", 4);

#[derive(Clone, PartialEq, Message)]
struct File {
    #[prost(message, repeated, tag = "4")]
    message_type: Vec<DescribedMessage>,
    #[prost(message, repeated, tag = "5")]
    enum_type: Vec<DescribedEnum>,
    #[prost(message, repeated, tag = "6")]
    service: Vec<Service>,
    #[prost(message, repeated, tag = "7")]
    extension: Vec<Field>,
    #[prost(bytes = "vec", optional, tag = "8")]
    options: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct DescribedMessage {
    #[prost(message, repeated, tag = "2")]
    field: Vec<Field>,
    #[prost(message, repeated, tag = "3")]
    nested_type: Vec<DescribedMessage>,
    #[prost(message, repeated, tag = "4")]
    enum_type: Vec<DescribedEnum>,
    #[prost(message, repeated, tag = "6")]
    extension: Vec<Field>,
    #[prost(bytes = "vec", optional, tag = "7")]
    options: Option<Vec<u8>>,
    #[prost(message, repeated, tag = "8")]
    oneof_decl: Vec<Oneof>,
}

#[derive(Clone, PartialEq, Message)]
struct DescribedEnum {
    #[prost(message, repeated, tag = "2")]
    value: Vec<EnumValue>,
    #[prost(bytes = "vec", optional, tag = "3")]
    options: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Service {
    #[prost(message, repeated, tag = "2")]
    method: Vec<Method>,
    #[prost(bytes = "vec", optional, tag = "3")]
    options: Option<Vec<u8>>,
}
