//! `stoop man`.

use std::path::PathBuf;

use clap::Args;

use crate::args::footer;

/// Print a manual page.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop man | man -l -
  stoop man serve > stoop-serve.1
  stoop man --dir ~/.local/share/man/man1"))]
pub(crate) struct Man {
    /// Command whose page to print; by default the page of stoop itself
    #[arg(value_name = "VERB", conflicts_with = "directory")]
    pub(crate) verb: Option<String>,

    /// Write every page to this directory, which is created if missing
    #[arg(long = "dir", value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}
