//! Selects lines by flags. Creating and preparing a filter looks files up; all else is pure.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use stoop::internal::{Place, responding};
use stoop::{Address, Kind, escaped};
use stoop_inspect::FileId;
use stoop_inspect::internal::FileLocator;
use stoop_inspect::{Namespace, NamespaceIno, Pid, Snapshot, Socket, SocketId, SocketIno, Workload};

use super::format::plural;
use super::{Glob, NamePattern, Row, format};
use crate::args::{Netns, Selection, SocketSelector};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::target::kind_of;

/// Flags, ready to be compared with lines.
#[derive(Debug)]
pub(crate) struct Filter<'a> {
    flags: &'a Selection,
    addresses: Vec<AddressFilter>,
    pids: Vec<Pid>,
    inodes: Vec<SocketIno>,
    kinds: Vec<Kind>,
    /// The namespaces that the flags name, in the current snapshot.
    namespaces: Vec<NamespaceIno>,
}

/// An address that was asked for.
#[derive(Debug)]
struct AddressFilter {
    /// The address as it was typed.
    typed: String,
    address: Address,
    /// The file that is there now.
    file: Option<FileId>,
    /// Whether a socket of the snapshot has exactly this file. Then no other one matches.
    is_exact: bool,
    /// Sockets that are bound to a file with the same inode number on another file system.
    strangers: Vec<SocketIno>,
}

impl AddressFilter {
    /// Finds the sockets that only look bound there: another file system has their inode number.
    fn prepare(&mut self, snapshot: &Snapshot) {
        self.is_exact = self.file.is_some() && snapshot.sockets.iter().any(|s| s.file == self.file);
        self.strangers.clear();
        let (Some(file), Some(path), false) = (self.file, self.address.as_pathname(), self.is_exact) else {
            return;
        };
        let alike = |socket: &&Socket| socket.file.is_some_and(|bound| bound.may_be(file));
        let mut alike = snapshot.sockets.iter().filter(alike).peekable();
        if alike.peek().is_some() {
            let locator = FileLocator::new();
            self.strangers =
                alike.filter(|socket| !locator.leads_to(path, socket)).map(|socket| socket.ino).collect();
        }
    }

    /// Returns whether a socket is bound there: to the same file if there is one, else to the same
    /// name.
    fn is_bound(&self, socket: &Socket) -> bool {
        match (self.file, socket.file) {
            (Some(wanted), _) if self.is_exact => socket.file == Some(wanted),
            (Some(wanted), Some(bound)) => bound.may_be(wanted) && !self.strangers.contains(&socket.ino),
            (Some(_), None) => false,
            (None, _) => socket.name == self.address,
        }
    }
}

impl<'a> Filter<'a> {
    /// Creates a filter. This reads which files are at the addresses.
    pub(crate) fn new(flags: &'a Selection) -> Result<Filter<'a>, Failure> {
        let mut kinds: Vec<Kind> = flags.kind.kind.into_iter().collect();
        let (mut addresses, mut pids, mut inodes) = (Vec::new(), Vec::new(), Vec::new());
        for which in &flags.which {
            let target = match which {
                SocketSelector::At(endpoint) => endpoint.target()?.0,
                SocketSelector::Pid(pid) => {
                    pids.push(Pid(*pid));
                    continue;
                }
                SocketSelector::Inode(inode) => {
                    inodes.push(SocketIno(*inode));
                    continue;
                }
            };
            let Place::Address(address) = &target.place else {
                return Err(Failure::usage(
                    format!("'{target}' is not an address that a socket can have"),
                    "a path, or an abstract name such as '@name', is needed",
                ));
            };
            kinds.extend(kind_of(&target, flags.kind.kind)?);
            let address = absolute(address);
            let file = address.as_pathname().and_then(|path| responding::metadata(path).ok());
            let (typed, file) = (which.to_string(), file.as_ref().map(FileId::from));
            addresses.push(AddressFilter { typed, address, file, is_exact: false, strangers: Vec::new() });
        }
        Ok(Filter { flags, addresses, pids, inodes, kinds, namespaces: Vec::new() })
    }

    /// Returns the paths that do not exist, and each as it was typed. Sockets are found
    /// there only by the name they were bound to.
    pub(crate) fn without_file(&self) -> impl Iterator<Item = (&str, &Address)> {
        let lost = |place: &&AddressFilter| place.file.is_none() && place.address.as_pathname().is_some();
        self.addresses.iter().filter(lost).map(|place| (&*place.typed, &place.address))
    }

    /// Returns the paths at which there is a file.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        self.addresses
            .iter()
            .filter(|place| place.file.is_some())
            .filter_map(|place| place.address.as_pathname())
    }

