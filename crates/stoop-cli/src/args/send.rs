//! `stoop send`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use stoop::Target;

use super::footer;
use super::shared::{Reach, target};
use crate::time;

/// Send one message, and perhaps wait for the answer.
///
/// The message is MSG, or the contents of --file, or standard input. It is sent whole or not at
/// all; nothing is ever cut. Over a stream, its end is told to the server, and --reply prints
/// everything up to the server's end; else the answer is one message.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop send ./app.sock hello
  stoop send ./app.sock --reply 'how are you?'
  stoop send dgram:/run/systemd/journal/socket --file entry
  stoop send ./mail.sock 'see enclosed' --fd letter.txt"))]
pub(crate) struct Send {
    /// Where
    #[arg(value_name = "ADDR", value_parser = target())]
    pub(crate) address: Target,

    /// The message
    #[arg(value_name = "MSG", conflicts_with = "file")]
    pub(crate) message: Option<std::ffi::OsString>,

    /// Take the message from this file; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,

    /// Wait for the answer and print it
    #[arg(long)]
    pub(crate) reply: bool,

    #[command(flatten)]
    pub(crate) reach: Reach,

    /// Give up if it is not sent, or not answered, after this time, as in 500ms, 2s, 1m
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    pub(crate) timeout: Option<Duration>,

    /// Open this file and pass its descriptor along with the message; may be repeated
    #[arg(long = "fd", value_name = "FILE")]
    pub(crate) descriptors: Vec<PathBuf>,

    /// Print the answer as a JSON line
    #[arg(long)]
    pub(crate) json: bool,
}
