//! The mounts that a process sees, by id.

use std::collections::HashMap;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub(crate) use stoop::internal::mountinfo::MountEntry;
use stoop::internal::mountinfo::read;

/// The mounts of a process, by id.
#[derive(Debug, Default)]
pub(crate) struct Mountinfo(pub(crate) HashMap<u64, MountEntry>);

impl Mountinfo {
    /// Reads the mounts of the process with this `/proc` directory. Empty if they may not be read.
    pub(crate) fn read(proc: &str) -> Mountinfo {
        Mountinfo::of(read(proc).unwrap_or_default())
    }

    fn of(entries: impl IntoIterator<Item = MountEntry>) -> Mountinfo {
        Mountinfo(entries.into_iter().map(|entry| (entry.id, entry)).collect())
    }

    /// Returns the paths at which these mounts show a file of a file system, given by its path
    /// from the root of that file system.
    pub(crate) fn paths_of(&self, device: u64, path: &Path) -> impl Iterator<Item = PathBuf> {
        let same = self.0.values().filter(move |entry| entry.device == device);
        same.filter_map(move |entry| entry.path_in_view(path))
    }
}

/// Returns whether it is the private `/tmp` or `/var/tmp` of a systemd unit (`PrivateTmp=`).
pub(crate) fn is_private_tmp(mount: &MountEntry) -> bool {
    let is_tmp = [Path::new("/tmp"), Path::new("/var/tmp")].contains(&mount.point.as_path());
    let mut parts = mount.root.components();
    is_tmp && parts.any(|part| part.as_os_str().as_bytes().starts_with(b"systemd-private-"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop::internal::mountinfo::parse;

    fn line(line: &str) -> MountEntry {
        parse(line.as_bytes()).next().unwrap()
    }

    #[test]
    fn a_file_is_found_through_another_mount_of_its_file_system() {
        let theirs = line("1 0 8:1 /srv/run /run/app rw - ext4 /dev/sda rw");
        let path = theirs.path_in_file_system(Path::new("/run/app/x.sock")).unwrap();
        let ours = [line("2 0 8:1 / / rw - ext4 /dev/sda rw"), line("3 0 8:2 / /home rw - ext4 /dev/sdb rw")];
        let found: Vec<_> = Mountinfo::of(ours).paths_of(theirs.device, &path).collect();
        assert_eq!(found, [Path::new("/srv/run/x.sock")]);
    }

    #[test]
    fn a_private_tmp_is_recognised() {
        let is_private = |root: &str, point: &str| {
            is_private_tmp(&line(&format!("1 0 8:1 {root} {point} rw - ext4 x rw")))
        };
        assert!(is_private("/tmp/systemd-private-1-a.service-b/tmp", "/tmp"));
        assert!(is_private("/var/tmp/systemd-private-1-a.service-b/tmp", "/var/tmp"));
        assert!(!is_private("/systemd-private-1/tmp", "/srv"));
        assert!(!is_private("/", "/tmp"));
    }
}
