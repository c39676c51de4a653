//! Finds the server of a socket file that is bound to it by another path.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use stoop::internal::{Doubt, Elsewhere, Mounts, Views, responding};

use super::subject::SubjectContext;
use crate::file_location::path_of;

/// Looks for a server of the file, which has none by the path that led to it. The path of the
/// server is the one by which this process reaches it.
pub(super) fn find(context: &SubjectContext, file: &OwnedFd) -> Elsewhere {
    let found = match path_of(file).filter(|path| leads_to(path, file)) {
        Some(path) => in_our_view(&path, file),
        None => in_its_view(context, file),
    };
    found.unwrap_or(Elsewhere::Possible(Doubt::NoMount))
}

/// Returns whether this process reaches the file by this path, through the same mount.
fn leads_to(path: &Path, file: &OwnedFd) -> bool {
    let id = |file: &OwnedFd| {
        rustix::fs::fstat(file).ok().map(|stat| (stat.st_dev, stat.st_ino, super::file::mount_number(file)))
    };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    responding::check(path).is_ok()
        && openat(CWD, path, flags, Mode::empty()).is_ok_and(|here| id(&here) == id(file))
}

fn in_our_view(path: &Path, file: &OwnedFd) -> Option<Elsewhere> {
    let mounts = Mounts::read("/proc/thread-self").ok()?;
    Some(Views { mounts: &mounts, root: None }.find_server(path, file))
}

fn in_its_view(context: &SubjectContext, file: &OwnedFd) -> Option<Elsewhere> {
    let mounts = Mounts::read(&context.proc).ok()?;
    let root = context.root.as_ref().ok()?;
    // The kernel's path starts at the root of the namespace.
    let path = Path::new("/").join(path_of(file)?.strip_prefix(path_of(root)?).ok()?);
    let proc = Path::new(&context.proc).join("root");
    let from_here = |path: PathBuf| proc.join(path.strip_prefix("/").unwrap_or(&path));
    Some(match (Views { mounts: &mounts, root: Some(root.as_fd()) }).find_server(&path, file) {
        Elsewhere::Bound(path) => Elsewhere::Bound(from_here(path)),
        other => other,
    })
}
