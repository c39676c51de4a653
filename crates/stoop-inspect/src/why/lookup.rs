//! Predicts whether the subject's path lookup succeeds, component by component as the kernel walks
//! (`fs/namei.c`). Pure.

use std::path::Path;

use rustix::io::Errno;
use stoop::Address;

use super::action::Action;
use super::cause::Cause;
use super::facts::{Facts, File, FileKind, Found, Mount, Near, Nearness, Step};
use super::lookup_error::hidden;
use super::messages::{Messages, quoted, quoted_bytes, symbol};
use super::permission::{Access, By, SEARCH, access};
use super::question::Operation;
use super::verdict::{Stop, Verdict};
use super::{advise, bound_elsewhere, lookup_error};

/// The number of symbolic links that one lookup follows.
const LINKS_MAX: usize = 40;
/// The longest component in bytes, the same on all file systems in use.
const NAME_MAX_BYTES: usize = 255;

/// The result of a lookup.
pub(super) enum Lookup<'f> {
    /// The lookup reached this file.
    Reached(&'f File),
    /// The lookup fails, with this verdict.
    Stopped(Verdict),
}

/// Checks the whole lookup of a connect or a send, which follows every link.
pub(super) fn whole(facts: &Facts) -> Lookup<'_> {
    let Some(walk) = &facts.walk else { return Lookup::Stopped(no_start(facts)) };
    if let Some(stopped) = steps(facts, &walk.steps) {
        return Lookup::Stopped(stopped);
    }
    match &walk.reached {
        Some(file) => Lookup::Reached(file),
        None => Lookup::Stopped(hidden(facts, "what the path leads to")),
    }
}

/// Returns the verdict if the lookup cannot even start.
pub(super) fn no_start(facts: &Facts) -> Verdict {
    match &facts.not_responding {
        Some(mount) => lookup_error::not_responding(facts, &mount.point),
        None => hidden(facts, "the path"),
    }
}

/// Checks these steps. Returns `None` if all of them pass.
pub(super) fn steps(facts: &Facts, steps: &[Step]) -> Option<Verdict> {
    let mut links = 0;
    steps.iter().enumerate().find_map(|(number, step)| {
        links += usize::from(matches!(step.found, Found::Link { .. } | Found::Magic { .. }));
        let entered = entered(facts, step).map(|verdict| verdict.stopped(Stop::In(number)));
        entered.or_else(|| Some(found(facts, step, links)?.stopped(Stop::At(number))))
    })
}

/// Checks that the directory may be searched, and that the name is valid.
pub(super) fn entered(facts: &Facts, step: &Step) -> Option<Verdict> {
    let subject = facts.subject.as_ref()?;
    let directory = &step.directory;
    match access(directory, subject, SEARCH) {
        Access::Granted => {}
        Access::Denied(By::OnlyUser) => {
            return Some(lookup_error::other_users(facts, &directory.path, &directory.mount));
        }
        Access::Denied(by) => return Some(no_search(facts, directory, by)),
        Access::Unknown => return Some(hidden(facts, &Messages(facts).undecided(directory))),
    }
    let is_dots = step.name == b"." || step.name == b"..";
    if directory.deleted && !is_dots {
        let why = format!("the directory {} was removed while it was in use", quoted(&directory.path));
        let verdict = Verdict::fails(Errno::NOENT, Cause::DirectoryDeleted, why);
        return Some(match directory.mount.is_unlinked {
            true => verdict
                .seen("it is mounted there: a new directory at its source does not appear here")
                .advise(Action::MountAgain { path: directory.path.clone(), is_directory: true }),
            false => verdict.advise(advise::change_directory(facts)),
        });
    }
    (step.name.len() > NAME_MAX_BYTES).then(|| {
        let why = format!(
            "the name {} has {} bytes, and a file name has {NAME_MAX_BYTES} at most",
            quoted_bytes(&step.name),
            step.name.len()
        );
        Verdict::fails(Errno::NAMETOOLONG, Cause::NameTooLong, why)
    })
}

