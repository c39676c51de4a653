//! Suggests commands, quoted for a shell. They depend on who runs them, and where: the paths of a
//! subject that sees other files are translated to ones that work here, and `sudo` is prepended if
//! the user lacks permission. Pure.

use std::path::{Path, PathBuf};

use stoop::Address;
use stoop::explain::shell;

use super::facts::{Endpoint, Facts, File, FileKind, Owner, Step};
use super::permission::{By, SEARCH};
use super::{Operation, Who, messages::Messages};

/// Returns the address in question as it is written where the command is run. A path of a process
/// with another root, other mounts or another working directory leads through its directory in
/// `/proc`.
pub(super) fn address(facts: &Facts) -> String {
    match facts.question.address.as_path() {
        Some(path) => Address::path(from_here(facts, path))
            .map_or_else(|_| shell::address(&facts.question.address), |there| shell::address(&there)),
        None => shell::address(&facts.question.address),
    }
}

/// Quotes a path in the subject's view for a shell here.
pub(super) fn path(facts: &Facts, path: &Path) -> String {
    shell::path(&from_here(facts, path))
}

fn from_here(facts: &Facts, path: &Path) -> PathBuf {
    let elsewhere = facts.subject.as_ref().is_some_and(|subject| subject.view.other_files);
    match &facts.question.subject {
        Who::Process(pid) if path.is_relative() => PathBuf::from(format!("/proc/{pid}/cwd")).join(path),
        Who::Process(pid) if elsewhere => {
            PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").unwrap_or(path))
        }
        _ => path.to_owned(),
    }
}

/// Returns a note for commands that create something in the view of another process.
pub(super) fn whose_view(facts: &Facts) -> String {
    match facts.subject.as_ref().is_some_and(|subject| subject.view.other_files) {
        true => format!(" in the view of {}", Messages(facts).whom()),
        false => String::new(),
    }
}

/// Returns a `stoop` command on the address in question: `stoop serve ADDRESS`, in the network
/// namespace that has the name.
pub(super) fn stoop(facts: &Facts, verb: &str) -> String {
    let away = facts.subject.as_ref().is_some_and(|subject| subject.view.other_network);
    match &facts.question.subject {
        Who::Process(pid) if away && facts.question.address.as_abstract().is_some() => {
            format!("{}nsenter --target {pid} --net stoop {verb} {}", sudo(facts, None), address(facts))
        }
        _ => format!("stoop {verb} {}", address(facts)),
    }
}

/// Returns `sudo ` if the user is neither root nor `owner`.
pub(super) fn sudo(facts: &Facts, owner: Option<u32>) -> &'static str {
    match facts.asker_uid == 0 || owner == Some(facts.asker_uid) {
        true => "",
        false => "sudo ",
    }
}

/// Returns the command that creates all missing directories of the path, of which `first` is the
/// first. If the bind is made by a user other than the one who runs the command, the last directory
/// is owned by that user.
pub(super) fn make_directory(facts: &Facts, step: &Step, first: &Path) -> String {
    let whole = facts.question.address.as_path().and_then(Path::parent);
    let needed = path(facts, whole.filter(|_| !step.last).unwrap_or(first));
    let owner = if step.directory.mode & 0o002 != 0 { facts.asker_uid } else { step.directory.uid };
    let sudo = sudo(facts, Some(owner));
    let maker = if sudo.is_empty() { facts.asker_uid } else { 0 };
    let binds = facts.question.operation == Operation::Bind;
    match facts.subject.as_ref().filter(|subject| binds && subject.uid != maker) {
        Some(subject) => {
            // Changing the owner of a directory requires root.
            let sudo = self::sudo(facts, None);
            let user = facts.names.users.get(&subject.uid).map_or(subject.uid.to_string(), shell::word);
            format!("{sudo}install -d -o {user} -m 0755 {needed}    # owned by the user who binds")
        }
        None => format!("{sudo}mkdir -p {needed}"),
    }
}

