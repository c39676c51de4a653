//! `stoop close`.

use clap::Args;

use crate::args::footer;
use crate::args::selector::{SocketSelector, socket_selector};
use crate::args::shared::{QuietFlag, pid};

/// Close one connection between two other processes.
///
/// Both ends are shown, and confirmation is required unless --yes is given. Each of the two
/// processes then sees its connection closed, as if by its peer, and can still read what had
/// arrived. No process is killed, and no listener is affected.
///
/// Only the connection that was shown is closed. Its two sockets are looked up again immediately
/// before, which detects a process id or a file descriptor that was reused meanwhile. If several
/// connections match, they are listed and none is closed (exit code 2). Nor is a connection that
/// was not confirmed (exit code 1). Requires permission to trace one of the two processes.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop close inode:23800427                # an inode as shown by stoop who and ss -x
  stoop close ./app.sock --pid 2040         # the connection of process 2040
  stoop close inode:23800427 --yes          # without confirmation"))]
pub(crate) struct Close {
    /// Connection to close: the inode of either end, the address of its server, or pid:N if that
    /// process has only one
    #[arg(value_name = "inode:N|ADDR|pid:N", value_parser = socket_selector())]
    pub(crate) which: SocketSelector,

    /// Match only connections with an end in this process
    #[arg(long, value_name = "PID", alias = "with", value_parser = pid)]
    pub(crate) pid: Option<u32>,

    /// Do not ask for confirmation
    #[arg(long)]
    pub(crate) yes: bool,

    /// Print the closed connection as a JSON line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}
