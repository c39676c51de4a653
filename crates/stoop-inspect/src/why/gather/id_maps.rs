//! The ids that a mount maps, and whether an id that the kernel shows is the owner's.

use std::os::fd::AsFd;

use rustix::fs::{AtFlags, StatxFlags, statx};
use stoop::internal::query;

use super::subject::ranges;
use crate::why::facts::{IdMaps, IdRange, Mount, Names, ShownId};

/// `STATX_MNT_ID_UNIQUE` (Linux 6.8).
const UNIQUE_MOUNT_ID: StatxFlags = StatxFlags::from_bits_retain(0x4000);
/// `STATMOUNT_MNT_UIDMAP`, `STATMOUNT_MNT_GIDMAP` (Linux 6.15).
const MAPS: u64 = 0x2000 | 0x4000;
/// The length of `struct statmount` before its strings.
const HEAD_BYTES: usize = 512;

/// Returns the ids that an idmapped mount maps ([K-IDMAP-3]). `namespace` is the mount namespace of
/// the mount, if it is not that of this process.
///
/// [K-IDMAP-3]: stoop::kernel_facts#K-IDMAP-3
pub(super) fn of_mount(fd: impl AsFd, namespace: Option<u64>) -> Option<IdMaps> {
    let stat = statx(&fd, c"", AtFlags::EMPTY_PATH, UNIQUE_MOUNT_ID).ok()?;
    if stat.stx_mask & UNIQUE_MOUNT_ID.bits() == 0 {
        return None;
    }
    let mut buffer = vec![0; 64 * 1024];
    query::stat_mount(stat.stx_mnt_id, namespace.unwrap_or(0), MAPS, &mut buffer).ok()?;
    parse(&buffer)
}

/// Parses `struct statmount`. Pure.
pub(super) fn parse(bytes: &[u8]) -> Option<IdMaps> {
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let mask = number(8)?;
    let map = |field: u64, at: usize| {
        // A field that the kernel does not know is missing from the mask.
        let count = (u64::from(mask) & field != 0).then(|| number(at))??;
        let strings = bytes.get(HEAD_BYTES + number(at + 4)? as usize..)?;
        let lines = strings.split(|&byte| byte == 0).take(count as usize);
        lines.map(|line| range(std::str::from_utf8(line).ok()?)).collect::<Option<Vec<_>>>()
    };
    Some(IdMaps { uids: map(0x2000, 152)?, gids: map(0x4000, 160)? })
}

/// Parses `0 100000 65536`: the ids of the file system, the ids that users of the mount have, and
/// their number.
fn range(line: &str) -> Option<IdRange> {
    let mut numbers = line.split_ascii_whitespace().skip(1).map(|word| word.parse().ok());
    Some(IdRange { first: numbers.next()??, count: numbers.next()?? })
}

/// The user and group ids that this process's user namespace has, and the overflow ids.
#[derive(Debug)]
pub(super) struct Shown {
    uids: Option<Vec<IdRange>>,
    gids: Option<Vec<IdRange>>,
    overflow_uid: u32,
    overflow_gid: u32,
}

impl Shown {
    /// Reads them for this process.
    pub(super) fn read() -> Shown {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        let number = |path: &str| read(path)?.trim().parse().ok();
        Shown {
            uids: ranges(read("/proc/thread-self/uid_map"), true),
            gids: ranges(read("/proc/thread-self/gid_map"), true),
            overflow_uid: number("/proc/sys/kernel/overflowuid").unwrap_or(65534),
            overflow_gid: number("/proc/sys/kernel/overflowgid").unwrap_or(65534),
        }
    }

    /// Removes the names of ids that may stand for users or groups without an id here.
    pub(super) fn retain_known(&self, names: &mut Names) {
        if self.uids.is_some() {
            names.users.remove(&self.overflow_uid);
        }
        if self.gids.is_some() {
            names.groups.remove(&self.overflow_gid);
        }
    }

