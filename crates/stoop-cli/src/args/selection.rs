//! Flags that select sockets of the machine, shared by `ls` and `tree`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::selector::{SocketSelector, socket_selector};
use super::shared::{KindFlag, pid};
use crate::names;
use crate::sockets::format::COMMAND_MAX;
use crate::sockets::{Glob, NamePattern};

/// Selects sockets. Flags with different names must all match. If one flag is repeated, any of its
/// values must match.
#[derive(Args, Debug)]
pub(crate) struct Selection {
    /// Show only sockets at this address, or those of pid:N or inode:N; a path selects sockets
    /// bound to the file that is there now, whatever name they were bound to
    #[arg(value_name = "ADDR", value_parser = socket_selector())]
    pub(crate) which: Vec<SocketSelector>,

    /// Show only sockets whose name matches this pattern, as in '/run/*' or '@*bus*'; * also
    /// matches /
    #[arg(long, value_name = "GLOB", value_parser = glob())]
    pub(crate) name: Vec<Glob>,

    #[command(flatten)]
    pub(crate) kind: KindFlag,

    /// Show only sockets that this process has open
    #[arg(long, value_name = "PID", value_parser = pid)]
    pub(crate) pid: Vec<u32>,

    /// Show only sockets that a command whose name matches this pattern has open; the kernel
    /// truncates names to 15 bytes
    #[arg(long, value_name = "GLOB", value_parser = command())]
    pub(crate) command: Vec<NamePattern>,

    /// Show only sockets that this user created or has open, by name or number
    #[arg(long, value_name = "USER", value_parser = names::parse_user)]
    pub(crate) user: Vec<u32>,

    /// Show only sockets of containers whose id matches this pattern or starts with it; '*' matches
    /// all containers
    #[arg(long, value_name = "ID", value_parser = glob_or_start())]
    pub(crate) container: Vec<NamePattern>,

    /// Show only sockets of systemd units whose name matches this pattern; .service may be omitted
    #[arg(long, value_name = "GLOB", value_parser = unit())]
    pub(crate) unit: Vec<NamePattern>,

    /// Show only sockets at an address of a well-known service whose name matches this pattern,
    /// such as docker
    #[arg(long, value_name = "GLOB", value_parser = glob())]
    pub(crate) service: Vec<Glob>,

    /// Show only sockets in this network namespace: an inode, the name of a file in /run/netns, or
    /// own
    #[arg(long, value_name = "NS", value_parser = netns())]
    pub(crate) netns: Vec<Netns>,

    /// Show only connections whose other end is this process: an id, or a pattern for the command
    /// name
    #[arg(long, value_name = "PID|GLOB", value_parser = command())]
    pub(crate) peer: Vec<NamePattern>,
}

/// A network namespace as given on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Netns {
    /// The network namespace of this process.
    Own,
    /// By its inode.
    Inode(u64),
    /// By the file it is mounted at, or by that file's name alone.
    Named(OsString),
}

/// Returns a parser of `own`, a number, `net:[N]` as in `/proc/PID/ns/net`, or a name.
fn netns() -> impl TypedValueParser<Value = Netns> {
    OsStringValueParser::new().try_map(|text: OsString| {
        let word = text.to_str().unwrap_or_default();
        let number = word.strip_prefix("net:[").and_then(|rest| rest.strip_suffix(']')).unwrap_or(word);
        match (word, number.parse()) {
            ("own", _) => Ok(Netns::Own),
            (_, Ok(inode)) => Ok(Netns::Inode(inode)),
            _ if text.is_empty() => Err("empty; use 'own' for the namespace of stoop itself"),
            _ => Ok(Netns::Named(text)),
        }
    })
}

/// Returns a parser of patterns, which may contain any bytes.
fn glob() -> impl TypedValueParser<Value = Glob> {
    OsStringValueParser::new().try_map(|text: OsString| Glob::new(text.as_bytes()))
}

/// Returns a parser of patterns for command names.
fn command() -> impl TypedValueParser<Value = NamePattern> {
    OsStringValueParser::new().try_map(|text: OsString| {
        let typed = text.as_bytes();
        let glob = Glob::of_names_cut_at(COMMAND_MAX, typed);
        // As it is printed, a name may be longer.
        if glob.is_err() && !typed.iter().any(|byte| b"%[".contains(byte)) {
            return glob.and_then(|glob| NamePattern::new(typed, Ok(glob)));
        }
        NamePattern::new(typed, glob)
    })
}

/// Returns a parser of patterns. Without special characters, a pattern matches every name that
/// starts with it.
fn glob_or_start() -> impl TypedValueParser<Value = NamePattern> {
    OsStringValueParser::new().try_map(read_glob_or_start)
}

pub(crate) fn read_glob_or_start(mut text: OsString) -> Result<NamePattern, &'static str> {
    let typed = text.clone();
    if !text.is_empty() && is_plain(&text) {
        text.push("*");
    }
    NamePattern::new(typed.as_bytes(), Glob::new(text.as_bytes()))
}

/// Returns a parser of patterns for units. As in systemctl, a name without a type is that of a
/// service.
fn unit() -> impl TypedValueParser<Value = NamePattern> {
    OsStringValueParser::new().try_map(read_unit)
}

pub(crate) fn read_unit(mut text: OsString) -> Result<NamePattern, &'static str> {
    let typed = text.clone();
    if !text.is_empty() && is_plain(&text) && !text.as_bytes().contains(&b'.') {
        text.push(".service");
    }
    NamePattern::new(typed.as_bytes(), Glob::new(text.as_bytes()))
}

fn is_plain(text: &OsStr) -> bool {
    !text.as_bytes().iter().any(|byte| b"*?[".contains(byte))
}
