//! Finds open files among those of a process.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;

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
        let Ok(found) = fs::metadata(entry.path()) else { continue };
        let device = (rustix::fs::major(found.dev()), rustix::fs::minor(found.dev()));
        let is_it = |file: &&mut Passed| file.has_inode(device, found.ino());
        let mut same = files.iter_mut().filter(is_it).peekable();
        if same.peek().is_none() {
            continue;
        }
        let Ok(link) = fs::read_link(entry.path()) else { continue };
        let link = link.into_os_string().into_vec();
        for file in same.filter(|file| file.is_at(device, found.ino(), &link)) {
            file.learn(link.clone());
        }
    }
}
