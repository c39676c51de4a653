//! Reads one file: its type, permissions, access control list and mount.

use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, StatVfsMountFlags, StatxAttributes, StatxFlags, accessat, fstatfs,
    fstatvfs, getxattr, statx,
};
use rustix::io::Errno;

use super::mounts::Mounts;
use crate::why::facts::{AclEntry, AclWho, File, FileKind, Mount, Space};
use crate::why::file_systems;

/// Reads the file that an `O_PATH` file descriptor refers to.
pub(super) fn inspect(fd: impl AsFd, path: PathBuf, mounts: &Mounts) -> Result<File, Errno> {
    let wanted = StatxFlags::BASIC_STATS | StatxFlags::MNT_ID;
    let stat = statx(&fd, c"", AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT, wanted)?;
    let kind = kind(FileType::from_raw_mode(stat.stx_mode.into()));
    let (acl, lacks_acl) = match kind {
        FileKind::Link => (Some(Vec::new()), false),
        _ => list(&fd),
    };
    let known =
        (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then(|| mounts.get(stat.stx_mnt_id)).flatten();
    let mut mount = known.cloned().unwrap_or_else(|| mount(&fd));
    if mount.maps_ids {
        mount.id_maps = mounts.id_maps(&fd);
    }
    let is_mount_root = stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT);
    mount.is_of_file = is_mount_root && kind != FileKind::Directory;
    Ok(File {
        path,
        id: (rustix::fs::makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_ino),
        kind,
        mode: u32::from(stat.stx_mode) & 0o7777,
        uid: stat.stx_uid,
        gid: stat.stx_gid,
        uid_is: mounts.shown.uid(stat.stx_uid, &mount),
        gid_is: mounts.shown.gid(stat.stx_gid, &mount),
        acl,
        lacks_acl,
        granted: None,
        immutable: stat.stx_attributes.contains(StatxAttributes::IMMUTABLE),
        append_only: stat.stx_attributes.contains(StatxAttributes::APPEND),
        deleted: kind == FileKind::Directory && stat.stx_nlink == 0,
        mount,
    })
}

/// Returns the id of the mount that the descriptor's path goes through (Linux 5.8), or `None` if
/// the kernel does not report it.
pub(super) fn mount_number(fd: impl AsFd) -> Option<u64> {
    let stat = statx(&fd, c"", AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT, StatxFlags::MNT_ID).ok()?;
    (stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).then_some(stat.stx_mnt_id)
}

/// Returns the mount of a file whose file system does not answer. A FUSE mount answers that much to
/// users who may not use it, as long as no attribute is requested.
pub(super) fn mount_of(fd: impl AsFd, mounts: &Mounts) -> Mount {
    let stat = statx(&fd, c"", AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT, StatxFlags::empty());
    let number =
        stat.ok().filter(|stat| stat.stx_mask & StatxFlags::MNT_ID.bits() != 0).map(|stat| stat.stx_mnt_id);
    number.and_then(|id| mounts.get(id)).cloned().unwrap_or_else(|| mount(&fd))
}

fn kind(kind: FileType) -> FileKind {
    match kind {
        FileType::Socket => FileKind::Socket,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Link,
        FileType::Fifo => FileKind::Fifo,
        FileType::CharacterDevice | FileType::BlockDevice => FileKind::Device,
        _ => FileKind::Regular,
    }
}

/// Returns what the kernel grants this process (`faccessat2`, Linux 5.8): search 1, write 2. `None`
/// if it cannot be queried.
pub(super) fn granted(fd: impl AsFd) -> Option<u8> {
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    let may = |access| match accessat(CWD, &path, access, AtFlags::EACCESS) {
        Ok(()) => Some(true),
        Err(Errno::ACCESS | Errno::ROFS) => Some(false),
        Err(_) => None,
    };
    Some(u8::from(may(Access::EXEC_OK)?) | u8::from(may(Access::WRITE_OK)?) << 1)
}

