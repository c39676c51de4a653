//! Explains a socket file whose server is, or may be, bound to it by another path: in a layer of an
//! overlay, in the directory that a FUSE file system passes through, or on another machine. A call
//! by this path does not reach it ([K-SERVED-1]). Pure.
//!
//! [K-SERVED-1]: stoop::kernel_facts#K-SERVED-1

use std::path::Path;

use rustix::io::Errno;
use stoop::internal::file_system::is_served;
use stoop::{Address, Kind, escaped};

use super::action::{Action, Site};
use super::advise;
use super::cause::Cause;
use super::facts::{Doubt, Endpoint, Facts, File, OtherServer};
use super::messages::{Messages, quoted};
use super::question::Operation;
use super::verdict::Verdict;

/// Predicts a connect or a send. `None` if there is no other server.
pub(super) fn connect(facts: &Facts, file: &File) -> Option<Verdict> {
    let why = match &facts.other_server {
        OtherServer::Bound { .. } => {
            "its server is running, and is bound to the file by another path: it is not reached by this one"
        }
        _ => "no socket of this machine is bound to the file through this mount",
    };
    let verdict = Verdict::fails(Errno::CONNREFUSED, Cause::ServedElsewhere, why);
    Some(verdict.seen_all(seen(facts, file)?).advise_all(advice(facts, file)))
}

/// Predicts a bind, for which the file is in the way. `None` if there is no other server.
pub(super) fn bind(facts: &Facts, file: &File) -> Option<Verdict> {
    let fails = |cause, why: &str| Verdict::fails(Errno::ADDRINUSE, cause, why);
    let verdict = match &facts.other_server {
        OtherServer::Bound { .. } => {
            fails(Cause::TakenLive, "a live server has that file, and is bound to it by another path")
        }
        _ => fails(Cause::TakenBySocket, "a socket file has that name, and may have a server elsewhere"),
    };
    let permissions = Messages(facts).permissions(file);
    let verdict = verdict.seen_all(seen(facts, file)?).seen(permissions);
    Some(verdict.advise_all(advice(facts, file)).advise(Action::UsePrivateDirectory))
}

/// Returns what is known of the other server. `None` if there is no other one.
pub(super) fn seen(facts: &Facts, file: &File) -> Option<Vec<String>> {
    match &facts.other_server {
        OtherServer::Unexamined | OtherServer::Nowhere => None,
        OtherServer::Bound { path, sockets } => {
            let bound = format!("{} is the same file, and a socket is bound to it", quoted(path));
            let owners = match sockets.as_deref().and_then(<[Endpoint]>::first) {
                Some(socket) => Messages(facts).owners(socket),
                None => vec!["its owner is not visible from here".to_owned()],
            };
            Some(std::iter::once(bound).chain(owners).collect())
        }
        OtherServer::Possible(doubt) => Some(vec![possible(doubt, file)]),
    }
}

fn possible(doubt: &Doubt, file: &File) -> String {
    let name = escaped(&file.mount.file_system);
    match doubt {
        Doubt::Shared(fs_type) if is_served(fs_type) => format!(
            "the file system {name} is provided by another machine or process: a server may have the socket there, \
             and is not reached through the mount"
        ),
        Doubt::Shared(_) => format!(
            "whether other machines or mounts share the file system {name} is not known: a server may have the \
             socket there"
        ),
        Doubt::Hidden(_) | Doubt::Layer(_) | Doubt::NoMount => doubt.to_string(),
    }
}

/// Advises to reach the server by its own path, or shows the mount.
fn advice(facts: &Facts, file: &File) -> Option<Action> {
    match &facts.other_server {
        OtherServer::Bound { path, sockets } => by_its_path(facts, path, sockets.as_deref()),
        _ => Some(Action::ShowMount(advise::reached(facts, &file.path))),
    }
}

fn by_its_path(facts: &Facts, path: &Path, sockets: Option<&[Endpoint]>) -> Option<Action> {
    let address = Address::path(path.to_owned()).ok()?;
    let kind = sockets?.first()?.kind.filter(|kind| *kind != Kind::Stream);
    // What is behind the root of a process in `/proc` is open to its user.
    let owner = facts.subject.as_ref().map(|subject| subject.uid);
    let as_root = path.starts_with("/proc") && advise::needs_root(facts, owner);
    let at = Site { address, netns_of: None, kind, as_root };
    (facts.question.operation != Operation::Bind).then_some(Action::Connect { at, kind })
}
