//! The kernel's table of Unix domain sockets (`NETLINK_SOCK_DIAG`): types, states, names, files,
//! peers and queues. Not part of the public API: `stoop-inspect` and the command use it.
//!
//! No privilege is required. A [`Table`] shows the network namespace in which it was opened,
//! wherever it is used ([K-DIAG-3]). A socket that is missing here may exist in another namespace.
//! A connection that has not been accepted yet has no inode on the server's side and is not listed;
//! its client is.
//!
//! ```
//! use stoop::diag::{Show, Table};
//!
//! let mut sockets = Vec::new();
//! Table::open()?.dump(Show::NAME, &mut sockets)?;
//! for socket in sockets.iter().filter(|socket| socket.is_listening) {
//!     println!("{}", socket.name);
//! }
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! [K-DIAG-3]: crate::kernel_facts#K-DIAG-3

mod by_fd;
mod entry;
mod message;

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};

pub use crate::file_id::FileId;
use crate::{Address, sys};
pub use by_fd::{Settings, peek};
pub use entry::{Entry, Memory, Show};
use message::Question;

/// Whether a dump is consistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Dump {
    /// The dump is consistent: it contains every socket that existed throughout.
    Whole,
    /// The kernel reported a change during each attempt. The sockets are those of the last attempt,
    /// and some may be missing.
    Unsteady,
}

/// A netlink socket that queries the table of one network namespace.
#[doc(alias("sock_diag", "NETLINK_SOCK_DIAG", "UNIX_DIAG"))]
#[derive(Debug)]
pub struct Table {
    socket: OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
    /// Whether every answer to the last request has been read.
    is_read_out: bool,
}

