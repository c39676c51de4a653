//! What to advise in view of the facts: actions with addresses and paths as this process reaches
//! them, and whether they require root. Pure.

use std::path::{Path, PathBuf};

use stoop::Address;

use super::action::{Action, ModeClass, Permission, Site};
use super::facts::{Endpoint, Facts, File, FileKind, Owner, Step};
use super::permission::{By, SEARCH};
use super::question::{Operation, Who};
use crate::hindrance::Hindrance;

/// Returns the address in question, as this process reaches it.
pub(super) fn site(facts: &Facts) -> Site {
    let question = &facts.question;
    let address = match question.address.as_pathname() {
        Some(path) => Address::path(reached(facts, path)).unwrap_or_else(|_| question.address.clone()),
        None => question.address.clone(),
    };
    let away = facts.subject.as_ref().is_some_and(|subject| subject.view.other_network);
    let netns_of = match &question.subject {
        Who::Process(pid) if away && address.as_abstract_name().is_some() => Some(*pid),
        _ => None,
    };
    Site { address, netns_of, as_root: netns_of.is_some() && needs_root(facts, None) }
}

/// Returns another address of a socket in this network namespace.
pub(super) fn other_site(address: &Address) -> Site {
    Site { address: address.clone(), netns_of: None, as_root: false }
}

/// Returns a path in the subject's view as this process reaches it.
pub(super) fn reached(facts: &Facts, path: &Path) -> PathBuf {
    match &facts.question.subject {
        Who::Process(pid) if path.is_relative() => PathBuf::from(format!("/proc/{pid}/cwd")).join(path),
        Who::Process(pid) if has_other_files(facts) => {
            PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path))
        }
        _ => path.to_owned(),
    }
}

fn has_other_files(facts: &Facts) -> bool {
    facts.subject.as_ref().is_some_and(|subject| subject.view.other_files)
}

/// Returns whether the user of this process is neither root nor `owner`.
pub(super) fn needs_root(facts: &Facts, owner: Option<u32>) -> bool {
    facts.asker_uid != 0 && owner != Some(facts.asker_uid)
}

/// Returns the name of the subject's user, or its number.
fn user(facts: &Facts, uid: u32) -> String {
    facts.names.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
}

fn group(facts: &Facts, gid: u32) -> String {
    facts.names.groups.get(&gid).cloned().unwrap_or_else(|| gid.to_string())
}

/// Advises to start a server at the address in question.
pub(super) fn start_server(facts: &Facts) -> Action {
    let in_view_of = match &facts.question.subject {
        Who::Process(pid) if has_other_files(facts) => Some(*pid),
        _ => None,
    };
    Action::StartServer { at: site(facts), in_view_of }
}

/// Advises to create all missing directories of the path, of which `first` is the first. If the
/// bind is made by a user other than the one of this process, that user must own the last one.
pub(super) fn create_directory(facts: &Facts, step: &Step, first: &Path) -> Action {
    let whole = facts.question.address.as_pathname().and_then(Path::parent);
    let path = reached(facts, whole.filter(|_| !step.last).unwrap_or(first));
    let owner = if step.directory.mode & 0o002 != 0 { facts.asker_uid } else { step.directory.uid };
    let as_root = needs_root(facts, Some(owner));
    let creator = if as_root { 0 } else { facts.asker_uid };
    let binds = facts.question.operation == Operation::Bind;
    match facts.subject.as_ref().filter(|subject| binds && subject.uid != creator) {
        Some(subject) => {
            let owner = Some(user(facts, subject.uid));
            // Changing the owner of a directory requires root.
            Action::CreateDirectory { path, owner, as_root: needs_root(facts, None) }
        }
        None => Action::CreateDirectory { path, owner: None, as_root },
    }
}

