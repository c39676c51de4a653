//! What is known of file systems by their type: whether a socket can be created on them, and
//! whether its server is one of this machine. Pure.

/// Whether a file system supports sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// It does.
    Supported,
    /// It never creates a socket file, whatever the permissions are: `bind` fails with `EPERM`
    /// ([K-BIND-21]).
    ///
    /// [K-BIND-21]: crate::kernel_facts#K-BIND-21
    Unsupported,
    /// Its server decides: a process of this machine, or another machine.
    ServerDecides,
    /// It is not in the table.
    Unknown,
}

/// On which machines the servers of the socket files of a file system may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Files {
    /// On this machine: it has no block device of its own, and one kernel alone has it mounted. It
    /// is in memory, on several devices, on flash, or made of directories of this machine.
    ///
    /// An overlay is one of them although its layers are directories that other programs can reach.
    /// A server that is bound in a *lower* layer keeps its file: a removal in the overlay never
    /// touches the layer. To change the *upper* layer past the overlay is undefined by its
    /// documentation.
    Confined,
    /// On several machines, which have mounted the same block device.
    Clustered,
    /// On another machine, or in a process that provides the files. On a block device, that process
    /// is of this machine, and its files are its own.
    Served,
    /// On this machine if it is on a block device.
    ByDevice,
}

use Files::{ByDevice, Clustered, Confined, Served};
use Sockets::{ServerDecides, Supported, Unknown, Unsupported};

/// The types that are known, sorted by name. Sockets are supported if the directories have `mknod`
/// in their `inode_operations`.
const TYPES: &[(&str, Sockets, Files)] = &[
    ("9p", ServerDecides, Served),
    ("affs", Unsupported, ByDevice),
    ("afs", Unsupported, Served),
    ("aufs", Unknown, Confined),
    ("autofs", Unsupported, ByDevice),
    ("bcachefs", Supported, Confined),
    ("bfs", Unsupported, ByDevice),
    ("binder", Unsupported, ByDevice),
    ("binfmt_misc", Unsupported, ByDevice),
    ("bpf", Unsupported, ByDevice),
    ("btrfs", Supported, Confined),
    ("ceph", ServerDecides, Served),
    ("cgroup", Unsupported, ByDevice),
    ("cgroup2", Unsupported, ByDevice),
    ("cifs", ServerDecides, Served),
    ("coda", Unsupported, Served),
    ("configfs", Unsupported, ByDevice),
    ("cpuset", Unsupported, ByDevice),
    ("debugfs", Unsupported, ByDevice),
    ("devpts", Unsupported, ByDevice),
    ("devtmpfs", Supported, Confined),
    ("efivarfs", Unsupported, ByDevice),
    ("exfat", Unsupported, ByDevice),
    ("ext2", Supported, ByDevice),
    ("ext3", Supported, ByDevice),
    ("ext4", Supported, ByDevice),
    ("f2fs", Supported, ByDevice),
    ("functionfs", Unsupported, ByDevice),
    ("fuse.sshfs", Unsupported, Served),
    ("fuseblk", ServerDecides, Served),
    ("fusectl", Unsupported, ByDevice),
    ("gfs", Unknown, Clustered),
    ("gfs2", Supported, Clustered),
    ("hfs", Unsupported, ByDevice),
    ("hfsplus", Supported, ByDevice),
    ("hugetlbfs", Supported, Confined),
    ("hypfs", Unsupported, ByDevice),
    ("jffs2", Supported, Confined),
    ("jfs", Supported, ByDevice),
    ("lustre", ServerDecides, Served),
    ("minix", Supported, ByDevice),
    ("mqueue", Unsupported, ByDevice),
    ("msdos", Unsupported, ByDevice),
    ("nfs", ServerDecides, Served),
    ("nfs4", ServerDecides, Served),
    ("nfsd", Unsupported, ByDevice),
    ("nilfs2", Supported, ByDevice),
    ("nsfs", Unsupported, ByDevice),
    ("ocfs2", Supported, Clustered),
    ("ocfs2_dlmfs", Unknown, Clustered),
    ("omfs", Unsupported, ByDevice),
    ("orangefs", ServerDecides, Served),
    ("overlay", Supported, Confined),
    ("proc", Unsupported, ByDevice),
    ("pstore", Unsupported, ByDevice),
    ("ramfs", Supported, Confined),
    ("reiserfs", Supported, ByDevice),
    ("resctrl", Unsupported, ByDevice),
    ("rootfs", Supported, Confined),
    ("rpc_pipefs", Unsupported, ByDevice),
    ("securityfs", Unsupported, ByDevice),
    ("selinuxfs", Unsupported, ByDevice),
    ("smackfs", Unsupported, ByDevice),
    ("smb3", ServerDecides, Served),
    ("spufs", Unsupported, ByDevice),
    ("sysfs", Unsupported, ByDevice),
    ("tmpfs", Supported, Confined),
    ("tracefs", Unsupported, ByDevice),
    ("ubifs", Supported, Confined),
    ("udf", Supported, ByDevice),
    ("vboxsf", Unsupported, Served),
    ("vfat", Unsupported, ByDevice),
    ("virtiofs", ServerDecides, Served),
    ("vmhgfs", ServerDecides, Served),
    ("xenfs", Unsupported, ByDevice),
    ("xfs", Supported, ByDevice),
    ("zfs", Supported, Confined),
    ("zonefs", Unsupported, ByDevice),
];

