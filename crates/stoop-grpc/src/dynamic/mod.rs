//! Calls to services that are not known before run time.
//!
//! A [`Schema`] says what services and messages there are: what the server tells of itself
//! ([`reflect`]), `.proto` files, descriptor sets, or the interfaces that are built in
//! ([`Schema::builtin`]: Kubernetes' CRI, containerd, health). A [`Client`] calls a method of it,
//! of any kind of streaming, over gRPC or over ttrpc. [`json`] turns messages into text and back,
//! [`describe()`] shows what is in a schema.
//!
//! | what | where |
//! |---|---|
//! | what services, methods and messages there are | `schema` |
//! | from what a person types to one of them | `resolve` |
//! | asking the server for its schema | `reflection` |
//! | a call, over either protocol | `client` |
//! | any channel, under one type | `service` |
//! | messages as JSON, and back | `json` |
//! | metadata, as text and back | `metadata` |
//! | the details of an error | `details` |
//! | a channel on one connection, and what the server says first | `wire` |
//! | a schema as text | `describe` |
//!
//! Nothing here prints, reads a file that it was not given, or trusts a server: a schema from one
//! is checked, nesting is bounded, and a message is refused above a size.

mod client;
mod describe;
mod details;
pub mod json;
pub mod metadata;
pub(crate) mod reflection;
mod resolve;
mod schema;
mod service;
mod wire;

pub use client::{Answers, CallError, Client, Options};
pub use describe::describe;
pub use details::details;
pub use reflection::{ReflectError, reflect};
pub use resolve::{Symbol, Unresolved};
pub use schema::{Origin, Schema, SchemaError};
pub use wire::{Greeting, Listening, channel};

pub use tonic::metadata::MetadataMap;
pub use tonic::{Code, Status};

pub use prost_reflect::{
    DynamicMessage, EnumDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor, Value,
};
