//! `stoop connect`: a conversation. Standard input is sent to the server, and what it sends is
//! printed, concurrently.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | connects, and runs the conversation to its end |
//! | `upstream.rs` | sends the input to the server |
//! | `render.rs` | prints messages as JSON lines |
//! | `datagram.rs` | decides when a conversation in datagrams is over |
//! | `terminal.rs` | edits lines at a terminal |

pub(crate) mod args;
mod datagram;
mod render;
mod run;
mod terminal;
mod upstream;

pub(super) use run::run;
#[cfg(feature = "http")]
pub(super) use run::settle;
#[cfg(feature = "http")]
pub(super) use upstream::{AtEnd, Upstream};
