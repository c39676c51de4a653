//! What is known of file systems by their type. Pure.

/// Types that lie on a block device, and that several machines mount at once.
const CLUSTERED: &[&str] = &["gfs", "gfs2", "ocfs2", "ocfs2_dlmfs"];

/// Types without a block device of their own that one kernel alone has mounted: in memory, on
/// several devices, on flash, or made of directories of this machine.
///
/// An overlay is one of them although its layers are directories that other programs can reach. A
/// server that is bound in a *lower* layer keeps its file: a removal in the overlay never touches
/// the layer. To change the *upper* layer past the overlay is undefined by its documentation.
const CONFINED: &[&str] = &[
    "aufs",
    "bcachefs",
    "btrfs",
    "devtmpfs",
    "hugetlbfs",
    "jffs2",
    "overlay",
    "ramfs",
    "rootfs",
    "tmpfs",
    "ubifs",
    "zfs",
];

/// Types that never create a socket file, whatever the permissions are.
const WITHOUT_SOCKETS: &[&str] = &[
    "autofs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "efivarfs",
    "exfat",
    "functionfs",
    "fuse.exfat",
    "fuse.gvfsd-fuse",
    "fuse.portal",
    "fuse.sshfs",
    "fusectl",
    "mqueue",
    "msdos",
    "nsfs",
    "ntfs3",
    "proc",
    "pstore",
    "resctrl",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "sysfs",
    "tracefs",
    "vfat",
];

/// Returns whether every server of a socket file on such a file system is one of this machine, and
/// bound through this very file system: then the kernel knows whether there is one.
///
/// A type that is not known may be shared with other machines, or show the files of another file
/// system, whose sockets are bound to other inodes.
pub fn is_confined(fs_type: &str, has_block_device: bool) -> bool {
    match has_block_device {
        true => !CLUSTERED.contains(&fs_type),
        false => CONFINED.contains(&fs_type),
    }
}

/// Returns whether no socket can be created on such a file system.
pub fn has_no_sockets(fs_type: &str) -> bool {
    WITHOUT_SOCKETS.contains(&fs_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_confined() {
        for (fs_type, block) in [("ext4", true), ("fuseblk", true), ("btrfs", false), ("tmpfs", false)] {
            assert!(is_confined(fs_type, block), "{fs_type}");
        }
        for fs_type in ["nfs4", "9p", "virtiofs", "cifs", "ceph", "fuse.sshfs", "fuse", "vboxsf", "new"] {
            assert!(!is_confined(fs_type, false), "{fs_type}");
        }
        assert!(!is_confined("ocfs2", true));
    }

    #[test]
    fn a_list_is_sorted_so_that_a_type_is_found_in_it() {
        assert!([CLUSTERED, CONFINED, WITHOUT_SOCKETS].iter().all(|list| list.is_sorted()));
        assert!(has_no_sockets("vfat") && !has_no_sockets("ext4"));
    }
}
