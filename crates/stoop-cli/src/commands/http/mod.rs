//! `stoop http`: a request over a Unix socket, and its response as it arrives.
//!
//! | file | does |
//! |---|---|
//! | `args.rs` | its flags |
//! | `run.rs` | sends the request, and receives the response |
//! | `request.rs` | creates a request from the flags |
//! | `body.rs` | the request's body, from a file or standard input as it arrives |
//! | `render.rs` | prints the response in the required form |
//! | `indent.rs` | indents JSON as it arrives |
//! | `streams.rs` | demultiplexes Docker's streams |
//! | `upgrade.rs` | both directions after an upgrade |
//! | `raw_mode.rs` | a terminal in raw mode |
//! | `error.rs` | errors, explained |

pub(crate) mod args;
mod body;
mod error;
mod indent;
mod raw_mode;
mod render;
mod request;
mod run;
mod streams;
mod upgrade;

pub(super) use run::run;
