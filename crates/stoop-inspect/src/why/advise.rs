//! What to advise in view of the facts: actions with addresses and paths as this process reaches
//! them, and whether they require root. Pure.

use std::path::{Path, PathBuf};

use stoop::{Address, Kind};

use super::action::{Action, FileFlag, ModeClass, Permission, Program, Renewal, Site};
use super::facts::{
    AclEntry, AclWho, Endpoint, Facts, File, FileKind, Found, Mount, Owner, SilentMount, Step, Subject,
};
use super::owner_program;
use super::permission::{Access, By, SEARCH, WRITE, access};
use super::question::{Operation, Question, Who};
use crate::asker::{self, AskerRights};
use crate::file_location::FileSearch;
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
    Site { address, netns_of, kind: question.kind, as_root: netns_of.is_some() && needs_root(facts, None) }
}

/// Returns another address of a socket in this network namespace.
pub(super) fn other_site(address: &Address) -> Site {
    Site { address: address.clone(), netns_of: None, kind: None, as_root: false }
}

/// Returns a path in the subject's view as this process reaches it.
pub(super) fn reached(facts: &Facts, path: &Path) -> PathBuf {
    let own = facts.subject.as_ref().and_then(|subject| subject.pid).map(|pid| format!("/proc/{pid}"));
    match &facts.question.subject {
        // Gone with this process.
        Who::CurrentProcess if own.as_ref().is_some_and(|own| path.starts_with(own)) => {
            let rest = own.and_then(|own| path.strip_prefix(own).ok()).unwrap_or(path);
            Path::new("/proc/self").join(rest)
        }
        Who::Process(pid) if own_proc(path).is_some() => {
            PathBuf::from(format!("/proc/{pid}")).join(own_proc(path).unwrap_or(path))
        }
        Who::Process(pid) if path.is_relative() => PathBuf::from(format!("/proc/{pid}/cwd")).join(path),
        Who::Process(pid) if has_other_files(facts) => match below_working_directory(facts, path) {
            Some(rest) => PathBuf::from(format!("/proc/{pid}/cwd")).join(rest),
            None => PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path)),
        },
        _ if facts.asker_is_shut_out => match below_working_directory(facts, path) {
            Some(rest) => Path::new(".").join(rest),
            None => path.to_owned(),
        },
        _ => path.to_owned(),
    }
}

/// Returns the part of a path below the working directory in which the lookup of a relative address
/// began. That directory may be outside of the root directory, or below another mount.
fn below_working_directory<'p>(facts: &Facts, path: &'p Path) -> Option<&'p Path> {
    let asked = facts.question.address.as_pathname().filter(|asked| asked.is_relative());
    let start = asked.and(facts.walk.as_ref())?.steps.first()?;
    path.strip_prefix(&start.directory.path).ok()
}

/// Returns the part of a path below `/proc/self`, which is another directory for each process.
fn own_proc(path: &Path) -> Option<&Path> {
    ["/proc/self", "/proc/thread-self"].iter().find_map(|own| path.strip_prefix(own).ok())
}

pub(super) fn has_other_files(facts: &Facts) -> bool {
    facts.subject.as_ref().is_some_and(|subject| subject.view.other_files)
}

/// Returns whether the user of this process is neither root nor `owner`.
pub(super) fn needs_root(facts: &Facts, owner: Option<u32>) -> bool {
    facts.asker_uid != 0 && owner != Some(facts.asker_uid)
}

/// Returns whether root is required for starting the program again.
fn renewal_needs_root(facts: &Facts, program: &Program, uid: Option<u32>) -> bool {
    match program {
        Program::Units { of_user, .. } => !of_user && needs_root(facts, None),
        Program::Container { .. } => needs_root(facts, None),
        Program::Signal { .. } | Program::Process { .. } => needs_root(facts, uid),
    }
}

