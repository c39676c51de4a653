//! The command `stoop`: serve, talk to and look at local sockets.
//!
//! | what | where |
//! |---|---|
//! | the command line: every flag, defined once | `args` |
//! | what each verb does | `verbs` |
//! | what verbs say, as text or as JSON | `output` |
//! | the sockets of the machine, as lines, and which of them | `sockets` |
//! | what is said when they fail | `failure` |
//! | how they end | `exit` |
//!
//! A verb gets its flags and an `Output`, and returns an exit code or a failure; only `output` and
//! this file write to standard output and standard error. There is no unsafe code here, and nothing
//! that another program should build on: that is the library `stoop`.

mod args;
mod cause;
mod docker_config;
mod endpoint;
mod exit;
mod failure;
mod names;
mod output;
mod passed;
mod pump;
mod shell;
mod signals;
mod sockets;
mod target;
mod time;
mod verbs;

use std::process::ExitCode;

use args::Cli;

/// Reads the command line, does what it says, and reports how it went.
pub fn main() -> ExitCode {
    let cli = Cli::read();
    let exit = verbs::run(cli.verb).unwrap_or_else(|failure| failure.report());
    exit.into()
}
