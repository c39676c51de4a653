//! This process, which would run what is advised: what it may do to the files and processes of
//! other users. Root is not enough: in a container it often has few capabilities.

use rustix::thread::CapabilitySet;

use crate::model::NamespaceIno;
use crate::procfs::namespace_link;

/// The inode of the first user namespace, which the kernel makes before all others.
const INITIAL_USER_NAMESPACE: NamespaceIno = NamespaceIno(0xEFFF_FFFD);

/// The effective capabilities of this process that advice requires.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskerRights {
    /// Whether it may change the modes and access lists of any user's files (`CAP_FOWNER`,
    /// [K-PERM-5]).
    ///
    /// [K-PERM-5]: stoop::kernel_facts#K-PERM-5
    pub files: bool,
    /// Whether it may write in any user's directories (`CAP_DAC_OVERRIDE`, [K-PERM-3]).
    ///
    /// [K-PERM-3]: stoop::kernel_facts#K-PERM-3
    pub directories: bool,
    /// Whether it may send signals to any user's processes (`CAP_KILL`).
    pub signals: bool,
    /// Whether it may set the limits of any user's processes (`CAP_SYS_RESOURCE`, [K-STUCK-7]).
    ///
    /// [K-STUCK-7]: stoop::kernel_facts#K-STUCK-7
    pub limits: bool,
    /// Whether its user namespace is the first one, whose capabilities alone allow to exceed a hard
    /// limit.
    pub in_initial_namespace: bool,
}

impl AskerRights {
    /// Those of root outside of any container.
    pub const ALL: AskerRights = AskerRights {
        files: true,
        directories: true,
        signals: true,
        limits: true,
        in_initial_namespace: true,
    };

    /// Returns those of this process.
    pub fn read() -> AskerRights {
        let capabilities = rustix::thread::capabilities(None);
        let has = |one| capabilities.as_ref().is_ok_and(|of| of.effective.contains(one));
        let user = std::fs::read_link("/proc/self/ns/user").ok();
        let user = user.and_then(|link| namespace_link(link.as_os_str().as_encoded_bytes()));
        AskerRights {
            files: has(CapabilitySet::FOWNER),
            directories: has(CapabilitySet::DAC_OVERRIDE),
            signals: has(CapabilitySet::KILL),
            limits: has(CapabilitySet::SYS_RESOURCE),
            in_initial_namespace: user == Some(INITIAL_USER_NAMESPACE),
        }
    }

    /// Returns whether root has to raise a limit of a process of `uid` for the user `asker_uid`, or
    /// `None` if no user here can.
    pub fn raise(self, asker_uid: u32, uid: Option<u32>, is_beyond_hard: bool) -> Option<bool> {
        match () {
            () if is_beyond_hard && !self.in_initial_namespace => None,
            () => needs_root(asker_uid, uid.filter(|_| !is_beyond_hard), self.limits),
        }
    }
}

/// Returns whether root has to do for the user `asker_uid` what the owner and those with a
/// capability may do, or `None` if no user here can: root without the capability has no one to ask.
pub(crate) fn needs_root(asker_uid: u32, owner: Option<u32>, has_capability: bool) -> Option<bool> {
    match () {
        () if owner == Some(asker_uid) || has_capability => Some(false),
        () => (asker_uid != 0).then_some(true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_by_who_may() {
        let rights = |limits, in_initial_namespace| AskerRights {
            limits,
            in_initial_namespace,
            ..AskerRights::default()
        };
        for (rights, asker, owner, is_beyond, expected) in [
            // Root, with everything, in a container without the capability, in a user namespace.
            (rights(true, true), 0, 1000, true, Some(false)),
            (rights(false, true), 0, 1000, false, None),
            (rights(false, true), 0, 0, false, Some(false)),
            (rights(false, true), 0, 0, true, None),
            (rights(true, false), 0, 0, true, None),
            (rights(true, false), 0, 1000, false, Some(false)),
            // A user, who may become root.
            (rights(false, true), 1000, 1000, false, Some(false)),
            (rights(false, true), 1000, 1000, true, Some(true)),
            (rights(false, true), 1000, 2000, false, Some(true)),
            (rights(false, false), 1000, 1000, true, None),
        ] {
            let raised = rights.raise(asker, Some(owner), is_beyond);
            assert_eq!(raised, expected, "{rights:?} {asker} {owner} {is_beyond}");
        }
    }
}
