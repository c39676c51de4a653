//! A client for ttrpc, the protocol between containerd and its shims.
//!
//! ttrpc uses gRPC's services and messages over Unix domain sockets, without HTTP/2: each frame is
//! a header of ten bytes and a protobuf message. All four kinds of streaming are supported.
//!
//! | content | module |
//! |---|---|
//! | encoding and decoding of frames; no I/O; public for tests only | `frame` |
//! | the messages in frames that open and end a call | `message` |
//! | calls on one connection | `client` |
//!
//! Messages are bytes here. Use the `dynamic` module to encode and decode them.

mod client;
#[doc(hidden)]
pub mod frame;
mod message;

pub use client::{Answers, Call, Client};

pub(crate) use message::RpcStatus;
