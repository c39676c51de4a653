//! What to do about it: commands that can be run, quoted for a shell. Pure.

use std::path::Path;

use stoop::explain::shell;

use super::facts::{Facts, File, FileKind, Owner};
use super::permission::{By, SEARCH};
use super::{Who, words::Words};

/// Commands that would let the subject do `want` to the file, the narrowest first.
pub(super) fn grant(facts: &Facts, file: &File, by: By, want: u8) -> Vec<String> {
    let Some(subject) = &facts.subject else { return Vec::new() };
    let (letter, bit) = if want == SEARCH { ('x', 1) } else { ('w', 2) };
    let path = shell::path(&file.path);
    let words = Words(facts);
    let user = facts.names.users.get(&subject.uid).map_or(subject.uid.to_string(), shell::word);
    let group_has = file.mode >> 3 & bit != 0 && file.acl.as_ref().is_some_and(Vec::is_empty);
    let rights = match (want, file.kind) {
        (SEARCH, _) => "rx",
        (_, FileKind::Directory) => "rwx",
        _ => "rw",
    };
    match by {
        By::Owner => vec![format!("chmod u+{letter} {path}")],
        By::Group => vec![format!("chmod g+{letter} {path}    # for everybody in {}", words.group(file.gid))],
        By::Other if group_has && file.gid != 0 => {
            let group = facts.names.groups.get(&file.gid);
            let group = group.map_or(file.gid.to_string(), shell::word);
            vec![format!("usermod -aG {group} {user}    # at the next login; the group has what is missing")]
        }
        By::Other if want == SEARCH => vec![format!("chmod o+x {path}    # lets everybody pass")],
        By::Other => vec![format!("setfacl -m u:{user}:{rights} {path}    # for {} alone", words.whom())],
        By::AclMask => {
            vec![format!("setfacl -m m::rwx {path}    # its entry is there, and the mask cuts it")]
        }
        By::AclUser | By::AclGroups | By::AclOther => {
            vec![format!("setfacl -m u:{user}:{rights} {path}")]
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
    let Who::Process(pid) = facts.question.subject else { return None };
    let start = if path.is_absolute() { "root" } else { "cwd" };
    let inside = Path::new(&format!("/proc/{pid}/{start}")).join(path.strip_prefix("/").unwrap_or(path));
    let inside = shell::path(&inside);
    Some(format!("ls -ld {inside}    # what is there in its view; mount the socket's directory into it"))
}

/// Where more privilege would show more.
pub(super) fn look_closer(facts: &Facts) -> Option<String> {
    let at = shell::address(&facts.question.address);
    let subject = match &facts.question.subject {
        Who::Ourselves => return None,
        Who::User(name) => format!(" --as {}", shell::word(name)),
        Who::Process(pid) => format!(" --pid {pid}"),
    };
    Some(format!("sudo stoop why {at}{subject}    # root sees more"))
}

/// How to bring a server back whose socket is lost.
pub(super) fn restart(owner: &Owner) -> String {
    format!("kill {}    # and start it again: it makes its file anew", owner.pid)
}

/// How to wake a process that was stopped.
pub(super) fn resume(owner: &Owner) -> Option<String> {
    matches!(owner.state, Some('T' | 't'))
        .then(|| format!("kill -CONT {}    # it was stopped by a signal", owner.pid))
}
