//! Mounts by their id, as listed in `/proc/PID/mountinfo`. Pure except for [`Mounts::of`].

use std::collections::{HashMap, HashSet};
use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use stoop::internal::query;

use super::id_maps::{self, Shown};
use super::subject::SubjectContext;
use crate::why::facts::{IdMaps, Mount};
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
        let (ours, theirs) = (read(OURS), read(&context.proc));
        let devices: HashSet<&str> = ours.values().map(|(device, _)| device.as_str()).collect();
        let own_may_be_foreign = is_foreign(OURS, context);
        let is_other = context.subject.view.other_files;
        let theirs_may_be = is_other && is_foreign(&context.proc, context);
        let mark = |may_be: bool, mount: &Mount| Mount {
            may_be_foreign: may_be && file_systems::may_be_foreign(&mount.file_system),
            ..mount.clone()
        };
        let theirs = theirs.iter().map(|(id, (device, mount))| {
            (*id, mark(theirs_may_be && !devices.contains(device.as_str()), mount))
        });
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

/// Reads the mounts by id, each with its device.
fn read(proc: &str) -> HashMap<u64, (String, Mount)> {
    let text = fs::read(format!("{proc}/mountinfo")).unwrap_or_default();
    let parsed = |line| parse(line).map(|(id, device, mount)| (id, (device, mount)));
    text.split(|&byte| byte == b'\n').filter_map(parsed).collect()
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

/// Parses `36 35 98:0 /root /place rw,noatime [tags…] - ext4 /dev/root rw,errors=continue`.
/// Returns the id, the device and the mount.
pub(super) fn parse(line: &[u8]) -> Option<(u64, String, Mount)> {
    let line = String::from_utf8_lossy(line);
    let fields: Vec<&str> = line.split(' ').collect();
    let dash = fields.iter().position(|field| *field == "-")?;
    let has = |options: &str, wanted: &str| options.split(',').any(|option| option == wanted);
    let options = fields.get(5)?;
    let mount = Mount {
        file_system: (*fields.get(dash + 1)?).to_owned(),
        read_only: has(options, "ro"),
        file_system_read_only: has(fields.get(dash + 3).unwrap_or(&""), "ro"),
        no_links: has(options, "nosymfollow"),
        maps_ids: has(options, "idmapped"),
        has_quota: fields.get(dash + 3).unwrap_or(&"").split(',').any(|option| QUOTA.contains(&option)),
        is_unlinked: fields.get(3)?.ends_with("//deleted"),
        ..Mount::default()
    };
    Some((fields.first()?.parse().ok()?, (*fields.get(2)?).to_owned(), mount))
}

/// Options of file systems that have quotas in force.
const QUOTA: &[&str] =
    &["quota", "usrquota", "grpquota", "prjquota", "usrjquota", "grpjquota", "gquota", "pquota"];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_line_is_read() {
        let line =
            b"36 35 98:0 / /a\\040b ro,nosymfollow,idmapped shared:1 master:2 - ext4 /dev/root rw,errors=continue";
        let mount = Mount {
            file_system: "ext4".into(),
            read_only: true,
            file_system_read_only: false,
            no_links: true,
            maps_ids: true,
            ..Mount::default()
        };
        assert_eq!(parse(line), Some((36, "98:0".into(), mount)));
        let line = b"1 1 0:1 / / rw - squashfs none ro";
        assert!(parse(line).unwrap().2.file_system_read_only);
        assert!(parse(b"1 1 0:1 / / rw - ext4 x rw,usrquota").unwrap().2.has_quota);
        assert_eq!(parse(b"1 1 0:1 / / rw"), None);
    }

    proptest! {
        #[test]
        fn any_line_is_read_without_panic(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse(&line);
        }
    }
}
