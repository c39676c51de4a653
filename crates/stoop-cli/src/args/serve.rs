//! `stoop serve`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use stoop::Target;

use super::footer;
use super::shared::{Serving, target};
use crate::time;

/// Serve an address, many clients at once.
///
/// The kind of socket is stream unless the address or --kind says otherwise. A stale socket file is
/// replaced; a live server keeps its address, unless --replace is given. SIGTERM and SIGINT end the
/// server gracefully: its file goes, clients already there are served to their end within --grace;
/// a second signal ends it at once. Where a service manager passes sockets, those are served.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop serve ./app.sock
  stoop serve /run/app.sock --mode 660 --group app-users
  stoop serve dgram:@log --discard
  stoop serve ./time.sock --exec 'date +%T'
  stoop serve ./app.sock --replace          # take over from the one that runs"))]
pub(crate) struct Serve {
    /// Where; not needed where a service manager passes sockets
    #[arg(value_name = "ADDR", value_parser = target())]
    pub(crate) address: Option<Target>,

    #[command(flatten)]
    pub(crate) answer: Answer,

    #[command(flatten)]
    pub(crate) serving: Serving,

    /// Serve at most this many clients at a time; the others wait to be accepted
    #[arg(long = "max-connections", value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// How long clients have to finish when the server is told to end
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time::parse)]
    pub(crate) grace: Duration,

    /// End after one client, or one datagram
    #[arg(long)]
    pub(crate) once: bool,

    /// Print events as JSON lines: listening, accepted, refused, closed
    ///
    /// If they cannot be written any more, the server goes on without.
    #[arg(long)]
    pub(crate) json: bool,

    /// Say nothing on standard error unless the server itself fails
    #[arg(long, short)]
    pub(crate) quiet: bool,
}

/// What clients get.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct Answer {
    /// Send everything back (the default)
    #[arg(long)]
    pub(crate) echo: bool,

    /// Read everything and throw it away
    #[arg(long)]
    pub(crate) discard: bool,

    /// Send this file to each client (for datagrams: as the answer to each message)
    #[arg(long, value_name = "FILE")]
    pub(crate) send: Option<PathBuf>,

    /// Run this shell command for each client, with the socket as its input and output (for
    /// datagrams: for each message, which is its input; what it prints is the answer)
    ///
    /// STOOP_PEER_PID, STOOP_PEER_UID and STOOP_PEER_GID say who the client is, where the kernel
    /// knows. On a seqpacket socket the program has to read whole messages at a time, or it
    /// loses the rest of each.
    #[arg(long, value_name = "CMD")]
    pub(crate) exec: Option<std::ffi::OsString>,
}
