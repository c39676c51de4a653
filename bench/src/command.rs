//! How every program here begins and ends: as one of its own processes, with its usage, or with a
//! measurement.

use std::io;
use std::process::ExitCode;

/// A program with options. Where it was started by itself to play a part, `play` does that;
/// otherwise the options are read and what they ask for is measured.
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

/// The end of a program, with the reason where it failed.
pub fn ended(done: Result<(), impl std::fmt::Display>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
