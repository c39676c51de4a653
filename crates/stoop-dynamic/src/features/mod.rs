//! Normalizes the files of a schema to what prost-reflect can represent. Does no I/O.
//!
//! prost-reflect knows proto2 and proto3. A file with an edition becomes a proto2 file: there,
//! every difference that changes bytes can be written (labels, groups, packing). What proto2
//! cannot express is marked with values that no compiler writes:
//!
//! - A field without presence has `proto3_optional`, but no oneof.
//! - An open enum has `deprecated = false`, which is removed where a compiler wrote it.
//! - The edition is in the source info, at the position of its statement.
//!
//! Options that extensions define are in the source info, too (`custom.rs`).
//!
//! In proto3 files, the mark is set for numbers with a fraction. Without it, prost-reflect would
//! take a negative zero for an absent value and not send it.

pub(crate) mod custom;
mod raw;

use prost_reflect::prost::Message;
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumOptions, FieldDescriptorProto, FieldOptions,
    FileDescriptorProto, FileDescriptorSet,
    field_descriptor_proto::{Label, Type},
    source_code_info::Location,
};
use prost_reflect::{EnumDescriptor, FieldDescriptor, Syntax, Value};

use self::raw::{EnumFeatures, FeatureSet, FieldFeatures, FileFeatures, FileSet, MessageFeatures};

/// The newest edition whose features are known: 2024.
const NEWEST_EDITION: i32 = 1001;

/// The position of the statement of the edition: the number of its field in a file descriptor.
const EDITION_PATH: [i32; 1] = [14];

/// Returns whether a field does not track presence: it is sent only if it is not zero or empty.
pub(crate) fn is_implicit(field: &FieldDescriptor) -> bool {
    if !field.supports_presence() {
        return true;
    }
    field.kind().as_message().is_none() && is_marked(field.field_descriptor_proto())
}

fn is_marked(field: &FieldDescriptorProto) -> bool {
    field.proto3_optional() && field.oneof_index.is_none()
}

/// Returns whether a field without presence leaves out this value.
pub(crate) fn is_zero(field: &FieldDescriptor, value: &Value) -> bool {
    match value {
        Value::F64(number) => number.to_bits() == 0,
        Value::F32(number) => number.to_bits() == 0,
        value => value.is_default_for_field(field),
    }
}

/// Returns whether only the declared numbers are values of an enum.
pub(crate) fn is_closed(values: &EnumDescriptor) -> bool {
    let options = values.enum_descriptor_proto().options.as_ref();
    let is_open = options.is_some_and(|options| options.deprecated == Some(false));
    values.parent_file().syntax() == Syntax::Proto2 && !is_open
}

/// Decodes a file, and normalizes it.
pub(crate) fn decode_file(bytes: &[u8]) -> Result<FileDescriptorProto, String> {
    let file = FileDescriptorProto::decode(bytes).map_err(|error| error.to_string())?;
    normalize(file, bytes)
}

/// Decodes a set of files, and normalizes them.
pub(crate) fn decode_set(bytes: &[u8]) -> Result<Vec<FileDescriptorProto>, String> {
    let files = FileDescriptorSet::decode(bytes).map_err(|error| error.to_string())?.file;
    let raw = FileSet::decode(bytes).map_err(|error| error.to_string())?.file;
    files.into_iter().zip(raw).map(|(file, raw)| normalize(file, &raw)).collect()
}

fn normalize(mut file: FileDescriptorProto, bytes: &[u8]) -> Result<FileDescriptorProto, String> {
    if let Some(info) = &mut file.source_code_info {
        info.location.retain(|location| location.path != EDITION_PATH);
    }
    custom::unmark(&mut file);
    custom::keep(&mut file, bytes).map_err(|error| error.to_string())?;
    match file.syntax() {
        "editions" => {
            let features = FileFeatures::decode(bytes).map_err(|error| error.to_string())?;
            resolve(&mut file, &features)?;
            file.syntax = Some("proto2".into());
        }
        _ => unmark(&mut file),
    }
    Ok(file)
}

/// Returns the edition that a file had before it was normalized.
pub(crate) fn edition(file: &FileDescriptorProto) -> Option<&str> {
    let info = file.source_code_info.as_ref()?;
    let statement = info.location.iter().find(|location| location.path == EDITION_PATH)?;
    statement.leading_detached_comments.first().map(String::as_str)
}

fn keep_edition(file: &mut FileDescriptorProto, edition: i32) {
    let edition = if edition == NEWEST_EDITION { "2024" } else { "2023" };
    let locations = &mut file.source_code_info.get_or_insert_default().location;
    locations.push(Location {
        path: EDITION_PATH.to_vec(),
        span: vec![0, 0, 0],
        leading_detached_comments: vec![edition.to_owned()],
        ..Location::default()
    });
}

