//! The start and end of every program here: as one of its own child processes, with its usage, or
//! with a measurement.

use std::io;
use std::process::ExitCode;

/// Runs a program with options. If it was started by itself as a child, `play` runs its role;
/// otherwise the options are parsed and the measurement is run.
pub fn command<O>(
    usage: &str,
    play: impl FnOnce(&[String]) -> Option<io::Result<()>>,
    parse: impl FnOnce(&[String]) -> Option<O>,
    measure: impl FnOnce(&O) -> io::Result<()>,
) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(played) = play(&args) {
        return ended(played);
    }
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{usage}");
        return ExitCode::SUCCESS;
    }
    match parse(&args) {
        Some(options) => ended(measure(&options)),
        None => {
            eprintln!("{usage}");
            ExitCode::from(2)
        }
    }
}

/// Exits a program, with the reason if it failed.
pub fn ended(done: Result<(), impl std::fmt::Display>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