    /// Prepares for the lines of this snapshot.
    pub(crate) fn prepare(&mut self, snapshot: &Snapshot) {
        for place in &mut self.addresses {
            place.prepare(snapshot);
        }
        let is_meant = |namespace: &&Namespace| self.flags.netns.iter().any(|wanted| is(namespace, wanted));
        self.namespaces =
            snapshot.namespaces.iter().filter(is_meant).map(|namespace| namespace.ino).collect();
    }

    /// Rejects names that do not exist on this machine, if the snapshot shows all names that do.
    pub(crate) fn check(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        let names_none = |wanted: &&Netns| {
            matches!(wanted, Netns::Named(_)) && !snapshot.namespaces.iter().any(|one| is(one, wanted))
        };
        let Some(Netns::Named(name)) = self.flags.netns.iter().find(names_none) else { return Ok(()) };
        let name = escaped(name.as_bytes());
        let named: Vec<String> =
            snapshot.namespaces.iter().flat_map(|one| &one.names).map(|path| format::path(path)).collect();
        let seen = if named.is_empty() {
            "none has a name".into()
        } else {
            format!("the names are {}", named.join(", "))
        };
        let count = plural(snapshot.namespaces.len(), "network namespace");
        Err(Failure::new(Exit::Usage, format!("no network namespace named '{name}'"))
            .why("no network namespace is mounted at a file of that name, such as those in /run/netns")
            .seen(format!("{count}: {seen}"))
            .next("stoop ls --netns own    # or its inode, as in column NETNS and in /proc/PID/ns/net")
            .into())
    }

    /// Returns sockets that were found by their file but are shown under another name: what was
    /// asked for, and that name.
    pub(crate) fn renamed<'s>(
        &'s self,
        snapshot: &'s Snapshot,
    ) -> impl Iterator<Item = (&'s Address, &'s Address)> {
        self.addresses.iter().filter_map(|place| {
            let file = place.file?;
            let is_it = |socket: &&Socket| socket.may_be_from().is_none() && place.is_bound(socket);
            let name = &snapshot.sockets.iter().find(is_it)?.name;
            let now = responding::metadata(name.as_pathname()?);
            let leads_there = now.is_ok_and(|now| FileId::from(&now) == file);
            (!leads_there).then_some((&place.address, name))
        })
    }

    /// Returns whether a line is selected.
    pub(crate) fn matches(&self, snapshot: &Snapshot, row: &Row) -> bool {
        let flags = self.flags;
        let kind_fits =
            self.kinds.is_empty() || row.kind(snapshot).is_some_and(|kind| self.kinds.contains(&kind));
        kind_fits
            && (flags.which.is_empty() || row.sockets().any(|id| self.is_meant(snapshot, id)))
            && any_or_none(&flags.name, |glob| row.sockets().any(|id| has_name(snapshot, id, glob)))
            && any_or_none(&flags.service, |glob| row.sockets().any(|id| is_of_service(snapshot, id, glob)))
            && (flags.netns.is_empty()
                || row.sockets().any(|id| self.namespaces.contains(&snapshot[id].namespace)))
            && self.ends_fit(snapshot, row)
    }

    /// Returns whether a socket is one of those that were named.
    fn is_meant(&self, snapshot: &Snapshot, id: SocketId) -> bool {
        let socket = &snapshot[id];
        self.addresses.iter().any(|place| place.is_bound(socket))
            || self.inodes.contains(&socket.ino)
            || socket.owners.iter().any(|owner| self.pids.contains(&owner.pid))
    }

    /// Returns whether one end matches the process flags, and the other matches `--peer`.
    fn ends_fit(&self, snapshot: &Snapshot, row: &Row) -> bool {
        let [server, client] = [row.serving(), row.client];
        let peers = &self.flags.peer;
        [(server, client), (client, server)].into_iter().any(|(one, other)| {
            one.is_some_and(|one| self.end_fits(snapshot, one))
                && (peers.is_empty() || other.is_some_and(|other| is_one_of(snapshot, other, peers)))
        })
    }

    fn end_fits(&self, snapshot: &Snapshot, id: SocketId) -> bool {
        let flags = self.flags;
        let of_process = flags.pid.len() + flags.command.len() + flags.container.len() + flags.unit.len();
        let socket = &snapshot[id];
        let made_by = socket.uid.is_some_and(|uid| flags.user.contains(&uid));
        if of_process == 0 && (flags.user.is_empty() || made_by) {
            return true;
        }
        snapshot.processes_of(id).any(|process| {
            any_or_none(&flags.pid, |pid| process.pid.0 == *pid)
                && any_or_none(&flags.command, |glob| glob.matches(process.command.as_bytes()))
                && any_or_none(&flags.user, |uid| made_by || process.uid == Some(*uid))
                && any_or_none(&flags.container, |glob| is_in_container(&process.workload, glob))
                && any_or_none(&flags.unit, |glob| is_in_unit(&process.workload, glob))
        })
    }
}

