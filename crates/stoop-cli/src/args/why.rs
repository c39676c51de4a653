//! `stoop why`.

use clap::{Args, ValueEnum};

use super::footer;
use super::shared::{KindFlag, endpoint};
use crate::endpoint::Endpoint;

/// Say why an operation on a local socket would fail, or that it would not
///
/// The path is walked as the kernel walks it, and shown: every component with its mode and owner,
/// and a mark where the kernel would stop. Then follow the cause, what was seen that says so, and
/// what to do. The question is about the plain system call with a fresh socket, made by us, by --as
/// another user, or by --pid another process, with that one's user, groups, capabilities, root and
/// namespaces. Ends with 0 where the call would succeed, with 1 where it would not, and with 6
/// where that cannot be told from here.
#[derive(Args, Debug)]
#[command(after_help = footer("
  stoop why /run/app.sock                       # would a connect work, and if not, why?
  stoop why /run/app.sock --as www-data         # for another user
  stoop why docker --pid 1234                   # for a process, in its container
  stoop why ./app.sock --op bind
  stoop why dgram:/run/log.sock --op send --size 100000
  stoop why /run/app.sock --as www-data --try   # and is that so?"))]
pub(crate) struct Why {
    /// Where: an address, or the name of a well-known server such as docker or cri
    #[arg(value_name = "ADDR", value_parser = endpoint())]
    pub(crate) address: Endpoint,

    /// What is to be done
    #[arg(long = "op", value_name = "OPERATION", value_enum, default_value_t = Op::Connect)]
    pub(crate) operation: Op,

    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Who is to do it: a user, by name or number, fresh from a login, in our working directory
    #[arg(long = "as", value_name = "USER", conflicts_with = "process")]
    pub(crate) user: Option<String>,

    /// Who is to do it: the process with this id, as it is
    #[arg(long = "pid", id = "process", value_name = "PID", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) process: Option<u32>,

    /// Size of the message of --op send, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 1)]
    pub(crate) size: usize,

    /// Make the call as well, leaving nothing behind, and compare; a server then sees a client that
    /// comes and goes
    #[arg(long = "try")]
    pub(crate) attempt: bool,

    /// Let --try send its message, which the receiver gets: --size zeros
    #[arg(long, requires = "attempt")]
    pub(crate) deliver: bool,

    /// Print the answer as a JSON line
    #[arg(long)]
    pub(crate) json: bool,
}

/// A system call that takes an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Op {
    /// Reach a server, or name the receiver of messages
    Connect,
    /// Make an address
    Bind,
    /// Send one message to an address
    Send,
}
