//! Duplicates of other processes' file descriptors, to query a socket itself or to act on it.
//! Nothing here acts on one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::AddressFamily;

use crate::owners::dup_fd;
use crate::{Snapshot, Socket, SocketId};

impl Snapshot {
    /// Returns the socket that a file descriptor of this process refers to.
    ///
    /// Returns `None` if the socket was created after the snapshot was taken, or is of another
    /// family.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options};
    ///
    /// let (one, other) = stoop::Stream::pair()?;
    /// let snapshot = Inspector::new(Options::default()).snapshot();
    /// let own = snapshot.socket_of(&one).expect("it was there before");
    /// assert_eq!(snapshot[own].peer, snapshot.socket_of(&other));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn socket_of(&self, descriptor: impl AsFd) -> Option<SocketId> {
        let descriptor = descriptor.as_fd();
        let cookie = rustix::net::sockopt::socket_cookie(descriptor).ok();
        let ino = u32::try_from(rustix::fs::fstat(descriptor).ok()?.st_ino).ok()?;
        let may_be = |socket: &Socket| match (socket.cookie, cookie) {
            (Some(its), Some(own)) => its == own,
            _ => socket.ino.0 == ino,
        };
        let mut found = self.iter().filter(|(_, socket)| may_be(socket) && socket.is(descriptor));
        found.next().map(|(id, _)| id)
    }
}

impl Socket {
    /// Duplicates a file descriptor of this socket into the calling process (`pidfd_getfd`, Linux
    /// 5.6; [K-PROC-2]).
    ///
    /// The owners are tried in order until one permits it. Each duplicate is compared by the
    /// socket's cookie, which is unique since boot, or by its inode if the cookie is unknown. An
    /// owner that has exited since the snapshot, closed the file descriptor, or reused its number
    /// is skipped. The duplicate refers to the same socket: whatever is done to it
    /// affects the owner's. The call requires permission to trace the owner.
    ///
    /// # Errors
    /// Returns an error if no owner's file descriptor can be duplicated, with the reason for the
    /// last one tried: `EPERM` without that permission, `ENOENT` if no process has the socket open
    /// any more.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options};
    ///
    /// let (one, other) = stoop::Stream::pair()?;
    /// let snapshot = Inspector::new(Options::default()).snapshot();
    /// let socket = &snapshot[snapshot.socket_of(&one).unwrap()];
    /// let duplicate = socket.dup_fd()?;
    /// assert!(socket.is(&duplicate));
    /// // Once the socket is closed there is nothing to duplicate.
    /// drop((duplicate, one));
    /// assert_eq!(socket.dup_fd().unwrap_err().kind(), std::io::ErrorKind::NotFound);
    /// # drop(other);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// [K-PROC-2]: stoop::kernel_facts#K-PROC-2
    #[doc(alias = "pidfd_getfd")]
    pub fn dup_fd(&self) -> io::Result<OwnedFd> {
        let mut why = io::Error::from_raw_os_error(rustix::io::Errno::NOENT.raw_os_error());
        for owner in &self.owners {
            match dup_fd(*owner) {
                Ok(copy) if self.is(&copy) => return Ok(copy),
                Ok(_) => {}
                Err(error) if crate::procfs::is_gone(&error) || is_closed(&error) => {}
                Err(error) => why = error,
            }
        }
        Err(why)
    }

    /// Returns whether this file descriptor refers to the same socket now.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options};
    ///
    /// let (one, other) = stoop::Stream::pair()?;
    /// let snapshot = Inspector::new(Options::default()).snapshot();
    /// let socket = &snapshot[snapshot.socket_of(&one).unwrap()];
    /// assert!(socket.is(&one) && !socket.is(&other));
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is(&self, descriptor: impl AsFd) -> bool {
        let descriptor = descriptor.as_fd();
        match self.cookie {
            Some(cookie) => rustix::net::sockopt::socket_cookie(descriptor).is_ok_and(|own| own == cookie),
            // A file or a socket of another family may have the same inode.
            None => {
                let same = |stat: rustix::fs::Stat| stat.st_ino == u64::from(self.ino.0);
                rustix::fs::fstat(descriptor).is_ok_and(same)
                    && rustix::net::sockopt::socket_domain(descriptor)
                        .is_ok_and(|domain| domain == AddressFamily::UNIX)
            }
        }
    }
}

fn is_closed(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::BADF.raw_os_error())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use stoop::Kind;

    use super::*;
    use crate::{Owner, Pid, SocketIno, State};

    #[test]
    fn a_copy_is_of_the_very_socket_or_none() {
        let (one, other) = stoop::Stream::pair().unwrap();
        let ino = |socket: &stoop::Stream| SocketIno(rustix::fs::fstat(socket).unwrap().st_ino as u32);
        let mut socket = Socket::new(ino(&one), Kind::Stream, State::Connected);
        socket.owners = vec![Owner {
            pid: Pid(std::process::id()),
            fd: std::os::fd::AsFd::as_fd(&one).as_raw_fd() as u32,
            thread: None,
        }];
        assert!(socket.dup_fd().is_ok());
        // The inode belongs to another socket now.
        socket.ino = ino(&other);
        assert_eq!(socket.dup_fd().unwrap_err().kind(), io::ErrorKind::NotFound);
        socket.ino = ino(&one);
        socket.cookie = rustix::net::sockopt::socket_cookie(&one).ok();
        assert!(socket.dup_fd().is_ok());
        socket.cookie = socket.cookie.map(|cookie| cookie + 1);
        assert!(socket.dup_fd().is_err());
        socket.owners[0].pid = Pid(u32::MAX);
        assert!(socket.dup_fd().is_err());
    }
}
