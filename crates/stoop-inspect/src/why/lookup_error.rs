//! File systems that fail a lookup, or are for one user alone. Pure.

use std::path::Path;

use rustix::io::Errno;
use stoop::escaped;

use super::action::Action;
use super::advise;
use super::cause::Cause;
use super::facts::{Facts, Mount, Subject};
use super::messages::{Messages, hindered, process, quoted, symbol};
use super::verdict::Verdict;

/// The file system does not respond to the lookup of this path. What the call returns is unknown,
/// and whether it ever does: no timeout of a socket applies to a lookup ([K-FUSE-3]).
///
/// [K-FUSE-3]: stoop::kernel_facts#K-FUSE-3
pub(super) fn not_responding(facts: &Facts, path: &Path) -> Verdict {
    let Some(mount) = &facts.not_responding else { return hidden(facts, &quoted(path)) };
    let (name, point) = (escaped(&mount.file_system), quoted(&mount.point));
    let why = format!("the file system {name} at {point} does not respond: a lookup in it does not return");
    let server = mount.server.as_ref().map(|server| match &server.hindrance {
        Some(hindrance) => format!("{} serves it, and {}", process(server), hindered(hindrance)),
        None => format!("{} serves it", process(server)),
    });
    Verdict { cause: Cause::NotResponding, ..Verdict::unknown(why) }
        .seen(format!("the lookup of {} had not returned after 2 s, and is not made again", quoted(path)))
        .seen_all((!mount.source.is_empty()).then(|| format!("what is mounted: {}", escaped(&mount.source))))
        .seen_all(server)
        .advise(advise::reach_file_system(facts, mount))
}

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

/// What fails in the file system itself.
///
/// [K-FUSE-2]: stoop::kernel_facts#K-FUSE-2
fn broken(facts: &Facts, path: &Path, errno: Errno, mount: &Mount) -> Verdict {
    let (shown, name) = (quoted(path), escaped(&mount.file_system).to_string());
    // Of FUSE: before its server has answered the first request, newer kernels refuse ([K-FUSE-2]).
    let has_ended = [Errno::NOTCONN, Errno::CONNREFUSED].contains(&errno);
    let why = match errno {
        Errno::NOTCONN => format!("the server of the file system {name} at {shown} has exited"),
        Errno::CONNREFUSED => {
            format!("the server of the file system {name} at {shown} has exited, or has never served it")
        }
        Errno::STALE => format!("the server of the file system {name} no longer knows {shown}"),
        _ => format!("the file system {name} fails the lookup of {shown}"),
    };
    let verdict = Verdict::fails(errno, Cause::FileSystemFails, why)
        .seen(format!("the lookup fails with {}", symbol(errno)));
    let path = advise::reached(facts, path);
    verdict.advise(if has_ended { Action::MountFileSystemAgain(path) } else { Action::ShowMount(path) })
}

/// Returns a verdict that names what is not known.
pub(super) fn hidden(facts: &Facts, what: &str) -> Verdict {
    Verdict::unknown(format!("it cannot be determined from here: {what} is not visible"))
        .advise_all(advise::with_more_privileges(facts))
}
