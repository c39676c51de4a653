//! Reads `/proc/PID` through a descriptor of that directory: a successor with the same number is never taken for the process.

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, RawDir, fstat, openat, readlinkat_raw};
use rustix::io::Errno;

use crate::model::{Missing, NamespaceIno, Pid, SocketIno, What};

/// `/proc/PID`.
#[derive(Debug)]
pub(crate) struct ProcessDir(OwnedFd);

/// What a descriptor refers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Referent {
    /// A socket, of any family.
    Socket(SocketIno),
    /// A network namespace.
    Network(NamespaceIno),
    /// Anything else.
    Other,
}

/// Processes that may not be looked at, and why the last of them.
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

    /// The same as something missing from a snapshot.
    pub(crate) fn missing(self, what: impl FnOnce(Vec<Pid>) -> What) -> Option<Missing> {
        self.why.map(|why| Missing::new(what(self.pids), &why))
    }
}

/// Whether an error of `/proc/PID` means that there is no such process any more.
pub(crate) fn is_gone(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::SRCH]
        .map(Errno::raw_os_error)
        .iter()
        .any(|gone| error.raw_os_error() == Some(*gone))
}

/// Every process that can be seen.
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

impl ProcessDir {
    pub(crate) fn open(pid: Pid) -> io::Result<ProcessDir> {
        let path = path(format_args!("/proc/{pid}\0"))?;
        Ok(ProcessDir(openat(
            CWD,
            &*path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?))
    }

    /// The effective user.
    pub(crate) fn uid(&self) -> io::Result<u32> {
        Ok(fstat(&self.0)?.st_uid)
    }

    /// The namespace that a link of `ns` names.
    pub(crate) fn namespace(&self, link: &CStr) -> io::Result<NamespaceIno> {
        let mut buffer = [0; 64];
        let len = readlinkat_raw(&self.0, link, &mut buffer)?;
        namespace_link(&buffer[..len]).ok_or_else(|| io::Error::other("no namespace"))
    }

    /// A whole file, into `buffer`, which is emptied first.
    pub(crate) fn read(&self, name: &CStr, buffer: &mut Vec<u8>) -> io::Result<()> {
        let file = openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
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

    /// Every open descriptor with what it refers to. One that is closed meanwhile is left out.
    ///
    /// A process whose first thread has ended shows none; its other threads do (K-PROC-3), and then they are asked.
    pub(crate) fn descriptors(&self, mut each: impl FnMut(u32, Option<Pid>, Referent)) -> io::Result<()> {
        if self.descriptors_in(c"fd", |fd, referent| each(fd, None, referent))? == 0
            && let Some(thread) = self.other_thread()?
        {
            let directory = path(format_args!("task/{thread}/fd\0"))?;
            self.descriptors_in(&directory, |fd, referent| each(fd, Some(thread), referent))?;
        }
        Ok(())
    }

    /// The number of descriptors seen.
    fn descriptors_in(&self, name: &CStr, mut each: impl FnMut(u32, Referent)) -> io::Result<usize> {
        let directory = open_dir(&self.0, name)?;
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
                // Who may list the directory may not always read its links (K-PROC-1).
                Err(error @ (Errno::ACCESS | Errno::PERM)) => return Err(error.into()),
                Err(_) => {}
            }
        }
        Ok(count)
    }

    /// One thread besides the first, if there is any: they share their descriptors.
    fn other_thread(&self) -> io::Result<Option<Pid>> {
        /// `.`, `..` and the first thread.
        const ALONE: u64 = 3;
        if rustix::fs::statat(&self.0, c"task", rustix::fs::AtFlags::empty())?.st_nlink <= ALONE {
            return Ok(None);
        }
        let mut buffer = [MaybeUninit::uninit(); 4 * 1024];
        let mut entries = RawDir::new(open_dir(&self.0, c"task")?, &mut buffer);
        let mut last = None;
        while let Some(entry) = entries.next() {
            last = number(entry?.file_name().to_bytes()).map(Pid).or(last);
        }
        Ok(last)
    }
}

/// A path from text that ends with a NUL.
fn path(text: std::fmt::Arguments<'_>) -> io::Result<CString> {
    CString::from_vec_with_nul(text.to_string().into_bytes()).map_err(io::Error::other)
}

fn open_dir(at: impl AsFd, path: &CStr) -> io::Result<OwnedFd> {
    Ok(openat(at, path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Reads the text of a link in `/proc/PID/fd`. Pure.
pub(crate) fn referent(link: &[u8]) -> Referent {
    if let Some(ino) = bracketed(link, b"socket:[").and_then(number) {
        return Referent::Socket(SocketIno(ino));
    }
    let network = Some(link).filter(|link| link.starts_with(b"net:")).and_then(namespace_link);
    network.map_or(Referent::Other, Referent::Network)
}

/// Reads the text of a link to a namespace: `net:[4026531840]`. Pure.
pub(crate) fn namespace_link(link: &[u8]) -> Option<NamespaceIno> {
    let kind = link.iter().position(|&byte| byte == b':').filter(|&len| len > 0)?;
    let digits = std::str::from_utf8(bracketed(&link[kind..], b":[")?).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok().map(NamespaceIno))?
}

fn bracketed<'t>(text: &'t [u8], before: &[u8]) -> Option<&'t [u8]> {
    text.strip_prefix(before)?.strip_suffix(b"]")
}

/// A decimal number and nothing else.
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
        fn any_link_is_read_without_panic(link in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = referent(&link);
        }

        #[test]
        fn numbers_come_back(n: u32) {
            prop_assert_eq!(number(n.to_string().as_bytes()), Some(n));
        }
    }
}
