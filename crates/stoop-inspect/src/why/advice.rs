//! What to do about it: commands that can be run, quoted for a shell, by who asks and where he is:
//! with the paths of a subject that sees other files as they are reached from here, and with `sudo`
//! where he has no right to it. Pure.

use std::path::{Path, PathBuf};

use stoop::Address;
use stoop::explain::shell;

use super::facts::{Endpoint, Facts, File, FileKind, Owner, Step};
use super::permission::{By, SEARCH};
use super::{Operation, Who, words::Words};

/// The address in question, as it is written where the advice is run: a path of a process with
/// another root, other mounts or another working directory leads through its directory in `/proc`.
pub(super) fn address(facts: &Facts) -> String {
    match facts.question.address.as_path() {
        Some(path) => Address::path(from_here(facts, path))
            .map_or_else(|_| shell::address(&facts.question.address), |there| shell::address(&there)),
        None => shell::address(&facts.question.address),
    }
}

/// A path of the subject's view, for a shell here.
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

/// What to add where a command makes something that is to be in the view of another process.
pub(super) fn whose_view(facts: &Facts) -> String {
    match facts.subject.as_ref().is_some_and(|subject| subject.view.other_files) {
        true => format!(" where {} looks", Words(facts).who()),
        false => String::new(),
    }
}

/// A command of ours about the address in question: `stoop serve ADDRESS`, in the network where its
/// name counts.
pub(super) fn stoop(facts: &Facts, verb: &str) -> String {
    let away = facts.subject.as_ref().is_some_and(|subject| subject.view.other_network);
    match &facts.question.subject {
        Who::Process(pid) if away && facts.question.address.as_abstract().is_some() => {
            format!("{}nsenter --target {pid} --net stoop {verb} {}", sudo(facts, None), address(facts))
        }
        _ => format!("stoop {verb} {}", address(facts)),
    }
}

/// `sudo `, where who asks is neither root nor the one who may.
pub(super) fn sudo(facts: &Facts, owner: Option<u32>) -> &'static str {
    match facts.asker_uid == 0 || owner == Some(facts.asker_uid) {
        true => "",
        false => "sudo ",
    }
}

/// How to make every directory on the way at once, the first that is missing being `first`; where a
/// bind is to be another's than whoever runs it, the last one is that one's.
pub(super) fn make_directory(facts: &Facts, step: &Step, first: &Path) -> String {
    let whole = facts.question.address.as_path().and_then(Path::parent);
    let needed = path(facts, whole.filter(|_| !step.last).unwrap_or(first));
    let owner = if step.directory.mode & 0o002 != 0 { facts.asker_uid } else { step.directory.uid };
    let sudo = sudo(facts, Some(owner));
    let maker = if sudo.is_empty() { facts.asker_uid } else { 0 };
    let binds = facts.question.operation == Operation::Bind;
    match facts.subject.as_ref().filter(|subject| binds && subject.uid != maker) {
        Some(subject) => {
            // To give a directory away takes root.
            let sudo = self::sudo(facts, None);
            let user = facts.names.users.get(&subject.uid).map_or(subject.uid.to_string(), shell::word);
            format!("{sudo}install -d -o {user} -m 0755 {needed}    # the last one belongs to who binds")
        }
        None => format!("{sudo}mkdir -p {needed}"),
    }
}

/// Commands that would let the subject do `want` to the file, the narrowest first.
pub(super) fn grant(facts: &Facts, file: &File, by: By, want: u8) -> Vec<String> {
    let Some(subject) = &facts.subject else { return Vec::new() };
    let (letter, bit) = if want == SEARCH { ('x', 1) } else { ('w', 2) };
    let path = path(facts, &file.path);
    let (owners, roots) = (sudo(facts, Some(file.uid)), sudo(facts, None));
    let words = Words(facts);
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
            vec![format!("{owners}chmod g+{letter} {path}    # for everybody in {}", words.group(file.gid))]
        }
        By::Other if group_has && file.gid != 0 => {
            let group = facts.names.groups.get(&file.gid);
            let group = group.map_or(file.gid.to_string(), shell::word);
            vec![format!(
                "{roots}usermod -aG {group} {user}    # at the next login; the group has what is missing"
            )]
        }
        By::Other if want == SEARCH => vec![format!("{owners}chmod o+x {path}    # lets everybody pass")],
        By::Other => {
            vec![format!("{owners}setfacl -m u:{user}:{rights} {path}    # for {} alone", words.whom())]
        }
        By::AclMask => {
            vec![format!("{owners}setfacl -m m::rwx {path}    # its entry is there, and the mask cuts it")]
        }
        By::AclUser | By::AclGroups | By::AclOther => {
            vec![format!("{owners}setfacl -m u:{user}:{rights} {path}")]
        }
    }
}

/// How to see what the subject sees, or to name what we see in a way that is good for both.
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
        "{sudo}ls -ld {inside}    # what is there in its view; mount the socket's directory into it"
    ))
}

/// Where more privilege would show more.
pub(super) fn look_closer(facts: &Facts) -> Option<String> {
    if facts.asker_uid == 0 {
        return None;
    }
    let at = shell::address(&facts.question.address);
    let subject = match &facts.question.subject {
        Who::Ourselves => format!(" --as {}", facts.asker_uid),
        Who::User(name) => format!(" --as {}", shell::word(name)),
        Who::Process(pid) => format!(" --pid {pid}"),
    };
    Some(format!("sudo stoop why {at}{subject}    # root sees more"))
}

/// How to bring a server back whose socket is lost.
pub(super) fn restart(facts: &Facts, socket: &Endpoint) -> Option<String> {
    let owner = socket.owners.as_deref()?.first()?;
    let sudo = sudo(facts, owner.uid);
    Some(format!("{sudo}kill {}    # and start it again: it makes its file anew", owner.pid))
}

/// How to wake a process that was stopped.
pub(super) fn resume(facts: &Facts, owner: &Owner) -> Option<String> {
    let sudo = sudo(facts, owner.uid);
    matches!(owner.state, Some('T' | 't'))
        .then(|| format!("{sudo}kill -CONT {}    # it was stopped by a signal", owner.pid))
}
