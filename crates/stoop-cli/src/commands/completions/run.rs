//! Prints the script.

use clap::CommandFactory;

use crate::args::{Cli, Completions};
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::output::print;

/// Prints the script.
pub(crate) fn run(flags: &Completions) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(flags.shell, &mut Cli::command(), "stoop", &mut script);
    print(&script)?;
    Ok(Exit::Done)
}
