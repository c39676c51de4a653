//! `stoop wait`.

use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::args::footer;
use crate::args::shared::endpoint;
use crate::endpoint::Endpoint;
use crate::time;

/// Wait until a server is there: for scripts and for units of a service manager
///
/// By default this waits until a process listens at the address, which is seen in the kernel's
/// table: no connection is made. For a datagram socket, that it has a name is enough.
///
/// --healthy asks the server in its own protocol: HTTP, gRPC (its health service), PostgreSQL,
/// MySQL, Redis, or that of a well-known service such as D-Bus or php-fpm. The protocol follows
/// from --protocol, a name such as docker, a well-known address or file name, the program that
/// listens, or what the server says first. As with each server's own tools, a refused login is an
/// answer, too.
///
/// The exit code is 1 if the condition is not met in time. Nothing is printed if it is.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop wait /run/app.sock
  stoop wait /run/app.sock --timeout 2m && stoop connect /run/app.sock
  stoop wait docker --healthy
  stoop wait /var/run/postgresql/.s.PGSQL.5432 --healthy
  stoop wait ./app.sock --healthy --protocol http --path /ready
  stoop wait @app --accepting --timeout 0   # check once"))]
pub(crate) struct Wait {
    /// Server: an address, or a name such as docker
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) address: Endpoint,

    #[command(flatten)]
    pub(crate) conditions: Conditions,

    /// Protocol of the server, for --healthy
    #[arg(long, value_enum, value_name = "PROTOCOL", requires = "healthy")]
    pub(crate) protocol: Option<Protocol>,

    /// Path to request over HTTP; a status of less than 400 is then required [default: /, or the
    /// health check of a well-known server]
    #[arg(long, value_name = "PATH", requires = "healthy")]
    pub(crate) path: Option<String>,

    /// Give up after this time, as in 2, 500ms, 1m; 0 checks once, for at most a second
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = time::parse)]
    pub(crate) timeout: Duration,

    /// Print a JSON line when the condition is met
    #[arg(long)]
    pub(crate) json: bool,
}

/// What to wait for.
#[derive(Args, Debug)]
#[group(multiple = false)]
pub(crate) struct Conditions {
    /// Wait until the socket exists, even if no process listens
    #[arg(long)]
    pub(crate) exists: bool,

    /// Wait until a process listens (the default)
    #[arg(long)]
    pub(crate) listening: bool,

    /// Wait until the server accepts a connection, which is then closed
    #[arg(long)]
    pub(crate) accepting: bool,

    /// Wait until the server answers a health check in its own protocol
    #[arg(long)]
    pub(crate) healthy: bool,
}

/// A protocol with a health check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Protocol {
    /// A request for --path
    Http,
    /// The service grpc.health.v1.Health; a server without it is healthy if it answers
    #[cfg(feature = "grpc")]
    Grpc,
    /// A login that need not succeed, as with `pg_isready`
    Postgres,
    /// The server's greeting
    Mysql,
    /// The command PING
    Redis,
}
