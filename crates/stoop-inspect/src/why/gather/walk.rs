//! Follows a path component by component, from the subject's root or working directory, and records
//! what it finds.
//!
//! This is the kernel's walk (`link_path_walk`) without its permission checks. Those are evaluated
//! later and may stop the walk earlier.

use std::collections::VecDeque;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, openat, readlinkat};
use rustix::io::Errno;
use stoop::internal::mountinfo::MountEntry;
use stoop::internal::responding::{NotResponding, check_file, check_name};

use super::file;
use super::mounts::Mounts;
use super::subject::SubjectContext;
use crate::why::facts::{File, FileKind, Found, Mount, Step, Walk};

/// One more than the kernel follows, so that the evaluation sees the link that is one too many.
const LINKS_MAX: usize = 41;
/// The maximum number of components followed: many more than links of 4096 bytes can name before
/// the kernel stops.
const STEPS_MAX: usize = 20_000;

/// A component that has not been looked up yet.
struct Component {
    name: Vec<u8>,
    last: bool,
    wants_directory: bool,
    via: Option<PathBuf>,
}

/// The directory that the walk has reached.
struct Position {
    fd: OwnedFd,
    file: File,
}

struct Walker<'s> {
    context: &'s SubjectContext,
    mounts: Mounts,
    root: Position,
    current: Position,
    links: usize,
    steps: Vec<Step>,
    not_responding: Option<MountEntry>,
}

/// The result of a walk.
#[derive(Default)]
pub(super) struct Walked {
    /// The steps. `None` if the subject's root or working directory is not accessible.
    pub(super) walk: Option<Walk>,
    /// A file descriptor of the file reached.
    pub(super) reached: Option<OwnedFd>,
    /// The mount at which the walk ended, because its file system does not respond.
    pub(super) not_responding: Option<MountEntry>,
}

/// Walks the path.
pub(super) fn walk(path: &Path, context: &SubjectContext, is_bind: bool) -> Walked {
    let mut walker = match Walker::start(path, context) {
        Ok(walker) => walker,
        Err(error) => return Walked { not_responding: error.silent(), ..Walked::default() },
    };
    let bytes = path.as_os_str().as_bytes();
    let mut rest: VecDeque<Component> = components(bytes, true, false, None).into();
    let mut trailing_slash = bytes.ends_with(b"/");
    let mut reached = None;
    if rest.is_empty() {
        reached = walker.copy(&walker.root);
    }
    while let Some(component) = rest.pop_front() {
        let follow = !(is_bind && component.last);
        let (last, target) = (component.last, walker.step(component, follow));
        match target {
            Next::Stop => break,
            Next::Arrived(position) if last => {
                reached = Some(position);
                break;
            }
            Next::Arrived(position) => walker.current = position,
            Next::Link(parts, slash) => {
                trailing_slash |= last && slash;
                if parts.is_empty() && last {
                    reached = walker.copy(&walker.current);
                }
                parts.into_iter().rev().for_each(|part| rest.push_front(part));
            }
        }
        if walker.steps.len() >= STEPS_MAX {
            break;
        }
    }
    let (fd, file) = match reached {
        Some(position) => (Some(position.fd), Some(position.file)),
        None => (None, None),
    };
    let is_asked = is_bind && walker.not_responding.is_none();
    let space = is_asked.then(|| file::space(&walker.current.fd)).flatten();
    let walk = Walk { steps: walker.steps, reached: file, trailing_slash, space };
    Walked { walk: Some(walk), reached: fd, not_responding: walker.not_responding }
}

/// How the walk continues after a component.
enum Next {
    Stop,
    Arrived(Position),
    Link(Vec<Component>, bool),
}

