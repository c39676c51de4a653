//! `stoop grpc`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use http::uri::Authority;

use crate::args::footer;
use crate::args::shared::{QuietFlag, endpoint, read_endpoint};
use crate::endpoint::Endpoint;
use crate::{size, time};

/// The actions that show definitions.
const SHOWING: [&str; 2] = ["list", "describe"];

/// Call any gRPC method on a Unix socket, or list what a server offers.
///
/// ADDR is an address, or a name: cri (the container runtime of a Kubernetes node, found as crictl
/// finds it), containerd, docker (its BuildKit).
///
/// Services and methods are read from the server (reflection), from --proto or --descriptor-set, or
/// from the built-in definitions: Kubernetes' CRI, containerd's services, gRPC's health. The name
/// of a method may be shortened to its last part if that is unambiguous: `Version` is
/// `runtime.v1.RuntimeService/Version`.
///
/// Messages are JSON, in protobuf's JSON mapping. Those of a stream are sent and printed as they
/// arrive. On a terminal, comments add the time that a number stands for, and the text that bytes
/// are; --raw leaves them out. If the server speaks containerd's ttrpc, that is used. A status
/// other than OK gives its code plus 64 as the exit code.
///
/// `list` and `describe` of --proto and --descriptor-set need no server, and no ADDR.
///
/// The flags of grpcurl are understood, with one dash or two.
#[derive(Args, Debug)]
#[command(
    override_usage = "stoop grpc [OPTIONS] <ADDR> [list [SERVICE] | describe [SYMBOL] | METHOD [JSON|@FILE|-]]"
)]
#[command(after_help = footer("
  stoop grpc cri Version
  stoop grpc cri ListContainers '{\"filter\": {\"state\": {\"state\": \"CONTAINER_RUNNING\"}}}'
  stoop grpc cri GetContainerEvents --json-lines
  stoop grpc ./app.sock list
  stoop grpc ./app.sock describe Greeter/Hello
  stoop grpc ./app.sock describe greet.proto                    # the whole file, as source
  stoop grpc ./app.sock greet.Greeter/Hello @request.json --timeout 2s
  stoop grpc ./app.sock --proto greet.proto Greeter/Chat -      # JSON messages from standard input
  stoop grpc --proto greet.proto describe Greeter               # without a server
  stoop grpc containerd -H 'containerd-namespace: k8s.io' Images/List"))]
pub(crate) struct Grpc {
    /// Server: an address, or cri, containerd or docker
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) endpoint: Endpoint,

    /// Action: list the services, describe definitions, or call a method [default: list]
    #[arg(value_name = "list|describe|METHOD")]
    pub(crate) action: Option<String>,

    /// Request message: JSON, @FILE, or - for standard input; for list a service, for describe a
    /// symbol
    ///
    /// By default the message is empty. If the client sends a stream, it is read from standard
    /// input.
    #[arg(value_name = "JSON|@FILE|-|NAME", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,

    #[command(flatten)]
    pub(crate) schema: SchemaFlags,

    /// Write the definitions to this file, as a descriptor set for --descriptor-set
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptor_set_out: Option<PathBuf>,

    /// Use only the built-in definitions, without asking the server
    #[arg(long, conflicts_with_all = ["proto", "descriptor_set"])]
    pub(crate) builtin: bool,

    /// Send this header (metadata) with every call; the value of a name that ends in -bin is
    /// base64; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE", alias = "metadata")]
    pub(crate) header: Vec<String>,

    /// Send this header only with the call itself, not with reflection; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) rpc_header: Vec<String>,

    /// Send this header only with reflection; may be repeated
    #[arg(long, value_name = "NAME: VALUE")]
    pub(crate) reflect_header: Vec<String>,

    /// Replace ${NAME} in headers by the value of this environment variable
    #[arg(long)]
    pub(crate) expand_headers: bool,

    /// Compress requests; responses may always be compressed
    #[arg(long, value_name = "gzip|deflate|zstd")]
    pub(crate) compress: Option<Compression>,

    /// Also print the server's headers and trailers (metadata), to standard error
    #[arg(long, short, alias = "show-metadata")]
    pub(crate) include: bool,

    /// Also print headers, trailers and the status, to standard error; given twice, with times
    #[arg(long, short, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Also print fields that have their default value
    #[arg(long)]
    pub(crate) emit_defaults: bool,

    /// Print data unchanged, without what is done for a human reader
    ///
    /// Then a terminal, too, gets exactly protobuf's JSON: without comments and zero enums.
    #[arg(long)]
    pub(crate) raw: bool,

    /// Ignore fields of a request that its message does not have
    #[arg(long)]
    pub(crate) allow_unknown_fields: bool,

    /// Format of messages: JSON, or protobuf's text, whose messages are separated by U+001E
    #[arg(
        long,
        value_name = "json|text",
        default_value = "json",
        hide_default_value = true,
        conflicts_with = "json"
    )]
    pub(crate) format: Format,

    /// With describe: also print a message with all its fields, to be filled in
    #[arg(long)]
    pub(crate) template: bool,

    /// Print each message on one line
    #[arg(long)]
    pub(crate) json_lines: bool,

    /// Print methods, definitions, replies and the status as JSON lines
    #[arg(long, conflicts_with_all = ["json_lines", "include"])]
    pub(crate) json: bool,

    /// Accept messages up to this size, as in 64M [default: 4M]
    #[arg(long, value_name = "SIZE", value_parser = size::parse)]
    pub(crate) max_message: Option<u64>,

    /// Send this :authority instead of localhost
    #[arg(long, value_name = "NAME", conflicts_with = "ttrpc")]
    pub(crate) authority: Option<Authority>,

    /// Upgrade an HTTP/1 connection to gRPC (h2c) with a POST to this path, as in /grpc; always
    /// done for docker, whose BuildKit is there
    #[arg(long, value_name = "PATH", value_parser = path, conflicts_with = "ttrpc")]
    pub(crate) h2c: Option<String>,

    /// Use ttrpc without detecting whether the server speaks it
    #[arg(long)]
    pub(crate) ttrpc: bool,

    /// Wait up to this time for the server to start, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) wait: Option<Duration>,

    /// Fail if the server has not accepted the connection after this time [default: --timeout]
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) connect_timeout: Option<Duration>,

    /// Cancel the call after this time, as in 2, 500ms, 1m; the server is notified
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// The request message, in the place that grpcurl has for it.
    #[arg(
        long = "data",
        short = 'd',
        value_name = "JSON",
        hide = true,
        conflicts_with = "data",
        allow_hyphen_values = true
    )]
    pub(crate) request: Option<String>,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}

