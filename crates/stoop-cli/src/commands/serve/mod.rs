//! `stoop serve`: serves many clients at once, until told to stop.
//!
//! One thread waits for signals, clients and datagrams. A few threads serve the clients, each of
//! them many, without ever waiting for one; a client of a program gets a thread and a process of
//! its own. So one that does not read or never ends delays no other. Nothing that a client does
//! stops the server.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | the event loop, and the graceful shutdown |
//! | `listener.rs` | sockets: bound here, or inherited |
//! | `workers.rs` | the number of clients, their limit, and the processes |
//! | `shared.rs` | what all threads share, and how one is started |
//! | `service.rs` | what a client gets |
//! | `client.rs` | how a client begins |
//! | `clients.rs` `conversation.rs` | many clients in one thread, and one of them |
//! | `exec.rs` | a program for a client |
//! | `datagram.rs` | datagrams and their answers |

pub(crate) mod args;
mod client;
mod clients;
mod conversation;
mod datagram;
mod exec;
mod listener;
mod run;
mod service;
mod shared;
mod workers;

pub(super) use run::run;
