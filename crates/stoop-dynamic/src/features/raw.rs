//! The parts of protobuf's descriptors that prost-types lacks: features and editions.

use prost_reflect::prost::Message;

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileSet {
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) file: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FeatureSet {
    #[prost(int32, optional, tag = "1")]
    pub(super) presence: Option<i32>,
    #[prost(int32, optional, tag = "2")]
    pub(super) enum_type: Option<i32>,
    #[prost(int32, optional, tag = "3")]
    pub(super) repeated_encoding: Option<i32>,
    #[prost(int32, optional, tag = "5")]
    pub(super) message_encoding: Option<i32>,
}

/// Declares the options of one kind of definition, which differ in the number of their features.
macro_rules! options {
    ($name:ident, $tag:literal) => {
        #[derive(Clone, PartialEq, Message)]
        pub(super) struct $name {
            #[prost(message, optional, tag = $tag)]
            pub(super) features: Option<FeatureSet>,
        }
    };
}

options!(FileOptions, "50");
options!(MessageOptions, "12");
options!(RawFieldOptions, "21");
options!(RawEnumOptions, "7");

#[derive(Clone, PartialEq, Message)]
pub(super) struct FileFeatures {
    #[prost(message, repeated, tag = "4")]
    pub(super) message_type: Vec<MessageFeatures>,
    #[prost(message, repeated, tag = "5")]
    pub(super) enum_type: Vec<EnumFeatures>,
    #[prost(message, repeated, tag = "7")]
    pub(super) extension: Vec<FieldFeatures>,
    #[prost(message, optional, tag = "8")]
    pub(super) options: Option<FileOptions>,
    #[prost(int32, optional, tag = "14")]
    pub(super) edition: Option<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct MessageFeatures {
    #[prost(message, repeated, tag = "2")]
    pub(super) field: Vec<FieldFeatures>,
    #[prost(message, repeated, tag = "3")]
    pub(super) nested_type: Vec<MessageFeatures>,
    #[prost(message, repeated, tag = "4")]
    pub(super) enum_type: Vec<EnumFeatures>,
    #[prost(message, repeated, tag = "6")]
    pub(super) extension: Vec<FieldFeatures>,
    #[prost(message, optional, tag = "7")]
    pub(super) options: Option<MessageOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct FieldFeatures {
    #[prost(message, optional, tag = "8")]
    pub(super) options: Option<RawFieldOptions>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct EnumFeatures {
    #[prost(message, optional, tag = "3")]
    pub(super) options: Option<RawEnumOptions>,
}