/// Returns the name of the subject's user, or its number.
pub(super) fn user(facts: &Facts, uid: u32) -> String {
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
pub(super) fn create_directory(facts: &Facts, step: &Step, first: &Path) -> Option<Action> {
    let whole = facts.question.address.as_pathname().and_then(Path::parent);
    let path = reached(facts, whole.filter(|_| !step.last).unwrap_or(first));
    let as_root = creation_needs_root(facts, &step.directory)?;
    let creator = if as_root { 0 } else { facts.asker_uid };
    let binds = facts.question.operation == Operation::Bind;
    Some(match facts.subject.as_ref().filter(|subject| binds && subject.uid != creator) {
        Some(subject) => {
            let owner = Some(user(facts, subject.uid));
            // Changing the owner of a directory requires root.
            Action::CreateDirectory { path, owner, as_root: needs_root(facts, None) }
        }
        None => Action::CreateDirectory { path, owner: None, as_root },
    })
}

/// Returns what would grant the subject `want` on the file, the narrowest first.
pub(super) fn grant(facts: &Facts, file: &File, by: By, want: u8) -> Vec<Action> {
    let path = reached(facts, &file.path);
    if is_read_only(file) {
        return vec![Action::ShowMount(path.clone()), Action::ChangeBeneathMount(path)];
    }
    if file.mount.file_system == "proc" {
        // No mode there can be changed.
        return with_more_privileges(facts).into_iter().collect();
    }
    flags(file)
        .map(|flag| clear_flag(facts, &file.path, flag))
        .chain(grants(facts, file, &path, by, want))
        .collect()
}

/// Returns the flags that keep a file, and what is in a directory, from being changed.
fn flags(file: &File) -> impl Iterator<Item = FileFlag> {
    let immutable = file.immutable.then_some(FileFlag::Immutable);
    immutable.into_iter().chain(file.append_only.then_some(FileFlag::AppendOnly))
}

fn grants(facts: &Facts, file: &File, path: &Path, by: By, want: u8) -> Vec<Action> {
    // What belongs to a user or group without an id here can be changed by no user here.
    let Some(subject) = facts.subject.as_ref().filter(|_| file.has_exact_ids()) else { return Vec::new() };
    let (permission, bit) = if want == SEARCH { (Permission::Search, 1) } else { (Permission::Write, 2) };
    let changes = asker::needs_root(facts.asker_uid, Some(file.uid), facts.asker_rights.files);
    if file.mount.only_user.is_some() && changes == Some(true) {
        // Not even root may use the mount.
        return Vec::new();
    }
    let as_root = changes.unwrap_or(false);
    let mode = |class| {
        let (path, group) = (path.to_owned(), group(facts, file.gid));
        Action::ChangeMode { path, class, permission, group, as_root }
    };
    let entry = || {
        let (path, user) = (path.to_owned(), user(facts, subject.uid));
        Action::AddAclEntry { path, user, permissions: entry_for(want, file.kind), as_root }
    };
    let narrow = |wide: Action| match file.lacks_acl {
        true => vec![wide],
        false => vec![entry(), wide],
    };
    let group_has = file.mode >> 3 & bit != 0 && file.acl.as_ref().is_some_and(Vec::is_empty);
    let mut actions = match by {
        By::Unmapped | By::OnlyUser => Vec::new(),
        By::Owner => vec![mode(ModeClass::Owner)],
        By::Group => narrow(mode(ModeClass::Group)),
        By::Other if group_has && file.gid != 0 => {
            let joins = membership(facts, file.gid, group(facts, file.gid), false);
            let entry = (is_group_of_owner(facts, file) && !file.lacks_acl && !is_member(subject, file.gid))
                .then(entry);
            entry.into_iter().chain(joins).collect()
        }
        By::Other if want == SEARCH || file.lacks_acl => narrow(mode(ModeClass::Other)),
        By::AclMask => vec![widen_mask(file, path, want, as_root)],
        By::Other | By::AclUser | By::AclGroups | By::AclOther => vec![entry()],
    };
    actions.retain(|action| changes.is_some() || !action.changes_permissions());
    actions
}

/// Returns whether the group is that of the owner alone, which has the same name: a member could do
/// much more than use this file.
fn is_group_of_owner(facts: &Facts, file: &File) -> bool {
    let (users, groups) = (&facts.names.users, &facts.names.groups);
    users.get(&file.uid).is_some_and(|owner| groups.get(&file.gid) == Some(owner))
}

/// Returns whether the subject's account is a member of the group, though its process is not.
fn is_member(subject: &Subject, gid: u32) -> bool {
    subject.account_groups.as_ref().is_some_and(|groups| groups.contains(&gid))
}

/// Returns the permissions of an access list's entry that grants `want`.
fn entry_for(want: u8, kind: FileKind) -> &'static str {
    match (want, kind) {
        (SEARCH, _) => "x",
        (_, FileKind::Directory) => "wx",
        _ => "rw",
    }
}

