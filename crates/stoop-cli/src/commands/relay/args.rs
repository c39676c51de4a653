//! `stoop relay`.

use std::time::Duration;

use clap::Args;
use stoop::internal::Target;

use super::allow::{Who, who};
use super::hooks::HookFlags;
use super::place::{Front, Server, front, server};
use super::wire::WireFlags;
use crate::args::footer;
use crate::args::shared::{BindFlags, QuietFlag, bind_target};
use crate::{size, time};

/// Relay the clients of one address to another.
///
/// Streams, seqpacket sockets and datagrams, and streams to and from TCP, TLS, virtual machines and
/// programs; with --framed also messages. Bytes, messages,
/// half-closes and file descriptors arrive as they were sent, and a receiver that does not read
/// makes its sender wait. What cannot be kept is counted and reported at the end: the server sees
/// the relay as its client, and over TCP there are no file descriptors. On SIGTERM and SIGINT the
/// relay removes its socket file and lets connections end, for at most --grace. On SIGUSR1 it
/// reports its counters.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop relay ./app.sock tcp:127.0.0.1:8080       # a local socket in front of a TCP server
  stoop relay tcp:127.0.0.1:2375 docker           # the other way round; mind who can connect
  stoop relay ./debug.sock /run/app.sock --json   # each connection as an event
  stoop relay dgram:./log.sock /dev/log           # datagrams, and the answers to them
  stoop relay ./sort.sock exec:sort               # a program for each client
  stoop relay ./app.sock tls:host.example:8443 --ca ca.pem --cert a.pem --key a.key
  stoop relay --interpose /run/app.sock --json    # in front of a running server
  stoop relay --restore /run/app.sock             # after such a relay was killed
  stoop relay ./ro.sock docker --http-rules docker:read-only    # lists and inspects, nothing else
  stoop relay ./front.sock ./app.sock --record app.rec         # for stoop replay
  stoop relay ./front.sock ./app.sock --fault delay=50ms±20ms  # a slow network"))]
pub(crate) struct Relay {
    /// Address to listen at, or tcp:HOST:PORT, tls:HOST:PORT, vsock:CID:PORT, `-` for standard
    /// input and output, or fd:N for an inherited socket
    ///
    /// If a service manager passes a socket, that one is used.
    #[arg(value_name = "LISTEN", value_parser = front(), required_unless_present_any = ["interpose", "restore"])]
    pub(crate) listen: Option<Front>,

    /// Server to connect each client to: an address, a name such as docker, tcp:HOST:PORT,
    /// tls:HOST:PORT, vsock:CID:PORT, exec:COMMAND, or `-`
    #[arg(value_name = "CONNECT", value_parser = server(), required_unless_present_any = ["interpose", "restore"])]
    pub(crate) connect: Option<Server>,

    /// Stand in front of the server that runs at this path: take its name over without refusing any
    /// client, and give it back at the end
    ///
    /// The socket file gets the owner, the mode and the access control list of the server's.
    /// Clients that have connected before stay with the server. If the relay is killed, --restore
    /// gives the name back. If the server exits or starts anew, the relay stops. With --replace it
    /// takes the place of a relay that stands there already, which relays its clients to their end.
    #[arg(
        long, value_name = "PATH", value_parser = bind_target(),
        conflicts_with_all = ["listen", "connect", "restore", "mode", "owner", "group", "assume_stale", "mkdir"]
    )]
    pub(crate) interpose: Option<Target>,

    /// Give the server at this path its name back, which a killed relay had taken over
    #[arg(long, value_name = "PATH", value_parser = bind_target(), conflicts_with_all = ["listen", "connect"])]
    pub(crate) restore: Option<Target>,

    #[command(flatten)]
    pub(crate) bind: BindFlags,

    #[command(flatten)]
    pub(crate) wire: WireFlags,

    /// Do not pass file descriptors, and let the kernel move the data, which is faster
    #[arg(long)]
    pub(crate) no_descriptors: bool,

    /// Serve at most this many clients at a time; others wait in the backlog
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_connections: Option<u32>,

    /// Close connections on which nothing came for this long (for datagrams, 5m unless given)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) idle_timeout: Option<Duration>,

    /// Close connections that have been open for this long (for datagrams: a client's socket to the
    /// server)
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) max_time: Option<Duration>,

    /// Serve at most this many clients of each user at a time; others are closed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_per_uid: Option<u32>,

    /// Serve at most this many clients of each container at a time; others are closed
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) max_per_container: Option<u32>,

    /// Move at most this many bytes a second in each direction of a connection, as in 500K, 2M
    ///
    /// Datagrams that a client sends faster wait. If more than 4096 of them or 4 MiB wait, further
    /// ones are lost, and counted.
    #[arg(long, value_name = "BYTES", value_parser = rate)]
    pub(crate) max_rate: Option<u64>,

    /// Allow uid:USER, gid:GROUP, container:GLOB or unit:GLOB, and no one not listed; may be
    /// repeated
    ///
    /// Containers and units are those that the name of a client's control group says. Below
    /// user.slice none match, since users choose the names there. Root can choose any name.
    #[arg(long, value_name = "WHO", value_parser = who())]
    pub(crate) allow: Vec<Who>,

    /// Connect to the server with each client's user and groups, which the server then sees;
    /// requires root
    ///
    /// The permissions of the server's file decide about the client, too. The process that the
    /// server sees is the relay's.
    #[arg(long)]
    pub(crate) as_client: bool,

    /// Begin each connection to the server with a PROXY protocol header (version 2), which says who
    /// the client is
    ///
    /// The client's process and ids are a value of type 0xE0: pid=812 uid=1000 gid=1000.
    #[arg(long)]
    pub(crate) send_proxy: bool,

    /// Answer requests for the counters at this address (HTTP), at /metrics: OpenMetrics, or
    /// Prometheus text for those who accept only that
    #[arg(long, value_name = "ADDR", value_parser = front())]
    pub(crate) metrics: Option<Front>,

    /// How long clients have to finish when the server is stopped
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = time::parse)]
    pub(crate) grace: Duration,

    #[cfg(feature = "http")]
    #[command(flatten)]
    pub(crate) rules: super::rules::RuleFlags,
    #[command(flatten)]
    pub(crate) hooks: HookFlags,

    /// Print events as JSON lines: listening, accepted, refused, closed, displaced, relayed; after
    /// SIGUSR1 statistics
    ///
    /// If standard output is closed, the relay continues without printing events. If it is not
    /// read, up to 16 MiB of events wait, and further ones are lost and counted.
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}

impl Relay {
    /// Returns how the address of the counters is bound: as by default.
    pub(crate) fn metrics_bind(&self) -> BindFlags {
        BindFlags::default()
    }
}

/// Parses a number of bytes a second: 4096, 64K or 64KiB, 16M, 1G.
fn rate(text: &str) -> Result<u64, String> {
    let is_binary = ["KiB", "MiB", "GiB"].iter().any(|unit| text.ends_with(unit));
    let short = if is_binary { &text[..text.len() - 2] } else { text };
    size::parse(short).map_err(|_| "not a number of bytes, as in 4096, 64K, 16M".into())
}