    /// Returns whether this is the user's id.
    pub(super) fn uid(&self, uid: u32, mount: &Mount) -> ShownId {
        let maps = mount.maps_ids.then(|| mount.id_maps.as_ref().map(|maps| &maps.uids[..]));
        shown(uid, self.overflow_uid, self.uids.as_deref(), maps)
    }

    /// Returns whether this is the group's id.
    pub(super) fn gid(&self, gid: u32, mount: &Mount) -> ShownId {
        let maps = mount.maps_ids.then(|| mount.id_maps.as_ref().map(|maps| &maps.gids[..]));
        shown(gid, self.overflow_gid, self.gids.as_deref(), maps)
    }
}

/// Returns what an id stands for. `here` are the ids of our user namespace (`None`: all), and
/// `mount` those of an idmapped mount (`Some(None)`: not known). Pure ([K-IDMAP-1]).
///
/// [K-IDMAP-1]: stoop::kernel_facts#K-IDMAP-1
fn shown(id: u32, overflow: u32, here: Option<&[IdRange]>, mount: Option<Option<&[IdRange]>>) -> ShownId {
    if id != overflow {
        return ShownId::Exact;
    }
    let has = |ranges: &[IdRange]| ranges.iter().any(|range| range.contains(id));
    let may_be_unmapped_here = here.is_some();
    let may_be_owner = here.is_none_or(has) && mount.is_none_or(|map| map.is_none_or(has));
    match (mount.is_some(), may_be_unmapped_here, may_be_owner) {
        (false, false, _) => ShownId::Exact,
        (true, false, false) => ShownId::UnmappedByMount,
        (false, true, false) => ShownId::UnmappedHere,
        _ => ShownId::Uncertain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOW: &[IdRange] = &[IdRange { first: 0, count: 1000 }];
    const ALL: &[IdRange] = &[IdRange { first: 0, count: 65536 }];

    #[test]
    fn an_overflow_id_is_not_taken_for_the_owner() {
        assert_eq!(shown(7, 65534, Some(LOW), Some(None)), ShownId::Exact);
        assert_eq!(shown(65534, 65534, None, None), ShownId::Exact, "the initial namespace");
        assert_eq!(shown(65534, 65534, Some(LOW), None), ShownId::UnmappedHere);
        assert_eq!(shown(65534, 65534, Some(ALL), None), ShownId::Uncertain);
        assert_eq!(shown(65534, 65534, None, Some(Some(LOW))), ShownId::UnmappedByMount);
        assert_eq!(shown(65534, 65534, None, Some(Some(ALL))), ShownId::Uncertain);
        assert_eq!(shown(65534, 65534, None, Some(None)), ShownId::Uncertain);
        assert_eq!(shown(65534, 65534, Some(LOW), Some(Some(LOW))), ShownId::Uncertain);
    }

    #[test]
    fn the_maps_of_a_mount_are_read() {
        let mut bytes = vec![0; HEAD_BYTES];
        bytes[8..12].copy_from_slice(&0x6000_u32.to_ne_bytes());
        bytes[152..156].copy_from_slice(&2_u32.to_ne_bytes());
        bytes[160..164].copy_from_slice(&1_u32.to_ne_bytes());
        bytes[164..168].copy_from_slice(&21_u32.to_ne_bytes());
        bytes.extend(b"0 2000 1\x001000 3000 1\x007 8 9\0");
        let range = |first, count| IdRange { first, count };
        let maps = IdMaps { uids: vec![range(2000, 1), range(3000, 1)], gids: vec![range(8, 9)] };
        assert_eq!(parse(&bytes), Some(maps));
        bytes[8] = 0;
        bytes[9] = 0x20;
        assert_eq!(parse(&bytes), None, "a kernel without group maps");
    }

    proptest! {
        #[test]
        fn any_answer_is_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..700)) {
            let _ = parse(&bytes);
        }
    }
}
