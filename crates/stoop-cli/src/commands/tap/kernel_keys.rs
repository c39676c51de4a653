//! What of a selection the kernel can decide by itself: users, and the cgroups of containers and
//! units. Sockets that are created later are then selected, too.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use stoop_inspect::Workload;
use stoop_tap::Key;

use crate::args::Selection;
use crate::sockets::{is_in_container, is_in_unit};

/// The mounts of the unified hierarchy.
const HIERARCHIES: [&str; 2] = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
const CGROUP2: i64 = 0x6367_7270;
/// How many cgroups are looked at.
const CGROUPS_MAX: usize = 20_000;

/// Returns the keys of a selection by user, container or unit alone. With other flags, which must
/// all match, there are none.
pub(super) fn keys(selection: &Selection) -> Vec<Key> {
    let Selection { which, name, kind, pid, command, user, container, unit, service, netns, peer } =
        selection;
    let others = [which.len(), name.len(), pid.len(), command.len(), service.len(), netns.len(), peer.len()];
    if kind.kind.is_some() || others.iter().sum::<usize>() > 0 {
        return Vec::new();
    }
    match (user.is_empty(), container.is_empty(), unit.is_empty()) {
        (false, true, true) => user.iter().map(|uid| Key::User(*uid)).collect(),
        (true, false, true) => cgroups(|workload| container.iter().any(|one| is_in_container(workload, one))),
        (true, true, false) => cgroups(|workload| unit.iter().any(|one| is_in_unit(workload, one))),
        _ => Vec::new(),
    }
}

/// Returns the cgroups whose processes are in such a container or unit.
fn cgroups(is_meant: impl Fn(&Workload) -> bool) -> Vec<Key> {
    let is_unified = |path: &&&str| rustix::fs::statfs(**path).is_ok_and(|stat| stat.f_type == CGROUP2);
    let Some(root) = HIERARCHIES.iter().find(is_unified).map(Path::new) else { return Vec::new() };
    let (mut keys, mut waiting) = (Vec::new(), vec![root.to_owned()]);
    for _ in 0..CGROUPS_MAX {
        let Some(directory) = waiting.pop() else { break };
        if is_meant(&workload(root, &directory))
            && let Ok(metadata) = fs::metadata(&directory)
        {
            keys.push(Key::Cgroup(metadata.ino()));
        }
        waiting.extend(children(&directory));
    }
    keys
}

fn children(directory: &Path) -> Vec<PathBuf> {
    let is_directory = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter(is_directory).map(|entry| entry.path()).collect()
}

/// Returns the workload of the processes in a cgroup.
fn workload(root: &Path, directory: &Path) -> Workload {
    let path = directory.strip_prefix(root).unwrap_or(directory);
    Workload::from_cgroup(&[b"0::/", path.as_os_str().as_bytes()].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cgroup_tells_its_container_and_its_unit() {
        let root = Path::new("/sys/fs/cgroup");
        let unit = workload(root, Path::new("/sys/fs/cgroup/system.slice/web.service/inner"));
        assert_eq!(unit, Workload::Unit { name: "web.service".into(), user: None });
        assert_eq!(workload(root, root), Workload::Unknown);
    }
}
