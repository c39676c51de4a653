//! `stoop grpc`: lists what a server offers, and calls any method of it.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | connects, and runs the action: list, describe, or call |
//! | `session.rs` | what every action needs, and the deadline of the whole |
//! | `open.rs` | detects the protocol and creates a client |
//! | `h2c.rs` | upgrades an HTTP/1 connection to gRPC |
//! | `schema.rs` | services and methods: reflection, files, built-in definitions |
//! | `describe.rs` | `list` and `describe` |
//! | `call.rs` | calls: sends requests and prints replies |
//! | `known.rs` | services and methods for completion |
//! | `probed.rs` | which services of a schema the server has |
//! | `ask_containerd.rs` | asks containerd why it does not serve the CRI |
//! | `cri_plugin.rs` | judges its answer |
//! | `input.rs` | reads messages from the command line, a file, standard input |
//! | `metadata.rs` | metadata, from flags and as text |
//! | `error.rs` | errors, explained |
//! | `meaning.rs` | status codes in words |
//! | `grpcurl.rs` | the command line of grpcurl, translated |
//! | `verbose.rs` | prints headers, trailers and the status |

pub(crate) mod args;
mod ask_containerd;
mod call;
mod cri_plugin;
mod describe;
mod error;
pub(crate) mod grpcurl;
mod h2c;
mod input;
mod known;
mod meaning;
mod metadata;
mod open;
mod probed;
mod run;
pub(crate) mod schema;
mod session;
mod verbose;

pub(super) use known::known;
pub(super) use run::run;
