//! ttrpc: what containerd and its shims speak between themselves over local sockets. gRPC's
//! services and messages, without HTTP/2: a frame of ten bytes and a protobuf message. As a client;
//! all four kinds of streaming.
//!
//! | what | where |
//! |---|---|
//! | frames, as bytes and back; pure | `frame` |
//! | what is in the frames that open and end a call | `message` |
//! | calls on one connection | `client` |
//!
//! Messages are bytes here: `dynamic` says what is in them.

mod client;
pub mod frame;
mod message;

pub use client::{Answers, Call, Client};

pub(crate) use message::RpcStatus;
