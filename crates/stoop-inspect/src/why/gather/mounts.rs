//! The mounts of the subject, by their id.

use std::collections::{HashMap, HashSet};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use stoop::internal::file_system::is_fuse;
use stoop::internal::mountinfo::{self, MountEntry};
use stoop::internal::{query, responding};

use super::id_maps::{self, Shown};
use super::subject::SubjectContext;
use crate::why::facts::{IdMaps, Mount, OnlyUser};
use crate::why::file_systems;

/// The mounts of a process.
#[derive(Debug)]
pub(super) struct Mounts {
    mounts: HashMap<u64, Mount>,
    /// The id of its mount namespace, if that is not this process's.
    namespace: Option<u64>,
    /// How this process sees ids.
    pub(super) shown: Shown,
}

impl Mounts {
    /// Reads the mounts of the process with this `/proc` directory, and those of the calling
    /// process. A process with another root is not shown the mounts outside of it, which may hold
    /// its working directory. Empty if they may not be read.
    pub(super) fn of(context: &SubjectContext) -> Mounts {
        let (mut ours, mut theirs) = (read(OURS), read(&context.proc));
        if lets_administrators_in() {
            let all = ours.values_mut().chain(theirs.values_mut());
            all.for_each(|(_, mount)| mount.only_user = None);
        }
        let devices: HashSet<u64> = ours.values().map(|(device, _)| *device).collect();
        let own_may_be_foreign = is_foreign(OURS, context);
        let is_other = context.subject.view.other_files;
        let theirs_may_be = is_other && is_foreign(&context.proc, context);
        let mark = |may_be: bool, mount: &Mount| Mount {
            may_be_foreign: may_be && file_systems::may_be_foreign(&mount.file_system),
            ..mount.clone()
        };
        let theirs = theirs
            .iter()
            .map(|(id, (device, mount))| (*id, mark(theirs_may_be && !devices.contains(device), mount)));
        let own = ours.iter().map(|(id, (_, mount))| (*id, mark(own_may_be_foreign, mount)));
        let mounts = theirs.chain(own).collect();
        let namespace = open(&context.proc, "mnt").filter(|_| is_other);
        let namespace = namespace.and_then(|file| query::mount_namespace_id(file.as_fd()).ok());
        Mounts { mounts, namespace, shown: Shown::read() }
    }

    /// Returns the mount with this id.
    pub(super) fn get(&self, id: u64) -> Option<&Mount> {
        self.mounts.get(&id)
    }

    /// Returns the ids that an idmapped mount maps, if the kernel tells.
    pub(super) fn id_maps(&self, fd: impl AsFd) -> Option<IdMaps> {
        id_maps::of_mount(&fd, None).or_else(|| id_maps::of_mount(&fd, Some(self.namespace?)))
    }
}

/// The `/proc` directory of this process.
const OURS: &str = "/proc/thread-self";

/// Returns whether FUSE mounts of a single user let administrators in, too (Linux 6.2): a parameter
/// of the module.
fn lets_administrators_in() -> bool {
    let value = std::fs::read("/sys/module/fuse/parameters/allow_sys_admin_access");
    value.is_ok_and(|value| value.starts_with(b"Y"))
}

/// Reads the mounts by id, each with its device. From then on, lookups in them are checked.
fn read(proc: &str) -> HashMap<u64, (u64, Mount)> {
    let entries = mountinfo::read(proc).unwrap_or_default();
    responding::learn(proc, &entries);
    entries.into_iter().map(|entry| (entry.id, (entry.device, mount(&entry)))).collect()
}

fn open(proc: &str, name: &str) -> Option<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open(format!("{proc}/ns/{name}"), flags, Mode::empty()).ok()
}

/// Returns whether the mount namespace of the process may belong to a user namespace that does not
/// map the subject's ids. A file system mounted there may then not have them either ([K-IDMAP-4]).
///
/// [K-IDMAP-4]: stoop::kernel_facts#K-IDMAP-4
fn is_foreign(proc: &str, context: &SubjectContext) -> bool {
    let inode = |file: &OwnedFd| rustix::fs::fstat(file).ok().map(|stat| stat.st_ino);
    let owner = open(proc, "mnt").and_then(|file| query::owning_user_namespace(file.as_fd()).ok());
    let Some(owner) = owner.as_ref().and_then(inode) else { return proc != OURS };
    let is_that_of = |proc: &str| open(proc, "user").as_ref().and_then(inode) == Some(owner);
    let has_id = context.subject.has_mapped_ids();
    !(is_that_of(OURS) || has_id && is_that_of(&context.proc))
}

/// Returns what affects the calls. Pure.
fn mount(entry: &MountEntry) -> Mount {
    Mount {
        file_system: entry.file_system.clone(),
        read_only: entry.has_option("ro"),
        file_system_read_only: entry.has_file_system_option("ro"),
        no_links: entry.has_option("nosymfollow"),
        maps_ids: entry.has_option("idmapped"),
        has_quota: QUOTA.iter().any(|option| entry.has_file_system_option(option)),
        only_user: only_user(entry),
        is_unlinked: entry.is_root_deleted,
        ..Mount::default()
    }
}

/// Returns the only user of a FUSE mount without `allow_other`.
fn only_user(entry: &MountEntry) -> Option<OnlyUser> {
    let number = |key: &str| {
        let options = entry.file_system_options.split(|&byte| byte == b',');
        let value = options.filter_map(|option| option.strip_prefix(key.as_bytes())).next()?;
        std::str::from_utf8(value).ok()?.parse().ok()
    };
    let is_for_all = entry.has_file_system_option("allow_other") || !is_fuse(&entry.file_system);
    if is_for_all {
        return None;
    }
    Some(OnlyUser { uid: number("user_id=")?, gid: number("group_id=")? })
}

/// Options of file systems that have quotas in force.
const QUOTA: &[&str] =
    &["quota", "usrquota", "grpquota", "prjquota", "usrjquota", "grpjquota", "gquota", "pquota"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_a_mount_are_read() {
        let of = |line: &str| mountinfo::parse(line.as_bytes()).map(|entry| mount(&entry)).next().unwrap();
        let expected = Mount {
            file_system: "ext4".into(),
            read_only: true,
            file_system_read_only: false,
            no_links: true,
            maps_ids: true,
            ..Mount::default()
        };
        let line = "36 35 98:0 / /a ro,nosymfollow,idmapped shared:1 - ext4 /dev/root rw,errors=continue";
        assert_eq!(of(line), expected);
        assert!(of("1 1 0:1 / / rw - squashfs none ro").file_system_read_only);
        assert!(of("1 1 0:1 / / rw - ext4 x rw,usrquota").has_quota);
        assert!(of("1 1 0:1 /x.sock//deleted / rw - ext4 x rw").is_unlinked);
        let fuse = "1 1 0:1 / /m rw - fuse.sshfs x rw,user_id=1000,group_id=100";
        assert_eq!(of(fuse).only_user, Some(OnlyUser { uid: 1000, gid: 100 }));
        assert_eq!(of(&format!("{fuse},allow_other")).only_user, None);
        assert_eq!(of("1 1 0:1 / /m rw - ext4 x rw,user_id=1000,group_id=100").only_user, None);
    }
}
