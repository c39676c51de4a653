//! Predicts whether a name can be created: the parents are looked up, then the name, and then the
//! directory's permissions are checked (`filename_create`, `vfs_mknod`). Pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::io::Errno;
use stoop::{Address, Kind};

use super::action::Action;
use super::advise;
use super::cause::Cause;
use super::facts::{Endpoint, EndpointState, Facts, File, FileKind, Found, Step};
use super::lookup::{entered, hidden, steps};
use super::messages::{Messages, kind_of, quoted, quoted_bytes};
use super::permission::{Access, SEARCH, WRITE, access};
use super::verdict::{Outcome, Stop, Verdict};

/// File systems that do not support sockets.
const WITHOUT_SOCKETS: &[&str] =
    &["sysfs", "vfat", "exfat", "msdos", "ntfs3", "efivarfs", "debugfs", "tracefs", "devpts"];

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
    let holder = |socket: &&Endpoint| socket.kind == Some(kind) && socket.state != EndpointState::Accepted;
    match sockets.iter().find(holder) {
        Some(socket) => live(facts, socket, Cause::NameTaken),
        None => Verdict::succeeds("nothing prevents it: the name is free".to_owned()),
    }
}

const LIVE: &str = "a live server has that address";

fn live(facts: &Facts, socket: &Endpoint, cause: Cause) -> Verdict {
    let is_silent = socket.state == EndpointState::Bound && socket.kind.is_some_and(Kind::is_connected);
    let at = advise::site(facts);
    let client = match is_silent {
        true => Action::WaitForServer { at, is_bound: true },
        false => Action::Connect { at, kind: None },
    };
    let verdict = Verdict::fails(Errno::ADDRINUSE, cause, LIVE.to_owned())
        .seen_all(Messages(facts).owners(socket))
        .seen_all(is_silent.then(|| "it does not listen yet".to_owned()))
        .advise(client);
    match facts.question.address.as_pathname() {
        Some(_) => verdict.advise(Action::TakeOver(advise::site(facts))),
        None => verdict,
    }
}

fn path(facts: &Facts) -> Verdict {
    let Some(walk) = &facts.walk else { return hidden(facts, "the path") };
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
    Verdict::fails(Errno::ADDRINUSE, Cause::NoLastName, why.to_owned()).seen(format!(
        "the path is {}",
        quoted(facts.question.address.as_pathname().unwrap_or(Path::new("")))
    ))
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
    match (facts.alive, &facts.sockets) {
        (Some(false), _) | (None, Some(_)) => {
            fails(Cause::TakenStale, "a stale socket file has that name: no socket is bound to it".to_owned())
                .seen(Messages(facts).permissions(file))
                .advise(Action::ReplaceStale(advise::site(facts)))
                .advise(Action::RemoveFile(advise::reached(facts, &file.path)))
        }
        (Some(true), _) => fails(Cause::TakenLive, LIVE.to_owned())
            .seen("a socket of another network namespace, whose table cannot be read, is bound to it")
            .seen(Messages(facts).permissions(file)),
        (None, None) => fails(Cause::TakenBySocket, "a socket file has that name".to_owned())
            .seen("whether a socket is bound to it cannot be determined from here")
            .seen(Messages(facts).permissions(file)),
    }
}

fn trailing_slash(facts: &Facts, last: &Step) -> Verdict {
    let name = quoted_bytes(&last.name);
    let why = format!("the path ends in a slash, and the directory {name} does not exist");
    let path = last.directory.path.join(OsStr::from_bytes(&last.name));
    let address = Address::path(advise::reached(facts, &path));
    Verdict::fails(Errno::NOENT, Cause::TrailingSlash, why)
        .advise_all(address.ok().map(|address| Action::OmitSlash(advise::other_site(&address))))
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
    if directory.mount.read_only || directory.mount.file_system_read_only {
        let why = format!(
            "the directory {shown} is on a read-only {}",
            if directory.mount.read_only { "mount" } else { "file system" }
        );
        return Verdict::fails(Errno::ROFS, Cause::ReadOnly, why)
            .advise(Action::ShowMount(advise::reached(facts, &directory.path)))
            .advise(Action::UsePrivateDirectory);
    }
    if directory.immutable {
        let why = format!("the directory {shown} has the immutable flag: no file can be created in it");
        let path = advise::reached(facts, &directory.path);
        return Verdict::fails(Errno::PERM, Cause::ParentImmutable, why)
            .advise(Action::ClearImmutable { path, as_root: advise::needs_root(facts, None) });
    }
    may_make(facts, directory).unwrap_or_else(|| {
        Verdict::succeeds("nothing prevents it: the file would be created".to_owned())
            .seen(Messages(facts).permissions(directory))
    })
}

fn may_make(facts: &Facts, directory: &File) -> Option<Verdict> {
    let messages = Messages(facts);
    let subject = facts.subject.as_ref()?;
    let shown = quoted(&directory.path);
    match access(directory, subject, WRITE | SEARCH) {
        Access::Granted => {}
        Access::Unknown => return Some(hidden(facts, &format!("the access list of {shown}"))),
        Access::Denied(by) => {
            let cause = if by.is_acl() { Cause::ParentNotWritableAcl } else { Cause::ParentNotWritable };
            let why = format!("creating a socket requires write permission on the directory {shown}");
            return Some(
                Verdict::fails(Errno::ACCESS, cause, why)
                    .seen(messages.permissions(directory))
                    .seen(messages.identity())
                    .seen(messages.applies(by, directory, "write (w)"))
                    .advise(Action::UsePrivateDirectory)
                    .advise_all(advise::grant(facts, directory, by, WRITE)),
            );
        }
    }
    WITHOUT_SOCKETS.contains(&directory.mount.file_system.as_str()).then(|| {
        let why = format!("{shown} is on {}, which does not support sockets", directory.mount.file_system);
        Verdict::fails(Errno::PERM, Cause::NoSocketsHere, why).advise(Action::UsePrivateDirectory)
    })
}
