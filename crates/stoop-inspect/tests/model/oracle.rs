//! The oracle: the expected error of a case, and the component that causes it. Predictions are
//! compared with it.
//!
//! For a path, the oracle queries the kernel one component at a time, as the caller. For sockets,
//! it uses what the case knows about those it created. It uses nothing of the crate under test
//! except the names of causes.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::OnceLock;

use rustix::fs::{
    Access, AtFlags, CWD, FileType, Mode, OFlags, StatVfsMountFlags, accessat, fstat, fstatvfs, openat,
    readlinkat,
};
use rustix::io::Errno;
use stoop::Kind;
use stoop_inspect::internal::Cause;
use stoop_inspect::why::Operation;

/// The expected result: the first error that the kernel detects.
#[derive(Debug)]
pub struct Expected {
    /// `None` if the call succeeds.
    pub errno: Option<Errno>,
    /// The correct causes: several if the kernel does not distinguish them.
    pub causes: Vec<Cause>,
    /// The component that decides.
    pub entry: Option<Entry>,
    /// The kind of the socket that was reached.
    pub kind_there: Option<Kind>,
}

/// An entry of the file system: a name in a directory, or the directory itself.
#[derive(Debug)]
pub struct Entry {
    pub directory: OwnedFd,
    pub name: Vec<u8>,
    /// Whether it must be a directory.
    pub wants_directory: bool,
    /// Whether it is the root, which has no name.
    pub is_root: bool,
    /// The file that has the name, without following links. `None` if the name is free, or if the
    /// caller may not search the directory.
    pub file: Option<File>,
}

/// The relevant attributes of a file.
#[derive(Clone, Copy, Debug)]
pub struct File {
    pub dev: u64,
    pub ino: u64,
    pub kind: FileType,
    pub mode: u32,
    pub uid: u32,
}

impl File {
    fn of(opened: &OwnedFd) -> File {
        let stat = fstat(opened).expect("stat an open file");
        let (dev, ino, uid) = (stat.st_dev, stat.st_ino, stat.st_uid);
        File { dev, ino, kind: FileType::from_raw_mode(stat.st_mode), mode: stat.st_mode & 0o7777, uid }
    }
}

impl Entry {
    /// Returns whether it is this name in that directory.
    pub fn is(&self, directory: (u64, u64), name: &[u8]) -> bool {
        let here = File::of(&self.directory);
        (here.dev, here.ino) == directory && self.name == name
    }
}

impl Expected {
    pub fn fails(errno: Errno, causes: &[Cause], entry: Entry) -> Expected {
        Expected { errno: Some(errno), causes: causes.to_vec(), entry: Some(entry), kind_there: None }
    }

    pub fn nowhere(errno: Option<Errno>, causes: &[Cause]) -> Expected {
        Expected { errno, causes: causes.to_vec(), entry: None, kind_there: None }
    }
}

/// A component that has not been looked up yet.
struct Part {
    name: Vec<u8>,
    /// Whether it is the last component of the path, or of a link that is the last component.
    last: bool,
    wants_directory: bool,
    from_link: bool,
}

/// The result of a lookup.
pub enum Resolved {
    /// The lookup ends at this entry.
    At(Entry),
    Stopped(Expected),
}

const MOST_LINKS: usize = 40;
const NOSYMFOLLOW: u64 = 0x2000;

/// Looks up a path as the calling thread. With `follow` the lookup is that of connect, otherwise
/// that of bind, which ends at the last name.
pub fn resolve(path: &[u8], follow: bool, cwd: Option<&OwnedFd>) -> Resolved {
    let at = match cwd.filter(|_| !path.starts_with(b"/")) {
        Some(cwd) => cwd.try_clone().expect("copy a descriptor"),
        None => open(CWD, b"/").expect("the root is there"),
    };
    let mut walk = Walk { parts: VecDeque::new(), at, links: 0, follow };
    walk.prepend(path, true, false, false);
    walk.run()
}

struct Walk {
    parts: VecDeque<Part>,
    at: OwnedFd,
    links: usize,
    follow: bool,
}

