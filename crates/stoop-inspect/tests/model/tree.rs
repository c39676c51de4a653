//! The random file tree of a case, and the address that leads into it: directories, links, mounts,
//! and the file at the end.
//!
//! Root builds everything, without permission checks. Whether the caller passes is the kernel's
//! decision.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, IFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, mount_remount, unmount};
use rustix::net::SocketAddrUnix;
use stoop::Kind;

use super::acl;
use super::caller::{GROUPS, USERS, in_network};
use super::rng::Rng;
use super::server::{self, Server};

/// A path under construction.
pub struct Tree<'d> {
    pub rng: &'d mut Rng,
    /// The directory of the case.
    pub top: PathBuf,
    /// The caller's root directory.
    pub root: PathBuf,
    /// The directory that the path has reached, or `None` after a component that cannot be passed.
    pub at: Option<PathBuf>,
    /// The path as the caller writes it.
    pub text: Vec<u8>,
    pub servers: Vec<Server>,
    pub mounts: Vec<Mount>,
    /// Another network namespace, for some of the servers.
    pub other_network: &'d OwnedFd,
    /// Directories, and the flags that they get after everything is built.
    pub frozen: Vec<(PathBuf, IFlags)>,
    names: usize,
}

/// A mount that the path goes through.
#[derive(Clone, Debug)]
pub struct Mount {
    /// The directory that it shows, or `None` if it is a new file system.
    pub source: Option<PathBuf>,
    pub here: PathBuf,
    pub flags: MountFlags,
}

/// One step of a path.
#[derive(Clone, Copy)]
enum Step {
    Directory,
    Link,
    Mount,
    Up,
    Dot,
    Slash,
    Missing,
    File,
    Dangling,
    Loop,
    LongName,
}

/// The file at the end of a path.
#[derive(Clone, Copy)]
enum Leaf {
    Socket,
    LinkToSocket,
    MountedSocket,
    Unlinked,
    Replaced,
    Missing,
    File,
    Directory,
    Fifo,
    Device,
    Dangling,
    Loop,
}

