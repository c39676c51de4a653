//! File systems by their name and number, as far as only predictions need it. What is known of
//! sockets on them is in `stoop::internal::file_system`. Pure data.

use stoop::internal::file_system::is_fuse;

/// File systems that any user may mount in a user namespace of their own.
const OF_USER_NAMESPACES: &[&str] =
    &["binfmt_misc", "bpf", "cgroup", "cgroup2", "devpts", "mqueue", "overlay", "ramfs", "tmpfs"];

/// Returns whether the file system may belong to a user namespace other than the initial one.
pub(in crate::why) fn may_be_foreign(name: &str) -> bool {
    OF_USER_NAMESPACES.contains(&name) || is_fuse(name)
}

/// The kernel's own file system of open sockets. No socket is bound to its files.
pub(in crate::why) const SOCKFS: &str = "sockfs";

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
    (0x534f_434b, SOCKFS),
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
    fn the_number_of_a_mounted_file_system_is_its_own() {
        let magic = rustix::fs::statfs("/proc").unwrap().f_type as u64;
        assert_eq!(of_magic(magic), Some("proc"));
        assert_eq!(of_magic(7), None);
    }
}
