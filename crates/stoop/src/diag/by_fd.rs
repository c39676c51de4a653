//! Queries about a socket through a file descriptor, which may be a copy of another process's.
//! Nothing here changes the socket, removes data from it, or blocks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{Credentials, Kind, sys};

/// The options of a Unix domain socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// The socket type (`SO_TYPE`); `None` for one that is unknown to this library.
    pub kind: Option<Kind>,
    /// Whether it listens (`SO_ACCEPTCONN`).
    pub is_listening: bool,
    /// The size of the send buffer (`SO_SNDBUF`) as the kernel reports it: twice the value set
    /// ([K-LIMIT-1]).
    ///
    /// [K-LIMIT-1]: crate::kernel_facts#K-LIMIT-1
    pub send_buffer_bytes: usize,
    /// Whether messages carry their sender's credentials (`SO_PASSCRED`).
    pub passes_credentials: bool,
    /// Whether messages carry a pidfd of their sender (`SO_PASSPIDFD`, Linux 6.5).
    ///
    /// This and the following fields are `None` if the kernel does not support the option.
    pub passes_pidfd: Option<bool>,
    /// Whether messages carry their sender's security label (`SO_PASSSEC`).
    pub passes_label: Option<bool>,
    /// Whether the socket accepts file descriptors (`SO_PASSRIGHTS`, Linux 6.16).
    pub passes_descriptors: Option<bool>,
    /// The offset at which the next peek begins, and which each peek advances (`SO_PEEK_OFF`).
    /// `None`: a peek always begins at the first unread byte.
    pub peek_offset: Option<u32>,
    /// The credentials of the peer (`SO_PEERCRED`); `None` if the kernel does not know them.
    ///
    /// For a listener they are those of the process that called `listen` last, for a connected
    /// socket those of the process that created the other end ([K-CRED-2]). A user or group without
    /// an id in this user namespace is 4294967295; see [`Credentials::known_uid`].
    ///
    /// [K-CRED-2]: crate::kernel_facts#K-CRED-2
    pub peer: Option<Credentials>,
}

impl Settings {
    /// Queries the options of a socket. Requires Linux 2.6.32; newer options are `None` on older
    /// kernels.
    ///
    /// # Errors
    /// Returns an error if the socket is of another family (`EAFNOSUPPORT`), or if the file
    /// descriptor is not a socket (`ENOTSOCK`).
    pub fn of(socket: impl AsFd) -> io::Result<Settings> {
        let fd = local(&socket)?;
        let peer = sys::peer_credentials(fd)?;
        Ok(Settings {
            kind: Kind::from_raw(sys::socket_type(fd)?),
            is_listening: sys::is_listening(fd)?,
            send_buffer_bytes: sys::send_buffer_bytes(fd)?,
            passes_credentials: sys::passes_credentials(fd)?,
            passes_pidfd: sys::passes_pidfd(fd).ok(),
            passes_label: sys::passes_label(fd).ok(),
            passes_descriptors: sys::passes_descriptors(fd).ok(),
            peek_offset: sys::peek_offset(fd).ok().and_then(|offset| u32::try_from(offset).ok()),
            // Without a peer the kernel reports pid 0 and ids of -1 (K-CRED-3).
            peer: Credentials { pid: peer.pid as u32, uid: peer.uid, gid: peer.gid }.resolve(),
        })
    }
}

