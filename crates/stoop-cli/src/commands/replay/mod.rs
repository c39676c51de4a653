//! `stoop replay`: plays one side of a recording against the other side, and compares. The
//! recording is read by `stoop-relay`.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | opens the recording, and reports how it went |
//! | `show.rs` | prints a recording |
//! | `player.rs` | plays the records of one side, in their order |
//! | `wire.rs` | a connection to play on |
//! | `compare/` | what was recorded against what came: bytes, messages, HTTP/1, JSON; pure |

pub(crate) mod args;
mod compare;
mod player;
mod run;
mod show;
mod wire;

pub(super) use run::run;
pub(crate) use show::Shown;
