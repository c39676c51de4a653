//! Predicts whether a name can be created: the parents are looked up, then the name, and then the
//! directory's permissions are checked (`filename_create`, `vfs_mknod`). Pure.

use std::path::Path;

use rustix::io::Errno;
use stoop::internal::file_system::{Sockets, sockets_on};
use stoop::{Address, Kind, escaped};

use super::action::{Action, FileFlag, Site};
use super::cause::Cause;
use super::facts::{Endpoint, EndpointState, Facts, File, FileKind, Found, IdRange, Step};
use super::lookup::{entered, failing, no_start, steps};
use super::lookup_error::hidden;
use super::messages::{Messages, inherited, kind_of, quoted, quoted_bytes};
use super::permission::{Access, By, SEARCH, WRITE, access, has};
use super::verdict::{Outcome, Stop, Verdict};
use super::{advise, lookup_error, other_server};

/// Predicts a bind.
pub(super) fn judge(facts: &Facts) -> Verdict {
    match facts.question.address.as_abstract_name() {
        Some(_) => name(facts),
        None => path(facts),
    }
}

fn name(facts: &Facts) -> Verdict {
    let kind = facts.question.kind.unwrap_or(Kind::Stream);
    let Some(sockets) = &facts.sockets else {
        return hidden(facts, "the table of sockets of that network namespace");
    };
    let of_kind = || sockets.iter().filter(|socket| socket.kind == Some(kind));
    if let Some(socket) = of_kind().find(|socket| socket.holds_name() == Some(true)) {
        return live(facts, socket, Cause::NameTaken);
    }
    match of_kind().find(|socket| socket.holds_name().is_none()) {
        Some(socket) => {
            hidden(facts, "whether the connected socket that shows the name holds it, or was accepted by a listener that has closed,")
                .seen_all(Messages(facts).owners(socket))
        }
        None => Verdict::succeeds("nothing prevents it: the name is free".to_owned()),
    }
}

impl Endpoint {
    /// Returns whether it holds its abstract name, if that is known. An accepted socket has the
    /// name of its listener, which is free once that has closed. A client with a name, or one end
    /// of a pair, looks the same ([K-NAME-16]), unless the kernel's own structures were read.
    ///
    /// [K-NAME-16]: stoop::kernel_facts#K-NAME-16
    fn holds_name(&self) -> Option<bool> {
        let is_connected = matches!(self.state, EndpointState::Connected | EndpointState::Accepted);
        match !is_connected || self.kind == Some(Kind::Datagram) {
            true => Some(true),
            false => self.is_bound_itself,
        }
    }
}

const LIVE: &str = "a live server has that address";
const CLIENT: &str = "a socket with a peer has that address: the name of a client is in use, too";

fn live(facts: &Facts, socket: &Endpoint, cause: Cause) -> Verdict {
    let is_silent = socket.state == EndpointState::Bound && socket.kind.is_some_and(Kind::is_connected);
    // A client has to be of the server's kind, whatever is to be bound.
    let site = advise::site(facts);
    let at = Site { kind: socket.kind.or(site.kind), ..site };
    let client = match is_silent {
        true => Action::WaitForServer { at, is_bound: true },
        false => Action::Connect { at, kind: None },
    };
    let why = if socket.state == EndpointState::Connected { CLIENT } else { LIVE };
    let verdict = Verdict::fails(Errno::ADDRINUSE, cause, why.to_owned())
        .seen_all(Messages(facts).owners(socket))
        .seen_all(is_silent.then(|| "it does not listen yet".to_owned()))
        .seen_all(inherited(socket))
        .advise(client);
    match facts.question.address.as_pathname() {
        Some(_) => verdict.advise(Action::TakeOver(advise::site(facts))),
        None => verdict,
    }
}