/// Copies the data that would be received next, without removing it from the queue (`MSG_PEEK`).
///
/// The data is the first bytes of a stream, or the next message of a socket of another type.
/// Returns how many bytes were copied: 0 if there are none, or if the peer has closed. The call
/// never blocks. Ancillary data stays with the message ([K-HELD-2]).
///
/// # Errors
/// Returns an error if
///
/// - the socket has a peek offset, which a peek would advance for the socket's owner (`EBUSY`,
///   [K-HELD-3]);
/// - the socket has a pending error, which a peek would clear before the owner sees it (`EBUSY`,
///   [K-HELD-5]);
/// - the socket is a listener (`EINVAL`), or a stream without a peer (`ENOTCONN`);
/// - the kernel reports another error.
///
/// [K-HELD-2]: crate::kernel_facts#K-HELD-2
/// [K-HELD-3]: crate::kernel_facts#K-HELD-3
/// [K-HELD-5]: crate::kernel_facts#K-HELD-5
pub fn peek(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let fd = local(&socket)?;
    if sys::peek_offset(fd).is_ok_and(|offset| offset >= 0) || would_take_an_error(fd)? {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    match sys::receive(fd, buffer, libc::MSG_PEEK | libc::MSG_DONTWAIT) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        result => result,
    }
}

/// Returns whether the next call would return a pending error. A stream reports it only after all
/// unread data.
fn would_take_an_error(fd: BorrowedFd<'_>) -> io::Result<bool> {
    if sys::socket_type(fd)? == libc::SOCK_STREAM && sys::unread_bytes(fd)? > 0 {
        return Ok(false);
    }
    let mut polled = [PollFd::new(&fd, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(polled[0].revents().contains(PollFlags::ERR))
}

/// Rejects other families, for which the options have other meanings.
fn local(socket: &impl AsFd) -> io::Result<BorrowedFd<'_>> {
    let fd = socket.as_fd();
    match sys::socket_domain(fd)? {
        libc::AF_UNIX => Ok(fd),
        _ => Err(io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bind, SeqPacket, SocketExt, Stream};
    use std::io::{Read, Write};

    #[test]
    fn a_look_takes_nothing_and_never_waits() {
        let (mut one, mut other) = Stream::pair().unwrap();
        let mut buffer = [0; 4];
        assert_eq!(peek(&other, &mut buffer).unwrap(), 0);
        one.write_all(b"123456").unwrap();
        for _ in 0..2 {
            assert_eq!((peek(&other, &mut buffer).unwrap(), &buffer), (4, b"1234"));
        }
        let mut all = [0; 6];
        other.read_exact(&mut all).unwrap();
        assert_eq!(&all, b"123456");
        drop(one);
        assert_eq!(peek(&other, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn an_error_is_left_to_the_owner() {
        let (one, other) = SeqPacket::pair().unwrap();
        one.send(b"unread").unwrap();
        other.send(b"never read").unwrap();
        drop(one);
        assert_eq!(peek(&other, &mut [0; 10]).unwrap_err().raw_os_error(), Some(libc::EBUSY));
        let mut buffer = [0; 10];
        let told = sys::receive(other.as_fd(), &mut buffer, 0).unwrap_err();
        assert_eq!(told.raw_os_error(), Some(libc::ECONNRESET));
        assert_eq!(peek(&other, &mut buffer).unwrap(), 6);
    }

    #[test]
    fn settings_are_those_of_the_socket() {
        let (one, _other) = SeqPacket::pair().unwrap();
        one.set_pass_credentials(true).unwrap();
        let settings = Settings::of(&one).unwrap();
        assert_eq!((settings.kind, settings.is_listening), (Some(Kind::SeqPacket), false));
        assert!(settings.passes_credentials && settings.peek_offset.is_none());
        assert_eq!(settings.peer.map(|peer| peer.pid), Some(std::process::id()));

        let directory = stoop_testkit::tempdir();
        let listener = Bind::new(directory.path().join("s")).listen().unwrap();
        let settings = Settings::of(&listener).unwrap();
        assert!(settings.is_listening && settings.peer.is_some());
        assert!(peek(&listener, &mut [0]).is_err());
    }

    #[test]
    fn other_families_are_refused() {
        let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let refused = Settings::of(&other).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EAFNOSUPPORT));
        assert!(peek(&other, &mut [0]).is_err());
        let file = std::fs::File::open("/dev/null").unwrap();
        assert_eq!(Settings::of(&file).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
    }
}
