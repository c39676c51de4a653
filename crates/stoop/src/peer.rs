//! Credentials of the peer of a connection.
//!
//! All of it is what the kernel recorded when the connection was made, or when the server began to
//! listen. Nothing is taken from data that the peer sent.

use std::fmt;
use std::io;
use std::mem::discriminant;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use crate::control::Credentials;
use crate::file_id::FileId;
use crate::retry::retry;
use crate::{overflow_ids, sys};

/// A value that the kernel may or may not be able to report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact<T> {
    /// The kernel reported this value.
    Known(T),
    /// The kernel does not know: the socket has no peer, or the peer is outside our namespaces.
    Unknown,
    /// This kernel, or its security module, does not have this feature.
    Unsupported,
    /// The process has exited, and this kernel no longer knows it ([K-CRED-5]).
    ///
    /// [K-CRED-5]: crate::kernel_facts#K-CRED-5
    Exited,
}

impl<T> Fact<T> {
    /// Returns the value, if it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Fact::Known(value) => Some(value),
            _ => None,
        }
    }
}

impl<T: fmt::Display> fmt::Display for Fact<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fact::Known(value) => value.fmt(f),
            Fact::Unknown => f.write_str("unknown"),
            Fact::Unsupported => f.write_str("unsupported"),
            Fact::Exited => f.write_str("exited"),
        }
    }
}

/// The process at the other end of a connection.
///
/// A client sees the process that called `listen`, which need not be the one that accepted. A
/// server sees the process that called `connect` ([K-CRED-2]). Later changes of its user or group
/// do not show.
///
/// For an unconnected socket, and for a datagram socket connected to another, the kernel records no
/// peer. Every field is then [`Fact::Unknown`], never user 0.
///
/// ```
/// let (one, _other) = stoop::Stream::pair()?;
/// assert_eq!(one.peer().uid.known(), Some(&rustix::process::getuid().as_raw()));
/// # Ok::<(), stoop::Error>(())
/// ```
///
/// [K-CRED-2]: crate::kernel_facts#K-CRED-2
#[doc(alias("SO_PEERCRED", "SO_PEERPIDFD", "SO_PEERSEC", "SO_PEERGROUPS", "getpeereid"))]
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Peer {
    /// A pidfd of the process (`SO_PEERPIDFD`), safe against reuse of its pid. Requires Linux 6.5.
    pub pidfd: Fact<Arc<OwnedFd>>,
    /// Its process id, as seen from our pid namespace. The id may have been reused since;
    /// [`Peer::pidfd`] cannot be.
    pub pid: Fact<u32>,
    /// Its effective user id.
    ///
    /// [`Fact::Unknown`] if the user has no id in our user namespace. The kernel then reports the
    /// overflow id, usually 65534, which belongs to no user in particular unless our namespace maps
    /// every id ([K-CRED-17], [K-CRED-18]).
    ///
    /// [K-CRED-17]: crate::kernel_facts#K-CRED-17
    /// [K-CRED-18]: crate::kernel_facts#K-CRED-18
    pub uid: Fact<u32>,
    /// Its effective group id. [`Fact::Unknown`] if the group has no id in our user namespace.
    pub gid: Fact<u32>,
    /// Its supplementary groups (`SO_PEERGROUPS`), without those that have no id in our user
    /// namespace. Requires Linux 4.13.
    pub groups: Fact<Vec<u32>>,
    /// Its security label (`SO_PEERSEC`), if a security module provides one.
    pub label: Fact<Vec<u8>>,
}

impl Peer {
    /// Queries the kernel, the pidfd first, so that the other answers can be checked against it.
    pub(crate) fn of(fd: BorrowedFd<'_>) -> Peer {
        let pidfd = match sys::peer_pidfd(fd) {
            Ok(pidfd) => Fact::Known(Arc::new(pidfd)),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOPROTOOPT) => Fact::Unsupported,
                Some(libc::ESRCH | libc::EINVAL) => Fact::Exited,
                _ => Fact::Unknown,
            },
        };
        let ids = Ids::of(fd);
        Peer {
            // Without a peer the pidfd is unknown on any kernel, whatever errno it returns.
            pidfd: if ids.has_no_peer { Fact::Unknown } else { pidfd },
            pid: ids.pid,
            uid: ids.uid,
            gid: ids.gid,
            groups: peer_groups(fd),
            label: fact(sys::peer_label(fd)),
        }
    }

    /// Returns whether the peer process has exited, or `None` without a pidfd.
    ///
    /// ```
    /// use stoop::{Datagram, Stream};
    ///
    /// let (one, _other) = Stream::pair()?;
    /// assert_ne!(one.peer().has_ended(), Some(true)); // this process
    /// assert_eq!(Datagram::autobind()?.peer().has_ended(), None);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn has_ended(&self) -> Option<bool> {
        match &self.pidfd {
            Fact::Exited => Some(true),
            Fact::Known(pidfd) => retry(|| sys::is_readable(pidfd.as_fd())).ok(),
            _ => None,
        }
    }
}

impl PartialEq for Peer {
    /// Compares everything that the kernel reported.
    ///
    /// Two pidfds are equal if they refer to the same process. Before Linux 6.9 that cannot be
    /// determined, and they are equal ([K-PROC-8]).
    ///
    /// [K-PROC-8]: crate::kernel_facts#K-PROC-8
    fn eq(&self, other: &Peer) -> bool {
        let same_process = match (&self.pidfd, &other.pidfd) {
            (Fact::Known(one), Fact::Known(other)) => process_of(one) == process_of(other),
            (one, other) => discriminant(one) == discriminant(other),
        };
        let Peer { pidfd: _, pid, uid, gid, groups, label } = self;
        same_process
            && (pid, uid, gid, groups, label)
                == (&other.pid, &other.uid, &other.gid, &other.groups, &other.label)
    }
}

