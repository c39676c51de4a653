//! Predicts a call for the file that the lookup reaches: permission to write, then the socket that
//! is bound to it. Pure.

use rustix::io::Errno;

use super::found::found;
use crate::why::action::{Action, Site};
use crate::why::advise;
use crate::why::cause::Cause;
use crate::why::facts::{Endpoint, EndpointState, Facts, File, FileKind, Nearness};
use crate::why::file_systems::SOCKFS;
use crate::why::lookup_error::hidden;
use crate::why::messages::{Messages, kind_of, quoted};
use crate::why::other_server;
use crate::why::permission::{Access, By, WRITE, access};
use crate::why::verdict::Verdict;

pub(super) fn by_file(facts: &Facts, file: &File) -> Verdict {
    if let Some(denied) = not_writable(facts, file) {
        return denied;
    }
    if file.kind != FileKind::Socket {
        return Verdict::fails(
            Errno::CONNREFUSED,
            Cause::NotASocket,
            format!("it is {}, not a socket", kind_of(file.kind)),
        )
        .seen(Messages(facts).permissions(file))
        .advise(Action::ShowFile(advise::reached(facts, &file.path)));
    }
    if file.mount.file_system == SOCKFS {
        return open_socket(file);
    }
    if facts.alive == Some(false) {
        return stale(facts, file);
    }
    let Some(sockets) = &facts.sockets else { return hidden(facts, "whether a socket is bound to the file") };
    match sockets.iter().find(|socket| socket.state != EndpointState::Accepted) {
        Some(socket) => found(facts, socket),
        None if facts.alive == Some(true) => {
            hidden(facts, "the socket bound to the file, in another network namespace,")
        }
        None => stale(facts, file),
    }
}

/// A link below `/proc/PID/fd` leads to the socket that is open there, to which no socket is bound
/// ([K-LOOKUP-8]).
///
/// [K-LOOKUP-8]: stoop::kernel_facts#K-LOOKUP-8
fn open_socket(file: &File) -> Verdict {
    let why = "it is an open socket, not a socket file: a connection needs the address that it is bound to";
    Verdict::fails(Errno::CONNREFUSED, Cause::OpenSocket, why.to_owned())
        .seen(format!("{} leads to the socket with inode {}", quoted(&file.path), file.id.1))
        .advise(Action::ShowSocket(file.id.1))
}

/// Checks write permission, in the kernel's order, whatever the type of the file.
fn not_writable(facts: &Facts, file: &File) -> Option<Verdict> {
    let messages = Messages(facts);
    let subject = facts.subject.as_ref()?;
    let shown = quoted(&file.path);
    let stored = matches!(file.kind, FileKind::Regular | FileKind::Directory | FileKind::Link);
    if stored && file.mount.file_system_read_only {
        let why = format!("it is {}, not a socket, and on a read-only file system", kind_of(file.kind));
        let verdict = Verdict::fails(Errno::ROFS, Cause::NotASocketReadOnly, why);
        return Some(verdict.advise(Action::ShowFile(advise::reached(facts, &file.path))));
    }
    if file.immutable {
        let why = format!("{shown} has the immutable flag, so no process may write to it");
        return Some(
            Verdict::fails(Errno::PERM, Cause::Immutable, why)
                .advise(Action::ShowFlags(advise::reached(facts, &file.path))),
        );
    }
    let by = match access(file, subject, WRITE) {
        Access::Granted => return None,
        Access::Unknown => return Some(hidden(facts, &messages.undecided(file))),
        Access::Denied(By::Unmapped) => return Some(owner_unmapped(facts, file)),
        Access::Denied(by) => by,
    };
    let cause = if by.is_acl() { Cause::NoWriteAcl } else { Cause::NoWrite };
    let what = if file.kind == FileKind::Socket { "the socket" } else { "what is there" };
    let why = format!("{} write permission on {what}, which connecting requires", messages.lacks());
    let verdict = Verdict::fails(Errno::ACCESS, cause, why)
        .seen(messages.permissions(file))
        .seen(messages.identity())
        .seen(messages.applies(by, file, "write (w)"));
    Some(match file.kind {
        FileKind::Socket => accepted(facts, file, by, verdict),
        kind => verdict
            .seen(format!("it is {}, not a socket", kind_of(kind)))
            .advise(Action::ShowFile(advise::reached(facts, &file.path))),
    })
}

/// The file's owner has no id on the mount, so the kernel lets no user write to it ([K-IDMAP-1]).
///
/// [K-IDMAP-1]: stoop::kernel_facts#K-IDMAP-1
fn owner_unmapped(facts: &Facts, file: &File) -> Verdict {
    let shown = quoted(&file.path);
    let why = format!("no user may write to {shown}: its owner or group has no id on the mount");
    Verdict::fails(Errno::ACCESS, Cause::OwnerUnmapped, why)
        .seen(Messages(facts).permissions(file))
        .advise(Action::ShowMount(advise::reached(facts, &file.path)))
}

