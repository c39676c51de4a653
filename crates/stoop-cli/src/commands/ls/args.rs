//! `stoop ls`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::footer;
use crate::args::selection::Selection;
use crate::args::shared::QuietFlag;
use crate::time;

/// List every Unix socket of the machine: both ends, and the processes that own them.
///
/// Each line is a listening socket with the process that serves it, a connection with both ends, or
/// any other socket. Every network namespace that can be found is covered, and the container or
/// systemd unit of each process is shown.
///
/// For a listening socket, QUEUE is the number of waiting clients / the limit. For a connection, it
/// is the number of bytes that the server / the client has not read yet. A process is shown as
/// PID/NAME. +N counts the other processes that have the same socket open, and a user name in
/// brackets stands for a process that is hidden. Identical lines are merged into one with their
/// number.
///
/// Without privileges, sockets of other users are shown as far as permitted, what is missing is
/// reported on standard error, and the exit code is 6.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop ls                                  # who is connected to whom
  stoop ls --listening                      # listening sockets, as netstat -lx, with their processes
  stoop ls /run/docker.sock                 # sockets of this file, under any name
  stoop ls pid:812                          # sockets of a process
  stoop ls --container '*' --sort queue     # sockets of containers, longest queue first
  stoop ls --command 'postgres*' --peer pgbouncer
  stoop ls --state waiting                  # clients that have not been accepted
  stoop ls --watch                          # changes, as they happen
  stoop ls --json | jq 'select(.event == \"listener\")'"))]
pub(crate) struct Ls {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Show only listening sockets, and datagram sockets that have a name
    #[arg(long, conflicts_with = "state")]
    pub(crate) listening: bool,

    /// Show only sockets in this state
    #[arg(long, value_name = "STATE", value_enum, value_delimiter = ',')]
    pub(crate) state: Vec<StateWord>,

    /// Also show what is hidden by default: socket pairs within one process, and unconnected
    /// sockets
    #[arg(long)]
    pub(crate) all: bool,

    /// Sort lines by this key
    #[arg(long, value_name = "KEY", value_enum, default_value_t = Sort::Address)]
    pub(crate) sort: Sort,

    /// Columns to show, in this order, instead of those that fit
    #[arg(long, value_name = "COLUMN", value_enum, value_delimiter = ',')]
    pub(crate) columns: Vec<Column>,

    /// Do not merge identical entries
    #[arg(long)]
    pub(crate) each: bool,

    /// Do not truncate to the width of the terminal, and show command lines
    #[arg(long)]
    pub(crate) wide: bool,

    /// Find owners by walking /proc, even if a BPF program could be used; the result is the same
    #[arg(long)]
    pub(crate) no_bpf: bool,

    /// Show sockets that appear (+), disappear (-) or change their state (~) until interrupted,
    /// which exits with 0; those that exist for less than --interval may be missed
    #[arg(long, conflicts_with_all = ["sort", "each"])]
    pub(crate) watch: bool,

    /// Time between two snapshots, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s", requires = "watch")]
    pub(crate) interval: Duration,

    /// Print all selected sockets as JSON lines, without merging
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}

/// Parses a positive duration.
fn interval(text: &str) -> Result<Duration, String> {
    let span = time::parse(text)?;
    if span.is_zero() { Err("must be at least 1ms".into()) } else { Ok(span) }
}

/// The state of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateWord {
    /// Accepts connections
    Listening,
    /// Has a peer
    Connected,
    /// Connected, but not accepted yet
    Waiting,
    /// Was connected, and its peer has closed
    Gone,
    /// Has a name, and neither listens nor is connected
    Bound,
    /// Has neither a name nor a peer
    Unconnected,
}

/// The key by which lines are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// By name, each listening socket before its connections
    Address,
    /// By kind
    Kind,
    /// By state
    State,
    /// By queue length, longest first
    Queue,
    /// By the server's process id
    Pid,
    /// By the server's command name
    Command,
    /// By the user who created the socket
    User,
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// The address it is bound to
    Address,
    /// The path of its file now if its address does not lead there; shown if any is, or with --wide
    Path,
    /// The well-known service that has the address
    Service,
    /// Stream, dgram or seqpacket
    Kind,
    /// Its state
    State,
    /// Its queue
    Queue,
    /// The process that serves it
    Server,
    /// The process that uses it
    Client,
    /// The container, unit or session of the server
    ServerIn,
    /// The container, unit or session of the client
    ClientIn,
    /// The unread messages at the server / at the client, of datagrams and seqpackets
    Messages,
    /// The memory of sent data that was not read yet, of the server's / the client's socket, as in
    /// skmem of ss -m
    Memory,
    /// How long ago a connection was opened at most: when the process that opened it started; also
    /// a field of --json if this column is given
    MaxAge,
    /// The command line of the server; shown with --wide
    ServerTitle,
    /// The command line of the client; shown with --wide
    ClientTitle,
    /// The user who created the server's socket
    User,
    /// The network namespace of the client's socket, or of the only socket
    Netns,
    /// The inode of the server's socket
    ServerInode,
    /// The inode of the client's socket
    ClientInode,
    /// The file descriptors of the server's socket in the process shown
    ServerFd,
    /// The file descriptors of the client's socket in the process shown
    ClientFd,
}