impl<'d> Tree<'d> {
    pub fn new(rng: &'d mut Rng, other_network: &'d OwnedFd, top: PathBuf) -> Tree<'d> {
        let text = top.clone().into_os_string().into_vec();
        Tree {
            rng,
            at: Some(top.clone()),
            text,
            top,
            root: "/".into(),
            servers: Vec::new(),
            mounts: Vec::new(),
            other_network,
            frozen: Vec::new(),
            names: 0,
        }
    }

    /// Sets the caller's root. The path starts there, and everything created from now on is inside.
    pub fn set_root(&mut self, root: PathBuf) {
        self.text = b"/".to_vec();
        self.at = Some(root.clone());
        self.top = root.clone();
        self.root = root;
    }

    /// Starts the path in a working directory. If that will be removed, nothing is created in it.
    pub fn start_at(&mut self, cwd: PathBuf, gone: bool) {
        self.text.clear();
        self.at = Some(cwd).filter(|_| !gone);
    }

    /// Creates a directory that is a mount point, possibly with flags.
    pub fn mount_root(&mut self) -> PathBuf {
        let name = self.name();
        self.mount(self.top.join(name))
    }

    /// Adds a few steps.
    pub fn walk(&mut self) {
        for _ in 0..self.rng.weighted(&[(2, 0), (5, 1), (5, 2), (4, 3), (2, 4)]) {
            let step = self.rng.weighted(&[
                (60, Step::Directory),
                (12, Step::Link),
                (6, Step::Mount),
                (5, Step::Up),
                (3, Step::Dot),
                (2, Step::Slash),
                (2, Step::Missing),
                (3, Step::File),
                (2, Step::Dangling),
                (2, Step::Loop),
                (1, Step::LongName),
            ]);
            self.step(step);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Dot => self.spell(b"."),
            Step::Slash => self.text.push(b'/'),
            _ => {
                let name = self.name();
                self.spell(name.as_bytes());
                let Some(at) = self.at.take() else { return };
                let here = at.join(&name);
                self.at = self.make_step(step, &at, here);
            }
        }
    }

    fn make_step(&mut self, step: Step, at: &Path, here: PathBuf) -> Option<PathBuf> {
        match step {
            Step::Directory => Some(self.directory(here)),
            Step::Link => {
                let target = self.aside();
                self.link(&here, &target);
                Some(target)
            }
            Step::Mount => Some(self.mount(here)),
            Step::Up => {
                self.directory(here);
                self.spell(b"..");
                Some(at.to_owned())
            }
            Step::Dot | Step::Slash => Some(at.to_owned()),
            Step::Missing => None,
            Step::File => self.any_file(&here),
            Step::Dangling => self.dangling(&here),
            Step::Loop => self.loops(&here),
            Step::LongName => {
                self.owned_link(OsStr::new(&"n".repeat(256)), &here);
                None
            }
        }
    }

    /// Ends the path at a file, or at a name that a bind may create.
    pub fn finish(&mut self, kind: Kind, to_bind: bool) {
        let something = if to_bind { 25 } else { 100 };
        let leaf = self.rng.weighted(&[
            (something * 6 / 10, Leaf::Socket),
            (something / 10, Leaf::LinkToSocket),
            (something / 25, Leaf::MountedSocket),
            (something / 25, Leaf::Unlinked),
            (something / 25, Leaf::Replaced),
            (if to_bind { 60 } else { 5 }, Leaf::Missing),
            (4, Leaf::File),
            (3, Leaf::Directory),
            (2, Leaf::Fifo),
            (2, Leaf::Device),
            (3, Leaf::Dangling),
            (2, Leaf::Loop),
        ]);
        let name = self.name();
        self.spell(name.as_bytes());
        if let Some(at) = self.at.take() {
            self.make_leaf(leaf, kind, &at, at.join(name));
        }
        let end: &[u8] = self.rng.weighted(&[(91, &b""[..]), (4, b"/"), (1, b"//"), (2, b"/."), (2, b"/..")]);
        self.text.extend_from_slice(end);
    }

    fn make_leaf(&mut self, leaf: Leaf, kind: Kind, at: &Path, here: PathBuf) {
        match leaf {
            Leaf::Socket => self.socket(kind, at, here),
            Leaf::LinkToSocket => {
                let elsewhere = self.aside();
                let target = elsewhere.join(self.name());
                self.socket(kind, &elsewhere, target.clone());
                self.link(&here, &target);
            }
            Leaf::MountedSocket => {
                let source = self.aside().join(self.name());
                let parent = source.parent().expect("a file has a parent").to_owned();
                self.socket(kind, &parent, source.clone());
                fs::write(&here, "").expect("make a file");
                mount_bind(&source, &here).expect("mount a socket");
                let flags = self.rng.one(&[MountFlags::empty(), MountFlags::RDONLY]);
                self.mounts.push(Mount { source: Some(source), here, flags });
            }
            Leaf::Unlinked => {
                self.socket(kind, at, here.clone());
                fs::remove_file(here).expect("remove a socket");
            }
            Leaf::Replaced => {
                self.socket(kind, at, here.clone());
                fs::remove_file(&here).expect("remove a socket");
                self.socket(kind, at, here);
            }
            Leaf::Missing => {}
            Leaf::File => drop(self.file(&here, FileType::RegularFile)),
            Leaf::Directory => drop(self.directory(here)),
            Leaf::Fifo => drop(self.file(&here, FileType::Fifo)),
            Leaf::Device => drop(self.file(&here, FileType::CharacterDevice)),
            Leaf::Dangling => drop(self.dangling(&here)),
            Leaf::Loop => drop(self.loops(&here)),
        }
    }

    fn socket(&mut self, kind: Kind, at: &Path, here: PathBuf) {
        let kind = if self.rng.chance(85) {
            kind
        } else {
            self.rng.one(&[Kind::Stream, Kind::Datagram, Kind::SeqPacket])
        };
        // The name in the kernel's table may differ from the file's present name.
        let born = if self.rng.chance(10) { at.join(self.name()) } else { here.clone() };
        let address = SocketAddrUnix::new(&born).expect("cases have short paths");
        let is_elsewhere = self.rng.chance(15);
        let other_network = self.other_network;
        let mut make = || server::random(self.rng, kind, &address, || server::file_at(&born));
        let server = if is_elsewhere { in_network(other_network, make) } else { make() };
        match self.rng.chance(50) {
            _ if born == here => {}
            true => fs::rename(&born, &here).expect("rename a socket"),
            false => fs::hard_link(&born, &here).expect("give a socket another name"),
        }
        self.servers.push(server);
        let modes =
            [(40, 0o777), (8, 0o755), (8, 0o660), (6, 0o700), (6, 0o666), (4, 0o000), (4, 0o222), (4, 0o070)];
        self.decorate(&here, &modes);
    }

    /// Creates a directory outside of the path, for links and mounts.
    pub fn aside(&mut self) -> PathBuf {
        let name = self.name();
        let place = self.directory(self.top.join(name));
        if self.rng.chance(60) {
            return place;
        }
        let inner = place.join(self.name());
        self.directory(inner)
    }

    fn directory(&mut self, path: PathBuf) -> PathBuf {
        fs::create_dir(&path).expect("make a directory");
        let modes = [
            (60, 0o755),
            (10, 0o777),
            (8, 0o711),
            (6, 0o750),
            (6, 0o700),
            (6, 0o1777),
            (3, 0o770),
            (3, 0o000),
            (2, 0o701),
        ];
        self.decorate(&path, &modes);
        if self.rng.chance(3) {
            let flag = self.rng.one(&[IFlags::IMMUTABLE, IFlags::APPEND]);
            self.frozen.push((path.clone(), flag));
        }
        path
    }

    /// Sets the flags that would have prevented building.
    pub fn freeze(&mut self) {
        self.frozen.iter().for_each(|(path, flag)| set_flag(path, *flag));
        self.mounts.iter_mut().for_each(Mount::set);
    }

    fn any_file(&mut self, here: &Path) -> Option<PathBuf> {
        let kind = self.rng.one(&[FileType::RegularFile, FileType::Fifo, FileType::Socket]);
        self.file(here, kind)
    }

    fn file(&mut self, here: &Path, kind: FileType) -> Option<PathBuf> {
        // Device 1:3 is `/dev/null`.
        let device = if kind == FileType::CharacterDevice { rustix::fs::makedev(1, 3) } else { 0 };
        rustix::fs::mknodat(CWD, here, kind, Mode::from_raw_mode(0o777), device).expect("make a file");
        self.decorate(here, &[(50, 0o777), (20, 0o644), (20, 0o600), (10, 0o000)]);
        None
    }

    fn dangling(&mut self, here: &Path) -> Option<PathBuf> {
        let nowhere = self.aside().join(self.name());
        self.link(here, &nowhere);
        None
    }

    fn loops(&mut self, here: &Path) -> Option<PathBuf> {
        let other = self.aside().join(self.name());
        self.link_once(&other, here);
        self.link(here, &other);
        None
    }

    /// Creates a chain of symbolic links from `here` to `target`: usually one link, rarely more
    /// than the kernel follows.
    fn link(&mut self, here: &Path, target: &Path) {
        let hops = self.rng.weighted(&[(80, 0), (10, 1), (6, 2), (1, 38), (1, 39), (1, 40), (1, 41)]);
        let mut target = target.to_owned();
        if hops > 0 {
            let place = self.aside();
            for _ in 0..hops {
                let hop = place.join(self.name());
                self.link_once(&hop, &target);
                target = hop;
            }
        }
        self.link_once(here, &target);
    }

    fn link_once(&mut self, here: &Path, target: &Path) {
        let target = self.target(here, target);
        self.owned_link(target.as_os_str(), here);
    }

    fn owned_link(&mut self, target: &OsStr, here: &Path) {
        symlink(target, here).expect("make a symbolic link");
        lchown(here, Some(self.rng.one(&USERS)), None).expect("give a link away");
    }

    /// Returns a target for a link at `from` that leads to `to`.
    fn target(&mut self, from: &Path, to: &Path) -> PathBuf {
        if to.starts_with(&self.root) && self.rng.chance(50) {
            return self.seen_from_root(to);
        }
        let from = from.parent().expect("a link is in a directory");
        let common = from.components().zip(to.components()).take_while(|(one, other)| one == other).count();
        let up = from.components().count() - common;
        let up = std::iter::repeat_n(OsStr::new(".."), up);
        up.chain(to.components().skip(common).map(|part| part.as_os_str())).collect()
    }

    fn mount(&mut self, here: PathBuf) -> PathBuf {
        let own = self.rng.chance(30);
        let source = if own { None } else { Some(self.aside()) };
        fs::create_dir(&here).expect("make a mount point");
        match &source {
            Some(source) => mount_bind(source, &here).expect("mount a directory"),
            None => {
                mount("stoop", &here, "tmpfs", MountFlags::empty(), c"mode=755")
                    .expect("mount a file system");
            }
        }
        let flags = self.rng.weighted(&[
            (30, MountFlags::empty()),
            (40, MountFlags::RDONLY),
            (30, MountFlags::from_bits_retain(NOSYMFOLLOW)),
        ]);
        self.mounts.push(Mount { source, here: here.clone(), flags });
        here
    }

    /// Lengthens the path to around the maximum length of an address.
    pub fn lengthen(&mut self) {
        let end = self.text.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
        let to = self.rng.one(&[107, 108, 109, 126, 127, 200]);
        while self.text.len() + 2 <= to {
            self.text.splice(end..end, *b"./");
        }
        if end > 0 && self.text.len() < to {
            self.text.insert(end, b'/');
        }
    }

    /// Sets a random owner and mode, and possibly an access control list.
    fn decorate(&mut self, path: &Path, modes: &[(usize, u32)]) {
        let owner = if self.rng.chance(60) { 0 } else { self.rng.one(&USERS) };
        let group = if self.rng.chance(50) { 0 } else { self.rng.one(&GROUPS) };
        lchown(path, Some(owner), Some(group)).expect("give a file away");
        let mode = if self.rng.chance(8) { self.rng.below(0o1000) as u32 } else { self.rng.weighted(modes) };
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set a mode");
        if self.rng.chance(12) {
            acl::set_random(path, self.rng, &USERS, &GROUPS);
        }
    }

    /// Returns a new name. A few contain bytes that must be escaped when printed.
    fn name(&mut self) -> OsString {
        self.names += 1;
        let mut name = format!("{}", self.names).into_bytes();
        if self.rng.chance(3) {
            name.extend(self.rng.one(&[&b"\n"[..], b"\x1b[31m", b"\xff", b" ", b"@", b"%41", b"'"]));
        }
        OsString::from_vec(name)
    }

    fn spell(&mut self, name: &[u8]) {
        if !self.text.is_empty() && !self.text.ends_with(b"/") {
            self.text.push(b'/');
        }
        self.text.extend_from_slice(name);
    }

    fn seen_from_root(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path.strip_prefix(&self.root).expect("cases are inside of the root"))
    }
}

