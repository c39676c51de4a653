//! `stoop connect`.

use std::time::Duration;

use clap::Args;
use stoop::Target;

use super::footer;
use super::shared::{Reach, target};
use crate::time;

/// Talk to a server: standard input goes to it, what it says goes to standard output.
///
/// Finds the kind of socket out by itself. At the end of the input it says so to the server and
/// waits, without limit, for the server's end. Bytes pass exactly; on a terminal, lines can be
/// edited, there is a history, and what does not print is shown as %XX. A server that does not
/// admit us closes without a word, which looks like an empty answer: this ends with code 0 then,
/// unless something could not be sent. For datagrams each line is a message, its newline included;
/// as they have no end, --replies or --idle says when to stop.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop connect ./app.sock
  printf 'GET / HTTP/1.0\\r\\n\\r\\n' | stoop connect /run/docker.sock
  stoop connect ./app.sock --wait 10s       # it may not have started yet
  echo hello | stoop connect dgram:./log.sock --replies 1"))]
pub(crate) struct Connect {
    /// Where
    #[arg(value_name = "ADDR", value_parser = target())]
    pub(crate) address: Target,

    #[command(flatten)]
    pub(crate) reach: Reach,

    /// Give up if the server has no room for another client after this time, as in 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Send the whole input as one message (datagrams and seqpackets)
    #[arg(long)]
    pub(crate) whole: bool,

    /// End when no datagram has come for this time after the end of the input
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) idle: Option<Duration>,

    /// End when this many datagrams have come and the input has ended
    #[arg(long, value_name = "N")]
    pub(crate) replies: Option<u64>,
}
