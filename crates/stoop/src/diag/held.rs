//! What a socket says about itself through a descriptor, which may be a copy of another process's:
//! nothing here changes it, takes something out of it, or waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{Credentials, Kind, sys};

/// Options of a local socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Its kind; `None` for one that is new to this library.
    pub kind: Option<Kind>,
    /// Whether it listens.
    pub is_listening: bool,
    /// `SO_SNDBUF` as the kernel has it: twice what was set (K-LIMIT-1).
    pub send_buffer_bytes: usize,
    /// Whether messages come with their sender's credentials.
    pub passes_credentials: bool,
    /// Whether they come with a pidfd of their sender. `None`: this kernel has no such thing (6.5),
    /// as with the next ones.
    pub passes_pidfd: Option<bool>,
    /// Whether they come with their sender's security label.
    pub passes_label: Option<bool>,
    /// Whether descriptors may come in (6.16).
    pub passes_descriptors: Option<bool>,
    /// `SO_PEEK_OFF`: where the next look at unread bytes begins, and whether a look moves it on.
    /// `None`: it always begins at the first.
    pub peek_offset: Option<u32>,
    /// Of a listener, who called listen last; of a connected socket, who made the other end
    /// (K-CRED-2). `None` if the kernel does not know. A user or group without an id in our
    /// user namespace is 4294967295: see [`Credentials::known_uid`].
    pub peer: Option<Credentials>,
}

impl Settings {
    /// Asks for them. Linux 2.6.32; what is newer is `None` on older kernels.
    ///
    /// # Errors
    /// `EAFNOSUPPORT` for a socket of another family, `ENOTSOCK` for what is no socket.
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
            // Without a peer the kernel says pid 0 and ids of -1 (K-CRED-3).
            peer: Credentials { pid: peer.pid, uid: peer.uid, gid: peer.gid }.resolve(),
        })
    }
}

/// Copies what would be read next without taking it: the first bytes of a stream, the next message
/// of any other kind. Returns how many bytes were copied, 0 also where there is nothing or the peer
/// has gone. Never waits; what comes beside the bytes stays where it is (K-HELD-2).
///
/// # Errors
/// `EBUSY` where the socket has a peek offset, which looking would move on under its owner
/// (K-HELD-3), or an error, which looking would take before its owner hears of it (K-HELD-5);
/// otherwise what the kernel reports, for instance `EINVAL` for a listener and `ENOTCONN` for a
/// stream without a peer.
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

/// Whether an error waits for the next call; at a stream it comes after all that can be read.
fn would_take_an_error(fd: BorrowedFd<'_>) -> io::Result<bool> {
    if sys::socket_type(fd)? == libc::SOCK_STREAM && sys::unread_bytes(fd)? > 0 {
        return Ok(false);
    }
    let mut polled = [PollFd::new(&fd, PollFlags::empty())];
    poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(polled[0].revents().contains(PollFlags::ERR))
}

/// Options mean something else to each family.
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
    use crate::{Bind, SeqPacket, Stream};
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
        assert_eq!(settings.peer.map(|peer| peer.pid), i32::try_from(std::process::id()).ok());

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
