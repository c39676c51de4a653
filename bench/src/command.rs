//! The start and the exit of every benchmark program. A program runs a role as a child of itself,
//! prints its usage, or measures.

use std::io;
use std::process::ExitCode;

/// Runs a program with options. If it was started by itself as a child, `run_role` runs its role;
/// otherwise the options are parsed and the measurement is run.
pub fn command<O>(
    usage: &str,
    run_role: impl FnOnce(&[String]) -> Option<io::Result<()>>,
    parse: impl FnOnce(&[String]) -> Option<O>,
    measure: impl FnOnce(&O) -> io::Result<()>,
) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let Some(result) = run_role(&args) {
        return exit_code(result);
    }
    if args.iter().any(|arg| arg == "--help" || arg == "-h") {
        println!("{usage}");
        return ExitCode::SUCCESS;
    }
    match parse(&args) {
        Some(options) => exit_code(measure(&options)),
        None => {
            eprintln!("{usage}");
            ExitCode::from(2)
        }
    }
}

/// Returns the exit code of a program, and prints the reason if it failed.
pub fn exit_code(done: Result<(), impl std::fmt::Display>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
