//! `stoop http`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::footer;
use super::shared::endpoint;
use crate::endpoint::Endpoint;
use crate::time;

/// Make an HTTP request at a local socket, and print the answer.
///
/// ADDR is an address, or a name: docker, podman. A name is looked for where its own clients look,
/// for docker: DOCKER_HOST, the Docker context, /var/run/docker.sock, a rootless daemon, podman.
/// METHOD is GET, or POST with --data.
///
/// The answer's body is printed as it comes: exact bytes into a file or a pipe; on a terminal JSON
/// is indented, and nothing that could drive the terminal gets through. Docker's multiplexed
/// streams are told apart again: what the process wrote to its standard error goes to ours.
#[derive(Args, Debug)]
#[command(override_usage = "stoop http [OPTIONS] <ADDR> [METHOD] <PATH>")]
#[command(after_help = footer("
  stoop http docker /version
  stoop http docker '/containers/json?all=1'
  stoop http docker POST /images/load --data @image.tar
  stoop http docker POST '/containers/web/attach?stream=1&stdin=1&stdout=1&stderr=1' --upgrade tcp
  stoop http ./app.sock PUT /config --data '{\"level\": 3}' --fail
  stoop http ./app.sock /health -i --timeout 2s"))]
pub(crate) struct Http {
    /// Where: an address, or docker or podman
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) endpoint: Endpoint,

    /// What: a path, with its query; the method stands in front of it where it is not GET
    #[arg(value_name = "PATH", num_args = 1..=2, required = true)]
    pub(crate) request: Vec<String>,

    /// Send this header; may be repeated
    #[arg(long, short = 'H', value_name = "NAME: VALUE")]
    pub(crate) header: Vec<String>,

    /// Send this body, as it is; @FILE sends a file's contents, @- standard input as it comes
    ///
    /// The content type is application/json for text that is JSON and for files called so, else
    /// application/octet-stream; --header says otherwise.
    #[arg(long, value_name = "TEXT|@FILE|@-")]
    pub(crate) data: Option<OsString>,

    /// Speak HTTP/2 from the first byte on, as gRPC servers do
    #[arg(long)]
    pub(crate) http2: bool,

    /// Ask for another protocol on the connection, and talk through it: standard input goes to the
    /// server, its words to standard output
    ///
    /// For Docker's attach and exec it is tcp. The end of standard input is told to the server,
    /// which may go on.
    #[arg(long, value_name = "PROTOCOL")]
    pub(crate) upgrade: Option<String>,

    /// Give the terminal to the server: each key is sent as it is typed, what comes back is shown
    /// unchanged
    ///
    /// For a container or a command with a terminal (Docker's Tty), as `docker exec -it` does it.
    /// Ctrl-C is for the other side, too; Ctrl-P Ctrl-Q is Docker's way to leave. The terminal
    /// is as before afterwards.
    #[arg(long, short, requires = "upgrade")]
    pub(crate) tty: bool,

    /// Print the status and the headers, too, before the body
    #[arg(long, short)]
    pub(crate) include: bool,

    /// End with code 1 where the status is 400 or more
    #[arg(long)]
    pub(crate) fail: bool,

    /// Write the body into this file; - is standard output
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    pub(crate) output: Option<PathBuf>,

    /// Leave the body as it is: no indented JSON, no streams told apart
    #[arg(long)]
    pub(crate) raw: bool,

    /// Wait this long for a server that has not started yet, as in 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) wait: Option<Duration>,

    /// Give up if the answer is not complete after this time, as in 500ms, 2s, 1m; with --upgrade,
    /// if there is none
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Print the answer as JSON lines: answer, body, end
    #[arg(long, conflicts_with_all = ["include", "upgrade"])]
    pub(crate) json: bool,
}
