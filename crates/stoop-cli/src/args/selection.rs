//! Flags that choose among the sockets of the machine: those of `ls` and `tree`.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use stoop::Target;

use super::shared::{KindFlag, target};
use crate::names;
use crate::sockets::Glob;

/// Which sockets. Flags of different names all have to hold; of one flag given several times, any.
#[derive(Args, Debug)]
pub(crate) struct Selection {
    /// Only sockets at this address; of a path, those bound to the very file that is there now, whatever name it was given
    #[arg(value_name = "ADDR", value_parser = target())]
    pub(crate) addresses: Vec<Target>,

    /// Only sockets whose name matches this pattern, as in '/run/*' or '@*bus*'; * also stands for /
    #[arg(long, value_name = "GLOB", value_parser = glob())]
    pub(crate) name: Vec<Glob>,

    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Only sockets that a process with this id has open
    #[arg(long, value_name = "PID")]
    pub(crate) pid: Vec<u32>,

    /// Only sockets that a command whose name matches this pattern has open
    #[arg(long, value_name = "GLOB", value_parser = glob())]
    pub(crate) command: Vec<Glob>,

    /// Only sockets that this user made or has open, by name or number
    #[arg(long, value_name = "USER", value_parser = names::parse_user)]
    pub(crate) user: Vec<u32>,

    /// Only sockets of containers whose id begins so or matches this pattern; '*' is all containers
    #[arg(long, value_name = "ID", value_parser = glob_or_start())]
    pub(crate) container: Vec<Glob>,

    /// Only sockets of systemd units whose name matches this pattern
    #[arg(long, value_name = "GLOB", value_parser = glob())]
    pub(crate) unit: Vec<Glob>,

    /// Only sockets of this network namespace: its inode, the name of a file in /run/netns, or own
    #[arg(long, value_name = "NS")]
    pub(crate) netns: Vec<String>,

    /// Only connections whose other end is this: a process id, or a pattern of its command's name
    #[arg(long, value_name = "PID|GLOB", value_parser = glob())]
    pub(crate) peer: Vec<Glob>,
}

/// Reads a pattern, which may be of any bytes.
fn glob() -> impl TypedValueParser<Value = Glob> {
    OsStringValueParser::new().map(|text: OsString| Glob::new(text.as_bytes()))
}

/// The same, where what has no special character stands for everything that begins so.
fn glob_or_start() -> impl TypedValueParser<Value = Glob> {
    OsStringValueParser::new().map(|mut text: OsString| {
        if !text.as_bytes().iter().any(|byte| b"*?[".contains(byte)) {
            text.push("*");
        }
        Glob::new(text.as_bytes())
    })
}
