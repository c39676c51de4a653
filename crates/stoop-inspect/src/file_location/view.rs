//! Looks up files in the view of a process. Opens nothing but `O_PATH` file descriptors.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, statx};
use stoop::diag::FileId;
use stoop::internal::responding;

use crate::model::Pid;
use crate::mountinfo::{MountEntry, Mountinfo};

/// The largest number of directory entries that are compared.
const ENTRIES_MAX: usize = 20_000;

/// The root directory, working directory and mounts of a process.
#[derive(Debug)]
pub(super) struct View {
    pub(super) root: OwnedFd,
    pub(super) working: Option<OwnedFd>,
    pub(super) mounts: Mountinfo,
    /// The mount and the inode of its root directory: two views with the same are the same.
    pub(super) root_id: Stat,
}

/// The identity of a file, and the mount through which it is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) id: FileId,
    pub(super) mount: Option<u64>,
    pub(super) links: u32,
    pub(super) is_socket: bool,
}

/// What a lookup found.
#[derive(Debug)]
pub(super) enum Found {
    File(OwnedFd, Stat),
    Nothing,
    /// It may not be looked up, or its file system does not respond.
    Hidden,
}

impl View {
    /// Opens the view of the process with this `/proc` directory, if that is permitted.
    pub(super) fn of(proc: &str) -> Option<View> {
        let directory = |name: &str| open_directory(&format!("{proc}/{name}"));
        let root = directory("root")?;
        let root_id = stat(&root)?;
        let mounts = Mountinfo::read(proc);
        responding::learn(proc, mounts.0.values());
        Some(View { working: directory("cwd"), mounts, root, root_id })
    }

    /// Looks up a path in this view, without following a link at its end. An absolute link leads
    /// to the root of the view.
    pub(super) fn look_up(&self, path: &Path) -> Found {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let start = if path.is_absolute() { Some(&self.root) } else { self.working.as_ref() };
        let Some(start) = start else { return Found::Hidden };
        let resolve = match path.is_absolute() {
            true => ResolveFlags::IN_ROOT,
            false => ResolveFlags::NO_MAGICLINKS,
        };
        if responding::check_below(self.root.as_fd(), start.as_fd(), path, false).is_err() {
            return Found::Hidden;
        }
        match openat2(start, path, flags, Mode::empty(), resolve).map_err(io::Error::from) {
            Ok(fd) => stat(&fd).map_or(Found::Hidden, |stat| Found::File(fd, stat)),
            Err(error) if is_nothing(&error) => Found::Nothing,
            Err(_) => Found::Hidden,
        }
    }

    /// Finds a file with one of these inode numbers in the directory of a path.
    pub(super) fn scan(
        &self,
        path: &Path,
        is_it: &dyn Fn(&Stat) -> bool,
        ino: u64,
    ) -> Option<(OwnedFd, PathBuf)> {
        let directory =
            path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let Found::File(fd, _) = self.look_up(directory) else { return None };
        let list =
            openat(&fd, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let entries = Dir::new(list).ok()?.take(ENTRIES_MAX).filter_map(Result::ok);
        entries.filter(|entry| entry.ino() & 0xffff_ffff == ino).find_map(|entry| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = openat(&fd, entry.file_name(), flags, Mode::empty()).ok()?;
            let name = std::os::unix::ffi::OsStrExt::from_bytes(entry.file_name().to_bytes());
            stat(&file)
                .is_some_and(|stat| is_it(&stat))
                .then(|| (file, directory.join(Path::new::<std::ffi::OsStr>(name))))
        })
    }

    /// Returns the mount through which a file is seen.
    pub(super) fn mount(&self, stat: &Stat) -> Option<&MountEntry> {
        self.mounts.0.get(&stat.mount?)
    }
}

/// Returns the identity of the root directory of a process, which is that of its view.
pub(super) fn root_of(pid: Pid) -> Option<Stat> {
    stat(open_directory(&format!("/proc/{pid}/root"))?)
}

fn open_directory(path: &str) -> Option<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Returns which file an open one is.
pub(crate) fn id_of(fd: impl AsFd) -> Option<FileId> {
    stat(fd).map(|stat| stat.id)
}

/// Returns the identity of an open file, as the kernel has it cached: its file system is not asked.
pub(super) fn stat(fd: impl AsFd) -> Option<Stat> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    let stat = statx(fd, c"", flags, StatxFlags::BASIC_STATS | StatxFlags::MNT_ID).ok()?;
    Some(Stat {
        id: FileId { dev: rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), ino: stat.stx_ino },
        mount: (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id),
        links: stat.stx_nlink,
        is_socket: u32::from(stat.stx_mode) & 0o170_000 == 0o140_000,
    })
}

/// Returns the path that the kernel keeps of an open file. In another mount namespace it starts at
/// the root of that namespace. A name that was unlinked ends in ` (deleted)`.
pub(crate) fn path_of(fd: impl AsFd) -> Option<PathBuf> {
    fs::read_link(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())).ok()
}

/// The views of processes, each opened once.
#[derive(Debug, Default)]
pub(super) struct Views(HashMap<u32, Option<View>>);

impl Views {
    pub(super) fn get(&mut self, pid: u32) -> Option<&View> {
        self.0.entry(pid).or_insert_with(|| View::of(&format!("/proc/{pid}"))).as_ref()
    }
}
