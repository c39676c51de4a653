//! Calls to services that are known only at run time.
//!
//! A [`Schema`] describes services and messages. It comes from the server's reflection service
//! ([`reflect`]), from `.proto` files, from descriptor sets, or from the built-in interfaces
//! ([`Schema::builtin`]: Kubernetes' CRI, containerd, health). A [`Client`] calls its methods,
//! with any kind of streaming, over gRPC or ttrpc. [`json`] converts messages to text and back.
//! [`describe()`] prints a schema.
//!
//! | content | module |
//! |---|---|
//! | services, methods and messages | `schema` |
//! | resolving a name that a user typed | `resolve` |
//! | fetching a server's schema | `reflection` |
//! | calls, over either protocol | `client` |
//! | any channel, under one type | `box_channel` |
//! | messages as JSON, and back | `json` |
//! | metadata as text, and back | `metadata` |
//! | error details | `details` |
//! | a channel on one connection, and the server's first bytes | `wire` |
//! | a schema as text | `describe` |
//!
//! This module does not print, and reads only the files it is given. It does not trust servers: a
//! schema from a server is checked, nesting is bounded, and a message above the size limit is
//! rejected.

mod box_channel;
mod client;
mod describe;
mod details;
pub mod json;
pub mod metadata;
pub(crate) mod reflection;
mod resolve;
mod schema;
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
