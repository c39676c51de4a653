//! `stoop complete`.

use std::ffi::OsString;

use clap::{Args, ValueEnum};

use crate::args::footer;

/// Print what may follow on a command line, for the scripts of `stoop completions`.
///
/// Each candidate is one line. zsh and fish also get its description, after a tab.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop complete fish -- ls --kind ''       # the candidates for a value of --kind"))]
pub(crate) struct Complete {
    /// Shell that asks
    pub(crate) shell: Asking,

    /// Words after the name of the command, the last of which is completed; for bash, the text of
    /// the line up to the cursor, and the word that bash replaces
    #[arg(value_name = "WORD", allow_hyphen_values = true, trailing_var_arg = true)]
    pub(crate) words: Vec<OsString>,
}

/// A shell whose script asks for candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Asking {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}