impl Walk {
    fn prepend(&mut self, text: &[u8], last: bool, wants_directory: bool, from_link: bool) {
        let slash = text.ends_with(b"/");
        let names: Vec<&[u8]> = text.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
        let count = names.len();
        for (index, name) in names.into_iter().enumerate().rev() {
            let ends = index + 1 == count;
            self.parts.push_front(Part {
                name: name.to_vec(),
                last: last && ends,
                wants_directory: !ends || slash || wants_directory,
                from_link,
            });
        }
    }

    fn run(mut self) -> Resolved {
        while let Some(part) = self.parts.pop_front() {
            let done = part.last;
            let stays = done && !self.follow;
            let next = match open(&self.at, &part.name) {
                Ok(next) => next,
                Err(Errno::NOENT) if stays && !self.is_gone() => return Resolved::At(self.entry(part, None)),
                Err(errno) => return Resolved::Stopped(self.refused(errno, part)),
            };
            let file = File::of(&next);
            if stays {
                return Resolved::At(self.entry(part, Some(file)));
            }
            if file.kind == FileType::Symlink {
                if let Err(expected) = self.follow_link(part, &next, file) {
                    return Resolved::Stopped(expected);
                }
                continue;
            }
            if part.wants_directory && file.kind != FileType::Directory {
                let entry = self.entry(part, Some(file));
                return Resolved::Stopped(Expected::fails(Errno::NOTDIR, &[Cause::NotADirectory], entry));
            }
            if done {
                return Resolved::At(self.entry(part, Some(file)));
            }
            self.at = next;
        }
        // Only slashes, or a link to them.
        let file = File::of(&self.at);
        let root = Part { name: b".".to_vec(), last: true, wants_directory: true, from_link: false };
        Resolved::At(Entry { is_root: true, ..self.entry(root, Some(file)) })
    }

    fn follow_link(&mut self, part: Part, link: &OwnedFd, file: File) -> Result<(), Expected> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Expected::fails(Errno::LOOP, &[Cause::LinkLoop], self.take_entry(part, Some(file))));
        }
        if part.last && self.is_protected(file) {
            let entry = self.take_entry(part, Some(file));
            return Err(Expected::fails(Errno::ACCESS, &[Cause::ProtectedLink], entry));
        }
        let flags = fstatvfs(link).expect("statvfs an open file").f_flag;
        if flags.bits() & NOSYMFOLLOW != 0 {
            let entry = self.take_entry(part, Some(file));
            return Err(Expected::fails(Errno::LOOP, &[Cause::LinksNotFollowed], entry));
        }
        let target = readlinkat(link, "", Vec::new()).expect("a link can be read").into_bytes();
        if target.starts_with(b"/") {
            self.at = open(CWD, b"/").expect("the root is there");
        }
        self.prepend(&target, part.last, part.wants_directory, true);
        Ok(())
    }

    /// Returns whether `fs.protected_symlinks` forbids following the link (`proc_sys_fs(5)`).
    fn is_protected(&self, link: File) -> bool {
        let directory = File::of(&self.at);
        let shared = directory.mode & 0o1002 == 0o1002;
        let caller = rustix::process::geteuid().as_raw();
        protects_links() && shared && link.uid != caller && link.uid != directory.uid
    }

    /// Returns whether the directory has been removed.
    fn is_gone(&self) -> bool {
        fstat(&self.at).expect("stat a directory").st_nlink == 0
    }

    fn refused(self, errno: Errno, part: Part) -> Expected {
        let causes: &[Cause] = match errno {
            Errno::NOENT if self.is_gone() => &[Cause::DirectoryDeleted],
            Errno::NOENT if part.from_link => &[Cause::Dangling],
            // Of a server that was bound to the path, more is known than that there is nothing.
            Errno::NOENT if part.last => &[Cause::Missing, Cause::Unlinked, Cause::Moved, Cause::OtherView],
            Errno::NOENT => &[Cause::ParentMissing, Cause::Unlinked, Cause::Moved, Cause::OtherView],
            Errno::ACCESS => &[Cause::NoSearch, Cause::NoSearchAcl],
            Errno::NOTDIR => &[Cause::NotADirectory],
            Errno::NAMETOOLONG => &[Cause::NameTooLong],
            other => panic!("unexpected error of a lookup: {other:?}"),
        };
        Expected::fails(errno, causes, self.entry(part, None))
    }

    fn entry(self, part: Part, file: Option<File>) -> Entry {
        Entry {
            directory: self.at,
            name: part.name,
            wants_directory: part.wants_directory,
            is_root: false,
            file,
        }
    }

    fn take_entry(&self, part: Part, file: Option<File>) -> Entry {
        let directory = self.at.try_clone().expect("copy a descriptor");
        Entry { directory, name: part.name, wants_directory: part.wants_directory, is_root: false, file }
    }
}

