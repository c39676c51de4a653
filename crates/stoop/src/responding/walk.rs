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
    walk_with(root, start, path, follows, mounts::check)
}

/// Follows a path. Each lookup is announced to `check` before it is made, with its directory and
/// the name; and each file that it has led to, with no name.
fn walk_with<E>(
    root: BorrowedFd<'_>,
    start: BorrowedFd<'_>,
    path: &Path,
    follows: bool,
    mut check: impl FnMut(BorrowedFd<'_>, &[u8]) -> std::result::Result<(), E>,
) -> std::result::Result<(), E> {
    let Ok(mut current) = start.try_clone_to_owned() else { return Ok(()) };
    let path = path.as_os_str().as_bytes();
    // A slash behind a link requires a directory, so the kernel follows the link (K-LOOKUP-3).
    let follows = follows || path.ends_with(b"/");
    // The names that are left, the next one last.
    let mut rest = names(path);
    let mut links = 0;
    check(current.as_fd(), b"")?;
    while let Some(name) = rest.pop() {
        check(current.as_fd(), &name)?;
        let Ok(next) = open(root, &current, &name) else { return Ok(()) };
        check(next.as_fd(), b"")?;
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
    check(current.as_fd(), b"")
}

/// Splits a path into its names, in reverse order.
fn names(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec).rev().collect()
}

/// Opens a name without following a link. The root directory is its own parent.
fn open(root: BorrowedFd<'_>, directory: &OwnedFd, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let name = if name == b".." && id(root) == id(directory.as_fd()) { &b"."[..] } else { name };
    openat(directory, name, flags, Mode::empty())
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
    use std::fs;

    use proptest::prelude::*;
    use rustix::fs::{CWD, ResolveFlags, openat2, symlinkat};
    use stoop_testkit::{TempDir, tempdir};

    use super::*;

    #[test]
    fn a_path_is_split_into_names() {
        assert_eq!(names(b"/a//b/../c/"), [&b"c"[..], b"..", b"b", b"a"]);
        assert!(names(b"/").is_empty() && names(b"").is_empty());
    }

    type Id = (u32, u32, u64);

    /// A tree of directories, files and links to anything, below a root of its own.
    fn tree(links: &[(String, &str, String)]) -> TempDir {
        let directory = tempdir();
        for name in ["a/a/a", "a/b", "b/a"] {
            fs::create_dir_all(directory.path().join(name)).unwrap();
        }
        fs::write(directory.path().join("a/a/c"), "").unwrap();
        let root = open_root(&directory);
        for (parent, name, target) in links {
            let flags = OFlags::PATH | OFlags::CLOEXEC;
            if let Ok(parent) = openat2(&root, parent.as_str(), flags, Mode::empty(), ResolveFlags::IN_ROOT) {
                // What is there already stays.
                let _ = symlinkat(target.as_str(), parent, *name);
            }
        }
        directory
    }

    fn path() -> impl Strategy<Value = String> {
        let name = prop::sample::select(&["a", "a", "b", "b", "c", "..", "."][..]);
        (prop::collection::vec(name, 1..5), any::<bool>(), any::<bool>()).prop_map(
            |(names, is_absolute, has_slash)| {
                let [front, back] = [is_absolute, has_slash].map(|slash| if slash { "/" } else { "" });
                format!("{front}{}{back}", names.join("/"))
            },
        )
    }

    fn open_root(root: &TempDir) -> OwnedFd {
        openat(CWD, root.path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).unwrap()
    }

    /// Looks a path up by the kernel.
    fn kernel(root: &OwnedFd, path: &str, follows: bool) -> Option<Id> {
        let flags = OFlags::PATH | if follows { OFlags::empty() } else { OFlags::NOFOLLOW };
        let file = openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::IN_ROOT);
        id(file.ok()?.as_fd())
    }

    /// Walks, with a directory in which no lookup returns. Returns the last file checked, or `None`
    /// if it was that one.
    fn walked(root: &OwnedFd, path: &str, follows: bool, silent: Option<Id>) -> Option<Id> {
        let mut last = None;
        let check = |file: BorrowedFd<'_>, _: &[u8]| {
            last = id(file);
            if silent.is_some() && last == silent { Err(()) } else { Ok(()) }
        };
        walk_with(root.as_fd(), root.as_fd(), Path::new(path), follows, check).ok()?;
        last
    }

    fn cases() -> ProptestConfig {
        ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() }
    }

    proptest! {
        #![proptest_config(cases())]

        /// The walk ends where the kernel's lookup does, and it enters a directory if and only if
        /// the kernel does: without that directory, the kernel finds nothing.
        #[test]
        fn the_walk_goes_where_the_kernel_does(
            links in prop::collection::vec((path(), prop::sample::select(&["a", "b", "c"][..]), path()), 0..8),
            asked in path(),
            follows: bool,
            silent in prop::sample::select(&["a", "a/a", "a/a/a", "a/b", "b", "b/a"][..]),
        ) {
            let directory = tree(&links);
            let root = open_root(&directory);
            let silent_id = kernel(&root, silent, false);
            let found = kernel(&root, &asked, follows);
            let all = walked(&root, &asked, follows, None);
            if found.is_some() {
                prop_assert_eq!(all, found, "{} by {:?}", asked, links);
                let held_up = walked(&root, &asked, follows, silent_id).is_none();
                fs::rename(directory.path().join(silent), directory.path().join("taken away")).unwrap();
                let without = kernel(&root, &asked, follows);
                prop_assert_eq!(held_up, without.is_none(), "{} by {:?}", asked, links);
            }
        }
    }

    #[test]
    fn a_link_in_a_loop_ends_the_walk() {
        let directory = tree(&[("/".into(), "c", "/c".into())]);
        let root = open_root(&directory);
        assert_eq!(kernel(&root, "c/a", true), None);
        assert!(walked(&root, "c/a", true, None).is_some(), "nothing held it up");
    }
}
