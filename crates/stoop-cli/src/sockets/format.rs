//! Formats addresses, processes and queues as words that are safe on a terminal (see
//! `words.rs`).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use stoop::{Address, escaped};
use stoop_inspect::FileId;
use stoop_inspect::{Missing, NamespaceIno, Pid, Process, Queue, Snapshot, SocketId, State, What, Workload};

use super::clock::Now;
use super::opener;
use super::paths::Paths;
use super::row::{Row, Shape};
use super::words;
use crate::output::truncate_end;
use crate::{names, shell, time};

/// Shown in place of a missing value.
pub(crate) const NOTHING: &str = "-";
/// The longest command name that the kernel keeps, in bytes.
pub(crate) const COMMAND_MAX: usize = 15;
/// The width to which a command line is truncated in a list.
pub(crate) const TITLE: usize = 72;

/// Formats the sockets of one snapshot. What is looked up is cached.
#[derive(Debug)]
pub(crate) struct SocketFormatter<'a> {
    snapshot: &'a Snapshot,
    /// Whether an owner that is not shown may be hidden.
    hidden_owners: bool,
    processes: HashMap<Pid, String>,
    places: HashMap<Pid, String>,
    users: HashMap<u32, String>,
    paths: Paths<'a>,
}

impl<'a> SocketFormatter<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> SocketFormatter<'a> {
        SocketFormatter {
            snapshot,
            hidden_owners: snapshot.missing.iter().any(is_about_owners),
            processes: HashMap::new(),
            places: HashMap::new(),
            users: HashMap::new(),
            paths: Paths::new(snapshot),
        }
    }

    /// Writes the owners of a socket: `812/postgres +3`, `(root)` if the process of that user is
    /// hidden, `-` if there are none.
    pub(crate) fn owner(&mut self, id: Option<SocketId>, text: &mut String) {
        let Some(id) = id else { return text.push_str(NOTHING) };
        let socket = &self.snapshot[id];
        let Some(pid) = Row::process(self.snapshot, id) else {
            match socket.uid.filter(|_| self.hidden_owners) {
                Some(uid) => {
                    let _ = write!(text, "({})", self.user(uid));
                }
                None => text.push_str(NOTHING),
            }
            return;
        };
        text.push_str(self.process(pid));
        let others = socket.owners.windows(2).filter(|pair| pair[0].pid != pair[1].pid).count();
        if others > 0 {
            let _ = write!(text, " +{others}");
        }
    }

    /// Returns `812/postgres`.
    pub(crate) fn process(&mut self, pid: Pid) -> &str {
        let snapshot = self.snapshot;
        self.processes.entry(pid).or_insert_with(|| {
            let command = snapshot.processes.get(&pid).map_or_else(|| "?".into(), command);
            format!("{pid}/{command}")
        })
    }

    /// Returns the name of a user, or the number of a user without a name.
    pub(crate) fn user(&mut self, uid: u32) -> &str {
        self.users.entry(uid).or_insert_with(|| word(names::shown_user(uid).as_bytes()))
    }

    /// Writes the workload of the process that has the socket: `docker:0123456789ab`,
    /// `nginx.service`, `-`.
    pub(crate) fn place(&mut self, id: Option<SocketId>, text: &mut String) {
        let snapshot = self.snapshot;
        let Some(pid) = id.and_then(|id| Row::process(snapshot, id)) else { return text.push_str(NOTHING) };
        text.push_str(self.places.entry(pid).or_insert_with(|| match snapshot.processes.get(&pid) {
            Some(process) => workload(&process.workload),
            None => NOTHING.into(),
        }));
    }

    /// Writes the command line of the process that has the socket.
    pub(crate) fn title(&self, id: Option<SocketId>, text: &mut String) {
        let pid = id.and_then(|id| Row::process(self.snapshot, id));
        let process = pid.and_then(|pid| self.snapshot.processes.get(&pid));
        text.push_str(&process.and_then(|process| title(process, Some(TITLE))).unwrap_or(NOTHING.into()));
    }

    /// Writes the line's address, or `-` if neither end has one.
    pub(crate) fn address(&self, row: &Row, text: &mut String) {
        push_address(&self.snapshot[row.named(self.snapshot)].name, text);
    }

    /// Writes the present path of the line's file, or `-` if its address leads there.
    pub(crate) fn path(&mut self, row: &Row, text: &mut String) {
        match self.paths.other_than_name(row.named(self.snapshot)) {
            Some(path) => text.push_str(&word(path.as_os_str().as_bytes())),
            None => text.push_str(NOTHING),
        }
    }

    /// Writes how old a connection is at most, or `-` if that is not known.
    pub(crate) fn max_age(&self, row: &Row, text: &mut String) {
        match opener::of(self.snapshot, row.subject(), Now::read()) {
            Some(opener) => text.push_str(&time::about(opener.age)),
            None => text.push_str(NOTHING),
        }
    }

    /// Writes the queue: for a listener `waiting/limit`, for a connection the bytes unread at the
    /// server / at the client, for other sockets the bytes unread.
    pub(crate) fn queue(&self, row: &Row, text: &mut String) {
        let unread = |id: SocketId| match self.snapshot[id].queue {
            Some(Queue::Bytes { unread, .. }) => Some(self.snapshot[id].unread_bytes().unwrap_or(unread)),
            _ => None,
        };
        // Of a datagram socket the kernel's table has only the size of the first message.
        let more = |id: SocketId| if self.snapshot[id].unread_bytes().is_none() { "+" } else { "" };
        let _ = match (row.shape, row.server, row.client) {
            (Shape::Listener, Some(id), _) => match self.snapshot[id].queue {
                Some(Queue::Backlog { waiting, limit }) => write!(text, "{waiting}/{limit}"),
                _ => text.write_str(NOTHING),
            },
            (Shape::Connection, Some(server), Some(client)) => match (unread(server), unread(client)) {
                (None | Some(0), None | Some(0)) => text.write_str(NOTHING),
                (at_server, at_client) => {
                    write!(text, "{}/{}", at_server.unwrap_or(0), at_client.unwrap_or(0))
                }
            },
            (_, one, other) => match one.or(other).and_then(|id| Some((unread(id)?, more(id)))) {
                None | Some((0, _)) => text.write_str(NOTHING),
                Some((bytes, more)) => write!(text, "{bytes}{more}"),
            },
        };
    }

    /// Writes the network namespace: `own`, its name if it has one, else its inode.
    pub(crate) fn namespace(&self, ino: NamespaceIno, text: &mut String) {
        let namespace = self.snapshot.namespace(ino);
        let name = namespace.and_then(|namespace| namespace.names.first()?.file_name());
        let _ = match (namespace, name) {
            (Some(namespace), _) if namespace.is_own => text.write_str("own"),
            (_, Some(name)) => text.write_str(&word(name.as_bytes())),
            _ => write!(text, "{ino}"),
        };
    }
}