impl Mount {
    /// Applies the flags: to a bind mount alone, otherwise to the file system.
    pub fn set(&mut self) {
        let scope = if self.source.is_some() { MountFlags::BIND } else { MountFlags::empty() };
        match mount_remount(&self.here, self.flags | scope, "") {
            // A file system with a file that is open and unlinked cannot be made read-only.
            Err(Errno::BUSY) => self.flags = MountFlags::empty(),
            done => done.expect("remount"),
        }
    }
}

const NOSYMFOLLOW: u32 = 256;

pub fn clear_mount(mount: &Mount) {
    unmount(&mount.here, UnmountFlags::DETACH).expect("unmount");
}

/// Removes the mounts and files of a case.
pub fn clear(top: &Path, mounts: &[Mount], frozen: &[(PathBuf, IFlags)]) {
    for mount in mounts {
        Mount { flags: MountFlags::empty(), ..mount.clone() }.set();
    }
    for (path, _) in frozen {
        set_flag(path, IFlags::empty());
    }
    mounts.iter().rev().for_each(clear_mount);
    match fs::remove_dir_all(top) {
        // A directory that only existed in the lower layer is hidden by now.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        done => done.expect("remove a case"),
    }
}

/// Sets a flag as `chattr` does, if the file system supports it.
pub fn set_flag(path: &Path, flag: IFlags) {
    if let Some(file) = open_for_flags(path) {
        let others = rustix::fs::ioctl_getflags(&file).unwrap_or(IFlags::empty()) - FLAGS;
        let _ = rustix::fs::ioctl_setflags(&file, others | flag);
    }
}

/// Returns which of [`FLAGS`] a file has.
pub fn flag(path: &Path) -> IFlags {
    let flags = open_for_flags(path).and_then(|file| rustix::fs::ioctl_getflags(&file).ok());
    flags.unwrap_or(IFlags::empty()) & FLAGS
}

const FLAGS: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Opens a directory or regular file. Other files have no flags, or opening them may block.
fn open_for_flags(path: &Path) -> Option<OwnedFd> {
    let kind = fs::symlink_metadata(path).ok()?.file_type();
    let opens = kind.is_dir() || kind.is_file();
    opens.then(|| rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok())?
}
