//! `stoop send`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::args::footer;
use crate::args::shared::{ConnectFlags, QuietFlag, endpoint};
use crate::endpoint::Endpoint;
use crate::time;

/// Send one message, and optionally wait for the answer.
///
/// The message is MSG, the contents of --file, or standard input. It is sent completely or not at
/// all, and never truncated. On a stream socket, stoop then shuts down its side of the connection,
/// and --reply prints everything until the server closes; with --keep-open its side stays open
/// until then. On other sockets, the answer is one message. No answer is an error, with exit code
/// 3.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop send ./app.sock hello
  stoop send ./app.sock --reply 'how are you?'
  stoop send dgram:/run/systemd/journal/socket --file entry
  stoop send ./mail.sock 'see enclosed' --fd letter.txt"))]
pub(crate) struct Send {
    /// Server: an address, or a name such as docker
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) address: Endpoint,

    /// Message to send
    #[arg(value_name = "MSG", conflicts_with = "file")]
    pub(crate) message: Option<std::ffi::OsString>,

    /// Read the message from this file; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Wait for the answer and print it
    #[arg(long)]
    pub(crate) reply: bool,

    /// Leave the connection open at the end of the input, until the server closes it
    #[arg(long, requires = "reply")]
    pub(crate) keep_open: bool,

    #[command(flatten)]
    pub(crate) connect: ConnectFlags,

    /// Fail if the message is not sent, or not answered, after this time, as in 2, 500ms, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Open this file and pass its file descriptor with the message; may be repeated
    #[arg(long = "fd", value_name = "FILE")]
    pub(crate) descriptors: Vec<PathBuf>,

    /// Print the answer as a JSON line
    #[arg(long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) quiet: QuietFlag,
}
