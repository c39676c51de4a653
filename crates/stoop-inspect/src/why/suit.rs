//! Makes advice fit for the user who gets it: what restores the program that owns the address comes
//! first, then what the user may change, then what `stoop` can do itself. Pure.
//!
//! A server of `stoop` is advised only at an address that is the user's own or new: in a directory
//! that only this user writes to, below a place for private files, and of which nothing shows that
//! it belongs to another program. A stale socket file always belongs to the program that left it.

use std::path::Path;

use stoop::{Address, Kind};

use super::action::{Action, FileFlag, Site};
use super::cause::Cause;
use super::facts::{Endpoint, Facts, FileKind, Found, Nearness, Step};
use super::question::{Operation, Question, Who};
use super::verdict::{Outcome, Verdict};
use super::{advise, judge, owner_program};
use crate::endpoints;

/// Returns the verdict with advice that its reader can follow.
pub(super) fn suit(facts: &Facts, mut verdict: Verdict) -> Verdict {
    let given = std::mem::take(&mut verdict.advice);
    let suited = given.into_iter().flat_map(|action| suited(facts, &verdict, action));
    let mut advice: Vec<Action> = Vec::new();
    for action in starts(facts, verdict.cause).into_iter().chain(suited) {
        if !advice.contains(&action) {
            advice.push(action);
        }
    }
    advice.extend(removes_directory(facts, verdict.cause));
    advice.sort_by_key(|action| rank(action, verdict.cause));
    verdict.advice = advice;
    if verdict.advice.is_empty() && verdict.cause == Cause::TakenLive {
        verdict.advice.push(advise::show_server(facts));
    }
    let is_hidden = |socket: &Endpoint| socket.owners.is_none();
    let fails = !matches!(verdict.outcome, Outcome::Succeeds);
    if verdict.advice.is_empty() && fails && facts.sockets.iter().flatten().any(is_hidden) {
        verdict.advice.push(advise::ask_about_server(facts));
    }
    match facts.traces.exhausted.filter(|_| is_unstarted(verdict.cause)) {
        Some(what) => verdict.seen(format!(
            "its file system has no {} left: no server can create the file (ENOSPC)",
            what.word()
        )),
        None => verdict,
    }
}

/// Orders actions, the first first: what is in the way, what starts the program that owns the
/// address, another socket of it, what costs nothing, then all else. To start a server that runs
/// elsewhere than at its stale file would change nothing.
fn rank(action: &Action, cause: Cause) -> u8 {
    match action {
        Action::RemoveDirectory { .. } => 0,
        Action::Connect { .. } if cause == Cause::Stale => 0,
        Action::StartNamedUnit { .. } => 1,
        Action::SeeElsewhere { is_similar: false, .. } => 2,
        Action::SeeElsewhere { is_similar: true, .. } => 7,
        Action::StartUnit { .. } | Action::UseService { .. } => 3,
        // What ends a hindrance costs nothing, and a restart does.
        relief if relief.is_relief() => 4,
        Action::ShowJournal(_) => 6,
        _ => 5,
    }
}

/// Returns whether no server is running at the address.
fn is_unstarted(cause: Cause) -> bool {
    matches!(
        cause,
        Cause::Missing | Cause::ParentMissing | Cause::Dangling | Cause::Stale | Cause::TakenStale
    )
}

/// Advises to start the unit that the address belongs to.
fn starts(facts: &Facts, cause: Cause) -> Vec<Action> {
    let unit = facts.traces.units.first().filter(|_| facts.traces.has_systemd && is_unstarted(cause));
    let needs_root = |of_user: bool| !of_user && advise::needs_root(facts, None);
    unit.map(|unit| Action::StartNamedUnit { unit: unit.clone(), as_root: needs_root(unit.of_user) })
        .into_iter()
        .collect()
}

/// Advises to remove an empty directory that stands where a socket should be.
fn removes_directory(facts: &Facts, cause: Cause) -> Option<Action> {
    let file = facts.walk.as_ref()?.reached.as_ref()?;
    let step = facts.walk.as_ref()?.steps.last()?;
    let name = step.name.to_ascii_lowercase();
    let is_meant = [&b"sock"[..], b"socket"].iter().any(|end| name.ends_with(end))
        || endpoints::recognise(&facts.question.address).is_some();
    let is_there =
        matches!(cause, Cause::NotASocket | Cause::TakenByFile | Cause::NoWrite | Cause::NoWriteAcl);
    let is_removable = !step.directory.immutable
        && !step.directory.append_only
        && !file.mount.read_only
        && !file.mount.file_system_read_only
        && file.id.0 == step.directory.id.0;
    let as_root = advise::removal_needs_root(facts, &step.directory, file)?;
    (is_there
        && is_meant
        && is_removable
        && facts.traces.is_empty_directory
        && file.kind == FileKind::Directory)
        .then(|| Action::RemoveDirectory { path: advise::reached(facts, &file.path), as_root })
}

