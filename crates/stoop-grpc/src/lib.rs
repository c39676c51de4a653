//! gRPC and HTTP over local sockets.
//!
//! | what | module | feature |
//! |---|---|---|
//! | calls to services that are not known before run time | `dynamic` | `dynamic` |
//! | containerd's lighter RPC, as a client | `ttrpc` | `dynamic` |
//! | HTTP/1.1 and HTTP/2 for clients and servers | `http` | `http` |

#[cfg(feature = "dynamic")]
pub mod dynamic;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "dynamic")]
pub mod ttrpc;