fn path(facts: &Facts) -> Verdict {
    let Some(walk) = &facts.walk else { return no_start(facts) };
    let Some((last, parents)) = walk.steps.split_last().filter(|(last, _)| last.last) else {
        return match steps(facts, &walk.steps) {
            Some(stopped) => stopped,
            None if walk.steps.is_empty() => no_last_name(facts),
            None => hidden(facts, "the directory"),
        };
    };
    let in_directory = Stop::In(parents.len());
    let entered = || Some(entered(facts, last)?.stopped(in_directory));
    if let Some(stopped) = steps(facts, parents).or_else(entered) {
        return stopped;
    }
    if last.name == b"." || last.name == b".." {
        return no_last_name(facts);
    }
    match &last.found {
        Found::File(file) | Found::Link { link: file, .. } | Found::Magic { link: file, .. } => {
            taken(facts, file)
        }
        Found::Hidden(_) => hidden(facts, &format!("whether {} is there", quoted_bytes(&last.name))),
        Found::NotResponding => lookup_error::not_responding(facts, &last.path()),
        Found::Failing { errno, mount } => failing(facts, &last.path(), *errno, mount),
        Found::Nothing if walk.trailing_slash && last.directory.mount.file_system != "proc" => {
            trailing_slash(facts, last)
        }
        Found::Nothing => match free(facts, last) {
            verdict if verdict.outcome == Outcome::Succeeds => verdict,
            verdict => verdict.stopped(in_directory),
        },
    }
}

fn no_last_name(facts: &Facts) -> Verdict {
    let why = "the path does not end in a name that can be created: it is a directory, '.' or '..'";
    let path = facts.question.address.as_pathname().unwrap_or(Path::new(""));
    Verdict::fails(Errno::ADDRINUSE, Cause::NoLastName, why.to_owned())
        .seen(format!("the path is {}", quoted(path)))
        .advise(Action::AddName(path.to_owned()))
}

/// Whatever file has the name, `bind` fails the same way: even a dangling symbolic link
/// ([K-BIND-8]).
///
/// [K-BIND-8]: stoop::kernel_facts#K-BIND-8
fn taken(facts: &Facts, file: &File) -> Verdict {
    let fails = |cause, why: String| Verdict::fails(Errno::ADDRINUSE, cause, why);
    if file.kind != FileKind::Socket {
        return fails(Cause::TakenByFile, format!("the name is taken by {}", kind_of(file.kind)))
            .seen(Messages(facts).permissions(file))
            .advise(Action::ShowFile(advise::reached(facts, &file.path)));
    }
    let sockets = facts.sockets.iter().flatten();
    if let Some(socket) = sockets.into_iter().find(|socket| socket.state != EndpointState::Accepted) {
        return live(facts, socket, Cause::TakenLive);
    }
    if file.mount.is_of_file {
        let why = "a socket file is mounted there: replacing it would detach the mount";
        return fails(Cause::TakenByMount, why.to_owned())
            .seen(Messages(facts).permissions(file))
            .advise(Action::MountAgain { path: file.path.clone(), is_directory: false });
    }
    if let Some(verdict) = other_server::bind(facts, file) {
        return verdict;
    }
    match (facts.alive, &facts.sockets) {
        (Some(false), _) | (None, Some(_)) => {
            let verdict = fails(
                Cause::TakenStale,
                "a stale socket file has that name: no socket is bound to it".to_owned(),
            )
            .seen(Messages(facts).permissions(file))
            .advise(Action::ReplaceStale(advise::site(facts)))
            .advise_all(advise::remove_stale(facts, file));
            and_then(facts, verdict)
        }
        (Some(true), _) => fails(Cause::TakenLive, LIVE.to_owned())
            .seen("a socket of another network namespace, whose table cannot be read, is bound to it")
            .seen(Messages(facts).permissions(file)),
        (None, None) => fails(Cause::TakenBySocket, "a socket file has that name".to_owned())
            .seen("whether a socket is bound to it cannot be determined from here")
            .seen(Messages(facts).permissions(file))
            .advise(advise::ask_about_server(facts)),
    }
}

/// Adds what a bind lacks once the file is removed: permission on the directory.
fn and_then(facts: &Facts, verdict: Verdict) -> Verdict {
    let is_writable = |last: &&Step| !advise::is_read_only(&last.directory);
    let last = facts.walk.as_ref().and_then(|walk| walk.steps.last()).filter(is_writable);
    match last.and_then(|last| may_write(facts, &last.directory)) {
        Some(Verdict { outcome: Outcome::Fails(_), why, advice, .. }) => {
            verdict.seen(format!("once it is removed: {why}")).advise_all(advice)
        }
        _ => verdict,
    }
}