impl<'s> Walker<'s> {
    fn start(path: &Path, context: &'s SubjectContext) -> Result<Walker<'s>, LookupError> {
        let mounts = Mounts::of(context);
        let position = |fd: &Result<OwnedFd, Errno>, name: PathBuf| {
            let fd = fd.as_ref().map_err(|errno| LookupError::from(*errno))?;
            check_file(fd.as_fd())?;
            let file = inspect(fd, name, &mounts, context)?;
            Ok::<_, LookupError>(Position { fd: fd.try_clone().map_err(|_| Errno::MFILE)?, file })
        };
        let working_name = || context.working_name.clone().unwrap_or_else(|| ".".into());
        let root = position(&context.root, "/".into())?;
        let current = match path.is_absolute() {
            true => position(&context.root, "/".into())?,
            false => position(&context.working, working_name())?,
        };
        Ok(Walker { context, mounts, root, current, links: 0, steps: Vec::new(), not_responding: None })
    }

    fn copy(&self, position: &Position) -> Option<Position> {
        Some(Position { fd: position.fd.try_clone().ok()?, file: position.file.clone() })
    }

    /// Looks up one component and records it.
    fn step(&mut self, component: Component, follow: bool) -> Next {
        let (found, next) = self.look_up(&component, follow);
        self.steps.push(Step {
            directory: self.current.file.clone(),
            name: component.name,
            last: component.last,
            wants_directory: component.wants_directory,
            via: component.via,
            found,
        });
        match next {
            // The target of an absolute link is looked up from the root, but the link itself,
            // recorded above, was found in the current directory.
            Next::Link(parts, slash) => {
                if self.leads_to_root() {
                    match self.copy(&self.root) {
                        Some(root) => self.current = root,
                        None => return Next::Stop,
                    }
                }
                Next::Link(parts, slash)
            }
            next => next,
        }
    }

    fn leads_to_root(&self) -> bool {
        matches!(self.steps.last().map(|step| &step.found), Some(Found::Link { target, .. }) if target.starts_with(b"/"))
    }

    fn look_up(&mut self, component: &Component, follow: bool) -> (Found, Next) {
        let position = match &component.name[..] {
            b"." => self.copy(&self.current).ok_or(Errno::MFILE.into()),
            b".." => self.parent(),
            name => self.child(name),
        };
        let position = match position {
            Ok(position) => position,
            Err(error) => {
                let found = error.found();
                self.not_responding = error.silent();
                return (found, Next::Stop);
            }
        };
        if position.file.kind != FileKind::Link || !follow {
            let found = Found::File(position.file.clone());
            let stops = position.file.kind != FileKind::Directory && component.wants_directory && follow;
            return (found, if stops { Next::Stop } else { Next::Arrived(position) });
        }
        self.links += 1;
        match position.file.mount.file_system == "proc" {
            true => self.proc_link(component, position),
            false => self.link(component, position),
        }
    }

    fn link(&mut self, component: &Component, position: Position) -> (Found, Next) {
        match readlinkat(&position.fd, c"", Vec::new()) {
            Ok(target) => self.link_to(component, position.file, target.into_bytes()),
            Err(errno) => (Found::Hidden(errno), Next::Stop),
        }
    }

    fn link_to(&self, component: &Component, link: File, target: Vec<u8>) -> (Found, Next) {
        let via = Some(link.path.clone());
        let parts = components(&target, component.last, component.wants_directory, via);
        let slash = target.ends_with(b"/");
        let found = Found::Link { link, target };
        (found, if self.links >= LINKS_MAX { Next::Stop } else { Next::Link(parts, slash) })
    }

    /// Looks up a link in `/proc`. There, `self` is the process that looks it up, and the links
    /// below a process lead to files instead of names.
    fn proc_link(&mut self, component: &Component, position: Position) -> (Found, Next) {
        match &component.name[..] {
            b"mounts" | b"net" if self.current.file.id.1 == 1 => self.link(component, position),
            b"self" | b"thread-self" => match self.context.inner_pid {
                Some(pid) if component.name == b"self" => {
                    self.link_to(component, position.file, pid.to_string().into_bytes())
                }
                Some(pid) => self.link_to(component, position.file, format!("{pid}/task/{pid}").into_bytes()),
                None => (Found::Hidden(Errno::SRCH), Next::Stop),
            },
            name => self.magic(name, position.file),
        }
    }

    fn magic(&self, name: &[u8], link: File) -> (Found, Next) {
        // Whether another process may follow it depends on ptrace access checks, which are not
        // predicted here.
        let pid = self.context.inner_pid.map(|pid| format!("/proc/{pid}/"));
        let own = pid.is_some_and(|own| link.path.as_os_str().as_bytes().starts_with(own.as_bytes()));
        let to = (own || self.context.is_self).then(|| {
            let fd = openat(&self.current.fd, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            check_file(fd.as_fd())?;
            let file = inspect(&fd, link.path.clone(), &self.mounts, self.context)?;
            Ok::<_, LookupError>(Position { fd, file })
        });
        match to {
            Some(Ok(position)) => {
                (Found::Magic { link, to: Some(position.file.clone()) }, Next::Arrived(position))
            }
            Some(Err(LookupError::Failing { errno: Errno::NOENT, .. })) => (Found::Nothing, Next::Stop),
            _ => (Found::Magic { link, to: None }, Next::Stop),
        }
    }

    fn child(&self, name: &[u8]) -> Result<Position, LookupError> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let there = |errno| LookupError::Failing { errno, mount: self.current.file.mount.clone() };
        check_name(self.current.fd.as_fd(), name)?;
        let fd = openat(&self.current.fd, name, flags, Mode::empty()).map_err(there)?;
        check_file(fd.as_fd())?;
        let path = self.current.file.path.join(Path::new(std::ffi::OsStr::from_bytes(name)));
        match inspect(fd.as_fd(), path, &self.mounts, self.context) {
            Ok(file) => Ok(Position { fd, file }),
            // It may be the root of another mount.
            Err(errno) => Err(LookupError::Failing { errno, mount: file::mount_of(&fd, &self.mounts) }),
        }
    }

    /// Returns whether the walk is at the root. A bind mount of the same directory is a different
    /// place, with a different parent.
    fn is_at_root(&self) -> bool {
        self.current.file.id == self.root.file.id
            && file::mount_number(&self.current.fd) == file::mount_number(&self.root.fd)
    }

    /// Returns the parent. The root is its own parent, for the process whose root it is.
    fn parent(&self) -> Result<Position, LookupError> {
        if self.is_at_root() {
            return self.copy(&self.root).ok_or(Errno::MFILE.into());
        }
        check_name(self.current.fd.as_fd(), b"..")?;
        let fd = openat(&self.current.fd, c"..", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
        check_file(fd.as_fd())?;
        let path = self.current.file.path.parent().unwrap_or(Path::new("/")).to_owned();
        let file = inspect(fd.as_fd(), path, &self.mounts, self.context)?;
        Ok(Position { fd, file })
    }
}

/// Why a component could not be looked up.
enum LookupError {
    /// The lookup fails, on this mount.
    Failing { errno: Errno, mount: Mount },
    /// It would not return.
    Silent(Box<MountEntry>),
}

impl From<Errno> for LookupError {
    fn from(errno: Errno) -> LookupError {
        LookupError::Failing { errno, mount: Mount::default() }
    }
}

impl From<NotResponding> for LookupError {
    fn from(error: NotResponding) -> LookupError {
        LookupError::Silent(error.mount)
    }
}

impl LookupError {
    /// Returns what is recorded: whether nothing is there, this process may not look, or the file
    /// system does not answer.
    fn found(&self) -> Found {
        let LookupError::Failing { errno, mount } = self else { return Found::NotResponding };
        let failing = || Found::Failing { errno: *errno, mount: mount.clone() };
        match *errno {
            Errno::NOENT | Errno::NAMETOOLONG => Found::Nothing,
            // The file system's own rule, which is known.
            Errno::ACCESS if mount.only_user.is_some() => failing(),
            Errno::ACCESS | Errno::PERM | Errno::MFILE | Errno::NFILE | Errno::NOMEM => Found::Hidden(*errno),
            _ if *mount == Mount::default() => Found::Hidden(*errno),
            _ => failing(),
        }
    }

    fn silent(self) -> Option<MountEntry> {
        match self {
            LookupError::Silent(mount) => Some(*mount),
            LookupError::Failing { .. } => None,
        }
    }
}

/// Reads a file. If its access control list is hidden and the subject is this process, queries what
/// the kernel grants.
fn inspect(fd: impl AsFd, path: PathBuf, mounts: &Mounts, context: &SubjectContext) -> Result<File, Errno> {
    let file = file::inspect(&fd, path, mounts)?;
    let asks = context.is_self && (file.acl.is_none() || !file.has_exact_ids());
    Ok(File { granted: asks.then(|| file::granted(&fd)).flatten(), ..file })
}

/// Splits a path into components, or a link's target in place of a component with these properties.
/// Pure.
fn components(path: &[u8], last: bool, wants_directory: bool, via: Option<PathBuf>) -> Vec<Component> {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').filter(|name| !name.is_empty()).collect();
    let slash = path.ends_with(b"/");
    let count = names.len();
    let component = |(at, name): (usize, &[u8])| {
        let is_end = at + 1 == count;
        Component {
            name: name.to_owned(),
            last: last && is_end,
            wants_directory: !is_end || wants_directory || slash,
            via: via.clone(),
        }
    };
    names.into_iter().enumerate().map(component).collect()
}