/// Adds advice about a socket that the subject may not write to. If no process serves it, no
/// permission helps.
fn accepted(facts: &Facts, file: &File, by: By, verdict: Verdict) -> Verdict {
    let is_dead = facts.alive == Some(false) || facts.sockets.as_ref().is_some_and(Vec::is_empty);
    if is_dead && let Some(seen) = other_server::seen(facts, file) {
        return verdict.seen_all(seen).seen("permission on it would not help");
    }
    match (is_dead, &facts.sockets) {
        _ if facts.alive == Some(true) => verdict.advise_all(server_grants(facts, file, by)),
        (true, _) if file.mount.is_of_file => verdict
            .seen("no socket is bound to it (stale), and it is a mount of a single file: permission would not help")
            .advise(Action::MountAgain { path: file.path.clone(), is_directory: false }),
        (true, _) => verdict
            .seen("no socket is bound to it (stale): permission would not help")
            .advise(replaces(facts, file)),
        (false, None) => verdict
            .seen("no server is visible from here: if the file is stale, permission would not help")
            .advise(advise::ask_about_server(facts)),
        (false, Some(_)) => verdict.advise_all(server_grants(facts, file, by)),
    }
}

/// Advises to start a server in place of a stale socket file.
fn replaces(facts: &Facts, file: &File) -> Action {
    let as_root = advise::needs_root(facts, Some(file.uid));
    Action::ReplaceStale(Site { as_root, ..advise::site(facts) })
}

/// Advises how to grant access. The server decides who may connect: a change to the file lasts only
/// until the server creates it again.
fn server_grants(facts: &Facts, file: &File, by: By) -> impl Iterator<Item = Action> {
    advise::grant(facts, file, by, WRITE).into_iter().chain([Action::AllowGroup(advise::site(facts))])
}

fn stale(facts: &Facts, file: &File) -> Verdict {
    if let Some(verdict) = other_server::connect(facts, file) {
        return verdict;
    }
    let why = "the socket file is stale: no socket is bound to it";
    let (device, inode) = file.id;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    if file.mount.is_of_file {
        return stale_mount(file);
    }
    let verdict = Verdict::fails(Errno::CONNREFUSED, Cause::Stale, why.to_owned())
        .seen(format!("no socket in the kernel's table is bound to device {major}:{minor} inode {inode}"));
    let verdict = verdict.seen_all(left_open(facts));
    let verdict = match facts.near.iter().find(|near| near.how == Nearness::OurView) {
        Some(near) => verdict
            .seen("another file has the same path in our view, and its server is running".to_owned())
            .seen_all(Messages(facts).owners(&near.socket))
            .advise_all(advise::other_view(facts, true)),
        None => verdict,
    };
    let verdict = match advise::is_read_only(file) {
        true => verdict.seen(format!("{} is on a read-only mount", quoted(&file.path))),
        false => verdict,
    };
    match file.mount.file_system_read_only {
        // No program can create it again.
        true => verdict.advise_all(advise::serve_elsewhere(facts, file)),
        false => verdict.advise(replaces(facts, file)),
    }
}

/// Says that a connection is left which a listener of this file had accepted before it was closed.
fn left_open(facts: &Facts) -> Vec<String> {
    let accepted = |socket: &&Endpoint| socket.state == EndpointState::Accepted;
    let Some(socket) = facts.sockets.iter().flatten().find(accepted) else { return Vec::new() };
    let closed =
        "its server has closed the listening socket: a connection that it had accepted is still open";
    std::iter::once(closed.to_owned()).chain(Messages(facts).owners(socket)).collect()
}

/// The file itself is mounted, into a container for example. The mount keeps that inode although
/// the server has made another file at its path ([K-MOUNT-3]).
///
/// [K-MOUNT-3]: stoop::kernel_facts#K-MOUNT-3
fn stale_mount(file: &File) -> Verdict {
    let why = match file.mount.is_unlinked {
        true => {
            "the socket file is mounted here, and was removed since where it came from: the mount keeps the old file"
        }
        false => "the socket file is mounted here and is stale: no socket is bound to it",
    };
    let shown = quoted(&file.path);
    let seen = match file.mount.is_unlinked {
        true => format!("{shown} is a mount of a single file; mountinfo lists that as deleted"),
        false => {
            format!("{shown} is a mount of a single file: a new file of the server does not appear here")
        }
    };
    Verdict::fails(Errno::CONNREFUSED, Cause::StaleMount, why.to_owned())
        .seen(seen)
        .advise(Action::MountAgain { path: file.path.clone(), is_directory: false })
}
