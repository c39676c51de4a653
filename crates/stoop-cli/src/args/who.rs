//! `stoop who`.

use clap::Args;

use super::footer;
use super::which::{Which, which};

/// Show one socket in full: who serves it, who uses it, who waits, and what is wrong.
///
/// Of a path, it is the socket that the very file there belongs to; a server whose file was removed
/// is found by the name it was given. Tells every process that has it open, each client and each
/// that nobody has accepted yet, queues with their limits, the file with its mode and owner,
/// options, how long its processes have run, and warnings: a backlog nearly full, a server that is
/// stopped or accepts nobody, a datagram queue that nobody reads, a file that was removed or
/// replaced under it, a socket of root's that everybody may write to. What needs more privilege
/// than there is (options, the file's present place) is said to be unknown. Exit code 1 means that
/// nobody is there.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop who /run/docker.sock                # by the file
  stoop who docker                          # where its own clients look; ./docker is a file
  stoop who @app                            # by an abstract name
  stoop who pid:812                         # every socket of a process
  stoop who inode:23800427                  # socket:[23800427] of /proc/PID/fd
  stoop who ./app.sock --peek               # and what its clients sent that it has not read"))]
pub(crate) struct Who {
    /// The socket: an address, pid:N for all of a process, or inode:N
    #[arg(value_name = "ADDR|pid:N|inode:N", value_parser = which())]
    pub(crate) which: Which,

    /// Show the first unread bytes of its connections, without taking them; they may hold secrets
    #[arg(long)]
    pub(crate) peek: bool,

    /// Show every client, however many there are
    #[arg(long)]
    pub(crate) all_clients: bool,

    /// Print it as JSON lines, one for each socket
    #[arg(long)]
    pub(crate) json: bool,
}
