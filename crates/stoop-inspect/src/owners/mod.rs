//! Who has which socket open: what the two ways of finding out have in common.
//!
//! Both give a list of [`Holding`]s. [`assign`] gives each to the socket it belongs to, by inode and whatever else is known,
//! and hands back those that fit none.

pub(crate) mod bpf;
pub(crate) mod proc;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::io;
use std::os::fd::OwnedFd;

use crate::join::ByInode;
use crate::model::{NamespaceIno, Owner, Socket, SocketId, SocketIno};

/// A descriptor that refers to a socket, which may be of any family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Holding {
    pub(crate) ino: SocketIno,
    pub(crate) owner: Owner,
    /// The socket's network namespace, where the source tells; then it is a local socket for certain.
    pub(crate) namespace: Option<NamespaceIno>,
    /// The socket's cookie, where the source tells and the socket has one already.
    pub(crate) cookie: Option<u64>,
}

/// Adds each holding's owner to its socket. Those of no socket known so far are returned.
pub(crate) fn assign(sockets: &mut [Socket], by_inode: &ByInode, holdings: Vec<Holding>) -> Vec<Holding> {
    holdings.into_iter().filter(|holding| !assign_one(sockets, by_inode, holding)).collect()
}

fn assign_one(sockets: &mut [Socket], by_inode: &ByInode, holding: &Holding) -> bool {
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
        // The counter of inodes has wrapped: two sockets have this one.
        Some(_) => by_cookie(sockets, by_inode, holding),
    };
    if let Some(id) = id {
        sockets[id.0 as usize].owners.push(holding.owner);
    }
    true
}

/// Asks the socket itself which of several it is. `None` where it may not be asked, or is gone.
fn by_cookie(sockets: &[Socket], by_inode: &ByInode, holding: &Holding) -> Option<SocketId> {
    let copy = copy_of(holding.owner).ok()?;
    let cookie = rustix::net::sockopt::socket_cookie(&copy).ok()?;
    by_inode.all(holding.ino).find(|id| sockets[id.0 as usize].cookie == Some(cookie))
}

/// A copy of another process's descriptor (Linux 5.6); takes the right to trace it (K-PROC-2).
pub(crate) fn copy_of(owner: Owner) -> io::Result<OwnedFd> {
    let pid = i32::try_from(owner.pid.0).ok().and_then(rustix::process::Pid::from_raw);
    let process = pidfd_open(pid.ok_or(io::ErrorKind::InvalidInput)?, PidfdFlags::empty())?;
    let number = i32::try_from(owner.fd).map_err(io::Error::other)?;
    Ok(pidfd_getfd(process, number, PidfdGetfdFlags::empty())?)
}