/// Returns the attributes that a mount reports of itself, for mounts in no list.
fn mount(fd: impl AsFd) -> Mount {
    let flags = fstatvfs(&fd).map(|about| about.f_flag).unwrap_or(StatVfsMountFlags::empty());
    let name = fstatfs(&fd).ok().and_then(|about| file_systems::of_magic(about.f_type as u64 & 0xffff_ffff));
    let file_system = name.unwrap_or_default().to_owned();
    Mount {
        // It is in the mount namespace of another process.
        may_be_foreign: file_systems::may_be_foreign(&file_system),
        file_system,
        read_only: flags.contains(StatVfsMountFlags::RDONLY),
        no_links: flags.bits() & NO_LINKS != 0,
        ..Mount::default()
    }
}

/// Returns the space that the file system has for a new file.
pub(super) fn space(fd: impl AsFd) -> Option<Space> {
    let about = fstatvfs(fd).ok()?;
    let is_full = |all: u64, free: u64| all != 0 && free == 0;
    Some(Space {
        no_inodes: is_full(about.f_files, about.f_ffree),
        no_blocks: is_full(about.f_blocks, about.f_bfree),
    })
}

/// `ST_NOSYMFOLLOW` (Linux 5.10).
const NO_LINKS: u64 = 0x2000;

/// Reads the access control list, and whether the file system has none. Extended attributes cannot
/// be read through an `O_PATH` descriptor, but through its link in `/proc`.
fn list(fd: impl AsFd) -> (Option<Vec<AclEntry>>, bool) {
    let mut bytes = vec![0; 64 * 1024];
    let path = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    match getxattr(&path, c"system.posix_acl_access", &mut bytes) {
        Ok(len) => (entries(&bytes[..len]), false),
        Err(Errno::NODATA) => (Some(Vec::new()), false),
        Err(Errno::OPNOTSUPP) => (Some(Vec::new()), true),
        Err(_) => (None, false),
    }
}

/// Parses the attribute: a version, then for each entry a tag, its permissions, and an id. Pure.
pub(super) fn entries(bytes: &[u8]) -> Option<Vec<AclEntry>> {
    let (version, entries) = bytes.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != 2 || entries.len() % 8 != 0 {
        return None;
    }
    entries.chunks_exact(8).map(entry).collect()
}

fn entry(bytes: &[u8]) -> Option<AclEntry> {
    let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let id = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]);
    let who = match half(0) {
        0x01 => AclWho::Owner,
        0x02 => AclWho::User(id),
        0x04 => AclWho::OwningGroup,
        0x08 => AclWho::Group(id),
        0x10 => AclWho::Mask,
        0x20 => AclWho::Other,
        _ => return None,
    };
    Some(AclEntry { who, permissions: (half(2) & 7) as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_list_is_read() {
        let mut bytes = vec![2, 0, 0, 0];
        bytes.extend([0x02, 0, 6, 0, 7, 0, 0, 0]);
        bytes.extend([0x10, 0, 4, 0, 0xff, 0xff, 0xff, 0xff]);
        let expected = [
            AclEntry { who: AclWho::User(7), permissions: 6 },
            AclEntry { who: AclWho::Mask, permissions: 4 },
        ];
        assert_eq!(entries(&bytes).as_deref(), Some(&expected[..]));
        assert_eq!(entries(&bytes[..9]), None);
        assert_eq!(entries(b""), None);
    }

    #[test]
    fn a_directory_is_inspected() {
        let root = rustix::fs::open("/", rustix::fs::OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        let users = super::super::users::Users::default();
        let context = super::super::subject::find(&crate::why::Who::CurrentProcess, &users).unwrap().unwrap();
        let file = inspect(&root, "/".into(), &Mounts::of(&context)).unwrap();
        let stat = rustix::fs::stat("/").unwrap();
        assert_eq!((file.kind, file.id), (FileKind::Directory, (stat.st_dev, stat.st_ino)));
        assert!(!file.deleted && !file.mount.file_system.is_empty());
    }

    proptest! {
        #[test]
        fn any_attribute_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = entries(&bytes);
        }
    }
}
