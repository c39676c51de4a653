//! Flags that choose among the sockets of the machine: those of `ls` and `tree`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::shared::{KindFlag, pid};
use super::which::{Which, which};
use crate::names;
use crate::sockets::Glob;

/// Which sockets. Flags of different names all have to hold; of one flag given several times, any.
#[derive(Args, Debug)]
pub(crate) struct Selection {
    /// Only sockets at this address, or as pid:N or inode:N; of a path, those bound to the very
    /// file that is there now, whatever name it was given
    #[arg(value_name = "ADDR", value_parser = which())]
    pub(crate) which: Vec<Which>,

    /// Only sockets whose name matches this pattern, as in '/run/*' or '@*bus*'; * also stands for
    /// /
    #[arg(long, value_name = "GLOB", value_parser = glob())]
    pub(crate) name: Vec<Glob>,

    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Only sockets that a process with this id has open
    #[arg(long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Vec<u32>,

    /// Only sockets that a command whose name matches this pattern has open; the kernel keeps 15
    /// bytes of a name
    #[arg(long, value_name = "GLOB", value_parser = command())]
    pub(crate) command: Vec<Glob>,

    /// Only sockets that this user made or has open, by name or number
    #[arg(long, value_name = "USER", value_parser = names::parse_user)]
    pub(crate) user: Vec<u32>,

    /// Only sockets of containers whose id begins so or matches this pattern; '*' is all containers
    #[arg(long, value_name = "ID", value_parser = glob_or_start())]
    pub(crate) container: Vec<Glob>,

    /// Only sockets of systemd units whose name matches this pattern; .service may be left out
    #[arg(long, value_name = "GLOB", value_parser = unit())]
    pub(crate) unit: Vec<Glob>,

    /// Only sockets of this network namespace: its inode, the name of a file in /run/netns, or own
    #[arg(long, value_name = "NS", value_parser = netns())]
    pub(crate) netns: Vec<Netns>,

    /// Only connections whose other end is this: a process id, or a pattern of its command's name
    #[arg(long, value_name = "PID|GLOB", value_parser = command())]
    pub(crate) peer: Vec<Glob>,
}

/// A network namespace, as it is typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Netns {
    /// The one this process is in.
    Own,
    /// By its inode.
    Inode(u64),
    /// By the file that it is mounted at, or that file's name alone.
    Named(OsString),
}

/// Reads one: `own`, a number, `net:[N]` as `/proc/PID/ns/net` shows it, or a name.
fn netns() -> impl TypedValueParser<Value = Netns> {
    OsStringValueParser::new().try_map(|text: OsString| {
        let word = text.to_str().unwrap_or_default();
        let number = word.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
        match (word, number.parse()) {
            ("own", _) => Ok(Netns::Own),
            (_, Ok(inode)) => Ok(Netns::Inode(inode)),
            _ if text.is_empty() => Err("it is empty; 'own' is the one that stoop runs in"),
            _ => Ok(Netns::Named(text)),
        }
    })
}

/// The longest name of a command that the kernel keeps, in bytes.
const COMMAND_MAX: usize = 15;

/// Reads a pattern, which may be of any bytes.
fn glob() -> impl TypedValueParser<Value = Glob> {
    OsStringValueParser::new().try_map(|text: OsString| Glob::new(text.as_bytes()))
}

/// The same for names of commands.
fn command() -> impl TypedValueParser<Value = Glob> {
    OsStringValueParser::new().try_map(|text: OsString| Glob::of_names_cut_at(COMMAND_MAX, text.as_bytes()))
}

/// The same, where what has no special character stands for everything that begins so.
fn glob_or_start() -> impl TypedValueParser<Value = Glob> {
    OsStringValueParser::new().try_map(|mut text: OsString| {
        if !text.is_empty() && is_plain(&text) {
            text.push("*");
        }
        Glob::new(text.as_bytes())
    })
}

/// The same, where a name without its type is that of a service, as systemctl has it.
fn unit() -> impl TypedValueParser<Value = Glob> {
    OsStringValueParser::new().try_map(|mut text: OsString| {
        if !text.is_empty() && is_plain(&text) && !text.as_bytes().contains(&b'.') {
            text.push(".service");
        }
        Glob::new(text.as_bytes())
    })
}

fn is_plain(text: &OsStr) -> bool {
    !text.as_bytes().iter().any(|byte| b"*?[".contains(byte))
}
