//! Candidates for addresses: names of well-known servers, sockets in the file system, and the names
//! in the kernel's table.

use std::os::unix::fs::FileTypeExt;

use stoop::{Kind, escaped};
use stoop_inspect::endpoints::Name;
use stoop_inspect::{Inspector, Options, OwnersWanted, Snapshot, Socket};

use super::machine::{Candidate, Sink, files, processes};

/// Passes on addresses of servers.
pub(super) fn servers(typed: &str, sink: Sink<'_>) {
    known_names(sink);
    addresses(typed, sink);
}

/// Passes on addresses to bind: a name that is taken may be taken over.
pub(super) fn bound(typed: &str, sink: Sink<'_>) {
    addresses(typed, sink);
}

/// Passes on what selects sockets: addresses, processes and inodes.
pub(super) fn selected(typed: &str, sink: Sink<'_>) {
    known_names(sink);
    match typed.split_once(':') {
        Some(("pid", _)) => processes(|pid, command| sink(Candidate::new(format!("pid:{pid}"), command))),
        Some(("inode", _)) => {
            for (_, socket) in table().iter() {
                sink(Candidate::new(format!("inode:{}", socket.ino.0), socket.name.to_string()));
            }
        }
        _ => {
            sink(Candidate::new("pid:", "all sockets of a process"));
            sink(Candidate::new("inode:", "the socket with this inode"));
            addresses(typed, sink);
        }
    }
}

fn known_names(sink: Sink<'_>) {
    for name in Name::all() {
        let what = name.services().next().map(|service| service.what).unwrap_or_default();
        sink(Candidate::new(name.word(), what));
    }
}

fn addresses(typed: &str, sink: Sink<'_>) {
    let kinds = Kind::ALL.map(|kind| format!("{}:", kind.word()));
    if let Some(kind) = kinds.iter().find(|kind| typed.starts_with(kind.as_str())) {
        return places(&typed[kind.len()..], kind, sink);
    }
    if !typed.is_empty() {
        kinds.iter().for_each(|kind| sink(Candidate::new(kind, "a kind, and an address")));
    }
    places(typed, "", sink);
}

/// Passes on sockets, and the directories that lead to some, each after `before`.
fn places(typed: &str, before: &str, sink: Sink<'_>) {
    if typed.is_empty() || typed.starts_with('@') {
        for (_, socket) in table().iter() {
            let is_typed = if typed.is_empty() {
                is_at_a_path(socket)
            } else {
                socket.name.as_abstract_name().is_some()
            };
            if is_typed && is_server(socket) {
                let kind = socket.kind.map(|kind| kind.word()).unwrap_or_default();
                sink(Candidate::new(format!("{before}{}", socket.name), kind));
            }
        }
    }
    if !typed.starts_with('@') {
        let mut escape = |candidate: Candidate| {
            let typed = before.len() + typed.rfind('/').map_or(0, |slash| slash + 1);
            let (typed, name) = candidate.value.split_at(typed);
            sink(Candidate::new(format!("{typed}{}", escaped(name)), candidate.about));
        };
        files(typed, before, |kind| kind.is_socket(), &mut escape);
    }
}

fn is_at_a_path(socket: &Socket) -> bool {
    socket.name.as_pathname().is_some_and(|path| path.is_absolute())
}

/// Returns whether others may send to it. A name that the kernel chose is a client's.
fn is_server(socket: &Socket) -> bool {
    let is_chosen = socket
        .name
        .as_abstract_name()
        .is_some_and(|name| name.len() == 5 && name.iter().all(u8::is_ascii_hexdigit));
    let has_a_name = socket.state == stoop_inspect::State::Listening || socket.kind == Some(Kind::Datagram);
    has_a_name && !is_chosen
}

/// Returns the sockets of this network namespace, without the processes that own them.
fn table() -> Snapshot {
    let mut options = Options::default();
    options.owners = OwnersWanted::No;
    options.all_namespaces = false;
    options.sure = false;
    options.workloads = false;
    Inspector::new(options).snapshot()
}
