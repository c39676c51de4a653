//! Access policies: which processes may connect or send, and whether file descriptors are accepted.

use std::os::fd::BorrowedFd;

use crate::control::Credentials;
use crate::peer::{Fact, Ids, Peer, peer_groups};
use crate::{Address, overflow_ids};

/// Decides which processes may connect or send to a server.
///
/// The policy is checked against the ids that the kernel reports for the peer, before the first
/// byte is read: on each accepted connection, and on each datagram. If the kernel does not know the
/// peer, every policy except [`Policy::everyone`] refuses it.
///
/// The kernel shows a user or group without an id in our user namespace as the overflow id, usually
/// 65534 ([K-CRED-17]). In a namespace that does not map every id, no rule allows this number: not
/// [`Policy::same_user`] of a process that has it, and not [`Policy::allow_uid`].
/// [`Refusal::UnmappedUser`](crate::Refusal::UnmappedUser) is then the reason.
///
/// By default a server on a path allows every user, since the permissions of the file already
/// decide. One with an abstract name, which has no permissions, allows its own user and root
/// ([K-NAME-5]).
///
/// ```
/// use stoop::{Bind, Policy};
/// # let directory = stoop_testkit::tempdir();
/// # let path = directory.path().join("app.sock");
/// let policy = Policy::same_user().allow_gid(44).refuse_descriptors();
/// let listener = Bind::new(&path).policy(policy).listen()?;
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// [K-CRED-17]: crate::kernel_facts#K-CRED-17
/// [K-NAME-5]: crate::kernel_facts#K-NAME-5
#[doc(alias = "SO_PEERCRED")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Policy {
    everyone: bool,
    uids: Vec<u32>,
    gids: Vec<u32>,
    descriptors: bool,
}

impl Policy {
    /// Creates a policy that denies every user. Add rules with the `allow_…` methods.
    ///
    /// ```
    /// use stoop::Policy;
    ///
    /// let policy = Policy::nobody();
    /// assert!(!policy.allows(0, 0, &[])); // not even root
    /// assert!(policy.allow_uid(1000).allows(1000, 100, &[]));
    /// ```
    pub fn nobody() -> Policy {
        Policy { everyone: false, uids: Vec::new(), gids: Vec::new(), descriptors: true }
    }

    /// Creates a policy that allows every process that can reach the socket.
    pub fn everyone() -> Policy {
        Policy { everyone: true, ..Policy::nobody() }
    }

    /// Creates a policy that allows the effective user of this process, and root.
    pub fn same_user() -> Policy {
        Policy::nobody().allow_uid(rustix::process::geteuid().as_raw()).allow_root()
    }

    /// Returns the default policy of a server at this address. On a path the permissions of the
    /// file decide.
    pub(crate) fn default_at(address: &Address) -> Policy {
        if address.as_pathname().is_some() { Policy::everyone() } else { Policy::same_user() }
    }

    /// Allows this user, too.
    pub fn allow_uid(mut self, uid: u32) -> Policy {
        self.uids.push(uid);
        self
    }

    /// Allows members of this group, too, whether it is their primary or a supplementary group.
    ///
    /// A datagram carries no supplementary groups, so only the primary group of its sender counts.
    ///
    /// ```
    /// use stoop::Policy;
    ///
    /// let policy = Policy::nobody().allow_gid(44);
    /// assert!(policy.allows(1000, 44, &[])); // the primary group
    /// assert!(policy.allows(1000, 100, &[4, 44])); // a supplementary group
    /// assert!(!policy.allows(1000, 100, &[4]));
    /// ```
    pub fn allow_gid(mut self, gid: u32) -> Policy {
        self.gids.push(gid);
        self
    }

    /// Allows root, too.
    pub fn allow_root(self) -> Policy {
        self.allow_uid(0)
    }

    /// Refuses file descriptors. By default they are accepted.
    ///
    /// From Linux 6.16 on the kernel refuses them at the sender. On older kernels they are closed
    /// on arrival, except that a [`FrameReader`](crate::frame::FrameReader) that asks for file
    /// descriptors still receives them.
    ///
    /// ```
    /// use std::io::{IoSlice, IoSliceMut};
    /// use std::os::fd::AsFd;
    /// use stoop::{Allow, Bind, Outgoing, Policy, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let policy = Policy::same_user().refuse_descriptors();
    /// let listener = Bind::new(&path).policy(policy).listen()?;
    /// let client = Stream::connect(&path)?;
    /// let (server, _) = listener.accept()?;
    /// let fds = [client.as_fd()];
    /// let sent = client.send_with(&[IoSlice::new(b"x")], &Outgoing::new().descriptors(&fds));
    /// if sent.is_ok() {
    ///     // Before Linux 6.16: closed on arrival.
    ///     let mut buffer = [0; 8];
    ///     let mut buffers = [IoSliceMut::new(&mut buffer)];
    ///     let received = server.recv_with(&mut buffers, Allow::descriptors(1))?;
    ///     assert!(received.descriptors.is_empty());
    /// }
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn refuse_descriptors(mut self) -> Policy {
        self.descriptors = false;
        self
    }

