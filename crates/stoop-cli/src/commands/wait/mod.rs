//! `stoop wait`: waits until a server is there, as far as requested.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | checks the condition until it is met, or the time is over |
//! | `check.rs` | checks one condition once |
//! | `health.rs` | asks a server in its own protocol whether it works |
//! | `grpc.rs` | the same for gRPC |
//! | `protocol.rs` | requests and answers of these protocols. Pure |

pub(crate) mod args;
mod check;
#[cfg(feature = "grpc")]
mod grpc;
mod health;
mod protocol;
mod run;

pub(super) use run::run;
