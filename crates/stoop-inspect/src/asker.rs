//! This process, which would run what is advised: its user, and what it may do to the limits of
//! other processes.

use rustix::thread::CapabilitySet;

use crate::model::NamespaceIno;
use crate::procfs::namespace_link;

/// The inode of the first user namespace, which the kernel makes before all others.
const INITIAL_USER_NAMESPACE: NamespaceIno = NamespaceIno(0xEFFF_FFFD);

/// The rights of this process over the limits of others ([K-STUCK-7]).
///
/// [K-STUCK-7]: stoop::kernel_facts#K-STUCK-7
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitRights {
    /// Whether it has `CAP_SYS_RESOURCE`, in its own user namespace.
    pub has_capability: bool,
    /// Whether its user namespace is the first one, whose capabilities alone allow to exceed a hard
    /// limit.
    pub in_initial_namespace: bool,
}

impl LimitRights {
    /// Returns those of this process.
    pub fn read() -> LimitRights {
        let capabilities = rustix::thread::capabilities(None);
        let user = std::fs::read_link("/proc/self/ns/user").ok();
        let user = user.and_then(|link| namespace_link(link.as_os_str().as_encoded_bytes()));
        LimitRights {
            has_capability: capabilities.is_ok_and(|of| of.effective.contains(CapabilitySet::SYS_RESOURCE)),
            in_initial_namespace: user == Some(INITIAL_USER_NAMESPACE),
        }
    }

    /// Returns whether root has to raise a limit of a process of `uid` for the user `asker_uid`, or
    /// `None` if nobody here can.
    pub(crate) fn raise(self, asker_uid: u32, uid: Option<u32>, is_beyond_hard: bool) -> Option<bool> {
        let is_own = uid == Some(asker_uid) && !is_beyond_hard;
        match () {
            () if is_beyond_hard && !self.in_initial_namespace => None,
            () if is_own || self.has_capability => Some(false),
            // Root without the capability has no one to ask.
            () => (asker_uid != 0).then_some(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_by_who_may() {
        let rights =
            |has_capability, in_initial_namespace| LimitRights { has_capability, in_initial_namespace };
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
