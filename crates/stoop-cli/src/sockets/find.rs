//! Finds the sockets in a snapshot that a selector on the command line may refer to.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::PathBuf;

use stoop::Address;
use stoop::internal::{Place, responding};
use stoop_inspect::FileId;
use stoop_inspect::internal::FileLocator;
use stoop_inspect::{Missing, Pid, Snapshot, SocketId, SocketIno, What};

use super::format;
use super::suggest::{describe_non_socket, other_spellings};
use crate::args::SocketSelector;
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::failure::{Failure, Report, describe};

/// A filter, ready to be compared with snapshots.
#[derive(Debug)]
pub(crate) enum ResolvedSelector {
    Pid(Pid),
    Ino(SocketIno),
    Name(Address),
    /// A path, and the file it leads to.
    Path(PathBuf, io::Result<FileId>),
}

impl ResolvedSelector {
    /// Creates one. For a path, this reads the file it leads to.
    pub(crate) fn new(which: &SocketSelector) -> Result<ResolvedSelector, Failure> {
        let target = match which {
            SocketSelector::Pid(pid) => return Ok(ResolvedSelector::Pid(Pid(*pid))),
            SocketSelector::Inode(ino) => return Ok(ResolvedSelector::Ino(SocketIno(*ino))),
            SocketSelector::At(endpoint) => endpoint.target()?.0,
        };
        let Place::Address(address) = &target.place else {
            return Err(Failure::usage(
                format!("'{target}' is not an address that a socket can have"),
                "a path, or an abstract name such as '@name', is needed",
            ));
        };
        let Some(path) = address.as_pathname() else { return Ok(ResolvedSelector::Name(address.clone())) };
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let file = responding::metadata(&path).map(|file| FileId::from(&file));
        Ok(ResolvedSelector::Path(path, file))
    }

    /// Returns the matching sockets, in the order of the snapshot. A socket accepted from a
    /// listener is left out if the listener matches too.
    pub(crate) fn find(&self, snapshot: &Snapshot) -> Vec<SocketId> {
        let mut found: Vec<SocketId> =
            snapshot.iter().map(|(id, _)| id).filter(|&id| self.may_be(snapshot, id)).collect();
        if let ResolvedSelector::Path(_, Ok(file)) = self
            && found.iter().any(|&id| snapshot[id].file == Some(*file))
        {
            // On some file systems the kernel's table has a device other than the file's. If any
            // socket has the same device, only such sockets match.
            found.retain(|&id| snapshot[id].file == Some(*file));
        } else if let (ResolvedSelector::Path(path, Ok(_)), false) = (self, found.is_empty()) {
            // Others have the same inode number on another file system.
            let locator = FileLocator::new();
            found.retain(|&id| locator.leads_to(path, &snapshot[id]));
        }
        if let ResolvedSelector::Path(..) | ResolvedSelector::Name(_) = self {
            let all: HashSet<SocketId> = found.iter().copied().collect();
            found.retain(|&id| snapshot[id].may_be_from().is_none_or(|listener| !all.contains(&listener)));
        }
        found
    }

    /// Returns sockets that were bound to this path, but to another file than the one there now.
    pub(crate) fn of_that_name(&self, snapshot: &Snapshot) -> Vec<SocketId> {
        let ResolvedSelector::Path(path, _) = self else { return Vec::new() };
        let named = |&id: &SocketId| snapshot[id].listener.is_none() && snapshot.was_bound_to(id, path);
        snapshot.iter().map(|(id, _)| id).filter(named).collect()
    }

    fn may_be(&self, snapshot: &Snapshot, id: SocketId) -> bool {
        let socket = &snapshot[id];
        match self {
            ResolvedSelector::Pid(pid) => socket.owners.iter().any(|owner| owner.pid == *pid),
            ResolvedSelector::Ino(ino) => socket.ino == *ino,
            ResolvedSelector::Name(name) => socket.name == *name,
            ResolvedSelector::Path(_, Ok(file)) => socket.file.is_some_and(|bound| bound.may_be(*file)),
            ResolvedSelector::Path(path, Err(_)) => snapshot.was_bound_to(id, path),
        }
    }