/// Returns what would grant the subject `want` on the file, the narrowest first.
pub(super) fn grant(facts: &Facts, file: &File, by: By, want: u8) -> Option<Action> {
    // What belongs to a user or group without an id here can be changed by no user here.
    let subject = facts.subject.as_ref().filter(|_| file.has_exact_ids())?;
    let (permission, bit) = if want == SEARCH { (Permission::Search, 1) } else { (Permission::Write, 2) };
    let path = reached(facts, &file.path);
    let as_root = needs_root(facts, Some(file.uid));
    let group_has = file.mode >> 3 & bit != 0 && file.acl.as_ref().is_some_and(Vec::is_empty);
    let permissions = match (want, file.kind) {
        (SEARCH, _) => "rx",
        (_, FileKind::Directory) => "rwx",
        _ => "rw",
    };
    let mode = |class| {
        let (path, group) = (path.clone(), group(facts, file.gid));
        Action::ChangeMode { path, class, permission, group, as_root }
    };
    Some(match by {
        By::Unmapped => return None,
        By::Owner => mode(ModeClass::Owner),
        By::Group => mode(ModeClass::Group),
        By::Other if group_has && file.gid != 0 => {
            join_group(facts, subject.uid, group(facts, file.gid), false)
        }
        By::Other if want == SEARCH => mode(ModeClass::Other),
        By::AclMask => Action::WidenAclMask { path, as_root },
        By::Other | By::AclUser | By::AclGroups | By::AclOther => {
            Action::AddAclEntry { path, user: user(facts, subject.uid), permissions, as_root }
        }
    })
}

/// Advises to add the user to a group.
pub(super) fn join_group(facts: &Facts, uid: u32, group: String, is_root: bool) -> Action {
    Action::JoinGroup { user: user(facts, uid), group, is_root, as_root: needs_root(facts, None) }
}

/// Advises how to see what the subject sees, or how to name the file in a way that works for both.
pub(super) fn other_view(facts: &Facts, is_elsewhere: bool) -> Option<Action> {
    let path = facts.question.address.as_pathname()?;
    if !is_elsewhere {
        return Some(Action::UseAbsolutePath(path.to_owned()));
    }
    let Who::Process(_) = facts.question.subject else { return None };
    let as_root = needs_root(facts, facts.subject.as_ref().map(|subject| subject.uid));
    Some(Action::ShowFileInView { path: reached(facts, path), as_root })
}

/// Advises to ask as root, if that would show more.
pub(super) fn with_more_privileges(facts: &Facts) -> Option<Action> {
    let question = &facts.question;
    needs_root(facts, None).then(|| Action::PredictAsRoot {
        address: question.address.clone(),
        subject: match &question.subject {
            Who::CurrentProcess => Who::User(facts.asker_uid.to_string()),
            subject => subject.clone(),
        },
    })
}

/// Advises to restart a server whose socket file was lost.
pub(super) fn restart(facts: &Facts, socket: &Endpoint) -> Option<Action> {
    let owner = socket.owners.as_deref()?.first()?;
    Some(Action::RestartServer { pid: owner.pid, as_root: needs_root(facts, owner.uid) })
}

/// Advises what ends the hindrance of an owner.
pub(super) fn relieve(facts: &Facts, owner: &Owner) -> Option<Action> {
    self::relief(facts.asker_uid, owner.pid, owner.uid, owner.hindrance.as_ref()?)
}

/// Returns what ends the hindrance of a process of the user `uid`, for the user `asker_uid`.
pub fn relief(asker_uid: u32, pid: u32, uid: Option<u32>, hindrance: &Hindrance) -> Option<Action> {
    let as_root = asker_uid != 0 && uid != Some(asker_uid);
    Some(match hindrance {
        Hindrance::Stopped => Action::Resume { pid, as_root },
        Hindrance::Traced(Some(tracer)) => {
            let as_root = asker_uid != 0 && tracer.uid != Some(asker_uid);
            Action::Detach { pid, tracer: tracer.clone(), as_root }
        }
        Hindrance::Frozen(group) => Action::Thaw { group: group.clone(), as_root: asker_uid != 0 },
        Hindrance::OutOfDescriptors { limit, hard } => {
            let twice = limit.saturating_mul(2);
            let to = hard.filter(|hard| hard > limit).map_or(twice, |hard| hard.min(twice));
            let is_beyond_hard = hard.is_some_and(|hard| to > hard);
            let as_root = as_root || asker_uid != 0 && is_beyond_hard;
            Action::RaiseLimitOf { pid, to, is_beyond_hard, as_root }
        }
        Hindrance::Traced(None) | Hindrance::Exited => return None,
    })
}