fn no_search(facts: &Facts, directory: &File, by: By) -> Verdict {
    let messages = Messages(facts);
    let cause = if by.is_acl() { Cause::NoSearchAcl } else { Cause::NoSearch };
    let why = format!("the directory {} may not be searched by {}", quoted(&directory.path), messages.whom());
    let verdict = Verdict::fails(Errno::ACCESS, cause, why)
        .seen(messages.permissions(directory))
        .seen(messages.identity())
        .seen(messages.applies(by, directory, "search (x)"));
    verdict.advise_all(advise::grant(facts, directory, by, SEARCH))
}

/// Checks that the lookup can continue with what the name led to.
fn found(facts: &Facts, step: &Step, links: usize) -> Option<Verdict> {
    let path = step.path();
    match &step.found {
        Found::Nothing => Some(missing(facts, step, &path)),
        Found::Hidden(errno) => {
            Some(hidden(facts, &quoted(&path)).seen(format!("the lookup fails with {}", symbol(*errno))))
        }
        Found::NotResponding => Some(lookup_error::not_responding(facts, &path)),
        Found::Failing { errno, mount } => Some(failing(facts, &path, *errno, mount)),
        Found::File(file) => not_a_directory(facts, step, file),
        Found::Link { link, .. } => link_refused(facts, step, link, links),
        Found::Magic { link, to } => link_refused(facts, step, link, links).or_else(|| match to {
            Some(file) => not_a_directory(facts, step, file),
            None => Some(hidden(facts, &format!("what {} leads to", quoted(&link.path)))),
        }),
    }
}

fn not_a_directory(facts: &Facts, step: &Step, file: &File) -> Option<Verdict> {
    (step.wants_directory && file.kind != FileKind::Directory).then(|| {
        let why = format!("{} is not a directory", quoted(&file.path));
        let verdict = Verdict::fails(Errno::NOTDIR, Cause::NotADirectory, why);
        let address = Address::path(advise::reached(facts, &file.path)).ok();
        match address.filter(|_| file.kind == FileKind::Socket) {
            Some(address) if step.last => {
                let at = advise::other_site(&address);
                verdict.advise(Action::OmitSlash { at, operation: facts.question.operation })
            }
            Some(address) => verdict
                .seen(
                    "it is a socket: what follows, such as the path of a request, is not part of its address",
                )
                .advise(Action::SeeElsewhere { address, is_similar: false }),
            None => verdict.advise(Action::ShowFile(advise::reached(facts, &file.path))),
        }
    })
}

/// Checks whether a link may be followed, in the kernel's order: the number of links so far, its
/// owner, its mount.
fn link_refused(facts: &Facts, step: &Step, link: &File, links: usize) -> Option<Verdict> {
    let shown = quoted(&link.path);
    if links > LINKS_MAX {
        let is_circle = is_circle(facts, link);
        let why = match is_circle {
            true => format!("the symbolic links form a loop: {shown} leads back to itself"),
            false => format!(
                "the path goes through more than {LINKS_MAX} symbolic links, and no more are followed"
            ),
        };
        let verdict = Verdict::fails(Errno::LOOP, Cause::LinkLoop, why);
        let verdict = if is_circle { verdict } else { verdict.seen(format!("the last one is {shown}")) };
        return Some(verdict.advise(Action::ShowLink(advise::reached(facts, &link.path))));
    }
    if step.last && step.is_protected(link, facts)? {
        let messages = Messages(facts);
        let why = format!(
            "the symbolic link {shown} belongs to another user, in a world-writable directory: it is not followed"
        );
        let verdict = Verdict::fails(Errno::ACCESS, Cause::ProtectedLink, why)
            .seen(format!("the link's owner is {}; fs.protected_symlinks is on", messages.user(link.uid)))
            .seen(messages.permissions(&step.directory))
            .seen(messages.identity());
        return Some(verdict.advise(Action::AvoidLink(advise::reached(facts, &link.path))));
    }
    link.mount.no_links.then(|| {
        let why = format!("{shown} is a symbolic link on a mount that does not follow them (nosymfollow)");
        Verdict::fails(Errno::LOOP, Cause::LinksNotFollowed, why)
            .advise(Action::AvoidLink(advise::reached(facts, &link.path)))
    })
}

