//! `stoop relay`: relays the clients of one address to another. The work is done by `stoop-relay`.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `place.rs` | what can be at either side: a Unix socket, or `tcp:HOST:PORT` |
//! | `run.rs` | starts the relay, reports what happens, and stops it |

pub(crate) mod args;
mod place;
mod run;

pub(super) use run::run;
