//! File systems that fail a lookup, or are for one user alone. Pure.

use std::path::Path;

use rustix::io::Errno;
use stoop::escaped;

use super::action::Action;
use super::advise;
use super::cause::Cause;
use super::facts::{Facts, Mount, Subject};
use super::messages::{Messages, quoted, symbol};
use super::verdict::Verdict;

/// The file system answers the lookup of this path with an error. Returns `None` if it does so only
/// because this process is another user than the subject.
pub(super) fn verdict(facts: &Facts, path: &Path, errno: Errno, mount: &Mount) -> Option<Verdict> {
    let Some(user) = mount.only_user.filter(|_| errno == Errno::ACCESS) else {
        return Some(broken(facts, path, errno, mount));
    };
    let is_other = |subject: &Subject| !mount.may_be_foreign && !user.is(subject);
    facts.subject.as_ref().is_some_and(is_other).then(|| other_users(facts, path, mount))
}

/// Only the user who mounted it may use a FUSE mount without `allow_other`, whatever capabilities
/// another has ([K-FUSE-1]).
///
/// [K-FUSE-1]: stoop::kernel_facts#K-FUSE-1
pub(super) fn other_users(facts: &Facts, path: &Path, mount: &Mount) -> Verdict {
    let messages = Messages(facts);
    let why = format!(
        "{} is in a FUSE mount of another user: without the option allow_other, only that user may use it",
        quoted(path)
    );
    let user = mount.only_user.map(|user| {
        format!("the mount, of {}, is for {} alone", escaped(&mount.file_system), messages.user(user.uid))
    });
    Verdict::fails(Errno::ACCESS, Cause::OtherUsersMount, why)
        .seen_all(user)
        .seen(messages.identity())
        .advise_all(advise::predict_as(facts, mount))
        .advise(Action::AllowOthers(advise::reached(facts, path)))
}

fn broken(facts: &Facts, path: &Path, errno: Errno, mount: &Mount) -> Verdict {
    let (shown, name) = (quoted(path), escaped(&mount.file_system).to_string());
    let has_ended = errno == Errno::NOTCONN;
    let why = match errno {
        Errno::NOTCONN => format!("the server of the file system {name} at {shown} has exited"),
        Errno::STALE => format!("the server of the file system {name} no longer knows {shown}"),
        _ => format!("the file system {name} fails the lookup of {shown}"),
    };
    let verdict = Verdict::fails(errno, Cause::FileSystemFails, why)
        .seen(format!("the lookup fails with {}", symbol(errno)));
    let path = advise::reached(facts, path);
    verdict.advise(if has_ended { Action::MountFileSystemAgain(path) } else { Action::ShowMount(path) })
}