fn known(fs_type: &str) -> (Sockets, Files) {
    match TYPES.binary_search_by_key(&fs_type, |(name, ..)| name) {
        Ok(at) => (TYPES[at].1, TYPES[at].2),
        Err(_) if is_fuse(fs_type) => (ServerDecides, Served),
        Err(_) => (Unknown, ByDevice),
    }
}

/// Returns whether a program provides the files by FUSE, and no block device is mounted.
pub fn is_fuse(fs_type: &str) -> bool {
    fs_type == "fuse" || fs_type.starts_with("fuse.")
}

/// Returns whether a socket can be created on such a file system.
pub fn sockets_on(fs_type: &str) -> Sockets {
    known(fs_type).0
}

/// Returns whether the files are another machine's, or are provided by a process, which also checks
/// permissions.
pub fn is_served(fs_type: &str) -> bool {
    known(fs_type).1 == Served
}

/// Returns whether every server of a socket file on such a file system is one of this machine, and
/// bound through this very file system: then the kernel knows whether there is one.
///
/// A type that is not known may be shared with other machines, or show the files of another file
/// system, whose sockets are bound to other inodes.
pub fn is_confined(fs_type: &str, has_block_device: bool) -> bool {
    match known(fs_type).1 {
        Confined => true,
        Clustered => false,
        Served | ByDevice => has_block_device,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_known_is_confined() {
        for (fs_type, block) in
            [("ext4", true), ("fuseblk", true), ("new", true), ("btrfs", false), ("tmpfs", false)]
        {
            assert!(is_confined(fs_type, block), "{fs_type}");
        }
        for fs_type in ["nfs4", "9p", "virtiofs", "cifs", "ceph", "fuse.sshfs", "fuse", "vboxsf", "new", ""] {
            assert!(!is_confined(fs_type, false), "{fs_type}");
        }
        assert!(!is_confined("ocfs2", true) && !is_confined("gfs", true));
    }

    #[test]
    fn what_a_server_provides_is_named() {
        for fs_type in ["nfs", "9p", "fuse", "fuse.sshfs", "fuse.bindfs", "fuseblk", "vboxsf"] {
            assert!(is_served(fs_type), "{fs_type}");
        }
        for fs_type in ["ext4", "overlay", "fusectl", "ocfs2", "new"] {
            assert!(!is_served(fs_type), "{fs_type}");
        }
    }

    #[test]
    fn sockets_are_supported_or_not() {
        // sshfs creates none, whatever its server does.
        assert_eq!(sockets_on("fuse.sshfs"), Unsupported);
        assert_eq!(sockets_on("fuse.bindfs"), ServerDecides);
        assert_eq!(sockets_on("fusectl"), Unsupported);
        assert_eq!(sockets_on("ext4"), Supported);
        assert_eq!(sockets_on("made-up"), Unknown);
    }

    #[test]
    fn the_table_is_sorted_so_that_a_type_is_found_in_it() {
        assert!(TYPES.is_sorted_by_key(|(name, ..)| name));
        for (name, sockets, files) in TYPES {
            assert_eq!(known(name), (*sockets, *files));
        }
    }
}