/// Formats an address as a word that can be typed back in, or `-` for a socket without one.
pub(crate) fn address(address: &Address) -> String {
    let mut text = String::new();
    push_address(address, &mut text);
    text
}

fn push_address(address: &Address, text: &mut String) {
    if address.is_unnamed() { text.push_str(NOTHING) } else { words::push_unspaced(address, text) }
}

/// Returns the word for a state, as accepted by `--state`.
pub(crate) fn state(state: State) -> &'static str {
    match state {
        State::Listening => "listening",
        State::Connected => "connected",
        State::Waiting => "waiting",
        State::PeerClosed => "gone",
        State::Bound => "bound",
        State::Unconnected => "unconnected",
        _ => "unknown",
    }
}

/// Formats a process's command as a word.
pub(crate) fn command(process: &Process) -> String {
    words::spaced(process.command.as_bytes())
}

/// Formats the command line of a process, as `ps` shows it, if it says more than the command.
/// At most `most` columns, if given.
pub(crate) fn title(process: &Process, most: Option<usize>) -> Option<String> {
    let arguments = process.command_line.as_deref().filter(|arguments| !arguments.is_empty())?;
    // The kernel truncates the command's name.
    let program = Path::new(&arguments[0]).file_name().unwrap_or_default().as_bytes();
    if arguments.len() == 1 && program[..program.len().min(COMMAND_MAX)] == *process.command.as_bytes() {
        return None;
    }
    let words: Vec<String> = arguments.iter().map(|argument| words::spaced(argument.as_bytes())).collect();
    let line = words.join(" ");
    Some(most.map_or(line.clone(), |most| truncate_end(&line, most)))
}

/// Formats a workload as a word.
fn workload(workload: &Workload) -> String {
    let mut text = String::new();
    words::push_unspaced(workload, &mut text);
    text
}

/// Formats a count: `1 client`, `2 clients`, `3 processes`.
pub(crate) fn plural(count: usize, what: &str) -> String {
    let ending = match what.ends_with('s') {
        _ if count == 1 => "",
        true => "es",
        false => "s",
    };
    format!("{count} {what}{ending}")
}

/// Formats a path as it can be typed. Spaces are kept, because it is shown at the end of a text or
/// in brackets.
pub(crate) fn path(path: &Path) -> String {
    escaped(path.as_os_str().as_bytes()).to_string()
}

/// Formats a file's id, as in `stat` and in the kernel's table.
pub(crate) fn file(file: FileId) -> String {
    format!("device {} inode {}", device(file.dev), file.ino)
}

/// Formats `major:minor`, as in `/proc/self/mountinfo`.
pub(crate) fn device(dev: u64) -> String {
    format!("{}:{}", rustix::fs::major(dev), rustix::fs::minor(dev))
}

/// Formats untrusted bytes as a word.
pub(crate) fn word(bytes: &[u8]) -> String {
    let mut text = String::new();
    words::push_unspaced(&escaped(bytes), &mut text);
    text
}

/// Returns whether owners may be missing because of this.
pub(crate) fn is_about_owners(missing: &Missing) -> bool {
    matches!(missing.what, What::Descriptors(_) | What::Processes)
}

/// Returns the command line, for a note about its result: `stoop ls --pid 12`.
pub(crate) fn command_line() -> String {
    let quoted = |word: OsString| {
        let dashes = word.as_bytes().iter().take_while(|byte| **byte == b'-').count();
        let (flag, rest) = word.as_bytes().split_at(dashes);
        let flag = "-".repeat(flag.len());
        if rest.is_empty() && dashes > 0 { flag } else { flag + &shell::quoted(OsStr::from_bytes(rest)) }
    };
    let typed = std::env::args_os().skip(1).map(quoted);
    std::iter::once("stoop".to_owned()).chain(typed).collect::<Vec<_>>().join(" ")
}
