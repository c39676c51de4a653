//! Finds open files among those of a process.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, major, minor, statx};
use stoop::internal::mountinfo::{self, MountEntry};

use crate::passed::Passed;

/// How many open files of a process are examined.
const OPEN_MAX: usize = 1_024;

/// Takes the names of those files that the process has open.
///
/// A file is recognized by its device, its inode and its name, so that another one is never taken
/// for it.
pub(crate) fn name(pid: u32, files: &mut [Passed]) {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    let mut mounts = None;
    for entry in open.flatten().take(OPEN_MAX) {
        let Some(found) = cached(&entry.path()) else { continue };
        let mut same = files.iter_mut().filter(|file| file.has_inode(found.stx_ino)).peekable();
        if same.peek().is_none() {
            continue;
        }
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let link = link.into_os_string().into_vec();
        let devices = [
            Some((found.stx_dev_major, found.stx_dev_minor)),
            of_its_mount(&found, mounts.get_or_insert_with(|| mountinfo::read(&format!("/proc/{pid}")))),
        ];
        for file in same {
            if devices.iter().flatten().any(|&device| file.is_at(device, found.stx_ino, &link)) {
                file.learn(link.clone());
            }
        }
    }
}

/// Returns the device of the file system of an open file, as the kernel has it. On Btrfs and on
/// overlays of several file systems, `stat` tells another one ([K-MOUNT-4]).
///
/// [K-MOUNT-4]: stoop::kernel_facts#K-MOUNT-4
fn of_its_mount(file: &Statx, mounts: &io::Result<Vec<MountEntry>>) -> Option<(u32, u32)> {
    let tells = file.stx_mask & StatxFlags::MNT_ID.bits() != 0;
    let mount = mounts.as_ref().ok()?.iter().find(|mount| tells && mount.id == file.stx_mnt_id)?;
    Some((major(mount.device), minor(mount.device)))
}

/// Returns which file an open one is, as the kernel has it cached: a file system that does not
/// respond would hold up all others ([K-LOCK-6]).
///
/// [K-LOCK-6]: stoop::kernel_facts#K-LOCK-6
fn cached(file: &Path) -> Option<Statx> {
    let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    statx(CWD, file, flags, StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID).ok()
}
