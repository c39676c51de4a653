//! Finds the process that serves a file system that does not respond.

use std::fs;
use std::path::Path;

use stoop::internal::mountinfo::MountEntry;

use super::owner;
use crate::hindrance::hindrance;
use crate::procfs::pids;
use crate::why::facts::{Owner, SilentMount};

/// Returns what is known of the mount.
pub(super) fn mount(entry: MountEntry) -> SilentMount {
    let MountEntry { point, file_system, source, device, .. } = entry;
    let server = server(device);
    SilentMount { point, file_system, source, server }
}

/// Returns the process that has the connection of this FUSE mount open. A helper that is stopped is
/// preferred: several processes may have it, such as the parent of a server.
fn server(device: u64) -> Option<Owner> {
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    // The kernel writes a device as it has it internally.
    let connection = format!("fuse_connection:\t{}", (major << 20) | minor);
    let servers = pids().unwrap_or_default().into_iter().filter(|pid| serves(pid.0, &connection));
    let servers = servers.filter_map(|pid| Some(Owner { hindrance: hindrance(pid.0), ..owner::read(pid)? }));
    servers.min_by_key(|server| server.hindrance.is_none())
}

fn serves(pid: u32, connection: &str) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    descriptors.into_iter().any(|fd| {
        fs::read_link(fd.path()).is_ok_and(|link| link == Path::new("/dev/fuse"))
            && fs::read_to_string(Path::new(&format!("/proc/{pid}/fdinfo")).join(fd.file_name()))
                .is_ok_and(|info| info.lines().any(|line| line == connection))
    })
}
