//! `stoop close`.

use clap::Args;

use super::footer;
use super::which::{Which, which};

/// Cut one connection between two other processes.
///
/// Both ends are shown, and asked about unless --yes is given; each of the two processes then finds
/// its connection ended, as if the other had closed it, and what had arrived can still be read.
/// Nothing is killed, and no listener is touched. What is cut is the very connection that was
/// shown: its two sockets are looked up again right before, and a process id that has come to mean
/// another process, or a descriptor another socket, is found out. Where the name fits several
/// connections they are listed and none is cut (exit code 2); nor is one that nobody confirms (exit
/// code 1). Takes the right to trace one of the two processes.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop close inode:23800427                # the inode is in stoop ls --columns, stoop who and ss -x
  stoop close ./app.sock --with 2040        # the connection that process 2040 has to it
  stoop close inode:23800427 --yes          # in a script"))]
pub(crate) struct Close {
    /// The connection: by the inode of either end, by the address of its server, or pid:N if that
    /// process has but one
    #[arg(value_name = "inode:N|ADDR|pid:N", value_parser = which())]
    pub(crate) which: Which,

    /// Only a connection that this process has an end of
    #[arg(long, value_name = "PID")]
    pub(crate) with: Option<u32>,

    /// Cut it without asking
    #[arg(long)]
    pub(crate) yes: bool,

    /// Print what was cut as a JSON line
    #[arg(long)]
    pub(crate) json: bool,
}
