//! The overflow ids: the numbers that the kernel shows for a user or group without an id in our
//! user namespace.
//!
//! This module reads small files of `/proc`, and only if a number may be an overflow id. It never
//! decides who is allowed.
//!
//! A process cannot distinguish a user that has the overflow id from the users that have no id
//! ([K-CRED-17]). The exception is a namespace that maps every id, such as the initial one: the
//! number can then only be the user with that id ([K-CRED-18]).
//!
//! [K-CRED-17]: crate::kernel_facts#K-CRED-17
//! [K-CRED-18]: crate::kernel_facts#K-CRED-18

use std::sync::OnceLock;

use crate::control::Credentials;

/// The kernel's own number for "no id" (`(uid_t) -1`). No user can have it.
pub(crate) const NO_ID: u32 = u32::MAX;

/// The overflow id, unless an administrator changed it.
const DEFAULT: u32 = 65534;

/// Returns the user id, or `None` if the number stands for no user in particular: [`NO_ID`], or the
/// overflow id in a user namespace that does not map every user.
pub(crate) fn user(uid: u32) -> Option<u32> {
    known(uid, overflow_uid, "/proc/self/uid_map")
}

/// Returns the group id, or `None` if the number stands for no group in particular. See [`user`].
pub(crate) fn group(gid: u32) -> Option<u32> {
    known(gid, overflow_gid, "/proc/self/gid_map")
}

/// Removes the groups that stand for no group in particular.
pub(crate) fn groups(mut gids: Vec<u32>) -> Vec<u32> {
    gids.retain(|&gid| group(gid).is_some());
    gids
}

/// Returns the id, or `None` if it stands for no user or group in particular.
///
/// The map is read each time, because the process may have entered another user namespace since.
fn known(id: u32, overflow: fn() -> u32, map: &str) -> Option<u32> {
    let known =
        id != NO_ID && (id != overflow() || std::fs::read_to_string(map).is_ok_and(|map| is_total(&map)));
    known.then_some(id)
}

/// Returns whether a `uid_map` or `gid_map` maps every id.
///
/// The ranges of a map never overlap, so their lengths can be added. The kernel refuses a map whose
/// ids have no counterpart in the parent namespace. A total map therefore leaves no user without an
/// id ([K-CRED-18]).
///
/// [K-CRED-18]: crate::kernel_facts#K-CRED-18
fn is_total(map: &str) -> bool {
    let count = |line: &str| line.split_ascii_whitespace().nth(2).and_then(|count| count.parse::<u64>().ok());
    map.lines().filter_map(count).fold(0, u64::saturating_add) >= u64::from(NO_ID)
}

/// Returns `kernel.overflowuid`. It is the same for the whole system, so it is read once.
fn overflow_uid() -> u32 {
    static UID: OnceLock<u32> = OnceLock::new();
    read_once(&UID, "/proc/sys/kernel/overflowuid")
}

/// Returns `kernel.overflowgid`, which is also read once.
fn overflow_gid() -> u32 {
    static GID: OnceLock<u32> = OnceLock::new();
    read_once(&GID, "/proc/sys/kernel/overflowgid")
}

/// Returns the id in a file of `/proc`, or the usual id as long as it cannot be read.
fn read_once(cell: &OnceLock<u32>, path: &str) -> u32 {
    if let Some(&id) = cell.get() {
        return id;
    }
    let read = std::fs::read_to_string(path).ok().and_then(|text| text.trim_ascii_end().parse().ok());
    read.map_or(DEFAULT, |id| *cell.get_or_init(|| id))
}

impl Credentials {
    /// Returns whether these credentials name a process.
    ///
    /// For a message sent before the receiver asked for credentials, the kernel fills in pid 0 and
    /// the overflow user and group ([K-CRED-8]). A sender in another pid namespace has pid 0 and
    /// ids of its own. If these have no mapping here either, it cannot be distinguished from an
    /// unknown sender.
    ///
    /// The overflow ids are read from `/proc/sys/kernel/overflowuid` and `overflowgid`. Without
    /// `/proc` they are assumed to be 65534.
    ///
    /// ```
    /// use stoop::Credentials;
    ///
    /// assert!(Credentials::own().is_known());
    /// // What the kernel fills in for a message that was sent too early.
    /// # let overflow = std::fs::read_to_string("/proc/sys/kernel/overflowuid");
    /// # if overflow.is_ok_and(|id| id == "65534\n") {
    /// let filler = Credentials { pid: 0, uid: 65534, gid: 65534 };
    /// assert!(!filler.is_known());
    /// # }
    /// ```
    ///
    /// [K-CRED-8]: crate::kernel_facts#K-CRED-8
    #[doc(hidden)]
    pub fn is_known(self) -> bool {
        let is_overflow = |id: u32, overflow: fn() -> u32| id == NO_ID || id == overflow();
        self.pid != 0 || !(is_overflow(self.uid, overflow_uid) && is_overflow(self.gid, overflow_gid))
    }

