//! `stoop completions`.

use clap::Args;
use clap_complete::Shell;

use crate::args::footer;

/// Print a completion script for a shell.
///
/// In bash, zsh and fish, stoop itself is asked each time what may follow: flags, and values such
/// as sockets, names of servers, users, groups, processes and kinds. The methods of a gRPC server
/// and the names in the paths of Docker's API are asked of the server that was typed, for up to
/// 250 ms (STOOP_COMPLETE_TIMEOUT). In other shells, verbs and flags are completed.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop completions bash > /etc/bash_completion.d/stoop
  stoop completions zsh > ~/.zfunc/_stoop
  stoop completions fish > ~/.config/fish/completions/stoop.fish"))]
pub(crate) struct Completions {
    /// Shell to generate the script for
    pub(crate) shell: Shell,
}