fn widen_mask(file: &File, path: &Path, want: u8, as_root: bool) -> Action {
    let is_mask = |entry: &&AclEntry| entry.who == AclWho::Mask;
    let mask = file.acl.iter().flatten().find(is_mask).map_or(0, |entry| entry.permissions);
    Action::WidenAclMask { path: path.to_owned(), permissions: mask | want, as_root }
}

/// Advises how the subject gets the permissions of a group. An account that is a member already
/// must be logged in again, or its service restarted: a process keeps the groups with which it was
/// started.
pub(super) fn membership(facts: &Facts, gid: u32, group: String, is_root: bool) -> Vec<Action> {
    let Some(subject) = &facts.subject else { return Vec::new() };
    match (&facts.question.subject, is_member(subject, gid)) {
        (Who::Process(pid), true) => vec![restart_process(facts, *pid, Renewal::Groups)],
        (Who::CurrentProcess, true) => {
            vec![Action::UseNewGroup { group, at: site(facts), operation: facts.question.operation }]
        }
        (Who::Process(pid), false) => {
            let restart = restart_process(facts, *pid, Renewal::Groups);
            vec![join_group(facts, subject.uid, group, is_root), restart]
        }
        _ => vec![join_group(facts, subject.uid, group, is_root)],
    }
}

fn restart_process(facts: &Facts, pid: u32, renewal: Renewal) -> Action {
    let subject = facts.subject.as_ref();
    let command = subject.and_then(|subject| subject.command.clone()).unwrap_or_default();
    let workload = facts.traces.subject_workload.clone();
    let uid = subject.map(|subject| subject.uid);
    let program = owner_program::of_process(pid, &command, &workload);
    let as_root = renewal_needs_root(facts, &program, uid);
    Action::Restart { program, renewal, as_root }
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
    // What is missing cannot be shown: the directory in which it is missing can.
    let missing = |step: &&Step| matches!(step.found, Found::Nothing);
    let step = facts.walk.as_ref().and_then(|walk| walk.steps.iter().find(missing));
    let path = step.map_or(path, |step| &step.directory.path);
    Some(Action::ShowFileInView { path: reached(facts, path), as_root })
}

/// Advises to ask as root, if that would show more.
pub(super) fn with_more_privileges(facts: &Facts) -> Option<Action> {
    let mut question = facts.question.clone();
    if question.subject == Who::CurrentProcess {
        // A user without an id here has no number by which root could ask.
        let asker = stoop::internal::known_user(facts.asker_uid)?;
        question.subject = Who::User(asker.to_string());
    }
    needs_root(facts, None).then(|| Action::PredictAsRoot(Box::new(question)))
}

/// Advises to ask as the only user of a mount, who sees what is in it.
pub(super) fn predict_as(facts: &Facts, mount: &Mount) -> Option<Action> {
    let only = mount.only_user.filter(|only| only.uid != facts.asker_uid)?;
    let question = Question { subject: Who::CurrentProcess, ..facts.question.clone() };
    let is_path = matches!(facts.question.subject, Who::CurrentProcess | Who::User(_));
    is_path.then(|| Action::PredictAs { user: user(facts, only.uid), question: Box::new(question) })
}