/// Returns what takes the place of an action for this reader.
fn suited(facts: &Facts, verdict: &Verdict, action: Action) -> Vec<Action> {
    match action {
        Action::StartServer { at, .. } | Action::StartReceiver(at)
            if (is_unstarted(verdict.cause) || is_name_of_program(facts)) && !is_own(facts) =>
        {
            waits_for_owner(facts, at)
        }
        Action::StartServer { in_view_of: Some(_), at } => waits_for_owner(facts, at),
        Action::ReplaceStale(at) if facts.traces.interposed.is_some() => gives_name_back(facts, at),
        Action::ReplaceStale(at) if !facts.traces.is_of_stoop || at.as_root => {
            match facts.question.operation {
                Operation::Bind => Vec::new(),
                _ => waits_for_owner(facts, at),
            }
        }
        Action::TakeOver(at) if at.as_root || !is_served_by_stoop(facts) => Vec::new(),
        Action::WaitForServer { at, is_bound: false } if !is_own(facts) => waits_for_owner(facts, at),
        Action::Connect { at, kind } => connects(facts, at, kind),
        Action::WaitForServer { at, is_bound: true } => waits(facts, at),
        Action::CreateDirectory { .. } => creates_directory(facts, action),
        Action::BindByLongPath(_) if !is_own(facts) => Vec::new(),
        // A directory that is made here is not in the view of that process.
        Action::UsePrivateDirectory if advise::has_other_files(facts) => {
            vec![advise::bind_elsewhere(facts)]
        }
        Action::UsePrivateDirectory => vec![private_directory(facts)],
        other => vec![other],
    }
}

/// Advises to undo what a killed relay has left, for the user who ran the relay and for root.
fn gives_name_back(facts: &Facts, at: Site) -> Vec<Action> {
    let owner = facts.traces.interposed;
    let as_root = match owner {
        _ if owner == Some(facts.asker_uid) => false,
        Some(0) => true,
        // Only that user may, and nothing here says how to become that user.
        _ => return Vec::new(),
    };
    vec![Action::GiveNameBack(Site { as_root, ..at })]
}

/// Advises to wait for the program that the address belongs to. Its unit is started by another
/// advice.
fn waits_for_owner(facts: &Facts, at: Site) -> Vec<Action> {
    if facts.traces.has_systemd && !facts.traces.units.is_empty() {
        return Vec::new();
    }
    let program = owner_program::name(facts);
    let is_reachable = at.netns_of.is_none() && !at.as_root && facts.question.subject == Who::CurrentProcess;
    match facts.question.operation {
        Operation::Connect | Operation::Send { .. } if is_reachable => {
            vec![Action::WaitForOwner { at, program, exhausted: facts.traces.exhausted }]
        }
        _ => vec![Action::StartOwner { program }],
    }
}

/// Returns whether the address is an abstract name that a program is known to use: one of a
/// service, or one that is a path, such as `@/tmp/.X11-unix/X0`.
fn is_name_of_program(facts: &Facts) -> bool {
    let address = &facts.question.address;
    let name = address.as_abstract_name();
    name.is_some_and(|name| name.starts_with(b"/") || endpoints::recognise(address).is_some())
}

/// Returns whether the address is the user's own or new.
fn is_own(facts: &Facts) -> bool {
    let traces = &facts.traces;
    let is_claimed = !traces.units.is_empty()
        || traces.lock.is_some()
        || traces.exhausted.is_some()
        || endpoints::recognise(&facts.question.address).is_some()
        || facts.near.iter().any(|near| matches!(near.how, Nearness::SameService | Nearness::Inside));
    if is_claimed || matches!(facts.question.subject, Who::Process(_)) {
        return false;
    }
    match facts.question.address.as_abstract_name() {
        // A name such as `@/tmp/.X11-unix/X0` is that of a program with a path, too.
        Some(name) => !name.starts_with(b"/"),
        None => {
            facts.walk.as_ref().and_then(|walk| walk.steps.last()).is_some_and(|step| is_new(facts, step))
        }
    }
}

fn is_new(facts: &Facts, step: &Step) -> bool {
    let directory = &step.directory;
    // A server that this user starts does not let another user in, and is not the other's.
    let is_for_itself = facts.subject.as_ref().is_some_and(|subject| subject.uid == facts.asker_uid);
    let is_private = directory.uid == facts.asker_uid && directory.mode & 0o022 == 0;
    let is_writable = !directory.immutable && !directory.mount.read_only;
    let is_free = step.last && matches!(step.found, Found::Nothing);
    is_for_itself && is_private && is_writable && is_free && is_for_private_files(facts, &directory.path)
}