/// The compression of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Compression {
    Gzip,
    Deflate,
    Zstd,
}

/// The format of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Json,
    Text,
}

/// What the help calls an address: it stands for one where none is needed.
const NO_ADDRESS: &str = "ADDR";

impl Grpc {
    /// Takes the first word for the action if files have the definitions and it is `list` or
    /// `describe`: no server has to be named then, as in grpcurl. A socket of such a name that
    /// exists is still meant.
    pub(crate) fn without_address(&mut self) {
        let has_files = !self.schema.proto.is_empty() || !self.schema.descriptor_set.is_empty();
        let first = self.endpoint.to_string();
        let is_shifted = has_files
            && SHOWING.contains(&&*first)
            && self.data.is_none()
            && self.action.as_deref().is_none_or(|action| !SHOWING.contains(&action))
            && !Path::new(&first).exists();
        if let (true, Ok(none)) = (is_shifted, read_endpoint(NO_ADDRESS.into())) {
            self.data = self.action.replace(first);
            self.endpoint = none;
        }
    }

    /// Returns whether the action is a call.
    pub(super) fn is_call(&self) -> bool {
        self.action.as_deref().is_some_and(|action| !SHOWING.contains(&action))
    }

    /// Returns what was given for the request message, wherever it was given. A lone `@` is
    /// standard input.
    pub(crate) fn message(&self) -> Option<&str> {
        let given = self.request.as_deref().or(self.data.as_deref())?;
        Some(if given == "@" { "-" } else { given })
    }
}

/// Parses the path of a request, with its query.
fn path(text: &str) -> Result<String, String> {
    if text.split('?').next() == Some("/session") {
        return Err(
            "there the daemon makes the calls, to a client that has the files of a build: use docker \
                    build; methods are at /grpc"
                .into(),
        );
    }
    let is_path = text.starts_with('/') && text.parse::<http::uri::PathAndQuery>().is_ok();
    is_path.then(|| text.to_owned()).ok_or_else(|| "not a path, as in /grpc".into())
}

/// Files with definitions of services and messages.
#[derive(Args, Debug)]
pub(crate) struct SchemaFlags {
    /// Read definitions from this .proto file; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) proto: Vec<PathBuf>,

    /// Search this directory for --proto files and their imports, instead of the directory of each
    /// file; may be repeated
    #[arg(long, short = 'I', value_name = "DIR", requires = "proto")]
    pub(crate) import_path: Vec<PathBuf>,

    /// Read definitions from this descriptor set, as written by protoc; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptor_set: Vec<PathBuf>,
}
