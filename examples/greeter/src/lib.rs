//! gRPC over a Unix domain socket from scratch. The interface is `proto/greeter.proto`; this is the
//! code that `build.rs` generates from it. The server is `bin/greeter_server.rs`, the client
//! `bin/greeter_client.rs`.

#![expect(missing_docs, reason = "the words are in the .proto")]
#![expect(clippy::allow_attributes_without_reason, reason = "generated code gives none")]

tonic::include_proto!("greeter.v1");

/// The interface, for reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/greeter.bin"));
