//! `stoop tree`.

use std::path::PathBuf;

use clap::Args;

use super::footer;
use super::selection::Selection;

/// Show the processes of the machine joined by their local sockets.
///
/// Processes are grouped by the container, systemd unit or session that they run in; those with the
/// same command in the same group are one, with how many; a process in no group that serves
/// something stays by itself, with its workers. Below each stands what it serves with who uses
/// that, and what it uses. Sockets within one process, and sockets that nobody uses, are left out
/// unless --all is given. As SVG it is a picture that needs nothing but a browser: arrows lead from
/// clients to the sockets they use.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop tree                                # for a terminal
  stoop tree -o sockets.svg                 # a picture, light or dark as the viewer is
  stoop tree --container '*'                # what containers use, and who uses them
  stoop tree /run/dbus/system_bus_socket    # around one socket
  stoop tree --dot | dot -Tpdf -o sockets.pdf"))]
pub(crate) struct Tree {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Show each by itself, also where several would read the same
    #[arg(long)]
    pub(crate) each: bool,

    /// Show also what is left out otherwise: pairs within one process, and sockets that join nobody
    #[arg(long)]
    pub(crate) all: bool,

    /// Draw it as SVG
    #[arg(long, conflicts_with_all = ["dot", "json"])]
    pub(crate) svg: bool,

    /// Print it in the language of Graphviz
    #[arg(long, conflicts_with = "json")]
    pub(crate) dot: bool,

    /// Print processes and what joins them as JSON lines
    #[arg(long)]
    pub(crate) json: bool,

    /// Write into this file, whole or not at all, instead of to standard output; if its name ends
    /// in .svg or .dot, in that form
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}