/// Advises how to find the present path of a server's file.
pub(super) fn find_file(facts: &Facts, search: &FileSearch) -> Option<Action> {
    match search {
        FileSearch::OnMount { point, inode } => {
            let (mount, inode) = (point.clone(), *inode);
            Some(Action::FindFile { mount, inode, as_root: needs_root(facts, None) })
        }
        FileSearch::Unknown | FileSearch::Unmounted => None,
    }
}

/// Advises to leave a directory that was removed.
pub(super) fn change_directory(facts: &Facts) -> Action {
    match facts.question.subject {
        Who::Process(pid) => restart_process(facts, pid, Renewal::Directory),
        _ => Action::ChangeDirectory,
    }
}

/// Advises to clear a flag that keeps a file, or a directory's entries, from being changed.
pub(super) fn clear_flag(facts: &Facts, path: &Path, flag: FileFlag) -> Action {
    Action::ClearFlag { path: reached(facts, path), flag, as_root: needs_root(facts, None) }
}

/// Advises to restart a server whose socket file was lost.
pub(super) fn restart(facts: &Facts, socket: &Endpoint) -> Option<Action> {
    let owners = socket.owners.as_deref()?;
    let (program, uid) = owner_program::of_server(facts, owners)?;
    let as_root = renewal_needs_root(facts, &program, uid);
    Some(Action::Restart { program, renewal: Renewal::SocketFile, as_root })
}

/// Advises to remove a stale socket file, after what prevents that.
pub(super) fn remove_stale(facts: &Facts, file: &File) -> Vec<Action> {
    let directory = facts.walk.as_ref().and_then(|walk| walk.steps.last()).map(|step| &step.directory);
    let Some(directory) = directory else { return Vec::new() };
    if is_read_only(file) {
        return std::iter::once(Action::UsePrivateDirectory)
            .chain(serve_elsewhere(facts, directory))
            .collect();
    }
    let clear = |file| flags(file).map(|flag| clear_flag(facts, &file.path, flag));
    clear(directory).chain(clear(file)).chain(remove(facts, directory, file)).collect()
}

fn remove(facts: &Facts, directory: &File, file: &File) -> Option<Action> {
    let as_root = removal_needs_root(facts, directory, file)?;
    Some(Action::RemoveFile { path: reached(facts, &file.path), as_root })
}

/// Returns whether root is required for removing a file, or `None` if no user here can. In a
/// directory with the sticky bit, only its owner and that of the file may.
pub(super) fn removal_needs_root(facts: &Facts, directory: &File, file: &File) -> Option<bool> {
    let is_own = |file: &File| file.uid == facts.asker_uid;
    let is_sticky = directory.mode & 0o1000 != 0;
    let lets = !is_sticky || is_own(file) || is_own(directory) || facts.asker_rights.files;
    asker::needs_root(facts.asker_uid, None, lets && may_create_in(facts, directory))
}

/// Returns whether root is required for creating a file in a directory, or `None` if no user here
/// can.
fn creation_needs_root(facts: &Facts, directory: &File) -> Option<bool> {
    asker::needs_root(facts.asker_uid, None, may_create_in(facts, directory))
}

/// Returns whether the user of this process may create and remove files in a directory. To own it
/// is not enough. If the question is about another process, the groups of this one are not known.
fn may_create_in(facts: &Facts, directory: &File) -> bool {
    let asker = facts.subject.as_ref().filter(|_| facts.question.subject == Who::CurrentProcess);
    match asker {
        Some(asker) => matches!(access(directory, asker, WRITE | SEARCH), Access::Granted),
        None if facts.asker_rights.directories => true,
        None if directory.uid == facts.asker_uid => directory.mode & 0o300 == 0o300,
        None => directory.mode & 0o003 == 0o003 && directory.acl.as_ref().is_some_and(Vec::is_empty),
    }
}

