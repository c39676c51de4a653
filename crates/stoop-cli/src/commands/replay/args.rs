//! `stoop replay`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use stoop::internal::Target;

use crate::args::footer;
use crate::args::shared::{BindFlags, ParseError, QuietFlag, bind_target, read_endpoint};
#[cfg(feature = "grpc")]
use crate::commands::grpc::args::SchemaFlags;
use crate::endpoint::Endpoint;
use crate::time;

/// Play a recording of `stoop relay --record` against a server, and compare the answers
///
/// Sends what the recorded clients sent, and compares what comes back with what was recorded: byte
/// by byte, message by message, or for HTTP/1 by status, headers and body, with JSON compared by
/// value, as are messages of gRPC whose method is defined by --proto, --descriptor-set or the
/// built-in definitions. The first difference is shown, and the exit code is then 1. --serve plays
/// the server to a client instead. --show prints the recording, with --json as JSON lines.
///
/// A recording is played in its order: what is sent waits for the answers that were recorded before
/// it. File descriptors are not sent, and masked secrets are sent as they were recorded, as
/// asterisks.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop relay ./front.sock ./app.sock --record app.rec   # first record
  stoop replay app.rec ./app.sock                        # then compare, after a change
  stoop replay app.rec ./app.sock --ignore etag --speed 1
  stoop replay app.rec --serve ./app.sock                # play the server to a client
  stoop replay app.rec --show --json"))]
pub(crate) struct Replay {
    /// Recording, as written by stoop relay --record
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Server to play the clients to: an address, a name such as docker, or tcp:HOST:PORT
    #[arg(value_name = "CONNECT", value_parser = server())]
    pub(crate) address: Option<Server>,

    /// Listen at this address, and play the server to its clients
    #[arg(long, value_name = "LISTEN", value_parser = bind_target(), conflicts_with = "address")]
    pub(crate) serve: Option<Target>,

    /// Print the recording, and connect to nothing
    #[arg(long, conflicts_with_all = ["address", "serve"])]
    pub(crate) show: bool,

    /// Keep the recorded times, or so many times as fast; by default only answers are waited for
    #[arg(long, value_name = "FACTOR", value_parser = speed)]
    pub(crate) speed: Option<f64>,

    /// How what comes is compared; by default as the first bytes of the client suggest
    #[arg(long, value_enum, value_name = "HOW")]
    pub(crate) compare: Option<How>,

    /// Do not compare this header, or this field of JSON or of a gRPC message, at any depth; may be
    /// repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) ignore: Vec<String>,

    #[cfg(feature = "grpc")]
    #[command(flatten)]
    pub(crate) schema: SchemaFlags,

    /// Play only this connection; may be repeated
    #[arg(long, value_name = "N")]
    pub(crate) connection: Vec<u64>,

    /// How long to wait for what was recorded to come
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time::parse)]
    pub(crate) timeout: Duration,

    #[command(flatten)]
    pub(crate) bind: BindFlags,

    /// Print the result, or the records of --show, as JSON lines
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}

/// How what comes is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum How {
    /// Byte by byte, or message by message
    Bytes,
    /// HTTP/1: status, headers but Date, and bodies
    Http,
    /// gRPC, and other calls over HTTP/2: headers but date, messages, trailers
    #[cfg(feature = "grpc")]
    Grpc,
    /// PostgreSQL: messages of the server, but not the key of the session
    Postgresql,
}

/// What the clients are played to.
#[derive(Clone, Debug)]
pub(crate) enum Server {
    Unix(Endpoint),
    Tcp(String),
}

fn server() -> impl TypedValueParser<Value = Server> {
    OsStringValueParser::new().try_map(|text: OsString| {
        match text.to_str().and_then(|text| text.strip_prefix("tcp:")) {
            Some(place) if place.contains(':') => Ok::<_, ParseError>(Server::Tcp(place.to_owned())),
            Some(_) => Err("a host and a port are needed: tcp:127.0.0.1:8080".into()),
            None => read_endpoint(text).map(Server::Unix),
        }
    })
}

fn speed(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor: &f64| factor.is_finite() && *factor > 0.0);
    factor.ok_or_else(|| "not a factor, as in 1 for the recorded times, or 10".into())
}