/// Returns whether the lookup has reached this link before, through another link's target.
fn is_circle(facts: &Facts, link: &File) -> bool {
    let steps = facts.walk.iter().flat_map(|walk| &walk.steps);
    let is_it = |step: &&Step| matches!(&step.found, Found::Link { link: other, .. } if other.id == link.id);
    steps.filter(is_it).filter(|step| step.via.is_some()).count() > 1
}

impl Step {
    /// Returns the path of the name.
    pub(super) fn path(&self) -> std::path::PathBuf {
        self.directory.path.join(as_os_str(&self.name))
    }

    /// Returns whether `fs.protected_symlinks` forbids following this link. Capabilities do not
    /// override it ([K-LOOKUP-4]).
    ///
    /// [K-LOOKUP-4]: stoop::kernel_facts#K-LOOKUP-4
    fn is_protected(&self, link: &File, facts: &Facts) -> Option<bool> {
        let subject = facts.subject.as_ref()?;
        let shared = self.directory.mode & 0o1002 == 0o1002;
        let theirs = link.uid != subject.uid && link.uid != self.directory.uid;
        Some(facts.limits.protected_symlinks.unwrap_or(false) && shared && theirs)
    }
}

fn missing(facts: &Facts, step: &Step, path: &Path) -> Verdict {
    let fails = |cause, why| Verdict::fails(Errno::NOENT, cause, why);
    if let Some(link) = &step.via {
        let why = format!("{} is a symbolic link whose target does not exist", quoted(link));
        return fails(Cause::Dangling, why)
            .seen(format!("{} does not exist", quoted(path)))
            .advise(Action::ShowDangling(advise::reached(facts, link)));
    }
    if let Some(near) = facts.near.iter().find(|near| near.how == Nearness::OurView) {
        return other_view(facts, near, path);
    }
    if let Some(verdict) = bound_elsewhere::missing(facts) {
        return verdict;
    }
    let is_of_process = step.directory.path == Path::new("/proc");
    if is_of_process && let Ok(pid) = String::from_utf8_lossy(&step.name).parse::<u32>() {
        let why = format!("no process {pid} is visible from here: it has exited, or belongs to another user");
        return fails(Cause::ParentMissing, why).advise(Action::ListProcesses);
    }
    if !step.last || step.wants_directory {
        let cause = if step.last { Cause::Missing } else { Cause::ParentMissing };
        return fails(cause, format!("the directory {} does not exist", quoted(path)))
            .advise_all(advise::create_directory(facts, step, path));
    }
    let why = "no server has created this file: none was started, or it has exited and removed it";
    let verdict = fails(Cause::Missing, why.to_owned())
        .seen(format!("the directory exists and has no entry {}", quoted_bytes(&step.name)));
    match facts.question.operation {
        Operation::Send { .. } => verdict.advise(Action::StartReceiver(advise::site(facts))),
        _ => verdict
            .advise(advise::start_server(facts))
            .advise(Action::WaitForServer { at: advise::site(facts), is_bound: false }),
    }
}

/// The path exists for this process, but not for the subject: its root, its mounts, or the start of
/// a relative path differ.
fn other_view(facts: &Facts, near: &Near, path: &Path) -> Verdict {
    let messages = Messages(facts);
    let is_elsewhere = facts.subject.as_ref().is_some_and(|subject| subject.view.other_files);
    let (why, seen) = match is_elsewhere {
        true => (
            format!("it exists in our view of the file system, but not in that of {}", messages.whom()),
            format!("{} does not exist in its view: it has another root or other mounts", quoted(path)),
        ),
        false => (
            format!("the path is relative, and {} has a different working directory", messages.who()),
            format!("there, {} does not exist", quoted(path)),
        ),
    };
    Verdict::fails(Errno::NOENT, Cause::OtherView, why)
        .seen(seen)
        .seen_all(messages.owners(&near.socket))
        .advise_all(advise::other_view(facts, is_elsewhere))
}

/// Returns the verdict on a lookup that the file system fails.
pub(super) fn failing(facts: &Facts, path: &Path, errno: Errno, mount: &Mount) -> Verdict {
    lookup_error::verdict(facts, path, errno, mount).unwrap_or_else(|| {
        hidden(facts, &quoted(path))
            .seen("it is in a FUSE mount that only its user may use, and not even root".to_owned())
            .advise_all(advise::predict_as(facts, mount))
    })
}

fn as_os_str(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}
