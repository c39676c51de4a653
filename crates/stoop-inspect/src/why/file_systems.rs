//! File systems by their name: whether a socket can be created on them, and who decides on it.
//! Pure data.

/// Whether a file system supports sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sockets {
    /// It does.
    Supported,
    /// It does not: `bind` fails with `EPERM` ([K-BIND-21]).
    ///
    /// [K-BIND-21]: stoop::kernel_facts#K-BIND-21
    Unsupported,
    /// A server decides: a process of this machine, or another machine.
    ServerDecides,
    /// It is not in this table.
    Unknown,
}

/// File systems whose directories support sockets (`mknod` in their `inode_operations`).
const WITH: &[&str] = &[
    "bcachefs",
    "btrfs",
    "devtmpfs",
    "ext2",
    "ext3",
    "ext4",
    "f2fs",
    "gfs2",
    "hfsplus",
    "hugetlbfs",
    "jffs2",
    "jfs",
    "minix",
    "nilfs2",
    "ocfs2",
    "overlay",
    "ramfs",
    "reiserfs",
    "rootfs",
    "tmpfs",
    "ubifs",
    "udf",
    "xfs",
    "zfs",
];

/// File systems whose directories do not.
const WITHOUT: &[&str] = &[
    "affs",
    "afs",
    "bfs",
    "binder",
    "binfmt_misc",
    "bpf",
    "cgroup",
    "cgroup2",
    "coda",
    "configfs",
    "cpuset",
    "debugfs",
    "devpts",
    "efivarfs",
    "exfat",
    "functionfs",
    "fuse.sshfs",
    "fusectl",
    "hfs",
    "hypfs",
    "mqueue",
    "msdos",
    "nfsd",
    "omfs",
    "pstore",
    "resctrl",
    "rpc_pipefs",
    "securityfs",
    "selinuxfs",
    "smackfs",
    "spufs",
    "sysfs",
    "tracefs",
    "vboxsf",
    "vfat",
    "xenfs",
    "zonefs",
];

/// File systems whose files are another machine's, or another process's.
const SERVED: &[&str] =
    &["9p", "ceph", "cifs", "fuseblk", "lustre", "nfs", "nfs4", "orangefs", "smb3", "virtiofs", "vmhgfs"];

/// File systems that any user may mount in a user namespace of their own.
const OF_USER_NAMESPACES: &[&str] =
    &["binfmt_misc", "bpf", "cgroup", "cgroup2", "devpts", "mqueue", "overlay", "ramfs", "tmpfs"];

/// Returns whether the file system supports sockets.
pub(super) fn sockets_on(name: &str) -> Sockets {
    match name {
        _ if WITH.contains(&name) => Sockets::Supported,
        _ if WITHOUT.contains(&name) => Sockets::Unsupported,
        _ if is_served(name) => Sockets::ServerDecides,
        _ => Sockets::Unknown,
    }
}

/// Returns whether the files are another machine's, or are provided by a process. The process that
/// a socket file belongs to, and the one that checks permissions, may be on the other side.
pub(super) fn is_served(name: &str) -> bool {
    SERVED.contains(&name) || name == "fuse" || name.starts_with("fuse.")
}

/// Returns whether the file system may belong to a user namespace other than the initial one.
pub(in crate::why) fn may_be_foreign(name: &str) -> bool {
    OF_USER_NAMESPACES.contains(&name) || name == "fuse" || name.starts_with("fuse.")
}

/// Names of file systems by the magic number that `statfs` returns.
const MAGIC: &[(u64, &str)] = &[
    (0x6562_6570, "configfs"),
    (0x0102_1994, "tmpfs"),
    (0x0102_1997, "9p"),
    (0x0000_4d44, "vfat"),
    (0x0000_ef53, "ext4"),
    (0x0000_6969, "nfs"),
    (0x0000_9fa0, "proc"),
    (0x0000_1cd1, "devpts"),
    (0x0027_e0eb, "cgroup"),
    (0x00c3_6400, "ceph"),
    (0x1980_0202, "mqueue"),
    (0x2011_bab0, "exfat"),
    (0x4249_4e4d, "binfmt_misc"),
    (0x5846_5342, "xfs"),
    (0x6165_676c, "pstore"),
    (0x6265_6572, "sysfs"),
    (0x6367_7270, "cgroup2"),
    (0x6462_6720, "debugfs"),
    (0x6573_5543, "fusectl"),
    (0x6573_5546, "fuse"),
    (0x7363_6673, "securityfs"),
    (0x7472_6163, "tracefs"),
    (0x794c_7630, "overlay"),
    (0x8584_58f6, "ramfs"),
    (0x9123_683e, "btrfs"),
    (0x9584_58f6, "hugetlbfs"),
    (0xcafe_4a11, "bpf"),
    (0xde5e_81e4, "efivarfs"),
    (0xf2f5_2010, "f2fs"),
    (0xfe53_4d42, "smb3"),
    (0xff53_4d42, "cifs"),
];

/// Returns the name of the file system with this magic number.
pub(in crate::why) fn of_magic(magic: u64) -> Option<&'static str> {
    MAGIC.iter().find(|(number, _)| *number == magic).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_in_one_list() {
        for name in WITH {
            assert!(!WITHOUT.contains(name) && !is_served(name), "{name}");
        }
        // sshfs creates none, whatever its server does.
        assert_eq!(sockets_on("fuse.sshfs"), Sockets::Unsupported);
        assert_eq!(sockets_on("fuse.bindfs"), Sockets::ServerDecides);
        assert_eq!(sockets_on("fusectl"), Sockets::Unsupported);
        assert_eq!(sockets_on("made-up"), Sockets::Unknown);
        assert!(WITHOUT.iter().all(|name| !SERVED.contains(name)));
    }

    #[test]
    fn the_number_of_a_mounted_file_system_is_its_own() {
        let magic = rustix::fs::statfs("/proc").unwrap().f_type as u64;
        assert_eq!(of_magic(magic), Some("proc"));
        assert_eq!(of_magic(7), None);
    }
}
