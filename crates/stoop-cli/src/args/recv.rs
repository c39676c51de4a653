//! `stoop recv`.

use std::time::Duration;

use clap::Args;
use stoop::Target;

use super::footer;
use super::shared::{Serving, target};
use crate::time;

/// Receive messages and show them with who sent them.
///
/// The kind of socket is dgram unless the address or --kind says otherwise; of connections, any
/// number at once. Of each message, on a line: the process, user and group that sent it as the
/// kernel knows them, its size, its text (newlines inside it as %0A), and what each descriptor with
/// it refers to. SIGTERM and SIGINT end it, and its socket file goes with it.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop recv dgram:./log.sock
  stoop recv ./mail.sock --kind seqpacket --count 1 --descriptors 1
  stoop recv dgram:@events --json --timeout 5s"))]
pub(crate) struct Recv {
    /// Where
    #[arg(value_name = "ADDR", value_parser = target())]
    pub(crate) address: Target,

    #[command(flatten)]
    pub(crate) serving: Serving,

    /// End after this many messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,

    /// Let in up to this many descriptors with a message
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) descriptors: usize,

    /// Give up if no message has come for this time, as in 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Print messages as JSON lines
    #[arg(long)]
    pub(crate) json: bool,
}
