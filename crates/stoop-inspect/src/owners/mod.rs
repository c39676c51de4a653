//! The processes that have each socket open: what the two sources of owners have in common.
//!
//! Both return a list of [`Holding`]s. [`assign`] adds each to the socket it belongs to, by inode
//! and whatever else is known, and returns those that fit no socket.

pub(crate) mod bpf;
pub(crate) mod proc;

use rustix::fs::{Mode, OFlags, getxattr, open, readlink};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use stoop_bpf::NameKey;

use crate::join::{ByInode, Inner, Links};
use crate::model::{NamespaceIno, Owner, Socket, SocketId, SocketIno};
use crate::procfs::{Referent, referent};

/// A file descriptor that refers to a socket, which may be of any family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) ino: SocketIno,
    pub(crate) owner: Owner,
    /// The socket's network namespace, if the source reports it. Then it is certain to be a Unix
    /// domain socket.
    pub(crate) namespace: Option<NamespaceIno>,
    /// The socket's cookie, if the source reports it and the socket has been assigned one.
    pub(crate) cookie: Option<u64>,
    /// Identifies the socket's name, if the source reports it.
    pub(crate) name: Option<NameKey>,
    /// What no table lists, if the source reports it.
    pub(crate) inner: Option<Inner>,
}

impl Holding {
    /// Creates a holding of which nothing else is known.
    pub(crate) fn of(ino: SocketIno, owner: Owner) -> Holding {
        Holding { ino, owner, namespace: None, cookie: None, name: None, inner: None }
    }
}

/// Adds each holding's owner to its socket, and returns the holdings whose socket is unknown.
pub(crate) fn assign(
    sockets: &mut [Socket],
    links: &mut [Links],
    by_inode: &ByInode,
    mut holdings: Vec<Holding>,
) -> Vec<Holding> {
    holdings.retain(|holding| !assign_one(sockets, links, by_inode, holding));
    holdings
}

fn assign_one(sockets: &mut [Socket], links: &mut [Links], by_inode: &ByInode, holding: &Holding) -> bool {
    let agree = |known: Option<u64>, told: Option<u64>| known.is_none() || told.is_none() || known == told;
    let fits = |id: &SocketId| {
        let socket = &sockets[id.0 as usize];
        holding.namespace.is_none_or(|namespace| socket.namespace == namespace)
            && agree(socket.cookie, holding.cookie)
    };
    let mut candidates = by_inode.all(holding.ino).filter(fits);
    let Some(first) = candidates.next() else { return false };
    let id = match candidates.next() {
        None => Some(first),
        // The inode counter has wrapped: two sockets have this inode.
        Some(_) => by_cookie(sockets, by_inode, holding),
    };
    if let Some(SocketId(index)) = id {
        sockets[index as usize].owners.push(holding.owner);
        let link = &mut links[index as usize];
        link.name = link.name.or(holding.name);
        link.inner = link.inner.or(holding.inner);
    }
    true
}

/// Removes owners that a walk may have assigned to the wrong socket.
///
/// A link reads `socket:[N]` whatever the socket's family is. Once the inode counter has wrapped, a
/// socket of another family may have the inode of a Unix domain socket. Such a socket then has at
/// least two owners, so only sockets with several owners are checked. If `sees_all` is false, some
/// processes are hidden and every socket is checked. What can still be mistaken is a Unix domain
/// socket in flight, which no process has open.
pub(crate) fn confirm(sockets: &mut [Socket], sees_all: bool) {
    for socket in sockets.iter_mut().filter(|socket| socket.owners.len() > 1 || !sees_all) {
        let ino = socket.ino;
        socket.owners.retain(|&owner| is_local(owner, ino));
    }
}