/// Returns whether the name of a socket is an address of such a service.
fn is_of_service(snapshot: &Snapshot, id: SocketId, glob: &Glob) -> bool {
    let service = stoop_inspect::endpoints::recognise(&snapshot[id].name);
    service.is_some_and(|service| service.is_called(|name| glob.matches(name)))
}

/// Returns whether any of the values of a repeated flag fits. A flag that was not given matches
/// anything.
fn any_or_none<T>(wanted: &[T], fits: impl FnMut(&T) -> bool) -> bool {
    wanted.is_empty() || wanted.iter().any(fits)
}

fn has_name(snapshot: &Snapshot, id: SocketId, glob: &Glob) -> bool {
    let name = &snapshot[id].name;
    match (name.as_pathname(), name.as_abstract_name()) {
        (Some(path), _) => glob.matches(path.as_os_str().as_bytes()),
        (_, Some(bytes)) => glob.matches([b"@", bytes].concat()),
        _ => false,
    }
}

fn is(namespace: &Namespace, wanted: &Netns) -> bool {
    match wanted {
        Netns::Own => namespace.is_own,
        Netns::Inode(inode) => namespace.ino == NamespaceIno(*inode),
        Netns::Named(name) => {
            let has_it = |path: &Path| path == Path::new(name) || path.file_name() == Some(name);
            namespace.names.iter().any(|path| has_it(path))
        }
    }
}

/// Returns whether a process of the socket is one of these: by its id, its command, or both as they
/// are printed.
fn is_one_of(snapshot: &Snapshot, id: SocketId, peers: &[NamePattern]) -> bool {
    snapshot.processes_of(id).any(|process| {
        let command = process.command.as_bytes();
        let pid = process.pid.to_string();
        let both = [pid.as_bytes(), b"/", command].concat();
        peers.iter().any(|peer| peer.matches(&pid) || peer.matches(command) || peer.matches(&both))
    })
}

/// Returns whether a container's id matches, or that of its pod.
pub(crate) fn is_in_container(workload: &Workload, pattern: &NamePattern) -> bool {
    match workload {
        Workload::Container { runtime, id, pod } => {
            pattern.matches(id)
                || pattern.matches(format!("{runtime}:{id}"))
                || pod.as_ref().is_some_and(|pod| pattern.matches(pod))
        }
        _ => false,
    }
}

/// Returns whether the name of a unit or of a session matches.
pub(crate) fn is_in_unit(workload: &Workload, pattern: &NamePattern) -> bool {
    match workload {
        Workload::Unit { name, .. } => pattern.matches(name),
        Workload::Session { id, .. } => pattern.matches(format!("session-{id}")),
        _ => false,
    }
}

