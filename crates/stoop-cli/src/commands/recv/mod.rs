//! `stoop recv`: shows messages with their senders, from any number of clients at once.
//!
//! There is one thread, and it only receives from sockets that are readable, so no client delays
//! another, and `--count` is exact.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | binds, polls all sockets, and prints what arrives |
//! | `receive.rs` | receives one message from a datagram socket or a connection |
//! | `render.rs` | describes received file descriptors |

pub(crate) mod args;
mod receive;
mod render;
mod run;

pub(super) use run::run;
