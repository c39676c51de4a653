//! Prints the script.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::{Cli, Completions};
use crate::exit::Exit;
use crate::failure::Outcome;
use crate::output::print;

/// Prints the script.
pub(crate) fn run(flags: &Completions) -> Outcome {
    print(&script(flags.shell))?;
    Ok(Exit::Done)
}

/// Returns the script. Those of the common shells ask `stoop complete` for values. The others know
/// verbs and flags only.
fn script(shell: Shell) -> Vec<u8> {
    match shell {
        Shell::Bash => include_bytes!("../../../completions/stoop.bash").into(),
        Shell::Zsh => include_bytes!("../../../completions/stoop.zsh").into(),
        Shell::Fish => include_bytes!("../../../completions/stoop.fish").into(),
        shell => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "stoop", &mut script);
            script
        }
    }
}
