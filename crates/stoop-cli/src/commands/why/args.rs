//! `stoop why`.

use clap::{Args, ValueEnum};

use crate::args::footer;
use crate::args::shared::{KindFlag, endpoint, pid};
use crate::endpoint::Endpoint;

/// Explain why an operation on a Unix socket would fail, or that it would not
///
/// The path is walked as the kernel walks it, and shown: every component with its mode and owner,
/// and a mark where the kernel would stop. The cause, the observations that support it, and what to
/// do follow. The question is about the plain system call with a fresh socket, made by this
/// process, by another user (--as) or by another process (--pid) with its user, groups,
/// capabilities, root and namespaces. The exit code is 0 if the call would succeed, 1 if it would
/// not, and 6 if that cannot be determined.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop why /run/app.sock                       # would connecting succeed, and if not, why?
  stoop why /run/app.sock --as www-data         # as another user
  stoop why docker --pid 1234                   # as a process, in its container
  stoop why ./app.sock --op bind
  stoop why dgram:/run/log.sock --op send --size 100000
  stoop why /run/app.sock --as www-data --try   # and check the prediction"))]
pub(crate) struct Why {
    /// Address, or the name of a well-known server such as docker or cri
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) address: Endpoint,

    /// Operation to explain
    #[arg(long = "op", value_name = "OPERATION", value_enum, default_value_t = Op::Connect)]
    pub(crate) operation: Op,

    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Predict for a fresh login of this user, by name or number, in the current directory
    #[arg(long = "as", alias = "user", value_name = "USER", conflicts_with = "process")]
    pub(crate) user: Option<String>,

    /// Predict for the process with this id
    #[arg(long = "pid", id = "process", value_name = "PID", value_parser = pid)]
    pub(crate) process: Option<u32>,

    /// Size of the message of --op send, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1)]
    pub(crate) size: usize,

    /// Also make the call and compare the result, without leaving anything behind; a server then
    /// sees a client that connects and disconnects
    #[arg(long = "try")]
    pub(crate) attempt: bool,

    /// Allow --try to send its message, which the receiver gets: --size zero bytes
    #[arg(long, requires = "attempt")]
    pub(crate) deliver: bool,

    /// Print the answer as a JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A system call that takes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Op {
    /// Connect to a server, or set the receiver of messages
    Connect,
    /// Create an address
    Bind,
    /// Send one message to an address
    Send,
}
