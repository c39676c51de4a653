//! Who may connect or send, and whether descriptors may come.

use std::os::fd::BorrowedFd;

use crate::control::Credentials;
use crate::peer::{Fact, Ids, fact};
use crate::{Address, sys};

/// Who may talk to a server.
///
/// Checked against what the kernel says of the peer, before the first byte is read: on each accepted connection, and on
/// each datagram. A peer the kernel does not know is refused by every policy but [`Policy::everyone`].
///
/// A server on a path admits everyone by default, since the file's permissions already decide; one with an abstract name,
/// which has no permissions, admits its own user and root (K-NAME-5).
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

    /// What holds for a server at this address that says nothing else: on a path the file's permissions decide.
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

    /// No descriptors: the kernel refuses them at the sender where it can (Linux 6.16). On older kernels they are closed on
    /// arrival; only a [`FrameReader`](crate::frame::FrameReader) that asks for descriptors still lets them in there.
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
    pub fn admits(&self, uid: u32, gid: u32, groups: &[u32]) -> bool {
        self.everyone
            || self.uids.contains(&uid)
            || self.gids.contains(&gid)
            || groups.iter().any(|group| self.gids.contains(group))
    }

    /// Decides on the peer of a connection.
    pub(crate) fn admits_peer_of(&self, fd: BorrowedFd<'_>) -> bool {
        if self.everyone {
            return true;
        }
        let ids = Ids::of(fd);
        let (Fact::Known(uid), Fact::Known(gid)) = (ids.uid, ids.gid) else { return false };
        // Groups cost a call of their own: only asked where a group is allowed at all.
        let groups = if self.gids.is_empty() { None } else { Some(fact(sys::peer_groups(fd))) };
        let groups = match &groups {
            Some(Fact::Known(groups)) => groups.as_slice(),
            _ => &[],
        };
        self.admits(uid, gid, groups)
    }

    /// Decides on the sender of a datagram, which the kernel describes without its supplementary groups.
    pub(crate) fn admits_sender(&self, sender: Option<Credentials>) -> bool {
        self.everyone || sender.is_some_and(|sender| self.admits(sender.uid, sender.gid, &[]))
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
    }

    #[test]
    fn an_unknown_sender_is_refused_unless_everyone_may() {
        assert!(!Policy::same_user().admits_sender(None));
        assert!(Policy::everyone().admits_sender(None));
    }
}