fn trailing_slash(facts: &Facts, last: &Step) -> Verdict {
    let name = quoted_bytes(&last.name);
    let why = format!("the path ends in a slash, and the directory {name} does not exist");
    let path = last.path();
    let address = Address::path(advise::reached(facts, &path));
    Verdict::fails(Errno::NOENT, Cause::TrailingSlash, why).advise_all(address.ok().map(|address| {
        let operation = facts.question.operation;
        Action::OmitSlash { at: advise::other_site(&address), operation }
    }))
}

/// The name is free. The directory must permit its creation. A read-only mount is checked before
/// the directory's permissions ([K-BIND-19]).
///
/// [K-BIND-19]: stoop::kernel_facts#K-BIND-19
fn free(facts: &Facts, last: &Step) -> Verdict {
    let directory = &last.directory;
    let shown = quoted(&directory.path);
    if directory.mount.file_system == "proc" {
        let why = format!("{shown} is on proc, where no file can be created");
        return Verdict::fails(Errno::NOENT, Cause::NoSocketsHere, why).advise(Action::UsePrivateDirectory);
    }
    if advise::is_read_only(directory) {
        let why = format!(
            "the directory {shown} is on a read-only {}",
            if directory.mount.read_only { "mount" } else { "file system" }
        );
        return Verdict::fails(Errno::ROFS, Cause::ReadOnly, why)
            .advise(Action::UsePrivateDirectory)
            .advise_all(advise::serve_elsewhere(facts, directory));
    }
    if let Some(verdict) = creator_unmapped(facts, directory) {
        return verdict;
    }
    if directory.immutable {
        let why = format!("the directory {shown} has the immutable flag: no file can be created in it");
        return Verdict::fails(Errno::PERM, Cause::ParentImmutable, why).advise(advise::clear_flag(
            facts,
            &directory.path,
            FileFlag::Immutable,
        ));
    }
    may_make(facts, directory).unwrap_or_else(|| {
        let verdict = Verdict::succeeds("nothing prevents it: the file would be created".to_owned())
            .seen(Messages(facts).permissions(directory));
        space_caveats(facts, directory).fold(verdict, Verdict::caveat)
    })
}

/// Names limits of the file system that only the creation itself would show.
fn space_caveats(facts: &Facts, directory: &File) -> impl Iterator<Item = String> {
    let shown = quoted(&directory.path);
    let full = facts.walk.as_ref().and_then(|walk| walk.space).is_some_and(|space| space.no_blocks);
    let full = full.then(|| format!("the file system of {shown} has no free block: it may fail with ENOSPC"));
    let quota = directory.mount.has_quota;
    full.into_iter().chain(quota.then(|| {
        format!("the file system of {shown} has quotas, which are not consulted: it may fail with EDQUOT")
    }))
}

fn may_make(facts: &Facts, directory: &File) -> Option<Verdict> {
    may_write(facts, directory).or_else(|| made_there(facts, directory))
}

/// Returns the verdict if the directory does not permit it, or that is not known.
fn may_write(facts: &Facts, directory: &File) -> Option<Verdict> {
    let messages = Messages(facts);
    let subject = facts.subject.as_ref()?;
    let shown = quoted(&directory.path);
    match access(directory, subject, WRITE | SEARCH) {
        Access::Granted => None,
        Access::Unknown => Some(hidden(facts, &messages.undecided(directory))),
        Access::Denied(By::Unmapped) => Some(parent_unmapped(facts, directory)),
        Access::Denied(by) => {
            let cause = if by.is_acl() { Cause::ParentNotWritableAcl } else { Cause::ParentNotWritable };
            let why = format!("creating a socket requires write permission on the directory {shown}");
            Some(
                Verdict::fails(Errno::ACCESS, cause, why)
                    .seen(messages.permissions(directory))
                    .seen(messages.identity())
                    .seen(messages.applies(by, directory, "write (w)"))
                    .advise(Action::UsePrivateDirectory)
                    .advise_all(advise::grant(facts, directory, by, WRITE)),
            )
        }
    }
}

