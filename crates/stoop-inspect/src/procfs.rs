//! Reads `/proc/PID` through a file descriptor of that directory, so that another process that
//! reuses the pid is never mistaken for it.

use std::cmp::Ordering;
use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, RawDir, fstat, openat, readlinkat_raw};
use rustix::io::Errno;

use crate::model::{Missing, NamespaceIno, Owner, Pid, SocketIno, What};

/// A handle to `/proc/PID`.
#[derive(Debug)]
pub(crate) struct ProcessDir {
    file: OwnedFd,
    pid: Pid,
}

/// What a file descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Referent {
    /// A socket, of any family.
    Socket(SocketIno),
    /// A network namespace.
    Network(NamespaceIno),
    /// Anything else.
    Other,
}

/// Processes that may not be read, and why the last of them may not.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    pids: Vec<Pid>,
    why: Option<io::Error>,
}

impl Hidden {
    pub(crate) fn add(&mut self, pid: Pid, why: io::Error) {
        self.pids.push(pid);
        self.why = Some(why);
    }

    pub(crate) fn extend(&mut self, other: Hidden) {
        self.pids.extend(other.pids);
        self.why = other.why.or(self.why.take());
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.pids.is_empty()
    }

    /// Converts this to an entry for [`Snapshot::missing`](crate::Snapshot::missing).
    pub(crate) fn missing(self, what: impl FnOnce(Vec<Pid>) -> What) -> Option<Missing> {
        self.why.map(|why| Missing::new(what(self.pids), &why))
    }
}

/// Returns whether an error from `/proc/PID` means that the process no longer exists.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::SRCH]
        .map(Errno::raw_os_error)
        .iter()
        .any(|gone| error.raw_os_error() == Some(*gone))
}

/// Returns whether this process is in the initial pid namespace, or `None` if that is unknown.
pub(crate) fn is_in_first_pid_namespace() -> Option<bool> {
    /// The inode of the initial pid namespace, the same on every machine ([K-BPF-6]).
    ///
    /// [K-BPF-6]: stoop::kernel_facts#K-BPF-6
    const FIRST: NamespaceIno = NamespaceIno(0xEFFF_FFFC);
    let mut buffer = [0; 64];
    let own = readlinkat_raw(CWD, c"/proc/self/ns/pid", &mut buffer).ok();
    own.and_then(|len| namespace_link(&buffer[..len])).map(|own| own == FIRST)
}

/// Returns why `/proc` may hide processes other than these, or `None` if it lists all.
pub(crate) fn why_not_all(pids: &[Pid]) -> Option<&'static str> {
    match is_in_first_pid_namespace() {
        // A kernel without pid namespaces has only the initial one.
        Some(false) => Some("this is not the initial pid namespace"),
        None if pids.is_empty() => Some("/proc is not mounted"),
        _ if !pids.contains(&Pid(1)) => Some("/proc shows each user only their own (hidepid)"),
        _ => None,
    }
}

/// Lists every visible process.
pub(crate) fn pids() -> io::Result<Vec<Pid>> {
    let proc = open_dir(CWD, c"/proc")?;
    let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
    let mut pids = Vec::new();
    let mut entries = RawDir::new(proc, &mut buffer);
    while let Some(entry) = entries.next() {
        pids.extend(number(entry?.file_name().to_bytes()).map(Pid));
    }
    Ok(pids)
}

/// Returns the network namespace of a process.
pub(crate) fn network_of(pid: Pid) -> io::Result<NamespaceIno> {
    let mut buffer = [0; 64];
    let len = readlinkat_raw(CWD, &*path(format_args!("/proc/{pid}/ns/net\0"))?, &mut buffer)?;
    namespace_link(&buffer[..len]).ok_or_else(|| io::Error::other("no namespace"))
}

