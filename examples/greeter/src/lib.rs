//! gRPC over a local socket from zero. The interface is `proto/greeter.proto`; here is what
//! `build.rs` made of it. The server is `bin/greeter_server.rs`, the client
//! `bin/greeter_client.rs`.

#![expect(missing_docs, reason = "the words are in the .proto")]
#![expect(clippy::allow_attributes_without_reason, reason = "generated code gives none")]

tonic::include_proto!("greeter.v1");

/// The interface, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/greeter.bin"));
