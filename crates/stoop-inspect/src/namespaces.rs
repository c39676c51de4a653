//! Finds the network namespaces of the machine and opens the socket table of each.
//!
//! A namespace lives as long as a process, a file, a file descriptor or a socket refers to it. This
//! module finds those that a process is in and those that are bound to a file.
//! [`unlisted`](crate::unlisted) finds those that only a socket refers to. A helper thread enters
//! each namespace in turn, opens its table, and then exits: the calling thread stays in its own
//! namespace.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use stoop::diag::Table;
use stoop::internal::mountinfo::{self, MountEntry};

use crate::model::{Namespace, NamespaceIno, Owner, Pid};
use crate::procfs::{self, Hidden};

/// The namespaces found, by inode, and the processes whose namespace could not be read.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) namespaces: BTreeMap<NamespaceIno, Namespace>,
    /// Processes whose namespace may not be read.
    pub(crate) hidden: Hidden,
}

/// Returns the inode of the network namespace this thread is in.
pub(crate) fn own() -> io::Result<NamespaceIno> {
    let link = fs::read_link("/proc/thread-self/ns/net")?;
    procfs::namespace_link(link.as_os_str().as_encoded_bytes())
        .ok_or_else(|| io::Error::other("/proc/thread-self/ns/net is no namespace"))
}

/// Finds every namespace that a process or a bind mount refers to.
pub(crate) fn find(pids: &[Pid]) -> Found {
    let mut found = Found::default();
    for &pid in pids {
        match procfs::network_of(pid) {
            Ok(ino) => {
                let namespace = found.namespaces.entry(ino).or_insert_with(|| unread(ino));
                namespace.process.get_or_insert(pid);
            }
            Err(error) if procfs::is_gone(&error) => {}
            Err(error) => found.hidden.add(pid, error),
        }
    }
    for (ino, path) in mountinfo::read("/proc/thread-self").into_iter().flatten().filter_map(mounted) {
        found.namespaces.entry(ino).or_insert_with(|| unread(ino)).names.push(path);
    }
    found
}

pub(crate) fn unread(ino: NamespaceIno) -> Namespace {
    Namespace { ino, is_own: false, names: Vec::new(), process: None, is_read: false }
}

/// Returns the network namespace that is mounted, if one is, and its mount point. Pure.
fn mounted(mount: MountEntry) -> Option<(NamespaceIno, PathBuf)> {
    let is_namespace = mount.file_system == "nsfs" && mount.root.as_os_str().as_bytes().starts_with(b"net:[");
    let ino = is_namespace.then(|| procfs::namespace_link(mount.root.as_os_str().as_bytes()))??;
    Some((ino, mount.point))
}

/// Opens a file descriptor of the namespace: through its process, else through a file.
pub(crate) fn open(namespace: &Namespace) -> io::Result<OwnedFd> {
    let process = namespace.process.map(|pid| PathBuf::from(format!("/proc/{pid}/ns/net")));
    let mut last = io::Error::from(Errno::NOENT);
    for path in process.iter().chain(&namespace.names) {
        match open_file(path, namespace.ino) {
            Ok(file) => return Ok(file),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Opens the namespace that a process has a file descriptor of.
pub(crate) fn open_descriptor(ino: NamespaceIno, owner: Owner) -> io::Result<OwnedFd> {
    open_file(owner.link().as_ref(), ino)
}

/// Opens the namespace through a file. The path may be bound to another namespace by now, so the
/// inode is compared.
fn open_file(path: &Path, ino: NamespaceIno) -> io::Result<OwnedFd> {
    let file = rustix::fs::open(
        path,
        OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY,
        Mode::empty(),
    )?;
    match rustix::fs::fstat(&file)?.st_ino == ino.0 {
        true => Ok(file),
        false => Err(Errno::NOENT.into()),
    }
}

/// Opens the table of each namespace. Entering one requires `CAP_SYS_ADMIN` in it and in the
/// caller's own ([K-NETNS-1]).
///
/// [K-NETNS-1]: stoop::kernel_facts#K-NETNS-1
pub(crate) fn open_tables(
    wanted: Vec<(NamespaceIno, io::Result<OwnedFd>)>,
) -> Vec<(NamespaceIno, io::Result<Table>)> {
    let enter = |file: io::Result<OwnedFd>| {
        move_into_link_name_space(file?.as_fd(), Some(LinkNameSpaceType::Network))?;
        Table::open()
    };
    let all = || wanted.into_iter().map(|(ino, file)| (ino, enter(file))).collect();
    // The network namespace is an attribute of a thread, so the thread that enters others must not
    // be reused: this one exits in the last namespace it has entered.
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().spawn_scoped(scope, all).ok();
        thread.and_then(|thread| thread.join().ok()).unwrap_or_default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounted_namespaces_are_read() {
        let text = b"36 25 0:4 net:[4026532281] /run/netns/blue\\040sky rw shared:1 - nsfs nsfs rw\n\
            37 25 0:4 mnt:[4026532282] /run/mnt rw - nsfs nsfs rw\n\
            38 25 0:4 net:[7] /fake rw - ext4 /dev/sda rw\n\
            25 1 254:0 / / rw,relatime - ext4 /dev/root rw\n";
        let found: Vec<_> = mountinfo::parse(text).filter_map(mounted).collect();
        assert_eq!(found, [(NamespaceIno(4_026_532_281), "/run/netns/blue sky".into())]);
    }

    #[test]
    fn the_own_namespace_is_found() {
        let found = find(&[Pid(std::process::id())]);
        let own = own().unwrap();
        assert_eq!(found.namespaces[&own].process, Some(Pid(std::process::id())));
        assert!(open(&found.namespaces[&own]).is_ok());
    }
}
