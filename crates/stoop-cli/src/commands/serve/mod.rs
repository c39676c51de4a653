//! `stoop serve`: serves many clients at once, until told to stop.
//!
//! One thread waits for signals, clients and datagrams. Each client gets a thread of its own, so
//! one that does not read or never ends delays no other. Nothing that a client does stops the
//! server.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | the event loop, and the graceful shutdown |
//! | `listener.rs` | sockets: bound here, or inherited |
//! | `workers.rs` | threads and processes, and their limit |
//! | `shared.rs` | what all threads share, and how one is started |
//! | `service.rs` | what a client gets |
//! | `client.rs` `exec.rs` | serving one |
//! | `datagram.rs` | datagrams and their answers |
//! | `manager.rs` | notifications to the service manager |

pub(crate) mod args;
mod client;
mod datagram;
mod exec;
mod listener;
mod manager;
mod run;
mod service;
mod shared;
mod workers;

pub(super) use run::run;
