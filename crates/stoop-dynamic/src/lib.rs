//! Calls of gRPC and ttrpc methods that are known only at run time.
//!
//! A [`Schema`] describes services and messages. It comes from the server's reflection service
//! ([`reflect`]), from `.proto` files, from descriptor sets, or from the built-in interfaces
//! ([`Schema::builtin`]: Kubernetes' interfaces of a node, containerd, health). A [`Client`] calls
//! its methods, with any kind of streaming, and [`json`] converts messages to text and back.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = stoop_testkit::tempdir();
//! # let path = directory.path().join("app.sock");
//! # let incoming = stoop_grpc::Endpoint::try_from(path.as_path())?.listen(|bind| bind).await?;
//! # let (_reporter, health) = tonic_health::server::health_reporter();
//! # let server = stoop_grpc::Server::new(tonic::service::Routes::new(health));
//! # tokio::spawn(server.serve(incoming, std::future::pending::<()>()));
//! use stoop_dynamic::{Client, Options, Schema, json};
//!
//! let client = Client::grpc(stoop_grpc::connect(path.as_path()).await?);
//! let schema = Schema::builtin(); // or `reflect(&client, …)`, `Schema::from_protos(…)`
//! let check = schema.method("Health/Check", &[])?;
//! let request = tokio_stream::once(json::read(&check.input(), r#"{"service": ""}"#)?);
//! let mut answers = client.call(&check, request, Options::default()).await?;
//! let response = answers.message().await?.ok_or("no response")?;
//! let style = json::Style { one_line: true, ..json::Style::default() };
//! assert_eq!(style.text(&response), r#"{"status":"SERVING"}"#);
//! # Ok(())
//! # }
//! ```
//!
//! | task | item |
//! |---|---|
//! | find a method by the name that a user typed, or suggest one | [`Schema::method`] |
//! | fetch the schema of a server | [`reflect`] |
//! | find out whether a server without reflection has a service | [`Client::presence`] |
//! | call a method over gRPC or ttrpc | [`Client`] |
//! | find out what a server speaks that does not speak gRPC | [`channel`], [`Greeting`] |
//! | read and write messages as JSON, as protobuf's text | [`json`], [`text`] |
//! | start from a message with all fields | [`template()`] |
//! | read and write metadata as text | [`metadata`] |
//! | decode error details | [`details()`] |
//! | name a status code, also one that gRPC does not define | [`code_name`], [`code_number`] |
//! | print a definition as `.proto` text | [`describe()`] |
//! | speak ttrpc, containerd's protocol, with messages as bytes | [`ttrpc`] |
//!
//! # Coming from grpcurl and prost-reflect
//!
//! The types of messages, methods and services are those of prost-reflect. `grpcurl list` and
//! `describe` are [`Schema::services`] and [`describe()`]. `-import-path` and `-proto` are
//! [`Schema::from_protos`], and `-protoset` is [`Schema::from_descriptor_set`].
//!
//! # What it does not do
//!
//! It does not print, and reads only the files it is given. It does not trust servers: a schema
//! from a server is checked, nesting is bounded, and a message above the size limit is rejected. It
//! has no server side.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod box_channel;
mod builtin;
mod client;
mod compression;
mod describe;
mod details;
mod features;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod interfaces;
pub mod json;
pub mod metadata;
mod presence;
pub(crate) mod reflection;
mod resolve;
mod schema;
mod source;
mod template;
pub mod text;
pub mod ttrpc;
mod wire;

pub use client::{Answers, CallError, Client, Options};
pub use compression::Compression;
pub use describe::describe;
pub use details::details;
pub use presence::Presence;
pub use reflection::{ReflectError, reflect};
pub use resolve::{Symbol, Unresolved};
pub use schema::{Origin, Schema, SchemaError};
pub use template::template;
pub use wire::{Greeting, Listening, channel, channel_as};

pub use stoop_grpc::{HttpResponse, code_name, code_number};
pub use tonic::metadata::MetadataMap;
pub use tonic::{Code, Status};

pub use prost_reflect::{
    DynamicMessage, EnumDescriptor, FileDescriptor, MessageDescriptor, MethodDescriptor, ServiceDescriptor,
    Value,
};

/// Runs the example of the README as a test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