/// Removes all marks, and what would be taken for one.
pub(crate) fn unmark(file: &mut FileDescriptorProto) {
    fn unmark_enum(values: &mut EnumDescriptorProto) {
        let options = values.options.iter_mut().filter(|options| !options.deprecated());
        options.for_each(|options| options.deprecated = None);
    }
    fn unmark_message(message: &mut DescriptorProto) {
        let fields = message.field.iter_mut().filter(|field| is_marked(field));
        fields.for_each(|field| field.proto3_optional = None);
        message.enum_type.iter_mut().for_each(unmark_enum);
        message.nested_type.iter_mut().for_each(unmark_message);
    }
    file.enum_type.iter_mut().for_each(unmark_enum);
    file.message_type.iter_mut().for_each(unmark_message);
}

/// Marks the numbers with a fraction of a proto3 file.
pub(crate) fn track_fractions(file: &mut FileDescriptorProto) {
    fn message(it: &mut DescriptorProto) {
        let singular = |field: &&mut FieldDescriptorProto| {
            let is_fraction = matches!(field.r#type(), Type::Double | Type::Float);
            is_fraction && field.label() != Label::Repeated && field.oneof_index.is_none()
        };
        it.field.iter_mut().filter(singular).for_each(|field| field.proto3_optional = Some(true));
        it.nested_type.iter_mut().for_each(message);
    }
    file.message_type.iter_mut().for_each(message);
}

fn resolve(file: &mut FileDescriptorProto, raw: &FileFeatures) -> Result<(), String> {
    // A file without a number is taken for one of the first edition.
    if raw.edition.unwrap_or_default() > NEWEST_EDITION {
        return Err(format!("'{}' uses an edition newer than 2024, whose features are unknown", file.name()));
    }
    keep_edition(file, raw.edition.unwrap_or_default());
    let scope = Features::default().with(raw.options.as_ref().and_then(|options| options.features.as_ref()));
    for (message, raw) in file.message_type.iter_mut().zip(&raw.message_type) {
        resolve_message(message, raw, scope);
    }
    for (values, raw) in file.enum_type.iter_mut().zip(&raw.enum_type) {
        resolve_enum(values, raw, scope);
    }
    for (field, raw) in file.extension.iter_mut().zip(&raw.extension) {
        resolve_field(field, raw, scope, false);
    }
    Ok(())
}

fn resolve_message(message: &mut DescriptorProto, raw: &MessageFeatures, scope: Features) {
    let scope = scope.with(raw.options.as_ref().and_then(|options| options.features.as_ref()));
    // Map entries and maps always have a length in front.
    let is_entry = message.options.as_ref().is_some_and(|options| options.map_entry());
    let entries: Vec<String> = message
        .nested_type
        .iter()
        .filter(|nested| nested.options.as_ref().is_some_and(|options| options.map_entry()))
        .map(|nested| format!(".{}", nested.name()))
        .collect();
    for (field, raw) in message.field.iter_mut().zip(&raw.field) {
        let is_map = entries.iter().any(|entry| field.type_name().ends_with(entry.as_str()));
        resolve_field(field, raw, scope, is_entry || is_map);
    }
    for (nested, raw) in message.nested_type.iter_mut().zip(&raw.nested_type) {
        resolve_message(nested, raw, scope);
    }
    for (values, raw) in message.enum_type.iter_mut().zip(&raw.enum_type) {
        resolve_enum(values, raw, scope);
    }
    for (field, raw) in message.extension.iter_mut().zip(&raw.extension) {
        resolve_field(field, raw, scope, false);
    }
}

fn resolve_field(field: &mut FieldDescriptorProto, raw: &FieldFeatures, scope: Features, is_map: bool) {
    let features = scope.with(raw.options.as_ref().and_then(|options| options.features.as_ref()));
    let is_message = matches!(field.r#type(), Type::Message | Type::Group);
    if field.label() == Label::Repeated {
        let is_packable = !is_message && !matches!(field.r#type(), Type::String | Type::Bytes);
        if is_packable {
            let options = field.options.get_or_insert_with(FieldOptions::default);
            options.packed = Some(features.repeated_encoding != REPEATED_EXPANDED);
        }
    } else if features.presence == PRESENCE_REQUIRED {
        field.label = Some(Label::Required.into());
    } else if features.presence == PRESENCE_IMPLICIT && !is_message && field.oneof_index.is_none() && !is_map
    {
        field.proto3_optional = Some(true);
    }
    if is_message && features.message_encoding == MESSAGE_DELIMITED && !is_map {
        field.set_type(Type::Group);
    }
}

fn resolve_enum(values: &mut EnumDescriptorProto, raw: &EnumFeatures, scope: Features) {
    let features = scope.with(raw.options.as_ref().and_then(|options| options.features.as_ref()));
    let options = values.options.get_or_insert_with(EnumOptions::default);
    options.deprecated = options.deprecated.filter(|&is_deprecated| is_deprecated);
    if features.enum_type != ENUM_CLOSED {
        // One that is deprecated cannot be marked, and rejects unknown numbers.
        options.deprecated.get_or_insert(false);
    }
}

const PRESENCE_EXPLICIT: i32 = 1;
const PRESENCE_IMPLICIT: i32 = 2;
const PRESENCE_REQUIRED: i32 = 3;
const ENUM_OPEN: i32 = 1;
const ENUM_CLOSED: i32 = 2;
const REPEATED_PACKED: i32 = 1;
const REPEATED_EXPANDED: i32 = 2;
const MESSAGE_LENGTH_PREFIXED: i32 = 1;
const MESSAGE_DELIMITED: i32 = 2;

/// The features in a scope.
#[derive(Clone, Copy)]
struct Features {
    presence: i32,
    enum_type: i32,
    repeated_encoding: i32,
    message_encoding: i32,
}

impl Default for Features {
    /// Returns the defaults of editions 2023 and 2024, which are the same.
    fn default() -> Features {
        Features {
            presence: PRESENCE_EXPLICIT,
            enum_type: ENUM_OPEN,
            repeated_encoding: REPEATED_PACKED,
            message_encoding: MESSAGE_LENGTH_PREFIXED,
        }
    }
}

impl Features {
    /// Returns the features of an inner scope, which may override some.
    fn with(self, set: Option<&FeatureSet>) -> Features {
        let Some(set) = set else { return self };
        let known = |value: Option<i32>| value.filter(|&value| value != 0);
        Features {
            presence: known(set.presence).unwrap_or(self.presence),
            enum_type: known(set.enum_type).unwrap_or(self.enum_type),
            repeated_encoding: known(set.repeated_encoding).unwrap_or(self.repeated_encoding),
            message_encoding: known(set.message_encoding).unwrap_or(self.message_encoding),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::raw::{FileOptions, RawFieldOptions};
    use super::*;
    use prost_reflect::DescriptorPool;
    use prost_reflect::prost_types::EnumValueDescriptorProto;

    fn set(presence: i32, enum_type: i32, repeated_encoding: i32, message_encoding: i32) -> FeatureSet {
        let some = |value| (value != 0).then_some(value);
        FeatureSet {
            presence: some(presence),
            enum_type: some(enum_type),
            repeated_encoding: some(repeated_encoding),
            message_encoding: some(message_encoding),
        }
    }

    fn field(name: &str, number: i32, label: Label, of_type: Type) -> FieldDescriptorProto {
        FieldDescriptorProto {
            name: Some(name.into()),
            number: Some(number),
            label: Some(label.into()),
            r#type: Some(of_type.into()),
            type_name: (of_type == Type::Message).then(|| ".M".into()),
            ..FieldDescriptorProto::default()
        }
    }

    fn features_of(set: FeatureSet) -> FieldFeatures {
        FieldFeatures { options: Some(RawFieldOptions { features: Some(set) }) }
    }

    /// Returns a message with fields of every sort, as a file of edition 2023 would have it.
    fn pool(of_file: FeatureSet) -> DescriptorPool {
        let fields = [
            (field("explicit", 1, Label::Optional, Type::Int32), set(PRESENCE_EXPLICIT, 0, 0, 0)),
            (field("implicit", 2, Label::Optional, Type::Int32), set(PRESENCE_IMPLICIT, 0, 0, 0)),
            (field("required", 3, Label::Optional, Type::Int32), set(PRESENCE_REQUIRED, 0, 0, 0)),
            (field("packed", 4, Label::Repeated, Type::Int32), set(0, 0, REPEATED_PACKED, 0)),
            (field("expanded", 5, Label::Repeated, Type::Int32), set(0, 0, REPEATED_EXPANDED, 0)),
            (field("group", 6, Label::Optional, Type::Message), set(0, 0, 0, MESSAGE_DELIMITED)),
            (field("plain", 7, Label::Optional, Type::Int32), FeatureSet::default()),
            (field("texts", 8, Label::Repeated, Type::String), FeatureSet::default()),
        ];
        let (fields, raw): (Vec<_>, Vec<_>) = fields.into_iter().unzip();
        let message = DescriptorProto { name: Some("M".into()), field: fields, ..Default::default() };
        let zero = EnumValueDescriptorProto { name: Some("ZERO".into()), number: Some(0), options: None };
        let values = EnumDescriptorProto { name: Some("E".into()), value: vec![zero], ..Default::default() };
        let mut file = FileDescriptorProto {
            name: Some("e.proto".into()),
            message_type: vec![message],
            enum_type: vec![values],
            syntax: Some("proto2".into()),
            ..FileDescriptorProto::default()
        };
        let raw = FileFeatures {
            message_type: vec![MessageFeatures {
                field: raw.into_iter().map(features_of).collect(),
                ..MessageFeatures::default()
            }],
            enum_type: vec![EnumFeatures::default()],
            options: Some(FileOptions { features: Some(of_file) }),
            edition: Some(1000),
            ..FileFeatures::default()
        };
        resolve(&mut file, &raw).unwrap();
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_proto(file).unwrap();
        pool
    }

    #[test]
    fn features_are_inherited_and_overridden() {
        let pool = pool(FeatureSet::default());
        let message = pool.get_message_by_name("M").unwrap();
        let field = |name: &str| message.get_field_by_name(name).unwrap();
        assert!(!is_implicit(&field("explicit")) && !is_implicit(&field("plain")));
        assert!(is_implicit(&field("implicit")) && field("required").is_required());
        assert!(field("packed").is_packed() && !field("expanded").is_packed() && !field("texts").is_packed());
        assert!(field("group").is_group());
        assert!(!is_closed(&pool.get_enum_by_name("E").unwrap()));

        let of_file = set(PRESENCE_IMPLICIT, ENUM_CLOSED, REPEATED_EXPANDED, 0);
        let pool = self::pool(of_file);
        let message = pool.get_message_by_name("M").unwrap();
        let field = |name: &str| message.get_field_by_name(name).unwrap();
        assert!(!is_implicit(&field("explicit")) && is_implicit(&field("plain")));
        assert!(field("packed").is_packed());
        assert!(is_closed(&pool.get_enum_by_name("E").unwrap()));
    }

    #[test]
    fn features_are_described_as_they_are_written() {
        let pool = pool(set(0, ENUM_CLOSED, 0, 0));
        let text = crate::describe(&crate::Symbol::File(pool.get_file_by_name("e.proto").unwrap()));
        for line in [
            "edition = \"2023\";\n",
            "  int32 explicit = 1;\n",
            "  int32 implicit = 2 [features.field_presence = IMPLICIT];\n",
            "  int32 required = 3 [features.field_presence = LEGACY_REQUIRED];\n",
            "  repeated int32 packed = 4;\n",
            "  repeated int32 expanded = 5 [features.repeated_field_encoding = EXPANDED];\n",
            "  M group = 6 [features.message_encoding = DELIMITED];\n",
            "enum E {\n  option features.enum_type = CLOSED;\n",
        ] {
            assert!(text.contains(line), "lacks {line}: {text}");
        }
        assert!(
            !crate::describe(&crate::Symbol::Enum(
                self::pool(FeatureSet::default()).get_enum_by_name("E").unwrap()
            ))
            .contains("option")
        );
    }

    #[test]
    fn a_proto2_enum_is_closed_whatever_its_options() {
        let options = EnumOptions { deprecated: Some(false), ..EnumOptions::default() };
        let zero = EnumValueDescriptorProto { name: Some("ZERO".into()), number: Some(0), options: None };
        let values = EnumDescriptorProto {
            name: Some("E".into()),
            value: vec![zero],
            options: Some(options),
            ..Default::default()
        };
        let file =
            FileDescriptorProto { name: Some("e".into()), enum_type: vec![values], ..Default::default() };
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_proto(decode_file(&file.encode_to_vec()).unwrap()).unwrap();
        assert!(is_closed(&pool.get_enum_by_name("E").unwrap()));
    }

    #[test]
    fn an_edition_of_the_future_is_rejected() {
        let mut file = FileDescriptorProto { name: Some("e.proto".into()), ..Default::default() };
        let raw = |edition| FileFeatures { edition: Some(edition), ..FileFeatures::default() };
        assert!(resolve(&mut file, &raw(NEWEST_EDITION)).is_ok());
        let error = resolve(&mut file, &raw(NEWEST_EDITION + 1)).unwrap_err();
        assert!(error.contains("'e.proto'") && error.contains("newer"), "{error}");
    }

    #[test]
    fn raw_files_are_decoded_with_their_features() {
        let file = FileDescriptorProto {
            name: Some("e.proto".into()),
            syntax: Some("editions".into()),
            ..Default::default()
        };
        let features = FileFeatures { edition: Some(NEWEST_EDITION + 1), ..FileFeatures::default() };
        let bytes = [file.encode_to_vec(), features.encode_to_vec()].concat();
        assert!(decode_file(&bytes).is_err());
        assert!(decode_set(&FileSet { file: vec![bytes] }.encode_to_vec()).is_err());
        assert_eq!(decode_file(&file.encode_to_vec()).unwrap().syntax(), "proto2");
    }
}
