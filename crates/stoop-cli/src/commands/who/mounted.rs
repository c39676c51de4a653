//! The processes that see a socket's file under another path, or below another root: containers
//! into which the file or its directory is mounted. Only inspects.
//!
//! A mount table leads to the paths at which the file may be. Only a path that leads to that very
//! file counts.

use std::collections::HashSet;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use stoop::diag::FileId;
use stoop::internal::mountinfo::{self, MountEntry};
use stoop::internal::responding;
use stoop_inspect::Workload;

/// A view of the file system in which the file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MountedIn {
    /// A process that has this view, the one with the lowest id.
    pub(super) pid: u32,
    pub(super) command: String,
    pub(super) workload: Workload,
    /// The path of the file in this view.
    pub(super) path: PathBuf,
}

/// Returns the views in which the file at this path, as seen from here, is found elsewhere. Views
/// of processes that may not be inspected are missing.
pub(super) fn mounted_in(path: &Path) -> Vec<MountedIn> {
    let whole = responding::check(path).ok().and_then(|()| fs::canonicalize(path).ok());
    let Some((path, file)) = whole.and_then(|path| Some((path.clone(), id(&path)?))) else {
        return Vec::new();
    };
    // Read once for all sockets.
    static VIEWS: LazyLock<Views> = LazyLock::new(Views::read);
    let views = &*VIEWS;
    let at = views.own.iter().rev().find_map(|mount| OnDevice::below(mount, &path));
    let Some(at) = at else { return Vec::new() };
    let view = |(pid, theirs): &(u32, Vec<MountEntry>)| view(*pid, theirs, &views.own, &at, file, &path);
    views.others.iter().filter_map(view).collect()
}

/// The mount tables of this process, and of the first process of every other mount namespace.
struct Views {
    own: Vec<MountEntry>,
    others: Vec<(u32, Vec<MountEntry>)>,
}

impl Views {
    fn read() -> Views {
        let table = |process: &str| mountinfo::read(&format!("/proc/{process}")).ok();
        let mut seen: HashSet<u64> = namespace("self").into_iter().collect();
        let mut is_new =
            |pid: &u32| namespace(&pid.to_string()).is_some_and(|namespace| seen.insert(namespace));
        let others = pids().into_iter().filter(|pid| is_new(pid));
        let others: Vec<_> = others.filter_map(|pid| Some((pid, table(&pid.to_string())?))).collect();
        for (pid, mounts) in &others {
            responding::learn(&format!("/proc/{pid}"), mounts);
        }
        Views { own: table("self").unwrap_or_default(), others }
    }
}

/// A file by its file system, and its path in that.
struct OnDevice {
    device: u64,
    path: PathBuf,
}

impl OnDevice {
    /// Returns the file that a path leads to, if it is below this mount.
    fn below(mount: &MountEntry, path: &Path) -> Option<OnDevice> {
        Some(OnDevice { device: mount.device, path: mount.path_in_file_system(path)? })
    }

    /// Returns the path of the file, if this mount shows it.
    fn path_in(&self, mount: &MountEntry) -> Option<PathBuf> {
        (mount.device == self.device).then(|| mount.path_in_view(&self.path))?
    }
}

/// Returns where a process sees the file, unless it sees it as we do.
fn view(
    pid: u32,
    theirs: &[MountEntry],
    own: &[MountEntry],
    at: &OnDevice,
    file: FileId,
    path: &Path,
) -> Option<MountedIn> {
    let root = |mounts: &[MountEntry]| {
        let root = mounts.iter().rev().find(|mount| mount.point == Path::new("/"))?;
        Some((root.device, root.root.clone()))
    };
    let has_our_root = root(theirs) == root(own);
    let leads_to_it = |candidate: &PathBuf| {
        let below = candidate.strip_prefix("/").unwrap_or(candidate);
        (!has_our_root || candidate != path)
            && id(&Path::new(&format!("/proc/{pid}/root")).join(below)) == Some(file)
    };
    let path = theirs.iter().filter_map(|mount| at.path_in(mount)).find(leads_to_it)?;
    let text = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let command = String::from_utf8_lossy(text("comm").trim_ascii_end()).into_owned();
    Some(MountedIn { pid, command, workload: Workload::from_cgroup(&text("cgroup")), path })
}

fn id(path: &Path) -> Option<FileId> {
    let status = responding::lstat(path).ok()?;
    Some(FileId { dev: status.st_dev, ino: status.st_ino })
}

/// Returns the mount namespace of a process.
fn namespace(process: &str) -> Option<u64> {
    Some(fs::metadata(format!("/proc/{process}/ns/mnt")).ok()?.ino())
}

/// Returns every process, in order.
fn pids() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pid = |entry: fs::DirEntry| std::str::from_utf8(entry.file_name().as_bytes()).ok()?.parse().ok();
    let mut pids: Vec<u32> = entries.filter_map(pid).collect();
    pids.sort_unstable();
    pids
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mounts(table: &[u8]) -> Vec<MountEntry> {
        mountinfo::parse(table).collect()
    }

    #[test]
    fn a_mount_table_leads_to_the_file() {
        let own = mounts(b"1 0 8:1 / / rw - ext4\n2 1 0:25 / /run rw - tmpfs\n");
        let path = Path::new("/run/docker.sock");
        let at = own.iter().rev().find_map(|mount| OnDevice::below(mount, path)).unwrap();
        assert_eq!((at.device, at.path.as_path()), (25, Path::new("/docker.sock")));
        let paths =
            |text: &[u8]| mounts(text).iter().filter_map(|mount| at.path_in(mount)).collect::<Vec<_>>();
        let file = b"9 8 0:25 /docker.sock /var/run/my\\040docker.sock rw - tmpfs";
        assert_eq!(paths(file), [Path::new("/var/run/my docker.sock")]);
        assert_eq!(paths(b"9 8 0:25 / /host/run rw - tmpfs"), [Path::new("/host/run/docker.sock")]);
        assert!(paths(b"9 8 0:26 / /host/run rw - tmpfs").is_empty());
        assert!(paths(b"9 8 0:25 /docker.sock.old /x rw - tmpfs\n\n9 8\n").is_empty());
    }
}