impl Table {
    /// Opens the table of the calling thread's network namespace. It stays with that namespace.
    ///
    /// # Errors
    /// Returns an error if the kernel has no `sock_diag` (`EPROTONOSUPPORT`), or if a netlink
    /// socket cannot be created (`EMFILE` and others).
    pub fn open() -> io::Result<Table> {
        let socket = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(SOCK_DIAG),
        )?;
        // The kernel answers within the call that sends the request. This timeout is for kernels
        // that do not.
        set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        Ok(Table { socket, buffer: vec![0; DATAGRAM_BYTES], sequence: 0, is_read_out: true })
    }

    /// Appends every socket of the namespace to `found`, in no particular order.
    ///
    /// The kernel returns the table in pieces, between which it may change. If the kernel reports
    /// an inconsistency (`NLM_F_DUMP_INTR`), the dump is repeated a few times at most. A socket
    /// that is created or closed during the dump may be included or not.
    ///
    /// # Errors
    /// Returns an error if the kernel refuses the request, for example without `unix_diag`
    /// (`ENOENT`). Nothing is appended then.
    pub fn dump(&mut self, show: Show, found: &mut Vec<Entry>) -> io::Result<Dump> {
        let before = found.len();
        for _ in 0..DUMP_ATTEMPTS {
            found.truncate(before);
            match self.dump_once(show, found) {
                Ok(false) => return Ok(Dump::Whole),
                Ok(true) => {}
                Err(error) => {
                    found.truncate(before);
                    return Err(error);
                }
            }
        }
        Ok(Dump::Unsteady)
    }

    /// Dumps once. Returns whether the table changed during the dump.
    fn dump_once(&mut self, show: Show, found: &mut Vec<Entry>) -> io::Result<bool> {
        // If an answer does not fit into a piece, the kernel ends the dump there without an error
        // (K-DIAG-9). Only the list of waiting clients can be that long, so it is requested
        // separately, and only if clients wait.
        let before = found.len();
        let mut is_interrupted = self.dump_of(&Question::All, show.without(Show::WAITING), found)?;
        let does_anybody_wait =
            |entry: &Entry| entry.is_listening && entry.queue.is_none_or(|(waiting, _)| waiting > 0);
        if show.has(Show::WAITING) && found[before..].iter().any(does_anybody_wait) {
            let mut listeners = Vec::new();
            is_interrupted |= self.dump_of(&Question::Listeners, Show::WAITING, &mut listeners)?;
            let mut waiting: HashMap<u64, Vec<u32>> =
                listeners.into_iter().map(|listener| (listener.cookie, listener.waiting)).collect();
            for entry in found[before..].iter_mut().filter(|entry| entry.is_listening) {
                entry.waiting = waiting.remove(&entry.cookie).unwrap_or_default();
            }
        }
        Ok(is_interrupted)
    }

    fn dump_of(&mut self, question: &Question, show: Show, found: &mut Vec<Entry>) -> io::Result<bool> {
        self.ask(question, show)?;
        let mut is_interrupted = false;
        loop {
            let read = self.receive(found)?;
            is_interrupted |= read.is_interrupted;
            if read.is_done {
                self.is_read_out = true;
                return Ok(is_interrupted);
            }
        }
    }

    /// Returns the socket with this inode, or one of them if the inode counter has wrapped.
    ///
    /// If more than about a thousand clients wait at it, the list of them is empty, because the
    /// kernel's answer must fit into a page.
    ///
    /// # Errors
    /// Returns an error if the kernel refuses the request. A socket that does not exist is `None`.
    pub fn lookup(&mut self, ino: u32, show: Show) -> io::Result<Option<Entry>> {
        match self.lookup_once(ino, show) {
            Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) && show.has(Show::WAITING) => {
                self.lookup_once(ino, show.without(Show::WAITING))
            }
            result => result,
        }
    }

    fn lookup_once(&mut self, ino: u32, show: Show) -> io::Result<Option<Entry>> {
        self.ask(&Question::One(ino), show)?;
        let mut found = Vec::new();
        match self.receive(&mut found) {
            Ok(_) => {
                self.is_read_out = true;
                Ok(found.pop().filter(|entry| entry.ino == ino))
            }
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn ask(&mut self, question: &Question, show: Show) -> io::Result<()> {
        if !self.is_read_out {
            self.read_out()?;
        }
        self.is_read_out = false;
        self.sequence = self.sequence.wrapping_add(1);
        let request = message::request(question, show, self.sequence);
        let kernel = SocketAddrNetlink::new(0, 0);
        loop {
            match rustix::net::sendto(&self.socket, &request, SendFlags::empty(), &kernel) {
                Err(Errno::INTR) => {}
                result => return result.map(drop).map_err(Into::into),
            }
        }
    }

    /// Discards the remaining answers to an abandoned request. The kernel starts no dump before the
    /// previous one has been read completely ([K-DIAG-11]).
    ///
    /// [K-DIAG-11]: crate::kernel_facts#K-DIAG-11
    fn read_out(&mut self) -> io::Result<()> {
        for _ in 0..LEFT_OVER_MAX {
            match rustix::net::recv(&self.socket, &mut self.buffer[..], RecvFlags::DONTWAIT) {
                Err(Errno::AGAIN) => return Ok(()),
                // A pending error belongs to the abandoned request.
                Ok(_) | Err(Errno::INTR | Errno::NOBUFS) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Errno::BUSY.into())
    }

    /// Reads the next datagram of the answer to the last request.
    fn receive(&mut self, found: &mut Vec<Entry>) -> io::Result<message::Read> {
        let begun = Instant::now();
        while begun.elapsed() < ANSWER_TIMEOUT {
            let Some(len) = self.receive_from_kernel()? else { continue };
            let read = message::read(&self.buffer[..len], Some(self.sequence), found);
            match read.refused {
                Some(errno) if errno != 0 => {
                    self.is_read_out = true;
                    return Err(io::Error::from_raw_os_error(errno));
                }
                _ if read.is_answer => return Ok(read),
                _ => {}
            }
        }
        Err(Errno::TIMEDOUT.into())
    }

    /// Returns the length of a datagram, or `None` if the kernel did not send it. A process with
    /// `CAP_NET_ADMIN` in the network namespace, perhaps of an ordinary user, can write to sockets
    /// of netlink protocols there ([K-DIAG-12]).
    ///
    /// [K-DIAG-12]: crate::kernel_facts#K-DIAG-12
    fn receive_from_kernel(&mut self) -> io::Result<Option<usize>> {
        loop {
            match rustix::net::recvfrom(&self.socket, &mut self.buffer[..], RecvFlags::TRUNC) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                // A truncated datagram cannot be decoded.
                Ok((room, len, _)) if len > room => return Err(Errno::MSGSIZE.into()),
                Ok((len, _, sender)) => {
                    let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
                    return Ok(sender.filter(|sender| sender.pid() == 0).map(|_| len));
                }
            }
        }
    }
}

impl AsFd for Table {
    /// Returns the netlink socket.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Decodes a datagram of answers that was obtained elsewhere: from another process, or from a
/// recording.
///
/// The function is pure. Messages that it does not understand are skipped.
pub fn decode(answers: &[u8]) -> Vec<Entry> {
    let mut found = Vec::new();
    message::read(answers, None, &mut found);
    found
}

/// Decodes a name as the kernel keeps it: a path with its terminating NUL, or a NUL with an
/// abstract name; empty for an unnamed socket.
pub fn name(bytes: &[u8]) -> Address {
    if bytes.is_empty() { Address::UNNAMED } else { message::name(bytes) }
}

/// Returns the file with this device, in the kernel's encoding ([K-DIAG-1]), and these 32 bits of
/// its inode.
///
/// [K-DIAG-1]: crate::kernel_facts#K-DIAG-1
pub fn file_id(device: u32, inode: u32) -> FileId {
    message::file_id(device, inode)
}

/// Returns a file descriptor of the network namespace in which a socket of any family was created
/// (`SIOCGSKNS`, Linux 4.10).
///
/// # Errors
/// Returns an error if the process has no `CAP_NET_ADMIN` over that namespace (`EPERM`,
/// [K-NETNS-2]), or if the file descriptor is not a socket (`ENOTTY`).
///
/// [K-NETNS-2]: crate::kernel_facts#K-NETNS-2
pub fn network_namespace_of(socket: impl AsFd) -> io::Result<OwnedFd> {
    sys::network_namespace_of(socket.as_fd())
}

/// Compares the file descriptor tables of two threads, by their ids (`kcmp`, Linux 3.5 if
/// configured; [K-KCMP-1]).
///
/// They are equal if the threads share one table. Otherwise the order is one of the kernel's,
/// stable while both tables exist.
///
/// # Errors
/// Returns an error if the process may not trace both threads (`EPERM`), if one has exited
/// (`ESRCH`), or if the kernel has no `kcmp` (`ENOSYS`).
///
/// [K-KCMP-1]: crate::kernel_facts#K-KCMP-1
pub fn compare_descriptor_tables(one: u32, other: u32) -> io::Result<Ordering> {
    let id = |id| i32::try_from(id).map_err(|_| io::ErrorKind::InvalidInput);
    sys::compare_descriptor_tables(id(one)?, id(other)?)
}

/// Returns an `O_PATH` file descriptor of the file to which a socket is bound, wherever it has been
/// moved since (`SIOCUNIXFILE`, Linux 4.13; [K-BIND-11]).
///
/// # Errors
/// Returns an error if the process has no `CAP_NET_ADMIN` (`EPERM`), or if the socket is not bound
/// to a file (`ENOENT`).
///
/// [K-BIND-11]: crate::kernel_facts#K-BIND-11
pub fn bound_file_of(socket: impl AsFd) -> io::Result<OwnedFd> {
    sys::bound_file_of(socket.as_fd())
}

/// Twice the size of a datagram of a dump.
const DATAGRAM_BYTES: usize = 64 * 1024;
const DUMP_ATTEMPTS: usize = 8;
/// More datagrams than an abandoned dump leaves behind: in pieces of 32 KiB, those of some million
/// sockets.
const LEFT_OVER_MAX: usize = 1 << 15;
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The fields that this crate requests.
const SHOW: Show = Show(Show::NAME.0 | Show::FILE.0 | Show::PEER.0 | Show::QUEUE.0 | Show::UID.0);

/// Returns the file to which the socket's name referred when it was bound.
pub(crate) fn file_of(socket: BorrowedFd<'_>) -> Option<FileId> {
    let ino = u32::try_from(rustix::fs::fstat(socket).ok()?.st_ino).ok()?;
    Table::open().ok()?.lookup(ino, Show::FILE).ok()??.file
}

/// Returns every socket bound to this file.
pub(crate) fn bound_to(file: FileId) -> Vec<Entry> {
    let mut same_inode = all();
    same_inode.retain(|socket| socket.file.is_some_and(|bound| bound.may_be(file)));
    // On some file systems the table's device differs from that of stat. The device then decides
    // nothing.
    let is_exact = |socket: &Entry| socket.file.is_some_and(|bound| bound.dev == file.dev);
    if same_inode.iter().any(is_exact) {
        same_inode.retain(is_exact);
    }
    same_inode
}

/// Returns every socket with this abstract name.
pub(crate) fn named(abstract_name: &[u8]) -> Vec<Entry> {
    let mut named = all();
    named.retain(|socket| socket.name.as_abstract_name() == Some(abstract_name));
    named
}

/// Returns the whole table of this network namespace; empty if the kernel has none.
pub(crate) fn all() -> Vec<Entry> {
    let mut found = Vec::new();
    let _ = Table::open().and_then(|mut table| table.dump(SHOW, &mut found));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bind, Kind};

    #[test]
    fn finds_a_listener_by_its_file_and_by_its_inode() {
        let directory = stoop_testkit::tempdir();
        let path = directory.path().join("app.sock");
        let listener = Bind::new(&path).backlog(7).listen().unwrap();
        let stat = rustix::fs::stat(&path).unwrap();
        let found = bound_to(FileId::of(&stat));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].kind, found[0].is_listening), (Some(Kind::Stream), true));
        assert_eq!(found[0].queue, Some((0, 7)));
        assert_eq!(found[0].name, Address::path(&path).unwrap());
        assert_eq!(found[0].uid, Some(rustix::process::geteuid().as_raw()));
        assert_eq!(file_of(listener.as_fd()).map(|file| file.ino), Some(stat.st_ino & 0xffff_ffff));
    }

    #[test]
    fn finds_an_abstract_name_with_all_its_bytes() {
        let name = format!("stoop-diag-{}\0x", std::process::id()).into_bytes();
        let _server = Bind::new(crate::Address::abstract_name(name.clone()).unwrap()).datagram().unwrap();
        assert_eq!(named(&name).len(), 1);
        assert!(named(&name[..name.len() - 1]).is_empty());
    }

    #[test]
    fn a_table_answers_again_and_again() {
        let (one, other) = crate::Stream::pair().unwrap();
        let ino = |stream: &crate::Stream| rustix::fs::fstat(stream).unwrap().st_ino as u32;
        let mut table = Table::open().unwrap();
        assert_eq!(table.lookup(0xffff_fff0, Show::ALL).unwrap(), None);
        let found = table.lookup(ino(&one), Show::ALL).unwrap().unwrap();
        assert_eq!(found.peer, Some(ino(&other)));
        assert!(found.memory.unwrap().send_limit_bytes > 0);
        let mut sockets = Vec::new();
        assert_eq!(table.dump(Show::ALL, &mut sockets).unwrap(), Dump::Whole);
        let listed = sockets.iter().find(|socket| socket.cookie == found.cookie).unwrap();
        assert_eq!(listed, &found);
    }

    fn ino(socket: impl AsFd) -> u32 {
        rustix::fs::fstat(socket).unwrap().st_ino as u32
    }

    #[test]
    fn what_a_dump_has_left_behind_is_no_answer() {
        let pairs: Vec<_> = (0..300).map(|_| crate::Stream::pair().unwrap()).collect();
        let wanted = ino(&pairs[0].0);
        let mut table = Table::open().unwrap();
        // Abandon a dump after its first piece, and before it.
        for pieces in [1, 0] {
            table.ask(&Question::All, Show::ALL).unwrap();
            for _ in 0..pieces {
                assert!(!table.receive(&mut Vec::new()).unwrap().is_done);
            }
            assert!(table.lookup(wanted, Show::ALL).unwrap().is_some());
            table.ask(&Question::All, Show::ALL).unwrap();
            let mut sockets = Vec::new();
            let _ = table.dump(Show::NAME, &mut sockets).unwrap();
            assert!(sockets.iter().any(|socket| socket.ino == wanted));
            assert_eq!(table.lookup(0xffff_fff0, Show::ALL).unwrap(), None);
        }
    }

    #[test]
    fn a_dump_that_ends_with_an_error_has_failed() {
        let done = |errno: i32| {
            let mut bytes = vec![20, 0, 0, 0, 3, 0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0];
            bytes.extend(errno.to_ne_bytes());
            bytes
        };
        let read = |errno| message::read(&done(errno), Some(1), &mut Vec::new());
        assert_eq!((read(0).is_done, read(0).refused), (true, Some(0)));
        assert_eq!(read(-libc::ENOMEM).refused, Some(libc::ENOMEM));
        // Any piece may report that the table has changed, including the last.
        let mut interrupted = done(0);
        interrupted[6] = 0x12;
        assert!(
            !read(0).is_interrupted && message::read(&interrupted, Some(1), &mut Vec::new()).is_interrupted
        );
    }

    /// Another process that may write to the netlink socket claims that the socket does not exist.
    #[test]
    fn nobody_else_answers_for_the_kernel() {
        if !stoop_testkit::is_root() {
            stoop_testkit::skip!("lacks root");
        }
        let (one, _other) = crate::Stream::pair().unwrap();
        let mut table = Table::open().unwrap();
        assert!(table.lookup(ino(&one), Show::ALL).unwrap().is_some());
        let address = SocketAddrNetlink::try_from(rustix::net::getsockname(&table).unwrap()).unwrap();
        let mut refusal = vec![36, 0, 0, 0, 2, 0, 0, 0];
        refusal.extend((table.sequence + 1).to_ne_bytes());
        refusal.extend([0; 4]);
        refusal.extend((-libc::ENOENT).to_ne_bytes());
        refusal.extend([0; 16]);
        let liar = Table::open().unwrap();
        rustix::net::sendto(&liar, &refusal, SendFlags::empty(), &address).unwrap();
        assert!(table.lookup(ino(&one), Show::ALL).unwrap().is_some());
    }

    #[test]
    fn a_listener_with_many_clients_is_found_without_their_names() {
        const CLIENTS: usize = 2000;
        let name = crate::Address::abstract_name(format!("stoop-diag-crowd-{}", std::process::id())).unwrap();
        let listener = Bind::new(&name).backlog(4096).listen().unwrap();
        for _ in 0..CLIENTS {
            crate::Stream::connect(&name).unwrap();
        }
        let found = Table::open().unwrap().lookup(ino(&listener), Show::ALL).unwrap().unwrap();
        assert_eq!((found.queue.unwrap().0, found.waiting.len()), (CLIENTS as u32, 0));
    }

    #[test]
    fn a_long_backlog_cuts_nothing_off() {
        const CLIENTS: usize = 1500;
        let name = crate::Address::abstract_name(format!("stoop-diag-long-{}", std::process::id())).unwrap();
        let listener = Bind::new(&name).backlog(4096).listen().unwrap();
        for _ in 0..CLIENTS {
            crate::Stream::connect(&name).unwrap();
        }
        let _waits = crate::Stream::connect(&name).unwrap();
        let ino = rustix::fs::fstat(&listener).unwrap().st_ino as u32;
        let mut sockets = Vec::new();
        let _ = Table::open().unwrap().dump(Show::ALL, &mut sockets).unwrap();
        let listed = sockets.iter().find(|socket| socket.ino == ino).unwrap();
        assert_eq!(listed.waiting.len(), CLIENTS + 1);
        assert!(listed.waiting[..CLIENTS].iter().all(|&ino| ino == 0), "they have left");
        assert!(listed.waiting[CLIENTS] != 0);
    }
}