/// Returns commands that would grant the subject `want` on the file, the narrowest first.
pub(super) fn grant(facts: &Facts, file: &File, by: By, want: u8) -> Vec<String> {
    let Some(subject) = &facts.subject else { return Vec::new() };
    let (letter, bit) = if want == SEARCH { ('x', 1) } else { ('w', 2) };
    let path = path(facts, &file.path);
    let (owners, roots) = (sudo(facts, Some(file.uid)), sudo(facts, None));
    let messages = Messages(facts);
    let user = facts.names.users.get(&subject.uid).map_or(subject.uid.to_string(), shell::word);
    let group_has = file.mode >> 3 & bit != 0 && file.acl.as_ref().is_some_and(Vec::is_empty);
    let rights = match (want, file.kind) {
        (SEARCH, _) => "rx",
        (_, FileKind::Directory) => "rwx",
        _ => "rw",
    };
    match by {
        By::Owner => vec![format!("{owners}chmod u+{letter} {path}")],
        By::Group => {
            vec![format!(
                "{owners}chmod g+{letter} {path}    # for all members of {}",
                messages.group(file.gid)
            )]
        }
        By::Other if group_has && file.gid != 0 => {
            let group = facts.names.groups.get(&file.gid);
            let group = group.map_or(file.gid.to_string(), shell::word);
            vec![format!(
                "{roots}usermod -aG {group} {user}    # from the next login on; the group has the permission"
            )]
        }
        By::Other if want == SEARCH => {
            vec![format!("{owners}chmod o+x {path}    # lets all users search it")]
        }
        By::Other => {
            vec![format!("{owners}setfacl -m u:{user}:{rights} {path}    # for {} only", messages.whom())]
        }
        By::AclMask => {
            vec![format!("{owners}setfacl -m m::rwx {path}    # there is an entry, but the mask excludes it")]
        }
        By::AclUser | By::AclGroups | By::AclOther => {
            vec![format!("{owners}setfacl -m u:{user}:{rights} {path}")]
        }
    }
}

/// Suggests how to see what the subject sees, or how to name the file in a way that works for both.
pub(super) fn other_view(facts: &Facts, is_elsewhere: bool) -> Option<String> {
    let path = facts.question.address.as_path()?;
    if !is_elsewhere {
        let path = shell::path(path);
        return Some(format!("readlink -f {path}    # an absolute path leads both to the same file"));
    }
    let Who::Process(_) = facts.question.subject else { return None };
    let sudo = sudo(facts, facts.subject.as_ref().map(|subject| subject.uid));
    let inside = self::path(facts, path);
    Some(format!(
        "{sudo}ls -ld {inside}    # the directory in its view; mount the socket's directory into it"
    ))
}

/// Suggests running with more privileges, if that would show more.
pub(super) fn with_more_privileges(facts: &Facts) -> Option<String> {
    if facts.asker_uid == 0 {
        return None;
    }
    let at = shell::address(&facts.question.address);
    let subject = match &facts.question.subject {
        Who::CurrentProcess => format!(" --as {}", facts.asker_uid),
        Who::User(name) => format!(" --as {}", shell::word(name)),
        Who::Process(pid) => format!(" --pid {pid}"),
    };
    Some(format!("sudo stoop why {at}{subject}    # root sees more"))
}

/// Suggests how to restart a server whose socket file was lost.
pub(super) fn restart(facts: &Facts, socket: &Endpoint) -> Option<String> {
    let owner = socket.owners.as_deref()?.first()?;
    let sudo = sudo(facts, owner.uid);
    Some(format!("{sudo}kill {}    # and start it again: it creates a new socket file", owner.pid))
}

/// Suggests how to resume a stopped process.
pub(super) fn resume(facts: &Facts, owner: &Owner) -> Option<String> {
    let sudo = sudo(facts, owner.uid);
    matches!(owner.state, Some('T' | 't'))
        .then(|| format!("{sudo}kill -CONT {}    # it was stopped by a signal", owner.pid))
}