    /// Returns whether file descriptors are accepted.
    pub(crate) fn descriptors_allowed(&self) -> bool {
        self.descriptors
    }

    /// Returns whether every process is allowed, so that the peer need not be queried.
    pub(crate) fn allows_everyone(&self) -> bool {
        self.everyone
    }

    /// Returns whether a process with these ids is allowed. `groups` are its supplementary groups.
    ///
    /// In a user namespace that does not map every id, no rule allows the overflow ids. Reads
    /// `/proc/self/uid_map` or `gid_map` if an allowed id is one of them.
    pub fn allows(&self, uid: u32, gid: u32, groups: &[u32]) -> bool {
        self.everyone || self.allows_ids(Some(uid), Some(gid), groups)
    }

    /// Returns whether the peer of a connection is allowed, by what is known about it. No rule
    /// allows an unknown user or group.
    ///
    /// ```
    /// use stoop::{Datagram, Policy, Stream};
    ///
    /// let (one, _other) = Stream::pair()?;
    /// assert!(Policy::same_user().allows_peer(&one.peer()));
    ///
    /// let no_peer = Datagram::autobind()?.peer();
    /// assert!(!Policy::same_user().allows_peer(&no_peer));
    /// assert!(Policy::everyone().allows_peer(&no_peer));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn allows_peer(&self, peer: &Peer) -> bool {
        let groups = peer.groups.known().map_or(&[][..], Vec::as_slice);
        self.everyone || self.allows_ids(peer.uid.known().copied(), peer.gid.known().copied(), groups)
    }

    fn allows_ids(&self, uid: Option<u32>, gid: Option<u32>, groups: &[u32]) -> bool {
        let allows_gid = |gid: u32| self.gids.contains(&gid) && overflow_ids::group(gid).is_some();
        uid.is_some_and(|uid| self.uids.contains(&uid) && overflow_ids::user(uid).is_some())
            || gid.is_some_and(allows_gid)
            || groups.iter().copied().any(allows_gid)
    }

    /// Queries the peer of a connection and returns whether it is allowed.
    pub(crate) fn allows_peer_of(&self, fd: BorrowedFd<'_>) -> bool {
        if self.everyone {
            return true;
        }
        let ids = Ids::of(fd);
        // Supplementary groups cost another system call, so query them only if a group is allowed.
        let groups = if self.gids.is_empty() { Fact::Unknown } else { peer_groups(fd) };
        let groups = groups.known().map_or(&[][..], Vec::as_slice);
        self.allows_ids(ids.uid.known().copied(), ids.gid.known().copied(), groups)
    }

    /// Returns whether the sender of a datagram is allowed. The kernel reports it without its
    /// supplementary groups.
    pub(crate) fn allows_sender(&self, sender: Option<Credentials>) -> bool {
        self.everyone || sender.is_some_and(|sender| self.allows(sender.uid, sender.gid, &[]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_allow_users_and_groups() {
        let policy = Policy::nobody().allow_uid(7).allow_gid(8);
        assert!(policy.allows(7, 1, &[]));
        assert!(policy.allows(1, 8, &[]));
        assert!(policy.allows(1, 1, &[2, 8]));
        assert!(!policy.allows(0, 0, &[]));
        assert!(!Policy::nobody().allows(0, 0, &[0]));
        assert!(Policy::everyone().allows(1, 1, &[]));
        assert!(Policy::same_user().allows(0, 99, &[]));
        assert!(!Policy::nobody().allow_uid(u32::MAX).allow_gid(u32::MAX).allows(
            u32::MAX,
            u32::MAX,
            &[u32::MAX]
        ));
    }

    #[test]
    fn an_unknown_sender_is_refused_unless_everyone_is_allowed() {
        assert!(!Policy::same_user().allows_sender(None));
        assert!(Policy::everyone().allows_sender(None));
    }
}
