//! The streams of exec, attach and port-forward: the runtime returns a URL, and serves SPDY there,
//! as for kubelets.
//!
//! | file | does |
//! |---|---|
//! | `exec.rs` | exec and attach |
//! | `terminal.rs` | standard input, and the size of the terminal |
//! | `status.rs` | how a command ended: pure |
//! | `forward.rs` | port-forward |
//! | `connection.rs` | a connection, and its streams |
//! | `upgrade.rs` | the URL, and the upgrade from HTTP |
//! | `spdy.rs` | frames: pure |

mod connection;
mod exec;
mod forward;
mod spdy;
#[cfg(test)]
mod spdy_tests;
mod status;
mod terminal;
mod upgrade;

pub(super) use exec::{attach, exec};
pub(super) use forward::port_forward;
