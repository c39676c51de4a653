//! `stoop relay`: relays the clients of one address to another. The work is done by `stoop-relay`.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `rules.rs` | the flags of a guard, and reading the rules |
//! | `guard.rs` | a relay with rules: starts the guard |
//! | `named.rs` | clients of a guard that come with TLS |
//! | `decisions.rs` | reports the decisions of a guard |
//! | `place.rs` | what can be at either side: a Unix socket, or `tcp:HOST:PORT` |
//! | `run.rs` | starts the relay, waits, and stops it |
//! | `report.rs` | reports what happens |
//! | `identity.rs` | whom the server sees |
//! | `interpose.rs` | stands in front of a live server, and gives its name back |
//! | `hooks.rs` | recording and faults |
//! | `tcp.rs` | listens at a TCP port |
//! | `allow.rs` | which clients are relayed |
//! | `metrics.rs` | answers requests for the counters |
//! | `wire.rs` | TLS, virtual machines, programs, standard input and output at either side |

mod allow;
pub(crate) mod args;
#[cfg(feature = "http")]
mod decisions;
#[cfg(feature = "http")]
mod guard;
mod hooks;
mod identity;
mod interpose;
pub(crate) mod metrics;
#[cfg(feature = "http")]
mod named;
pub(crate) mod place;
mod report;
#[cfg(feature = "http")]
pub(crate) mod rules;
mod run;
mod tcp;
mod wire;

use crate::failure::Outcome;

/// Runs a relay, or a guard if there are rules.
pub(super) fn run(flags: &args::Relay) -> Outcome {
    #[cfg(feature = "http")]
    if flags.rules.are_given() {
        return guard::run(flags);
    }
    run::run(flags)
}
