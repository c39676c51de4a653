//! Who is at an end, and what a file descriptor is: looked up, never concluded.

use std::fs;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use rustix::fs::{FileType as Mode, fstat};
use stoop::Peer;

use super::format::{FileType, PassedFile, Process};

/// Returns what is known of the process of a peer.
///
/// A pid may be reused: what `/proc` says of it counts only if the process has not exited after it
/// was read. Before Linux 6.5 that cannot be seen, and only the ids are returned.
pub(crate) fn process_of(peer: &Peer) -> Process {
    let pid = peer.pid.known().copied();
    let ids =
        Process { pid, uid: peer.uid.known().copied(), gid: peer.gid.known().copied(), ..Process::default() };
    let Some(pid) = pid else { return ids };
    let seen = read(Path::new(&format!("/proc/{pid}")), ids.clone());
    if peer.has_ended() == Some(false) { seen } else { ids }
}

/// Returns what is known of a process of which only the ids are.
pub(crate) fn ids(pid: Option<u32>, uid: Option<u32>, gid: Option<u32>) -> Process {
    Process { pid, uid, gid, ..Process::default() }
}

fn read(directory: &Path, ids: Process) -> Process {
    let line = |name| {
        let mut text = fs::read(directory.join(name)).unwrap_or_default();
        text.truncate(text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len()));
        text
    };
    // Version 2 has one line, `0::PATH`; of version 1 the first stands for all.
    let cgroup = line("cgroup");
    let path = cgroup.splitn(3, |byte| *byte == b':').nth(2).unwrap_or_default().to_vec();
    let executable = fs::read_link(directory.join("exe")).unwrap_or_default();
    Process { command: line("comm"), executable: executable.into_os_string().into_vec(), cgroup: path, ..ids }
}

/// Describes a file descriptor.
pub(super) fn file(fd: BorrowedFd<'_>) -> PassedFile {
    let path = fs::read_link(format!("/proc/thread-self/fd/{}", fd.as_fd().as_raw_fd())).unwrap_or_default();
    let (file_type, size_bytes) = match fstat(fd) {
        Ok(stat) => match Mode::from_raw_mode(stat.st_mode) {
            Mode::RegularFile => (FileType::Regular, u64::try_from(stat.st_size).ok()),
            Mode::Directory => (FileType::Directory, None),
            Mode::Fifo => (FileType::Pipe, None),
            Mode::Socket => (FileType::Socket, None),
            Mode::CharacterDevice => (FileType::CharacterDevice, None),
            Mode::BlockDevice => (FileType::BlockDevice, None),
            _ => (FileType::Other, None),
        },
        Err(_) => (FileType::Other, None),
    };
    PassedFile { file_type, size_bytes, path: path.into_os_string().into_vec() }
}