    /// Returns the user id, or `None` if the user has no id in our user namespace.
    ///
    /// The kernel shows such users as the overflow id, usually 65534. If our namespace does not map
    /// every user id, that number therefore stands for no user in particular. Reads
    /// `/proc/self/uid_map` if the id is the overflow id.
    ///
    /// ```
    /// use stoop::Credentials;
    ///
    /// let sender = Credentials { pid: 1, uid: 0, gid: 0 };
    /// assert_eq!(sender.known_uid(), Some(0));
    /// let unmapped = Credentials { uid: u32::MAX, ..sender };
    /// assert_eq!(unmapped.known_uid(), None);
    /// ```
    pub fn known_uid(self) -> Option<u32> {
        user(self.uid)
    }

    /// Returns the group id, or `None` if the group has no id in our user namespace. See
    /// [`Credentials::known_uid`].
    pub fn known_gid(self) -> Option<u32> {
        group(self.gid)
    }

    /// Returns the credentials as a program may see them.
    ///
    /// `None` if they name no process. An id that stands for no user or group in particular becomes
    /// [`NO_ID`], which equals no other id.
    pub(crate) fn resolve(self) -> Option<Credentials> {
        let (uid, gid) = (self.known_uid().unwrap_or(NO_ID), self.known_gid().unwrap_or(NO_ID));
        self.is_known().then_some(Credentials { pid: self.pid, uid, gid })
    }
}

#[cfg(test)]
mod tests {
    use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
    use stoop_kernel_facts::{libc, unshare};
    use stoop_testkit::{Role, is_root, role, skip, tempdir};

    use super::*;

    #[test]
    fn the_overflow_id_is_read_from_proc() {
        const TEST: &str = "overflow_ids::tests::the_overflow_id_is_read_from_proc";
        let early = |uid, gid| !Credentials { pid: 0, uid, gid }.is_known();
        if role().is_some() {
            let directory = tempdir();
            let file = directory.path().join("7");
            std::fs::write(&file, "7\n").unwrap();
            unshare(libc::CLONE_NEWNS).unwrap();
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
            mount_bind(&file, "/proc/sys/kernel/overflowuid").unwrap();
            assert!(early(7, 65534) && !early(65534, 65534));
            rustix::mount::unmount("/proc/sys/kernel/overflowuid", rustix::mount::UnmountFlags::DETACH)
                .unwrap();
            return;
        }
        assert!(early(65534, 65534) && !early(65534, 0) && !early(0, 0));
        if !is_root() {
            skip!("lacks root");
        }
        Role::new(TEST, "elsewhere").run();
    }

    #[test]
    fn a_map_is_total_if_it_has_every_id() {
        for total in [
            "         0          0 4294967295\n",
            "0 0 1000\n1000 1000 4294966295\n",
            "0 1 1\n1 0 1\n2 2 4294967293",
        ] {
            assert!(is_total(total), "{total}");
        }
        for partial in ["", "0 0 4294967294", "65534 1000 1", "0 100000 65536\n", "nonsense", "0 0 -1", "0 0"]
        {
            assert!(!is_total(partial), "{partial}");
        }
    }

    #[test]
    fn an_invalid_id_equals_nothing() {
        assert_eq!((user(NO_ID), group(NO_ID)), (None, None));
        assert_eq!((user(0), group(7)), (Some(0), Some(7)));
        assert_eq!(groups(vec![0, NO_ID, 7]), [0, 7]);
        let nobody = Credentials { pid: 0, uid: NO_ID, gid: NO_ID };
        assert_eq!((nobody.is_known(), nobody.resolve()), (false, None));
        let own = Credentials { pid: 1, uid: 2, gid: 3 };
        assert_eq!(own.resolve(), Some(own));
    }
}
