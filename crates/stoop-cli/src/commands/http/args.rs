//! `stoop http`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::curl_args::CurlFlags;
use super::data_args::DataFlags;
use crate::args::footer;
use crate::args::shared::{QuietFlag, endpoint};
use crate::endpoint::Endpoint;
use crate::time;

/// Make an HTTP request over a Unix socket, and print the response.
///
/// ADDR is an address, or a name: docker, podman. A name is looked up where its own clients look.
/// For docker: DOCKER_HOST, the Docker context, /var/run/docker.sock, a rootless daemon, podman.
/// METHOD defaults to GET, or to POST with --data. Flags of curl work too: see its section.
///
/// The body is printed as it arrives. To a file or a pipe its bytes are unchanged. On a terminal
/// JSON is indented, and control characters are escaped. Docker's multiplexed streams are split
/// again: what the process wrote to its standard error goes to standard error. After an exec or
/// attach with --upgrade, the exit code is that of the process.
#[derive(Args, Debug)]
#[command(override_usage = "stoop http [OPTIONS] <ADDR> [METHOD] <PATH>")]
#[command(after_help = footer("
  stoop http docker /version
  stoop http docker '/containers/json?all=1'
  stoop http docker POST /images/load --data @image.tar
  stoop http docker POST '/containers/web/attach?stream=1&stdin=1&stdout=1&stderr=1' --upgrade tcp
  stoop http ./app.sock PUT /config --data '{\"level\": 3}' --fail
  stoop http ./app.sock /health -i --timeout 2s
  stoop http ./app.sock /login -d user=me -d 'note=a b' -v
  stoop http --unix-socket ./app.sock -sS -X PUT http://localhost/config -T config.json"))]
pub(crate) struct Http {
    /// Server: an address, or docker or podman
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) endpoint: Endpoint,

    /// Path to request, with its query; preceded by the method if that is not the default
    #[arg(value_name = "PATH", num_args = 1..=2, required_unless_present = "url")]
    pub(crate) request: Vec<String>,

    /// Send this header; may be repeated; @FILE sends those of a file
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,

    #[command(flatten)]
    pub(crate) data: DataFlags,

    /// Use HTTP/2 with prior knowledge, as gRPC servers do
    #[arg(long, alias = "http2-prior-knowledge")]
    pub(crate) http2: bool,

    /// Upgrade the connection to this protocol, then send standard input and print what the server
    /// sends
    ///
    /// Use tcp for Docker's attach and exec. The end of standard input is sent to the server, which
    /// may continue to send.
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) upgrade: Option<String>,

    /// Attach the terminal in raw mode: send each key as it is typed, and show output unchanged
    ///
    /// For a container or a command with a terminal (Docker's Tty), as with `docker exec -it`.
    /// Ctrl-C is sent to the server too. Ctrl-P Ctrl-Q is Docker's detach sequence. The terminal is
    /// restored at the end.
    #[arg(long, short, requires = "upgrade")]
    pub(crate) tty: bool,

    /// Also print the status and the headers, before the body
    #[arg(long, short)]
    pub(crate) include: bool,

    /// Fail if the status is 400 or more, or if Docker reports an error in its response
    ///
    /// The body of such a response goes to standard error.
    #[arg(long, short)]
    pub(crate) fail: bool,

    /// Write the body to this file; - is standard output
    #[arg(long, short, value_name = "FILE", conflicts_with = "json")]
    pub(crate) output: Option<PathBuf>,

    /// Print data unchanged, without what is done for a human reader
    ///
    /// JSON is not indented, and the streams of a process are not split.
    #[arg(long)]
    pub(crate) raw: bool,

    /// Wait up to this time for the server to start, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) wait: Option<Duration>,

    /// Fail if the response is not complete after this time, as in 2, 500ms, 1m; with --upgrade,
    /// if it has not started
    #[arg(long, short_alias = 'm', alias = "max-time", value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Print the response as JSON lines: answer, body, end
    ///
    /// To send JSON, use --data.
    #[arg(long, conflicts_with_all = ["include", "upgrade"])]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,

    #[command(flatten)]
    pub(crate) curl: CurlFlags,
}

impl Http {
    /// Returns the path or the URL to request.
    pub(super) fn target(&self) -> Option<&str> {
        self.curl.url.as_ref().or(self.request.last()).map(String::as_str)
    }
}
