//! `stoop demo`.

use clap::Args;

use crate::args::footer;

/// Demonstrate everything in one run, on sockets in a temporary directory.
///
/// Streams, datagrams and seqpackets, peer credentials, a passed file descriptor, and failures with
/// their explanations.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop demo"))]
pub(crate) struct Demo {
    /// Print each check, and a summary, as JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}
