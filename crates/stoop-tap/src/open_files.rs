//! Finds open files among those of a process.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, statx};

use crate::passed::Passed;

/// How many open files of a process are examined.
const OPEN_MAX: usize = 1_024;

/// Takes the names of those files that the process has open.
///
/// A file is recognized by its device, its inode and its name, so that another one is never taken
/// for it.
pub(crate) fn name(pid: u32, files: &mut [Passed]) {
    let Ok(open) = fs::read_dir(format!("/proc/{pid}/fd")) else { return };
    for entry in open.flatten().take(OPEN_MAX) {
        let Some(found) = cached(&entry.path()) else { continue };
        let (device, inode) = ((found.stx_dev_major, found.stx_dev_minor), found.stx_ino);
        let is_it = |file: &&mut Passed| file.has_inode(device, inode);
        let mut same = files.iter_mut().filter(is_it).peekable();
        if same.peek().is_none() {
            continue;
        }
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let link = link.into_os_string().into_vec();
        for file in same.filter(|file| file.is_at(device, inode, &link)) {
            file.learn(link.clone());
        }
    }
}

/// Returns which file an open one is, as the kernel has it cached: a file system that does not
/// respond would hold up all others ([K-LOCK-6]).
///
/// [K-LOCK-6]: stoop::kernel_facts#K-LOCK-6
fn cached(file: &Path) -> Option<Statx> {
    let flags = AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    statx(CWD, file, flags, StatxFlags::TYPE | StatxFlags::INO).ok()
}
