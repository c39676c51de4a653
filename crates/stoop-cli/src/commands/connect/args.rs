//! `stoop connect`.

use std::time::Duration;

use clap::Args;

use crate::args::footer;
use crate::args::shared::{ConnectFlags, QuietFlag, endpoint};
use crate::endpoint::Endpoint;
use crate::time;

/// Connect to a server: send standard input, and print what it answers.
///
/// The kind of socket is detected. At the end of input, the connection is shut down for writing,
/// and stoop waits indefinitely for the server to close. Servers written for Node.js, Go's HTTP
/// server and nginx take that for the client's leaving: --keep-open leaves the connection open.
/// Bytes are passed unchanged. If something was sent over a stream and the server closes without an
/// answer, that is reported, with exit code 3: it may not allow this user.
///
/// On a terminal, lines can be edited, and unprintable bytes are shown as %XX. Typed lines are
/// recorded in $XDG_STATE_HOME/stoop/history (by default ~/.local/state/stoop/history, mode 600),
/// except those that begin with a space. If the terminal does not echo (stty -echo, for secrets),
/// lines are neither edited nor recorded.
///
/// For datagrams each line is one message, including its newline. Datagrams have no end, so use
/// --count or --idle to say when to stop.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop connect ./app.sock
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | stoop connect /run/docker.sock --keep-open
  stoop connect ./app.sock --wait 10s       # wait until the server has started
  echo hello | stoop connect dgram:./log.sock --count 1"))]
pub(crate) struct Connect {
    /// Server: an address, or a name such as docker
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) address: Endpoint,

    #[command(flatten)]
    pub(crate) connect: ConnectFlags,

    /// Fail if the server's backlog is still full after this time, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Leave the connection open at the end of the input, until the server closes it
    #[arg(long)]
    pub(crate) keep_open: bool,

    /// Send the whole input as one message (datagrams and seqpackets)
    #[arg(long)]
    pub(crate) whole: bool,

    /// Neither read nor record the history of typed lines
    #[arg(long)]
    pub(crate) no_history: bool,

    /// Exit if no datagram arrives for this time after the end of input
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) idle: Option<Duration>,

    /// Exit after this many datagrams, once the input has ended
    #[arg(long, value_name = "N", alias = "replies")]
    pub(crate) count: Option<u64>,

    /// Print the connection, and what the server sends, as JSON lines
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}
