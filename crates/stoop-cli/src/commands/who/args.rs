//! `stoop who`.

use clap::Args;

use crate::args::footer;
use crate::args::selector::{SocketSelector, socket_selector};
use crate::args::shared::QuietFlag;

/// Show one socket in full: its server, its clients, those waiting, and warnings.
///
/// A path selects the socket bound to the file that is there now. A server whose file was removed
/// is found by the name it was bound to.
///
/// This shows every process that has the socket open, each client, accepted or waiting, queues with
/// their limits, the file with its mode and owner, socket options, and how long its processes have
/// run. It warns of a backlog that is nearly full, a server that is stopped or accepts no clients,
/// a datagram queue that is not read, a file that was removed or replaced while the socket was
/// bound, and a socket of root that every user may write to. What requires more privileges
/// (options, the file's current path) is shown as unknown. Exit code 1 means that no such socket
/// exists.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop who /run/docker.sock                # by its file
  stoop who docker                          # where docker connects; ./docker is a file
  stoop who @app                            # by an abstract name
  stoop who pid:812                         # all sockets of a process
  stoop who inode:23800427                  # socket:[23800427] in /proc/PID/fd
  stoop who ./app.sock --peek               # with unread data of its clients"))]
pub(crate) struct Who {
    /// Socket to show: an address, pid:N for all of a process, or inode:N
    #[arg(value_name = "ADDR|pid:N|inode:N", value_parser = socket_selector())]
    pub(crate) which: SocketSelector,

    /// Show the first unread bytes of its connections, without consuming them; they may contain
    /// secrets
    #[arg(long)]
    pub(crate) peek: bool,

    /// Show every socket and every client, regardless of their number
    #[arg(long)]
    pub(crate) all: bool,

    /// Show every client, regardless of their number
    #[arg(long)]
    pub(crate) all_clients: bool,

    /// Print one JSON line for each socket
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}