/// Returns whether programs of the system do not keep their sockets below this directory.
fn is_for_private_files(facts: &Facts, directory: &Path) -> bool {
    let own = facts.traces.home.as_deref().into_iter().chain(facts.traces.runtime_dir.as_deref());
    let own = own.filter(|path| path.components().count() > 2 || *path == Path::new("/root"));
    let shared = ["/tmp", "/var/tmp"].iter().map(Path::new);
    own.clone().any(|own| directory.starts_with(own))
        || shared.into_iter().any(|shared| directory != shared && directory.starts_with(shared))
}

/// Returns whether the live server at the address is one of `stoop`.
fn is_served_by_stoop(facts: &Facts) -> bool {
    let mut owners = facts.sockets.iter().flatten().filter_map(|socket| socket.owners.as_deref()).flatten();
    facts.traces.is_of_stoop
        || owners.next().is_some_and(|owner| owner.command == "stoop")
            && owners.all(|owner| owner.command == "stoop")
}

/// Checks that a connect that is advised would succeed.
fn connects(facts: &Facts, at: Site, kind: Option<Kind>) -> Vec<Action> {
    if at.address != advise::site(facts).address || at.netns_of.is_some() {
        return vec![Action::Connect { at, kind }];
    }
    let question = Question { operation: Operation::Connect, kind, ..facts.question.clone() };
    let other = judge::judge(&Facts { question, ..facts.clone() }, usize::MAX);
    match other.outcome {
        Outcome::Succeeds | Outcome::Waits | Outcome::Unknown => vec![Action::Connect { at, kind }],
        Outcome::Fails(_) if facts.question.operation == Operation::Bind => another_name(facts),
        Outcome::Fails(_) => other.advice.into_iter().filter(|action| !is_connect_to(action, &at)).collect(),
    }
}

/// Checks that a connect to a socket that does not listen yet would then succeed.
fn waits(facts: &Facts, at: Site) -> Vec<Action> {
    let question = Question { operation: Operation::Connect, kind: at.kind, ..facts.question.clone() };
    let now = judge::judge(&Facts { question, ..facts.clone() }, usize::MAX);
    match now.cause {
        Cause::NotListening | Cause::Nothing | Cause::BacklogFull | Cause::NotVisible => {
            vec![Action::WaitForServer { at, is_bound: true }]
        }
        _ if facts.question.operation == Operation::Bind => vec![advise::show_server(facts)],
        _ => now.advice,
    }
}

fn is_connect_to(action: &Action, at: &Site) -> bool {
    matches!(action, Action::Connect { at: other, .. } if other.address == at.address)
}

/// Advises another name, next to the one that is in use.
fn another_name(facts: &Facts) -> Vec<Action> {
    let Some(path) = facts.question.address.as_pathname() else { return Vec::new() };
    let Some(step) = facts.walk.as_ref().and_then(|walk| walk.steps.last()) else { return Vec::new() };
    let mut name = path.as_os_str().to_owned();
    name.push(".2");
    let is_private = is_new(facts, &Step { found: Found::Nothing, ..step.clone() });
    match Address::path(name) {
        Ok(address) if is_private => {
            vec![Action::UseAnotherName(Site { address, ..advise::site(facts) })]
        }
        _ => Vec::new(),
    }
}

/// Advises to create directories where the subject's program would not do so itself.
fn creates_directory(facts: &Facts, action: Action) -> Vec<Action> {
    let Some(step) = facts.walk.as_ref().and_then(|walk| walk.steps.last()) else { return vec![action] };
    let directory = &step.directory;
    let shown = advise::reached(facts, &directory.path);
    let is_read_only = directory.mount.read_only || directory.mount.file_system_read_only;
    if facts.traces.has_systemd && !facts.traces.units.is_empty() {
        return Vec::new();
    }
    // The service makes its directory itself, for its own user.
    let is_of_service = endpoints::recognise(&facts.question.address).is_some();
    if is_of_service && facts.question.operation != Operation::Bind {
        return Vec::new();
    }
    match directory.mount.file_system.as_str() {
        "proc" | "sysfs" => Vec::new(),
        _ if is_read_only => vec![Action::ShowMount(shown)],
        _ if directory.immutable => {
            let as_root = advise::needs_root(facts, None);
            vec![Action::ClearFlag { path: shown, flag: FileFlag::Immutable, as_root }, action]
        }
        _ => vec![action],
    }
}

fn private_directory(facts: &Facts) -> Action {
    let subject = facts.subject.as_ref().filter(|subject| subject.uid != facts.asker_uid);
    match subject {
        Some(subject) => Action::UseDirectoryOf(advise::user(facts, subject.uid)),
        None => Action::UsePrivateDirectory,
    }
}
