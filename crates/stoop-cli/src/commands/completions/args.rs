//! `stoop completions`.

use clap::Args;
use clap_complete::Shell;

use crate::args::footer;

/// Print a completion script for a shell.
///
/// In bash, zsh and fish, stoop itself is asked each time what may follow: flags, and values such
/// as sockets, names of servers, users, groups, processes and kinds. In other shells, verbs and
/// flags are completed.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop completions bash > /etc/bash_completion.d/stoop
  stoop completions zsh > ~/.zfunc/_stoop
  stoop completions fish > ~/.config/fish/completions/stoop.fish"))]
pub(crate) struct Completions {
    /// Shell to generate the script for
    pub(crate) shell: Shell,
}