/// Advises who can do something about a server whose processes are not visible.
pub(super) fn ask_about_server(facts: &Facts) -> Action {
    with_more_privileges(facts).unwrap_or_else(|| Action::AskWhereItRuns(site(facts)))
}

/// Advises to let the server bind in another directory.
pub(super) fn bind_elsewhere(facts: &Facts) -> Action {
    Action::ServeElsewhere { unit: facts.traces.units.first().map(|unit| unit.name.clone()) }
}

/// Advises what works although no file can be created in a directory on a read-only mount.
pub(super) fn serve_elsewhere(facts: &Facts, directory: &File) -> Vec<Action> {
    let directory = reached(facts, &directory.path);
    vec![bind_elsewhere(facts), Action::ShowMount(directory.clone()), Action::MakeMountWritable(directory)]
}

/// Returns whether a file is on a read-only mount or file system.
pub(super) fn is_read_only(file: &File) -> bool {
    file.mount.read_only || file.mount.file_system_read_only
}

/// Advises to look at the processes and clients of the socket at the address in question.
pub(super) fn show_server(facts: &Facts) -> Action {
    let is_seen = |socket: &Endpoint| socket.owners.as_ref().is_some_and(|owners| !owners.is_empty());
    let as_root = needs_root(facts, None) && !facts.sockets.iter().flatten().any(is_seen);
    Action::ShowServer(Site { as_root, ..site(facts) })
}

/// Advises to connect to the server of a client that has the address in question.
pub(super) fn its_server(facts: &Facts, client: &Endpoint) -> Option<Action> {
    let address = client.server.as_ref().filter(|_| facts.question.operation == Operation::Connect)?;
    let kind = client.kind.filter(|kind| *kind != Kind::Stream);
    Some(Action::Connect { at: other_site(address), kind })
}

/// Advises what may make a file system respond again, or shows why it does not.
pub(super) fn reach_file_system(facts: &Facts, mount: &SilentMount) -> Action {
    match &mount.server {
        Some(server) => relieve(facts, server).unwrap_or_else(|| Action::ShowWaitChannel {
            pid: server.pid,
            as_root: needs_root(facts, server.uid),
        }),
        None => Action::ReachFileSystem {
            point: mount.point.clone(),
            file_system: mount.file_system.clone(),
            source: mount.source.clone(),
        },
    }
}

/// Advises what ends the hindrance of an owner.
pub(super) fn relieve(facts: &Facts, owner: &Owner) -> Option<Action> {
    let asker = (facts.asker_uid, facts.asker_rights);
    self::relief(asker, owner.pid, owner.uid, owner.hindrance.as_ref()?)
}

/// Returns what ends the hindrance of a process of the user `uid`, for a user with these rights.
pub fn relief(
    (asker_uid, rights): (u32, AskerRights),
    pid: u32,
    uid: Option<u32>,
    hindrance: &Hindrance,
) -> Option<Action> {
    Some(match hindrance {
        Hindrance::Stopped => {
            Action::Resume { pid, as_root: asker::needs_root(asker_uid, uid, rights.signals)? }
        }
        Hindrance::Traced(Some(tracer)) => Action::Detach { pid, tracer: tracer.clone() },
        Hindrance::Frozen(group) => Action::Thaw { group: group.clone(), as_root: asker_uid != 0 },
        Hindrance::OutOfDescriptors { limit, hard } => {
            let twice = limit.saturating_mul(2);
            let to = hard.filter(|hard| hard > limit).map_or(twice, |hard| hard.min(twice));
            let is_beyond_hard = hard.is_some_and(|hard| to > hard);
            let as_root = rights.raise(asker_uid, uid, is_beyond_hard)?;
            Action::RaiseLimitOf { pid, to, is_beyond_hard, as_root }
        }
        Hindrance::Traced(None) | Hindrance::Exited => return None,
    })
}