/// Returns `fs.protected_symlinks`. Cached: the first call must be made by a thread that sees
/// `/proc`.
pub fn protects_links() -> bool {
    static ON: OnceLock<bool> = OnceLock::new();
    let file = "/proc/sys/fs/protected_symlinks";
    *ON.get_or_init(|| std::fs::read_to_string(file).expect("read a limit").trim() == "1")
}

fn open(at: impl std::os::fd::AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    openat(at, OsStr::from_bytes(name), OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

fn is_dots(name: &[u8]) -> bool {
    name == b"." || name == b".."
}

/// Checks the file that the path led to, except for its socket.
///
/// # Errors
/// Returns an error if the file decides the result already.
pub fn judge_file(entry: Entry, is_read_only: impl FnOnce(u64) -> bool) -> Result<Entry, Expected> {
    let file = entry.file.expect("the lookup has arrived");
    let name = OsStr::from_bytes(&entry.name);
    let flags = AtFlags::EACCESS | AtFlags::SYMLINK_NOFOLLOW;
    match accessat(&entry.directory, name, Access::WRITE_OK, flags) {
        Err(Errno::ACCESS) => {
            Err(Expected::fails(Errno::ACCESS, &[Cause::NoWrite, Cause::NoWriteAcl], entry))
        }
        Err(Errno::PERM) => Err(Expected::fails(Errno::PERM, &[Cause::Immutable], entry)),
        // access also checks the mount, connect only the file system.
        Err(Errno::ROFS) if is_read_only(file.dev) && file.kind != FileType::Socket => {
            Err(Expected::fails(Errno::ROFS, &[Cause::NotASocketReadOnly], entry))
        }
        Err(errno) if errno != Errno::ROFS => panic!("unexpected error of access: {errno:?}"),
        _ if file.kind != FileType::Socket => {
            Err(Expected::fails(Errno::CONNREFUSED, &[Cause::NotASocket], entry))
        }
        _ => Ok(entry),
    }
}

/// Returns the result of a bind that would create this name. `is_live` returns whether a socket is
/// bound to the file.
pub fn judge_name(entry: Entry, path: &[u8], is_live: impl FnOnce(File) -> bool) -> Expected {
    if is_dots(&entry.name) || path.iter().all(|&byte| byte == b'/') {
        return Expected::fails(Errno::ADDRINUSE, &[Cause::NoLastName], entry);
    }
    if let Some(file) = entry.file {
        let cause = match file.kind {
            FileType::Socket if is_live(file) => Cause::TakenLive,
            FileType::Socket => Cause::TakenStale,
            _ => Cause::TakenByFile,
        };
        return Expected::fails(Errno::ADDRINUSE, &[cause], entry);
    }
    if path.ends_with(b"/") {
        return Expected::fails(Errno::NOENT, &[Cause::TrailingSlash], entry);
    }
    let mount = fstatvfs(&entry.directory).expect("statvfs an open file").f_flag;
    if mount.contains(StatVfsMountFlags::RDONLY) {
        return Expected::fails(Errno::ROFS, &[Cause::ReadOnly], entry);
    }
    match accessat(&entry.directory, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS) {
        Ok(()) => Expected::nowhere(None, &[Cause::Nothing]),
        Err(Errno::ACCESS) => {
            Expected::fails(Errno::ACCESS, &[Cause::ParentNotWritable, Cause::ParentNotWritableAcl], entry)
        }
        Err(Errno::PERM) => Expected::fails(Errno::PERM, &[Cause::ParentImmutable], entry),
        Err(errno) => panic!("unexpected error of access: {errno:?}"),
    }
}

/// Returns the kind of socket that the question is about, if it names none.
pub fn kind_asked(operation: Operation, kind: Option<Kind>, there: Option<Kind>) -> Kind {
    kind.unwrap_or(match operation {
        Operation::Connect => there.unwrap_or(Kind::Stream),
        Operation::Bind => Kind::Stream,
        Operation::Send { .. } => Kind::Datagram,
    })
}
