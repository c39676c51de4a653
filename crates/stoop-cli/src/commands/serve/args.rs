//! `stoop serve`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use stoop::internal::Target;

use crate::args::footer;
use crate::args::shared::{BindFlags, QuietFlag, bind_target};
use crate::time;

/// Serve an address, to many clients at once.
///
/// The kind of socket is stream unless the address or --kind says otherwise. A stale socket file is
/// replaced. A live server keeps its address, unless --replace is given. On SIGTERM and SIGINT the
/// server stops gracefully: it removes its socket file, and connected clients are served to the
/// end, for at most --grace; the exit code is 0. A second signal stops it at once. If a service
/// manager passes sockets, those are served.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop serve ./app.sock
  stoop serve /run/app.sock --mode 660 --group app-users
  stoop serve dgram:@log --discard
  stoop serve ./time.sock --exec 'date +%T'
  stoop serve ./app.sock --replace          # take over from a running server"))]
pub(crate) struct Serve {
    /// Address to serve; not needed if a service manager passes sockets
    #[arg(value_name = "ADDR", value_parser = bind_target())]
    pub(crate) address: Option<Target>,

    #[command(flatten)]
    pub(crate) service: ServiceFlags,

    #[command(flatten)]
    pub(crate) bind: BindFlags,

    /// Serve at most this many clients at a time; others wait in the backlog
    #[arg(long = "max-connections", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// How long clients have to finish when the server is stopped
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time::parse)]
    pub(crate) grace: Duration,

    /// Exit after this many clients, or datagrams
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) count: Option<u64>,

    /// Exit after one client, or one datagram: `--count 1`
    #[arg(long, hide = true, conflicts_with = "count")]
    pub(crate) once: bool,

    /// Print events as JSON lines: listening, accepted, refused, closed
    ///
    /// If standard output is closed, the server continues without printing events. If it is not
    /// read, up to 16 MiB of events wait, and further ones are lost and counted.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}

/// What the server does for each client.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct ServiceFlags {
    /// Echo everything back (the default)
    #[arg(long)]
    pub(crate) echo: bool,

    /// Read and discard everything
    #[arg(long)]
    pub(crate) discard: bool,

    /// Send this file to each client (for datagrams: in answer to each message)
    #[arg(long, value_name = "FILE")]
    pub(crate) send: Option<PathBuf>,

    /// Run this shell command for each client, with the socket as its standard input and output
    /// (for datagrams: for each message, with the message as input and the answer as output)
    ///
    /// STOOP_PEER_PID, STOOP_PEER_UID and STOOP_PEER_GID identify the client, if the kernel reports
    /// it. An exit status other than 0 is reported on standard error, and with --json each is in
    /// the event of the closed connection; it is never that of the server. On a seqpacket socket,
    /// the command must read a whole message at a time, or the rest of it is lost.
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<std::ffi::OsString>,
}
