//! Follows a path, and checks each lookup first.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{FileType, Mode, OFlags, openat, readlinkat};
use rustix::io::Result;

use super::error::NotResponding;
use super::mounts;

/// One more than the kernel follows.
const LINKS_MAX: usize = 41;

/// Follows a path from `start`, below `root`. If the lookup ends early, nothing is left to check.
pub(super) fn walk(
    root: BorrowedFd<'_>,
    start: BorrowedFd<'_>,
    path: &Path,
    follows: bool,
) -> std::result::Result<(), NotResponding> {
    let Ok(mut current) = start.try_clone_to_owned() else { return Ok(()) };
    // The names that are left, the next one last.
    let mut rest = names(path.as_os_str().as_bytes());
    let mut links = 0;
    mounts::check(current.as_fd(), b"")?;
    while let Some(name) = rest.pop() {
        mounts::check(current.as_fd(), &name)?;
        let Ok(Some(next)) = open(root, &current, &name) else { return Ok(()) };
        mounts::check(next.as_fd(), b"")?;
        if !is_link(&next) || rest.is_empty() && !follows {
            current = next;
            continue;
        }
        links += 1;
        match target(&current, &next, &name) {
            Ok(Target::File(file)) => current = file,
            Ok(Target::Path(target)) if links < LINKS_MAX => {
                if target.starts_with(b"/") {
                    let Ok(root) = root.try_clone_to_owned() else { return Ok(()) };
                    current = root;
                }
                rest.extend(names(&target));
            }
            _ => return Ok(()),
        }
    }
    mounts::check(current.as_fd(), b"")
}

/// Splits a path into its names, in reverse order.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).rev().collect()
}

/// Opens a name without following a link. The root directory is its own parent.
fn open(root: BorrowedFd<'_>, directory: &OwnedFd, name: &[u8]) -> Result<Option<OwnedFd>> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = if name == b".." && id(root) == id(directory.as_fd()) { &b"."[..] } else { name };
    openat(directory, name, flags, Mode::empty()).map(Some)
}

fn id(file: BorrowedFd<'_>) -> Option<(u32, u32, u64)> {
    mounts::cached(file).map(|stat| (stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino))
}

fn is_link(file: &OwnedFd) -> bool {
    mounts::cached(file.as_fd())
        .is_some_and(|stat| FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Symlink)
}

/// What a link leads to.
enum Target {
    Path(Vec<u8>),
    File(OwnedFd),
}

/// Returns what a link leads to. One in `/proc` may lead to a file whose path is another's.
fn target(directory: &OwnedFd, link: &OwnedFd, name: &[u8]) -> Result<Target> {
    if is_proc(link) {
        return openat(directory, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map(Target::File);
    }
    readlinkat(link, c"", Vec::new()).map(|target| Target::Path(target.into_bytes()))
}

/// Returns whether a link is in `/proc`. Asking a file system for its type may wait, so the file
/// system must have responded before.
fn is_proc(link: &OwnedFd) -> bool {
    rustix::fs::fstatfs(link).is_ok_and(|about| about.f_type == rustix::fs::PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_split_into_names() {
        assert_eq!(names(b"/a//b/../c/"), [&b"c"[..], b"..", b"b", b"a"]);
        assert!(names(b"/").is_empty() && names(b"").is_empty());
    }
}
