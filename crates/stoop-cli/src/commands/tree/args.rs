//! `stoop tree`.

use std::path::PathBuf;

use clap::Args;

use crate::args::footer;
use crate::args::selection::Selection;
use crate::args::shared::QuietFlag;

/// Show the processes of the machine, connected by their Unix sockets.
///
/// Processes are grouped by the container, systemd unit or session they run in. Below each process
/// are the sockets it serves, with their clients, and the processes it shares a pair of sockets
/// with. Each connection is shown once, at its server. Workers that accept from one socket are
/// merged into one entry, and so are a user's clients with the same command and servers, in one
/// container or unit or of one parent. Sockets within one process, and sockets without clients, are
/// hidden unless --all is given. The SVG is a self-contained picture
/// for any browser: arrows lead from clients to the sockets they use.
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

    /// Do not merge identical entries
    #[arg(long)]
    pub(crate) each: bool,

    /// Also show what is hidden by default: socket pairs within one process, and unconnected
    /// sockets
    #[arg(long)]
    pub(crate) all: bool,

    /// Print an SVG picture
    #[arg(long, conflicts_with_all = ["dot", "json"])]
    pub(crate) svg: bool,

    /// Print a graph in Graphviz's DOT language
    #[arg(long, conflicts_with = "json")]
    pub(crate) dot: bool,

    /// Print processes and their connections as JSON lines
    #[arg(long)]
    pub(crate) json: bool,

    /// Write to this file atomically, instead of to standard output; a name ending in .svg or .dot
    /// selects the format
    #[arg(long, short = 'o', value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}
