//! Who may connect or send, and whether descriptors may come.

use std::fmt;
use std::os::fd::BorrowedFd;

use crate::control::Credentials;
use crate::peer::{Fact, Ids, Peer, peer_groups};
use crate::{Address, overflow_ids};

/// Who may talk to a server.
///
/// Checked against what the kernel says of the peer, before the first byte is read: on each
/// accepted connection, and on each datagram. A peer the kernel does not know is refused by every
/// policy but [`Policy::everyone`].
///
/// A user or group without an id in our user namespace shows as the overflow id, usually 65534
/// (K-CRED-17). In a namespace that does not map every id that number is therefore allowed by no
/// rule: not by [`Policy::same_user`] of a process that has it, nor by [`Policy::allow_uid`] of it.
/// [`Refusal::UnmappedUser`] says so.
///
/// A server on a path admits everyone by default, since the file's permissions already decide; one
/// with an abstract name, which has no permissions, admits its own user and root (K-NAME-5).
///
/// ```
/// use stoop::{Bind, Policy};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let listener = Bind::new(&path).policy(Policy::same_user().allow_gid(44).refuse_descriptors()).listen()?;
/// # Ok::<(), stoop::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Policy {
    everyone: bool,
    uids: Vec<u32>,
    gids: Vec<u32>,
    descriptors: bool,
}

impl Policy {
    /// Nobody, until somebody is allowed.
    pub fn nobody() -> Policy {
        Policy { everyone: false, uids: Vec::new(), gids: Vec::new(), descriptors: true }
    }

    /// Everybody who can reach the socket.
    pub fn everyone() -> Policy {
        Policy { everyone: true, ..Policy::nobody() }
    }

    /// The user this process runs as, and root.
    pub fn same_user() -> Policy {
        Policy::nobody().allow_uid(rustix::process::geteuid().as_raw()).allow_root()
    }

    /// What holds for a server at this address that says nothing else: on a path the file's
    /// permissions decide.
    pub(crate) fn default_at(address: &Address) -> Policy {
        if address.as_path().is_some() { Policy::everyone() } else { Policy::same_user() }
    }

    /// Also this user.
    pub fn allow_uid(mut self, uid: u32) -> Policy {
        self.uids.push(uid);
        self
    }

    /// Also members of this group, be it their main group or one of the others.
    pub fn allow_gid(mut self, gid: u32) -> Policy {
        self.gids.push(gid);
        self
    }

    /// Also root.
    pub fn allow_root(self) -> Policy {
        self.allow_uid(0)
    }

    /// No descriptors: the kernel refuses them at the sender where it can (Linux 6.16). On older
    /// kernels they are closed on arrival; only a [`FrameReader`](crate::frame::FrameReader)
    /// that asks for descriptors still lets them in there.
    pub fn refuse_descriptors(mut self) -> Policy {
        self.descriptors = false;
        self
    }

    /// Whether descriptors may come.
    pub fn descriptors_allowed(&self) -> bool {
        self.descriptors
    }

    /// Whether everybody is admitted, so that nothing need be asked.
    pub fn admits_everyone(&self) -> bool {
        self.everyone
    }

    /// Decides on a process by its ids. `groups` are its supplementary groups.
    ///
    /// The overflow ids are allowed by no rule in a user namespace that does not map every id.
    /// Reads `/proc/self/uid_map` or `gid_map` if an allowed id is one of them.
    pub fn admits(&self, uid: u32, gid: u32, groups: &[u32]) -> bool {
        self.everyone || self.allows(Some(uid), Some(gid), groups)
    }

    /// Decides on the peer of a connection by what is known of it. A user or group that is unknown
    /// is allowed by no rule.
    pub fn admits_peer(&self, peer: &Peer) -> bool {
        let groups = peer.groups.known().map_or(&[][..], Vec::as_slice);
        self.everyone || self.allows(peer.uid.known().copied(), peer.gid.known().copied(), groups)
    }

    fn allows(&self, uid: Option<u32>, gid: Option<u32>, groups: &[u32]) -> bool {
        let allows_gid = |gid: u32| self.gids.contains(&gid) && overflow_ids::group(gid).is_some();
        uid.is_some_and(|uid| self.uids.contains(&uid) && overflow_ids::user(uid).is_some())
            || gid.is_some_and(allows_gid)
            || groups.iter().copied().any(allows_gid)
    }

    /// Decides on the peer of a connection.
    pub(crate) fn admits_peer_of(&self, fd: BorrowedFd<'_>) -> bool {
        if self.everyone {
            return true;
        }
        let ids = Ids::of(fd);
        // Groups cost a call of their own: only asked where a group is allowed at all.
        let groups = if self.gids.is_empty() { Fact::Unknown } else { peer_groups(fd) };
        let groups = groups.known().map_or(&[][..], Vec::as_slice);
        self.allows(ids.uid.known().copied(), ids.gid.known().copied(), groups)
    }

    /// Decides on the sender of a datagram, which the kernel describes without its supplementary
    /// groups.
    pub(crate) fn admits_sender(&self, sender: Option<Credentials>) -> bool {
        self.everyone || sender.is_some_and(|sender| self.admits(sender.uid, sender.gid, &[]))
    }
}

/// Why a policy refused a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The policy allows neither its user nor any of its groups.
    NotAllowed,
    /// Its user has no id in our user namespace. The kernel shows all such users as the overflow
    /// id, so none of them can be allowed.
    UnmappedUser,
    /// The kernel does not say who it is.
    UnknownPeer,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NotAllowed => "not allowed by the policy",
            Refusal::UnmappedUser => "its user has no id in our user namespace",
            Refusal::UnknownPeer => "the kernel does not say who it is",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_admitted() {
        let policy = Policy::nobody().allow_uid(7).allow_gid(8);
        assert!(policy.admits(7, 1, &[]));
        assert!(policy.admits(1, 8, &[]));
        assert!(policy.admits(1, 1, &[2, 8]));
        assert!(!policy.admits(0, 0, &[]));
        assert!(!Policy::nobody().admits(0, 0, &[0]));
        assert!(Policy::everyone().admits(1, 1, &[]));
        assert!(Policy::same_user().admits(0, 99, &[]));
        assert!(!Policy::nobody().allow_uid(u32::MAX).allow_gid(u32::MAX).admits(
            u32::MAX,
            u32::MAX,
            &[u32::MAX]
        ));
    }

    #[test]
    fn an_unknown_sender_is_refused_unless_everyone_may() {
        assert!(!Policy::same_user().admits_sender(None));
        assert!(Policy::everyone().admits_sender(None));
    }
}
