//! `stoop recv`.

use std::time::Duration;

use clap::Args;
use stoop::internal::Target;

use crate::args::footer;
use crate::args::shared::{BindFlags, QuietFlag, bind_target};
use crate::time;

/// Receive messages and show them with their senders.
///
/// The kind of socket is dgram unless the address or --kind says otherwise. Any number of clients
/// may connect at once. Each message is one line: the process, user and group that sent it as
/// reported by the kernel, its size, its text (with newlines as %0A), and what each passed file
/// descriptor refers to. On SIGTERM and SIGINT, stoop removes its socket file and exits
/// with 0.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop recv dgram:./log.sock
  stoop recv ./mail.sock --kind seqpacket --count 1 --descriptors 1
  stoop recv dgram:@events --json --timeout 5s"))]
pub(crate) struct Recv {
    /// Address to receive at
    #[arg(value_name = "ADDR", value_parser = bind_target())]
    pub(crate) address: Target,

    #[command(flatten)]
    pub(crate) bind: BindFlags,

    /// Exit after this many messages
    #[arg(long, value_name = "N")]
    pub(crate) count: Option<u64>,

    /// Accept up to this many file descriptors with each message
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) descriptors: usize,

    /// Fail if no message arrives for this time, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Print messages as JSON lines
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}