/// Resolves a relative path against the working directory of this process.
fn absolute(address: &Address) -> Address {
    let path = address.as_pathname().and_then(|path| std::path::absolute(path).ok());
    path.and_then(|path| Address::path(path).ok()).unwrap_or_else(|| address.clone())
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use stoop_testkit::tempdir;

    use super::*;
    use crate::args::{Cli, Verb};
    use crate::sockets::{rows, sample};

    /// Returns how many lines of the sample these flags select.
    fn count(flags: &[&str]) -> usize {
        count_of(&sample::machine(), flags)
    }

    fn count_of(machine: &Snapshot, flags: &[&str]) -> usize {
        let words = ["stoop", "ls"].iter().chain(flags);
        let Verb::Ls(flags) = Cli::try_parse_from(words).unwrap().verb else { panic!("ls") };
        let mut filter = Filter::new(&flags.selection).unwrap();
        filter.prepare(machine);
        rows(machine).iter().filter(|row| filter.matches(machine, row)).count()
    }

    /// The table has the listener's file for accepted sockets, too.
    #[test]
    fn connections_to_another_file_of_that_inode_number_are_not_selected() {
        let dir = tempdir();
        let path = dir.path().join("app.sock");
        std::fs::write(&path, "").unwrap();
        let file = FileId::from(&std::fs::metadata(&path).unwrap());
        let path = path.to_str().unwrap();
        let database = "/var/run/postgresql/.s.PGSQL.5432";
        let on_device = |dev: u64| {
            let mut machine = sample::machine();
            let is_it = |socket: &&mut Socket| socket.name == Address::path(database).unwrap();
            machine.sockets.iter_mut().filter(is_it).for_each(|socket| {
                socket.file = Some(FileId { dev, ino: file.ino });
            });
            machine
        };
        // A listener, two connections and a waiting client.
        assert_eq!(count_of(&on_device(file.dev), &[path]), 4);
        let strangers = on_device(file.dev + 1);
        assert_eq!(count_of(&strangers, &[path]), 0);
        assert_eq!(count_of(&strangers, &["--name", database]), 4, "they are listed as what they are");
    }

    #[test]
    fn all_filter_flags_must_match() {
        let table: [(&[&str], usize); 32] = [
            (&[], 11),
            (&["--kind", "dgram"], 2),
            (&["--pid", "812"], 4),
            (&["--pid", "812", "--pid", "412"], 6),
            (&["--pid", "2040"], 3),
            (&["--pid", "2040", "--command", "postgres"], 0),
            (&["--pid", "2040", "--peer", "postgres"], 3),
            (&["--peer", "812"], 3),
            (&["--command", "web*"], 3),
            (&["--container", "0123"], 3),
            (&["--container", "*f", "--peer", "8?2"], 3),
            (&["--container", "123"], 0),
            (&["--unit", "dbus.*"], 2),
            (&["--name", "/run/*"], 4),
            (&["--name", "@a b*"], 1),
            (&["--user", "0", "--kind", "seqpacket"], 1),
            (&["--user", "12345"], 0),
            (&["--netns", "own"], 11),
            (&["--netns", "12"], 0),
            (&["pid:812"], 4),
            (&["pid:812", "pid:412"], 6),
            (&["inode:1000"], 1),
            (&["inode:1000", "@a%20b%1B[2J%0A%00%FF"], 2),
            (&["--unit", "dbus"], 2),
            (&["--command", "web app"], 3),
            (&["--command", "web%20app"], 3),
            (&["--command", "evil%20)%1B]0;x%0A"], 1),
            (&["--peer", "812/postgres"], 3),
            (&["--pid", "812/postgres"], 4),
            (&["--container", "docker:0123456789ab"], 3),
            (&["--command", "systemd-journald"], 2),
            (&["@a%20b%1B[2J%0A%00%FF"], 1),
        ];
        for (flags, expected) in table {
            assert_eq!(count(flags), expected, "{flags:?}");
        }
    }
}