    /// Reports that no socket matches, with what was observed. `verb` is the command to suggest
    /// with what was probably meant.
    pub(crate) fn not_found(&self, which: &SocketSelector, snapshot: &Snapshot, verb: &str) -> Failure {
        let sockets = format::plural(snapshot.sockets.len(), "socket");
        let report = Failure::new(Exit::No, format!("no process has '{which}' open"));
        match self {
            ResolvedSelector::Path(path, Err(error)) if error.kind() == io::ErrorKind::NotFound => {
                let namespaces = format::plural(snapshot.namespaces.len(), "network namespace");
                let report = report
                    .why("the file does not exist, and no socket was bound to that name")
                    .seen(format!("searched {sockets} in {namespaces}"));
                let report = match which {
                    SocketSelector::At(Endpoint::Named(name)) => {
                        report.seen(format!("'{}' resolves to '{}'", name.word(), format::path(path)))
                    }
                    _ => report,
                };
                let meant = other_spellings(&which.to_string(), snapshot).into_iter();
                report
                    .next_all(meant.map(|meant| format!("stoop {verb} {meant}")))
                    .next(format!("stoop ls    # {LISTED}"))
            }
            ResolvedSelector::Path(_, Err(error)) => {
                let exit = match error.kind() {
                    io::ErrorKind::PermissionDenied => Exit::NotPermitted,
                    _ => Exit::Failed,
                };
                let address = crate::shell::quoted(OsStr::new(&which.to_string()));
                Failure::new(exit, format!("cannot inspect '{which}': {}", describe(error)))
                    .why("the lookup of its path fails")
                    .next(format!("stoop why {address}    # at which component, and why"))
            }
            ResolvedSelector::Path(path, Ok(file)) => {
                let seen = format!("none of {sockets} is bound to {}", format::file(*file));
                match describe_non_socket(path) {
                    Some((what, Some(inside))) => {
                        report.why(format!("it is {what}")).next(format!("stoop ls {inside}"))
                    }
                    Some((what, None)) => report
                        .why(format!("the file is {what}"))
                        .seen(seen)
                        .next(format!("stoop ls    # {LISTED}")),
                    None => report
                        .why("no socket that is visible from here is bound to the file: it is stale, or its server is in another view")
                        .seen(seen)
                        .next(format!("stoop why {}", crate::shell::quoted(OsStr::new(&which.to_string())))),
                }
            }
            ResolvedSelector::Name(_) if hides_namespaces(snapshot) => report
                .why("no socket in a network namespace that is visible from here has exactly that abstract name")
                .seen("other network namespaces have their own abstract names, and cannot be seen from here")
                .next(format!("sudo stoop {verb} {}    # root sees more", crate::shell::quoted(OsStr::new(&which.to_string()))))
                .next("stoop ls '@*'    # the abstract names in use"),
            ResolvedSelector::Name(_) => report
                .why("no socket is bound to exactly that abstract name")
                .next("stoop ls '@*'    # the abstract names in use"),
            ResolvedSelector::Pid(pid) => no_sockets(*pid, snapshot),
            ResolvedSelector::Ino(_) => report
                .why("no Unix socket has that inode")
                .next("stoop ls --columns inode,address,command    # the inodes of all sockets"),
        }
        .into()
    }
}

fn hides_namespaces(snapshot: &Snapshot) -> bool {
    snapshot.missing.iter().any(|missing| matches!(missing.what, What::Namespaces(_) | What::Table(_)))
}

const LISTED: &str = "the sockets of this machine";

/// Reports that a process has no socket, as far as it may be inspected.
fn no_sockets(pid: Pid, snapshot: &Snapshot) -> Report {
    let is_hidden =
        |missing: &Missing| matches!(&missing.what, What::Descriptors(pids) if pids.contains(&pid));
    let what = |what: &str| format!("process {pid} {what}");
    if snapshot.missing.iter().any(is_hidden) {
        return Failure::new(Exit::NotPermitted, what("cannot be inspected"))
            .why("only its user and root may see its file descriptors")
            .next(format!("sudo stoop who pid:{pid}"));
    }
    match fs::exists(format!("/proc/{pid}")) {
        Ok(true) => Failure::new(Exit::No, what("has no Unix socket open"))
            .why("none of its file descriptors is one")
            .next(format!("ls -l /proc/{pid}/fd    # what it has open")),
        _ => Failure::new(Exit::No, what("does not exist"))
            .why("no process has this id now")
            .next("ps -e    # the processes visible from here"),
    }
}
