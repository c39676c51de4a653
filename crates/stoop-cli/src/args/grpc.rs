//! `stoop grpc`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::footer;
use super::shared::endpoint;
use crate::endpoint::Endpoint;
use crate::time;

/// Call any gRPC method at a local socket, or see which there are.
///
/// ADDR is an address, or a name: cri (the container runtime of a Kubernetes node, found as crictl
/// finds it), containerd.
///
/// What there is to call is asked of the server (reflection); or it is in --proto or
/// --descriptor-set; or it is built in: Kubernetes' CRI, containerd's services, gRPC's health. A
/// method's name may be cut to its end while that is unambiguous, so that `Version` is
/// `runtime.v1.RuntimeService/Version`.
///
/// Messages are JSON, as protobuf maps it. Those of a stream are sent and printed as they come.
/// containerd's ttrpc is spoken where the server speaks it. A status that is not OK ends it with
/// code 1.
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
  stoop grpc ./app.sock greet.Greeter/Hello @request.json --timeout 2s
  stoop grpc ./app.sock --proto greet.proto Greeter/Chat -      # JSON messages from standard input, as they come
  stoop grpc containerd -H 'containerd-namespace: k8s.io' Images/List"))]
pub(crate) struct Grpc {
    /// Where: an address, or cri or containerd
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) endpoint: Endpoint,

    /// What to do: list the services, describe what is defined, or call a method; without it, list
    #[arg(value_name = "list|describe|METHOD")]
    pub(crate) action: Option<String>,

    /// What to call it with: JSON, @FILE, or - for standard input; or the service to list, or the
    /// symbol to describe
    ///
    /// Without it, an empty message; where the client sends a stream, standard input.
    #[arg(value_name = "JSON|@FILE|-|NAME", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,

    /// Take what there is to call from this .proto file; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) proto: Vec<PathBuf>,

    /// Look for --proto files and what they import below this directory, instead of beside them;
    /// may be repeated
    #[arg(long, short = 'I', value_name = "DIR", requires = "proto")]
    pub(crate) import_path: Vec<PathBuf>,

    /// Take what there is to call from this descriptor set, as protoc writes it; may be repeated
    #[arg(long, value_name = "FILE")]
    pub(crate) descriptor_set: Vec<PathBuf>,

    /// Take what there is to call from what is built in, and do not ask the server
    #[arg(long, conflicts_with_all = ["proto", "descriptor_set"])]
    pub(crate) builtin: bool,

    /// Send this metadata along; the value of a key that ends in -bin is base64; may be repeated
    #[arg(long, short = 'H', value_name = "KEY: VALUE")]
    pub(crate) metadata: Vec<String>,

    /// Print the server's metadata, too, on standard error
    #[arg(long)]
    pub(crate) show_metadata: bool,

    /// Print fields that have their default value, too
    #[arg(long)]
    pub(crate) emit_defaults: bool,

    /// Print each message on one line
    #[arg(long)]
    pub(crate) json_lines: bool,

    /// Print what there is to say as JSON lines: methods, definitions, replies, the status
    #[arg(long, conflicts_with_all = ["json_lines", "show_metadata"])]
    pub(crate) json: bool,

    /// Take messages up to this size, as in 64M; without it, 4M
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub(crate) max_message: Option<usize>,

    /// Speak ttrpc, without finding out whether the server does
    #[arg(long)]
    pub(crate) ttrpc: bool,

    /// Wait this long for a server that has not started yet, as in 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) wait: Option<Duration>,

    /// Give up if the call is not over after this time, as in 500ms, 2s, 1m; the server is told
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,
}

/// Reads a number of bytes: 4096, 64K, 16M, 1G.
fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = match &text[digits.len()..] {
        "" => Some(1),
        "K" | "k" => Some(1 << 10),
        "M" | "m" => Some(1 << 20),
        "G" | "g" => Some(1 << 30),
        _ => None,
    };
    let bytes = unit.zip(digits.parse::<usize>().ok()).and_then(|(unit, number)| number.checked_mul(unit));
    bytes.filter(|&bytes| bytes > 0).ok_or_else(|| "not a size, as in 4096, 64K, 16M".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!((size("4096"), size("64K"), size("16M")), (Ok(4096), Ok(65536), Ok(16 << 20)));
        for wrong in ["", "M", "0", "-1", "1T", "1.5M", "99999999999999999999G"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
