//! `stoop top`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::footer;
use crate::args::selection::Selection;
use crate::args::shared::QuietFlag;
use crate::commands::relay::place::{Front, front};
use crate::time;

/// Show what sockets do, as it happens: bytes, calls, waiting messages and clients.
///
/// Each line is an address with all of its connections, or what --by selects. IN is what its
/// servers (or the process, the container, the unit) received, and OUT what they sent, each second.
/// CALLS are calls that sent or received something. P50 and P99 say how long messages waited until
/// they were received: half of them, and 99 of 100, no longer than that. AGE is how long the oldest
/// unread message has been waiting at least. BACKLOG is the number of clients that wait to be
/// accepted / the limit.
///
/// The kernel counts calls and bytes with a small BPF program: CAP_BPF and CAP_PERFMON are
/// required, or root, and Linux 6.3 (on x86-64 also older ones that permit programs at functions).
/// Without, queues, backlogs and connections are shown, and the rates are not known (-). What is
/// received with splice(2) is not counted.
///
/// On a terminal it is interactive: ? shows the keys. Otherwise, and with --batch, it prints a
/// table each time.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop top                                 # which sockets are busy, and which wait
  stoop top --by process                    # who sends and receives how much
  stoop top docker --by socket              # the connections of one server
  stoop top --sort wait --once              # where messages wait longest, once
  stoop top --batch --interval 10s > log    # a table every ten seconds
  stoop top --json --once | jq 'select(.unread_bytes > 65536)'
  stoop top --metrics ./metrics.sock        # for Prometheus"))]
pub(crate) struct Top {
    #[command(flatten)]
    pub(crate) selection: Selection,

    /// What a line is about
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = By::Address)]
    pub(crate) by: By,

    /// Sort lines by this key
    #[arg(long, value_name = "KEY", value_enum, default_value_t = Sort::Traffic)]
    pub(crate) sort: Sort,

    /// Time between two snapshots, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = interval, default_value = "2s")]
    pub(crate) interval: Duration,

    /// Also show what is hidden by default: socket pairs within one process, and unconnected
    /// sockets
    #[arg(long)]
    pub(crate) all: bool,

    /// Print a table each time, even on a terminal
    #[arg(long, conflicts_with_all = ["plain", "json"])]
    pub(crate) batch: bool,

    /// Print sentences without a table, for screen readers
    #[arg(long, conflicts_with = "json")]
    pub(crate) plain: bool,

    /// Measure once, for the time of --interval, and exit
    #[arg(long, conflicts_with = "count")]
    pub(crate) once: bool,

    /// Stop after this many snapshots
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Answer requests for the counters at this address (HTTP), at /metrics: OpenMetrics, or
    /// Prometheus text for those who accept only that
    #[arg(long, value_name = "ADDR", value_parser = front())]
    pub(crate) metrics: Option<Front>,

    /// Write the counters to this file each time, atomically, in the text format of Prometheus
    #[arg(long, value_name = "FILE")]
    pub(crate) textfile: Option<PathBuf>,

    /// Print JSON lines: one for each line of the table, and one at the end of each time
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}

/// Parses a duration that is long enough to measure something.
fn interval(text: &str) -> Result<Duration, String> {
    let span = time::parse(text)?;
    if span < Duration::from_millis(100) { Err("must be at least 100ms".into()) } else { Ok(span) }
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// An address, with all of its connections
    Address,
    /// A connection, or a socket without one
    Socket,
    /// A process, with all of its sockets
    Process,
    /// A container
    Container,
    /// A systemd unit
    Unit,
}

/// The key by which lines are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sort {
    /// By bytes in and out, most first
    Traffic,
    /// By calls, most first
    Calls,
    /// By how long messages wait, longest first
    Wait,
    /// By unread bytes, most first
    Unread,
    /// By waiting clients, most first
    Backlog,
    /// By new connections, most first
    Connects,
    /// By connections, most first
    Clients,
    /// By failed calls, most first
    Errors,
    /// By name
    Name,
}

impl By {
    pub(super) const ALL: [By; 5] = [By::Address, By::Socket, By::Process, By::Container, By::Unit];

    /// Returns its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            By::Address => "address",
            By::Socket => "socket",
            By::Process => "process",
            By::Container => "container",
            By::Unit => "unit",
        }
    }
}

impl Sort {
    pub(super) const ALL: [Sort; 9] = [
        Sort::Traffic,
        Sort::Calls,
        Sort::Wait,
        Sort::Unread,
        Sort::Backlog,
        Sort::Connects,
        Sort::Clients,
        Sort::Errors,
        Sort::Name,
    ];

    /// Returns its word.
    pub(super) fn word(self) -> &'static str {
        match self {
            Sort::Traffic => "traffic",
            Sort::Calls => "calls",
            Sort::Wait => "wait",
            Sort::Unread => "unread",
            Sort::Backlog => "backlog",
            Sort::Connects => "connects",
            Sort::Clients => "clients",
            Sort::Errors => "errors",
            Sort::Name => "name",
        }
    }
}