impl Eq for Peer {}

/// Returns what identifies the process of a pidfd: from Linux 6.9 on, each process has its own
/// inode ([K-PROC-8]).
///
/// [K-PROC-8]: crate::kernel_facts#K-PROC-8
fn process_of(pidfd: &OwnedFd) -> Option<FileId> {
    rustix::fs::fstat(pidfd).ok().map(|stat| FileId::of(&stat))
}

/// The ids without the rest: one system call, enough for most policies.
pub(crate) struct Ids {
    pub(crate) pid: Fact<u32>,
    pub(crate) uid: Fact<u32>,
    pub(crate) gid: Fact<u32>,
    /// Whether the kernel recorded no peer at all.
    has_no_peer: bool,
}

impl Ids {
    /// The ids of no peer, or of one that was not queried.
    pub(crate) fn unknown() -> Ids {
        Ids { pid: Fact::Unknown, uid: Fact::Unknown, gid: Fact::Unknown, has_no_peer: true }
    }

    pub(crate) fn of(fd: BorrowedFd<'_>) -> Ids {
        let Ok(raw) = sys::peer_credentials(fd) else { return Ids::unknown() };
        // The kernel reports pid 0 and ids of -1 if there is no peer, and pid 0 alone if the peer
        // is in another pid namespace (K-CRED-3).
        let known = |id: Option<u32>| id.map_or(Fact::Unknown, Fact::Known);
        Ids {
            pid: known(u32::try_from(raw.pid).ok().filter(|&pid| pid != 0)),
            uid: known(overflow_ids::user(raw.uid)),
            gid: known(overflow_ids::group(raw.gid)),
            has_no_peer: raw.uid == overflow_ids::NO_ID,
        }
    }

    /// Returns why a policy refused these ids.
    pub(crate) fn refusal(&self) -> Refusal {
        match self.uid {
            Fact::Known(_) => Refusal::NotAllowed,
            _ if self.has_no_peer => Refusal::UnknownPeer,
            _ => Refusal::UnmappedUser,
        }
    }
}

/// Returns the peer's supplementary groups that have ids in our user namespace.
pub(crate) fn peer_groups(fd: BorrowedFd<'_>) -> Fact<Vec<u32>> {
    fact(sys::peer_groups(fd).map(overflow_ids::groups))
}

/// Converts the answer for groups or labels: the option may be missing, or have no value.
fn fact<T>(answer: io::Result<T>) -> Fact<T> {
    match answer {
        Ok(value) => Fact::Known(value),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Fact::Unsupported,
        Err(_) => Fact::Unknown,
    }
}

/// The reason why a policy refused a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Refusal {
    /// The policy allows neither its user nor any of its groups.
    NotAllowed,
    /// Its user has no id in our user namespace. The kernel shows all such users as the overflow
    /// id, so none of them can be allowed.
    UnmappedUser,
    /// The kernel does not know the peer.
    UnknownPeer,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::NotAllowed => "not allowed by the policy",
            Refusal::UnmappedUser => "its user has no id in our user namespace",
            Refusal::UnknownPeer => "the kernel does not know the peer",
        })
    }
}

/// Returns the credentials of the peer of a connection, or `None` if the kernel knows no peer.
#[cfg(feature = "tokio")]
pub(crate) fn credentials(fd: BorrowedFd<'_>) -> io::Result<Option<Credentials>> {
    let raw = sys::peer_credentials(fd)?;
    Ok(Credentials { pid: u32::try_from(raw.pid).unwrap_or(0), uid: raw.uid, gid: raw.gid }.resolve())
}

impl Credentials {
    /// Returns the credentials of this process: its pid, and its real user and group.
    pub fn own() -> Credentials {
        Credentials {
            pid: std::process::id(),
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Datagram, Stream};

    #[test]
    fn a_pair_is_its_own_peer() {
        let (one, _other) = Stream::pair().unwrap();
        let peer = one.peer();
        assert_eq!(peer.pid.known(), Some(&std::process::id()));
        assert_eq!(peer.uid.known(), Some(&rustix::process::geteuid().as_raw()));
        assert_eq!(peer.gid.known(), Some(&rustix::process::getegid().as_raw()));
        assert_ne!(peer.has_ended(), Some(true));
    }

    #[test]
    fn peers_are_equal_if_the_kernel_reported_the_same() {
        let ((one, _other), (third, _fourth)) = (Stream::pair().unwrap(), Stream::pair().unwrap());
        assert_eq!(one.peer(), third.peer());
        let peer = one.peer();
        assert_eq!(peer, peer.clone());
        assert_ne!(peer, Peer { uid: Fact::Unknown, ..peer.clone() });
        assert_ne!(peer, Datagram::autobind().unwrap().peer());
        if let Fact::Known(_) = peer.pidfd {
            assert_ne!(peer, Peer { pidfd: Fact::Unsupported, ..peer.clone() });
        }
    }

    #[test]
    fn no_peer_is_unknown_and_never_root() {
        let peer = Datagram::autobind().unwrap().peer();
        assert_eq!((&peer.pid, &peer.uid, &peer.gid), (&Fact::Unknown, &Fact::Unknown, &Fact::Unknown));
        assert!(peer.pidfd.known().is_none());
        assert_eq!(peer.has_ended(), None);
    }
}
