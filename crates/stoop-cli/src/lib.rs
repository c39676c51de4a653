//! The command `stoop`: serve, connect to and inspect Unix domain sockets.
//!
//! | what | module |
//! |---|---|
//! | the command line, and flags shared by commands | `args` |
//! | each command: its flags, and what it does | `commands` |
//! | output, as text or as JSON | `output` |
//! | the sockets of the machine as lines, and their selection | `sockets` |
//! | failure reports | `failure` |
//! | servers that speak TLS | `tls` |
//! | a terminal in raw mode | `raw_mode` |
//! | what an errno means by itself | `errno` |
//! | exit codes | `exit` |
//! | the commands that a build may lack | `features` |
//!
//! A command gets its flags and an `Output`, and returns an exit code or a failure. Only `output`
//! and this file write to standard output and standard error. This crate has neither unsafe code
//! nor an API for other programs: that is the library `stoop`.

mod accepted;
mod advice;
mod args;
mod commands;
mod deadline;
mod descriptor_limit;
mod distribution;
mod docker_config;
mod endpoint;
mod errno;
mod exit;
mod failure;
mod features;
#[cfg(any(feature = "http", feature = "grpc"))]
mod foreign_flags;
mod inherited;
mod manager;
mod names;
mod output;
mod pump;

#[cfg(any(feature = "http", feature = "grpc"))]
mod raw_mode;
mod refused;
#[cfg(any(feature = "http", feature = "grpc"))]
mod runtime;
mod services_d;
mod shell;
mod signals;
mod size;
mod sockets;
mod target;
mod time;
#[cfg(any(feature = "http", feature = "grpc"))]
mod tls;

use std::io::{self, Write};
use std::process::ExitCode;

/// Parses the command line, runs the command, and reports the result.
pub fn main() -> ExitCode {
    // Names are read with the arguments.
    let warnings = services_d::load();
    let cli = args::read();
    output::set_color(cli.color);
    // A shell that completes a line has no place for them.
    if !matches!(cli.verb, args::Verb::Complete(_)) {
        warnings.iter().for_each(|warning| drop(writeln!(io::stderr(), "{warning}")));
    }
    let exit = commands::run(cli.verb).unwrap_or_else(|failure| failure.report());
    output::flush();
    exit.into()
}