/// Returns whether the file descriptor refers to a Unix domain socket with this inode.
///
/// The file system of sockets reports the protocol (`system.sockprotoname`) without the descriptor
/// being duplicated. Only sockets are queried: by now the descriptor may refer to a file instead,
/// whose file system may take arbitrarily long to answer.
pub(crate) fn is_local(owner: Owner, ino: SocketIno) -> bool {
    let Ok(pinned) = open(owner.link(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty()) else { return false };
    let pinned = format!("/proc/self/fd/{}", pinned.as_raw_fd());
    let is_it =
        readlink(&pinned, Vec::new()).is_ok_and(|link| referent(link.as_bytes()) == Referent::Socket(ino));
    let mut protocol = [0; 64];
    is_it && getxattr(&pinned, "system.sockprotoname", &mut protocol).is_ok() && protocol.starts_with(b"UNIX")
}

impl Owner {
    /// Returns the path of the link in `/proc` that leads to the descriptor's file.
    pub(crate) fn link(self) -> String {
        let Owner { pid, fd, thread } = self;
        match thread {
            None => format!("/proc/{pid}/fd/{fd}"),
            Some(thread) => format!("/proc/{pid}/task/{thread}/fd/{fd}"),
        }
    }
}

/// Queries the socket itself for its cookie, to distinguish several sockets with one inode. Returns
/// `None` if it may not be queried or was closed.
fn by_cookie(sockets: &[Socket], by_inode: &ByInode, holding: &Holding) -> Option<SocketId> {
    let copy = dup_fd(holding.owner).ok()?;
    let cookie = rustix::net::sockopt::socket_cookie(&copy).ok()?;
    by_inode.all(holding.ino).find(|id| sockets[id.0 as usize].cookie == Some(cookie))
}

/// Duplicates another process's file descriptor (`pidfd_getfd`, Linux 5.6). This requires
/// permission to trace the process ([K-PROC-2]). For a thread with its own descriptor table it
/// requires Linux 6.9 ([K-PROC-5]).
///
/// [K-PROC-2]: stoop::kernel_facts#K-PROC-2
/// [K-PROC-5]: stoop::kernel_facts#K-PROC-5
pub(crate) fn dup_fd(owner: Owner) -> io::Result<OwnedFd> {
    /// `PIDFD_THREAD`: refers to the thread, instead of the process it leads.
    const OF_A_THREAD: PidfdFlags = PidfdFlags::from_bits_retain(OFlags::EXCL.bits());
    let (task, flags) = match owner.thread {
        None => (owner.pid, PidfdFlags::empty()),
        Some(thread) => (thread, OF_A_THREAD),
    };
    let pid = i32::try_from(task.0).ok().and_then(rustix::process::Pid::from_raw);
    let process = pidfd_open(pid.ok_or(io::ErrorKind::InvalidInput)?, flags)?;
    let number = i32::try_from(owner.fd).map_err(io::Error::other)?;
    Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Pid, State};
    use proptest::prelude::*;
    use std::os::fd::AsFd;
    use stoop::Kind;

    fn owner(file: impl AsFd) -> Owner {
        Owner { pid: Pid(std::process::id()), fd: file.as_fd().as_raw_fd() as u32, thread: None }
    }

    fn ino(file: impl AsFd) -> SocketIno {
        SocketIno(rustix::fs::fstat(file).unwrap().st_ino as u32)
    }

    #[test]
    fn only_local_sockets_are_local_sockets() {
        let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
        assert!(is_local(owner(&one), ino(&one)));
        assert!(!is_local(owner(&one), ino(&other)), "another one by now");
        let foreign = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!is_local(owner(&foreign), ino(&foreign)));
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!is_local(owner(&file), ino(&file)));
    }

    /// The inode counter has wrapped: a Unix domain socket has the inode of a socket of another
    /// family.
    #[test]
    fn a_socket_of_another_family_is_nobodys_local_socket() {
        let foreign = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let same = foreign.try_clone().unwrap();
        let number = ino(&foreign);
        let holding = |file| Holding::of(number, owner(file));
        for (holdings, sees_all) in
            [(vec![holding(&foreign)], false), (vec![holding(&foreign), holding(&same)], true)]
        {
            let mut sockets = [Socket::new(number, Kind::Stream, State::Unconnected)];
            let by_inode = ByInode::of(&sockets);
            assert!(assign(&mut sockets, &mut [Links::default()], &by_inode, holdings).is_empty());
            confirm(&mut sockets, sees_all);
            assert_eq!(sockets[0].owners, []);
        }
    }

    proptest! {
        /// Inodes that collide all the time: an owner with a known namespace and cookie is never
        /// assigned to another socket.
        #[test]
        fn an_owner_fits_its_socket(
            sockets in proptest::collection::vec((0u32..3, 0u64..3, 0u64..6), 0..8),
            holdings in proptest::collection::vec((0u32..3, 0u64..3, proptest::option::of(0u64..6)), 0..8),
        ) {
            let made = |&(ino, namespace, cookie): &(u32, u64, u64)| {
                let mut socket = Socket::new(SocketIno(ino), Kind::Stream, State::Unconnected);
                (socket.namespace, socket.cookie) = (NamespaceIno(namespace), Some(cookie));
                socket
            };
            let mut sockets: Vec<Socket> = sockets.iter().map(made).collect();
            let held = |(fd, &(ino, namespace, cookie)): (u32, &(u32, u64, Option<u64>))| Holding {
                // No such process: its socket cannot be queried.
                namespace: Some(NamespaceIno(namespace)),
                cookie,
                ..Holding::of(SocketIno(ino), Owner { pid: Pid(u32::MAX), fd, thread: None })
            };
            let holdings: Vec<Holding> = (0..).zip(&holdings).map(held).collect();
            let mut links = vec![Links::default(); sockets.len()];
            let by_inode = ByInode::of(&sockets);
            let unlisted = assign(&mut sockets, &mut links, &by_inode, holdings.clone());
            for socket in &sockets {
                for owner in &socket.owners {
                    let holding = &holdings[owner.fd as usize];
                    prop_assert_eq!((holding.ino, holding.namespace), (socket.ino, Some(socket.namespace)));
                    prop_assert!(holding.cookie.is_none() || holding.cookie == socket.cookie);
                }
            }
            for holding in unlisted {
                let fits = |socket: &Socket| {
                    (socket.ino, Some(socket.namespace)) == (holding.ino, holding.namespace)
                        && (holding.cookie.is_none() || holding.cookie == socket.cookie)
                };
                prop_assert!(!sockets.iter().any(fits));
            }
        }
    }
}