/// The directory's owner has no id on the mount, so the kernel lets no user write to it.
fn parent_unmapped(facts: &Facts, directory: &File) -> Verdict {
    let shown = quoted(&directory.path);
    let why = format!("no user may create a file in {shown}: its owner or group has no id on the mount");
    Verdict::fails(Errno::ACCESS, Cause::ParentOwnerUnmapped, why)
        .seen(Messages(facts).permissions(directory))
        .advise(Action::ShowMount(advise::reached(facts, &directory.path)))
        .advise(Action::UsePrivateDirectory)
}

/// A new file's owner needs an id in the file system, and on an idmapped mount one that the mount
/// maps. The kernel checks that before the directory's permissions ([K-IDMAP-2], [K-IDMAP-4]).
///
/// [K-IDMAP-2]: stoop::kernel_facts#K-IDMAP-2
/// [K-IDMAP-4]: stoop::kernel_facts#K-IDMAP-4
fn creator_unmapped(facts: &Facts, directory: &File) -> Option<Verdict> {
    let (subject, mount) = (facts.subject.as_ref()?, &directory.mount);
    let shown = quoted(&directory.path);
    if mount.may_be_foreign {
        let what = format!("whether the user namespace that {shown} was mounted in maps the user");
        return Some(hidden(facts, &what));
    }
    if !mount.maps_ids {
        return None;
    }
    let Some(maps) = &mount.id_maps else {
        return Some(hidden(facts, &format!("which ids the mount of {shown} maps")));
    };
    (!has(&maps.uids, subject.uid) || !has(&maps.gids, subject.gid)).then(|| {
        let why = format!(
            "the mount of {shown} maps the ids of its users, and not those of {}",
            Messages(facts).whom()
        );
        Verdict::fails(Errno::OVERFLOW, Cause::CreatorUnmapped, why)
            .seen(format!("it maps users {} and groups {}", listed(&maps.uids), listed(&maps.gids)))
            .seen(Messages(facts).identity())
            .advise(Action::ShowMount(advise::reached(facts, &directory.path)))
            .advise(Action::UsePrivateDirectory)
    })
}

/// Formats ranges of ids: `2000, 3000-3009`.
fn listed(ranges: &[IdRange]) -> String {
    let range = |range: &IdRange| match range.count {
        1 => range.first.to_string(),
        count => format!("{}-{}", range.first, range.first.saturating_add(count - 1)),
    };
    let shown: Vec<String> = ranges.iter().take(4).map(range).collect();
    let more = if ranges.len() > 4 { ", …" } else { "" };
    if shown.is_empty() { "none".to_owned() } else { shown.join(", ") + more }
}

/// Whether the file system creates a socket there: the last of the kernel's checks.
fn made_there(facts: &Facts, directory: &File) -> Option<Verdict> {
    let (shown, name) = (quoted(&directory.path), escaped(&directory.mount.file_system).to_string());
    match sockets_on(&directory.mount.file_system) {
        Sockets::Supported => no_space(facts, directory),
        Sockets::Unsupported => {
            let why = format!("{shown} is on the file system {name}, which does not support sockets");
            let verdict = Verdict::fails(Errno::PERM, Cause::NoSocketsHere, why);
            Some(verdict.advise(Action::UsePrivateDirectory))
        }
        Sockets::ServerDecides => {
            let what = format!("whether the server of the file system {name} of {shown} creates sockets");
            Some(hidden(facts, &what).advise(Action::UsePrivateDirectory))
        }
        Sockets::Unknown if name.is_empty() => Some(hidden(facts, &format!("the file system of {shown}"))),
        Sockets::Unknown => Some(Verdict::unknown(format!(
            "it is not known whether the file system {name} of {shown} supports sockets"
        ))),
    }
}

/// A new file takes an inode ([K-BIND-30]).
///
/// [K-BIND-30]: stoop::kernel_facts#K-BIND-30
fn no_space(facts: &Facts, directory: &File) -> Option<Verdict> {
    facts.walk.as_ref()?.space?.no_inodes.then(|| {
        let why = format!(
            "the file system of {} has no free inode: no file can be created",
            quoted(&directory.path)
        );
        Verdict::fails(Errno::NOSPC, Cause::NoSpace, why)
            .advise(Action::ShowInodes(advise::reached(facts, &directory.path)))
            .advise(Action::UsePrivateDirectory)
    })
}