impl ProcessDir {
    pub(crate) fn open(pid: Pid) -> io::Result<ProcessDir> {
        let path = path(format_args!("/proc/{pid}\0"))?;
        let file = openat(CWD, &*path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(ProcessDir { file, pid })
    }

    /// Returns the effective user id.
    pub(crate) fn uid(&self) -> io::Result<u32> {
        Ok(fstat(&self.file)?.st_uid)
    }

    /// Returns the namespace that a link in `ns` names.
    pub(crate) fn namespace(&self, link: &CStr) -> io::Result<NamespaceIno> {
        let mut buffer = [0; 64];
        let len = readlinkat_raw(&self.file, link, &mut buffer)?;
        namespace_link(&buffer[..len]).ok_or_else(|| io::Error::other("no namespace"))
    }

    /// Returns how many file descriptors are queued to be received at this socket (Linux 5.6;
    /// [K-PROC-4]).
    ///
    /// [K-PROC-4]: stoop::kernel_facts#K-PROC-4
    pub(crate) fn descriptors_in_flight(&self, owner: Owner, buffer: &mut Vec<u8>) -> Option<u32> {
        let info = match owner {
            Owner { fd, thread: None, .. } => path(format_args!("fdinfo/{fd}\0")),
            Owner { fd, thread: Some(thread), .. } => path(format_args!("task/{thread}/fdinfo/{fd}\0")),
        };
        self.read(&info.ok()?, buffer).ok()?;
        scm_fds(buffer)
    }

    /// Reads a whole file into `buffer`, which is cleared first.
    pub(crate) fn read(&self, name: &CStr, buffer: &mut Vec<u8>) -> io::Result<()> {
        let file = openat(&self.file, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        buffer.clear();
        loop {
            buffer.reserve(4096);
            match rustix::io::read(&file, rustix::buffer::spare_capacity(buffer)) {
                Ok(0) => return Ok(()),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Calls `each` for every open file descriptor with what it refers to. A descriptor that is
    /// closed meanwhile is left out.
    ///
    /// A thread that unshared its descriptor table has one of its own. If the thread group leader
    /// has exited, the other threads still have the table ([K-PROC-3]). Each table is read once,
    /// through the thread with the lowest id that uses it.
    ///
    /// [K-PROC-3]: stoop::kernel_facts#K-PROC-3
    pub(crate) fn descriptors(&self, mut each: impl FnMut(u32, Option<Pid>, Referent)) -> io::Result<()> {
        let count = self.descriptors_in(c"fd", |fd, referent| each(fd, None, referent))?;
        for thread in self.other_tables(count == 0)? {
            let directory = path(format_args!("task/{thread}/fd\0"))?;
            match self.descriptors_in(&directory, |fd, referent| each(fd, Some(thread), referent)) {
                Err(error) if !is_gone(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the number of descriptors seen.
    fn descriptors_in(&self, name: &CStr, mut each: impl FnMut(u32, Referent)) -> io::Result<usize> {
        let directory = open_dir(&self.file, name)?;
        let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
        let mut entries = RawDir::new(directory.as_fd(), &mut buffer);
        let mut link = [0; 64];
        let mut count = 0;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let Some(fd) = number(entry.file_name().to_bytes()) else { continue };
            count += 1;
            match readlinkat_raw(&directory, entry.file_name(), &mut link) {
                Ok(len) => each(fd, referent(&link[..len])),
                // A process that may list the directory may not always read its links (K-PROC-1).
                Err(error @ (Errno::ACCESS | Errno::PERM)) => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(count)
    }

    /// Returns a thread for each descriptor table other than the leader's. If the kernel cannot
    /// compare tables (`kcmp`), those of all threads are assumed to be the same, and read only if
    /// the leader has none (`none_yet`).
    fn other_tables(&self, none_yet: bool) -> io::Result<Vec<Pid>> {
        // The kernel defines a total order on descriptor tables. The distinct ones are kept sorted, so
        // each thread is compared with only a few of them.
        let (mut tables, mut found) = (vec![self.pid], Vec::new());
        for thread in self.other_threads()? {
            let mut failed = None;
            let compare = |table: &Pid| {
                let order = stoop::diag::compare_descriptor_tables(table.0, thread.0);
                order.map_err(|error| failed = Some(error)).unwrap_or(Ordering::Equal)
            };
            let place = tables.binary_search_by(compare);
            match (failed, place) {
                (None, Err(place)) => {
                    tables.insert(place, thread);
                    found.push(thread);
                }
                (Some(error), _) if !is_gone(&error) => {
                    return Ok(none_yet.then_some(thread).into_iter().collect());
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Returns the threads other than the leader, lowest first.
    fn other_threads(&self) -> io::Result<Vec<Pid>> {
        // `.`, `..` and the leader. (Not a constant: the field's type differs between
        // architectures.)
        if rustix::fs::statat(&self.file, c"task", rustix::fs::AtFlags::empty())?.st_nlink <= 3 {
            return Ok(Vec::new());
        }
        let mut buffer = [MaybeUninit::uninit(); 4 * 1024];
        let mut entries = RawDir::new(open_dir(&self.file, c"task")?, &mut buffer);
        let mut threads = Vec::new();
        while let Some(entry) = entries.next() {
            threads
                .extend(number(entry?.file_name().to_bytes()).map(Pid).filter(|thread| *thread != self.pid));
        }
        threads.sort_unstable();
        Ok(threads)
    }
}

/// Formats a path; the text ends with a NUL.
fn path(text: std::fmt::Arguments<'_>) -> io::Result<CString> {
    CString::from_vec_with_nul(text.to_string().into_bytes()).map_err(io::Error::other)
}

fn open_dir(at: impl AsFd, path: &CStr) -> io::Result<OwnedFd> {
    Ok(openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Parses the line `scm_fds: N` of `/proc/PID/fdinfo/FD`. Pure.
pub(crate) fn scm_fds(text: &[u8]) -> Option<u32> {
    let value = text.split(|&byte| byte == b'\n').find_map(|line| line.strip_prefix(b"scm_fds:"))?;
    number(value.trim_ascii())
}

/// Parses the text of a link in `/proc/PID/fd`. Pure.
pub(crate) fn referent(link: &[u8]) -> Referent {
    if let Some(ino) = bracketed(link, b"socket:[").and_then(number) {
        return Referent::Socket(SocketIno(ino));
    }
    let network = Some(link).filter(|link| link.starts_with(b"net:")).and_then(namespace_link);
    network.map_or(Referent::Other, Referent::Network)
}

/// Parses the text of a namespace link: `net:[4026531840]`. Pure.
pub(crate) fn namespace_link(link: &[u8]) -> Option<NamespaceIno> {
    let kind = link.iter().position(|&byte| byte == b':').filter(|&len| len > 0)?;
    let digits = std::str::from_utf8(bracketed(&link[kind..], b":[")?).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(NamespaceIno))?
}

fn bracketed<'t>(text: &'t [u8], before: &[u8]) -> Option<&'t [u8]> {
    text.strip_prefix(before)?.strip_suffix(b"]")
}

/// Parses a decimal number and nothing else.
pub(crate) fn number(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u32, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn links_are_read() {
        assert_eq!(referent(b"socket:[17]"), Referent::Socket(SocketIno(17)));
        assert_eq!(referent(b"net:[4026531840]"), Referent::Network(NamespaceIno(4_026_531_840)));
        for other in
            ["socket:[]", "socket:[x]", "socket:[4294967296]", "/tmp/socket:[1]", "pipe:[1]", "", "net:[+1]"]
        {
            assert_eq!(referent(other.as_bytes()), Referent::Other, "{other}");
        }
    }

    #[test]
    fn own_descriptors_are_found() {
        let (one, _other) = stoop::Stream::pair().unwrap();
        let ino = SocketIno(fstat(&one).unwrap().st_ino as u32);
        let mut found = Vec::new();
        let me = ProcessDir::open(Pid(std::process::id())).unwrap();
        me.descriptors(|fd, _, referent| found.push((fd, referent))).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&one.as_fd()) as u32;
        assert!(found.contains(&(fd, Referent::Socket(ino))));
        assert!(pids().unwrap().contains(&Pid(std::process::id())));
        assert_eq!(me.uid().unwrap(), rustix::process::geteuid().as_raw());
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = referent(&text);
            let _ = scm_fds(&text);
        }

        #[test]
        fn numbers_come_back(n: u32) {
            prop_assert_eq!(number(n.to_string().as_bytes()), Some(n));
            prop_assert_eq!(scm_fds(format!("pos:\t0\nino:\t9\nscm_fds: {n}\n").as_bytes()), Some(n));
        }
    }
}
