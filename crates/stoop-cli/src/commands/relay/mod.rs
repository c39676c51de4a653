//! `stoop relay`: relays the clients of one address to another. The work is done by `stoop-relay`.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `place.rs` | what can be at either side: a Unix socket, or `tcp:HOST:PORT` |
//! | `run.rs` | starts the relay, waits, and stops it |
//! | `report.rs` | reports what happens |
//! | `interpose.rs` | stands in front of a live server, and gives its name back |
//! | `tcp.rs` | listens at a TCP port |
//! | `allow.rs` | which clients are relayed |
//! | `metrics.rs` | answers requests for the counters |

mod allow;
pub(crate) mod args;
mod interpose;
mod metrics;
mod place;
mod report;
mod run;
mod tcp;

pub(super) use run::run;
