//! `stoop ls`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::footer;
use super::selection::Selection;
use crate::time;

/// Show every local socket of the machine: both ends, and the processes that have them.
///
/// A line is a listening socket with who serves it, a connection with both its ends, or any other
/// socket. It covers every network namespace that can be found, with the container or systemd unit
/// that a process runs in. QUEUE is, of a listening socket, how many clients wait / how many may;
/// of a connection, the bytes that its server / its client has not read yet. A process is PID/NAME;
/// +N counts the others that have the same socket open, and a user's name in brackets stands for a
/// process that may not be seen. Lines that would read the same are one, with how many times it
/// stands for. Without privilege, what belongs to others is shown as far as it may be seen, what is
/// missing is said on standard error, and the exit code is 6.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop ls                                  # who talks to whom
  stoop ls --listening                      # who serves what, as netstat -lx, with the process
  stoop ls /run/docker.sock                 # everything at this file, under whatever name
  stoop ls pid:812                          # everything of a process
  stoop ls --container '*' --sort queue     # what containers have open, the fullest first
  stoop ls --command 'postgres*' --peer pgbouncer
  stoop ls --state waiting                  # clients that nobody has accepted
  stoop ls --watch                          # what comes and goes
  stoop ls --json | jq 'select(.event == \"listener\")'"))]
pub(crate) struct Ls {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// Only listening sockets, and datagram sockets that have a name
    #[arg(long, conflicts_with = "state")]
    pub(crate) listening: bool,

    /// Only sockets in this state
    #[arg(long, value_name = "STATE", value_enum, value_delimiter = ',')]
    pub(crate) state: Vec<StateWord>,

    /// Show also what is left out otherwise: pairs within one process, and sockets that join nobody
    #[arg(long)]
    pub(crate) all: bool,

    /// Order of the lines
    #[arg(long, value_name = "KEY", value_enum, default_value_t = Sort::Address)]
    pub(crate) sort: Sort,

    /// Columns to show, in this order, instead of those that fit
    #[arg(long, value_name = "COLUMN", value_enum, value_delimiter = ',')]
    pub(crate) columns: Vec<Column>,

    /// Show each by itself, also where several would read the same
    #[arg(long)]
    pub(crate) each: bool,

    /// Cut nothing to fit the terminal
    #[arg(long)]
    pub(crate) wide: bool,

    /// Find owners by a walk through /proc, also where a kernel program could; the answer is the
    /// same
    #[arg(long)]
    pub(crate) no_bpf: bool,

    /// Show what appears (+), goes (-) and changes its state (~), until interrupted; shorter lives
    /// than --interval are not seen
    #[arg(long, conflicts_with_all = ["sort", "each"])]
    pub(crate) watch: bool,

    /// How often --watch looks, as in 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "1s", requires = "watch")]
    pub(crate) interval: Duration,

    /// Print sockets as JSON lines, all that were selected, each by itself
    #[arg(long)]
    pub(crate) json: bool,
}

/// Reads a span of time that is one.
fn interval(text: &str) -> Result<Duration, String> {
    let span = time::parse(text)?;
    if span.is_zero() { Err("it never sleeps then: at least 1ms".into()) } else { Ok(span) }
}

/// What a socket is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum StateWord {
    /// Takes connections
    Listening,
    /// Has a peer
    Connected,
    /// Connected, and nobody has accepted it yet
    Waiting,
    /// Was connected, and its peer has gone
    Gone,
    /// Has a name, and neither listens nor is connected
    Bound,
    /// Has neither name nor peer
    Unconnected,
}

/// What lines are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// By name, each listening socket before its connections
    Address,
    /// By kind
    Kind,
    /// By state
    State,
    /// By what is queued, the most first
    Queue,
    /// By the server's process id
    Pid,
    /// By the server's command name
    Command,
    /// By the user who made the socket
    User,
}

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Column {
    /// The name it is bound to
    Address,
    /// Stream, dgram or seqpacket
    Kind,
    /// What it is doing
    State,
    /// What waits in it
    Queue,
    /// The process that serves
    Server,
    /// The process that uses it
    Client,
    /// The container, unit or session of the server
    ServerIn,
    /// The container, unit or session of the client
    ClientIn,
    /// The user who made the server's socket
    User,
    /// The network namespace of the client's socket, or the only one's
    Netns,
    /// The inode of the server's socket
    ServerInode,
    /// The inode of the client's socket
    ClientInode,
    /// The descriptors of the server's socket in the process that is named
    ServerFd,
    /// The descriptors of the client's socket in the process that is named
    ClientFd,
}
