//! `stoop relay`.

use std::time::Duration;

use clap::Args;

use super::place::{Front, Server, front, server};
use crate::args::footer;
use crate::args::shared::{BindFlags, QuietFlag};
use crate::time;

/// Relay the clients of one address to another.
///
/// Streams, seqpacket sockets and datagrams, and streams to and from TCP. Bytes, messages,
/// half-closes and file descriptors arrive as they were sent, and a receiver that does not read
/// makes its sender wait. What cannot be kept is counted and reported at the end: the server sees
/// the relay as its client, and over TCP there are no file descriptors. On SIGTERM and SIGINT the
/// relay removes its socket file and lets connections end, for at most --grace.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop relay ./app.sock tcp:127.0.0.1:8080       # a local socket in front of a TCP server
  stoop relay tcp:127.0.0.1:2375 docker           # the other way round; mind who can connect
  stoop relay ./debug.sock /run/app.sock --json   # each connection as an event
  stoop relay dgram:./log.sock /dev/log           # datagrams, and the answers to them"))]
pub(crate) struct Relay {
    /// Address to listen at, or tcp:HOST:PORT
    #[arg(value_name = "LISTEN", value_parser = front())]
    pub(crate) listen: Front,

    /// Server to connect each client to: an address, a name such as docker, or tcp:HOST:PORT
    #[arg(value_name = "CONNECT", value_parser = server())]
    pub(crate) connect: Server,

    #[command(flatten)]
    pub(crate) bind: BindFlags,

    /// Do not pass file descriptors, and let the kernel move the data, which is faster
    #[arg(long)]
    pub(crate) no_descriptors: bool,

    /// Serve at most this many clients at a time; others wait in the backlog
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// Close connections on which nothing came for this long (for datagrams, 5m unless given)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) idle_timeout: Option<Duration>,

    /// How long clients have to finish when the server is stopped
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time::parse)]
    pub(crate) grace: Duration,

    /// Print events as JSON lines: listening, accepted, refused, closed, relayed
    ///
    /// If standard output is closed, the relay continues without printing events.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}
