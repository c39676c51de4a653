//! Determines where the file of a socket is, from what its name leads to in each view.

use std::cell::LazyCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use stoop::diag::{self, FileId};
use stoop::internal::responding;

use super::view::{Found, Stat, View, Views, path_of, root_of, stat};
use super::{FileLocation, FileSearch, NameTarget, OtherView, ViewDifference};
use crate::model::{Pid, Snapshot, Socket, SocketId};
use crate::mountinfo::{MountEntry, is_private_tmp};

/// The maximum number of processes whose views are looked through for one socket.
const PROCESSES_MAX: usize = 8;

/// Finds the files of sockets. What is read of a process is kept for the next socket.
#[derive(Debug)]
pub struct FileLocator {
    /// Read when a socket has a file: most have none.
    ours: LazyCell<Option<View>>,
    theirs: Views,
}

/// A file of the socket that was found in a view.
struct Sighting {
    fd: OwnedFd,
    stat: Stat,
    /// Its path in the view.
    path: PathBuf,
}

impl Default for FileLocator {
    fn default() -> FileLocator {
        FileLocator::new()
    }
}

impl FileLocator {
    /// Creates one for the view of this process.
    pub fn new() -> FileLocator {
        FileLocator { ours: LazyCell::new(|| View::of("/proc/thread-self")), theirs: Views::default() }
    }

    /// Returns where the file of a socket is now, or `None` if the socket is not bound to a file
    /// itself: an accepted socket has the name of its listener.
    pub fn locate(&mut self, snapshot: &Snapshot, id: SocketId) -> Option<FileLocation> {
        let socket = &snapshot[id];
        let name = socket.name.as_pathname().filter(|_| socket.listener.is_none())?;
        let bound = socket.file?;
        let pids = distinct_pids(socket);
        if let Some(here) = self.at_its_name(name, bound) {
            // Wherever its owner sees it, here the name leads to it.
            return Some(
                FileLocation { name: NameTarget::SameFile, here: Some(here), ..FileLocation::UNKNOWN }
                    .found(),
            );
        }
        let mut location = FileLocation::UNKNOWN;
        for &pid in &pids {
            let Some((target, sighting)) = self.through(pid, name, bound) else { continue };
            if location.name == NameTarget::Unknown {
                location.name = target;
            }
            if let Some(sighting) = sighting {
                location.name = target;
                return Some(self.place(pid, sighting, location));
            }
        }
        Some(self.by_the_kernel(socket, &pids, bound, location))
    }

    /// Returns the sockets whose file has this absolute path in the view of their process, if that
    /// differs from ours, whatever name they were bound to: the file may have been renamed or
    /// linked there since.
    pub fn at_path_in_other_views(
        &mut self,
        snapshot: &Snapshot,
        path: &Path,
    ) -> Vec<(SocketId, FileLocation)> {
        let Some(ours) = self.ours.as_ref().map(|ours| ours.root_id) else { return Vec::new() };
        // One lookup for each view: few processes have one of their own.
        let mut roots = vec![(ours.mount, ours.id)];
        let mut found = Vec::new();
        for (id, socket) in snapshot.iter() {
            let Some(bound) = socket.file.filter(|_| socket.listener.is_none()) else { continue };
            for pid in distinct_pids(socket) {
                let Some(root) = root_of(pid).map(|root| (root.mount, root.id)) else { continue };
                if roots.contains(&root) {
                    continue;
                }
                let Some(view) = self.theirs.get(pid.0) else { continue };
                match view.look_up(path) {
                    Found::File(fd, stat) if is_bound(&stat, view, bound) => {
                        let sighting = Sighting { fd, stat, path: path.to_owned() };
                        found.push((id, self.place(pid, sighting, FileLocation::UNKNOWN)));
                        break;
                    }
                    // Another socket may have it.
                    Found::File(_, Stat { is_socket: true, .. }) => {}
                    _ => roots.push(root),
                }
            }
        }
        found
    }

    /// Returns whether a path leads to the socket's file, in the view of this process. A relative
    /// path starts at the working directory.
    pub fn leads_to(&self, path: &Path, socket: &Socket) -> bool {
        let Some(bound) = socket.file.filter(|_| responding::check(path).is_ok()) else { return false };
        let Some(ours) = self.ours.as_ref() else {
            return std::fs::metadata(path).is_ok_and(|metadata| bound.may_be(FileId::from(&metadata)));
        };
        // A link at the end of a path is followed by those who connect.
        let whole = std::fs::canonicalize(path);
        matches!(ours.look_up(whole.as_deref().unwrap_or(path)), Found::File(_, stat) if is_bound(&stat, ours, bound))
    }

    fn at_its_name(&self, name: &Path, bound: FileId) -> Option<PathBuf> {
        let ours = self.ours.as_ref().filter(|_| name.is_absolute() && !is_in_proc(name))?;
        let is_it = matches!(ours.look_up(name), Found::File(_, stat) if is_bound(&stat, ours, bound));
        is_it.then(|| name.to_owned())
    }

    /// Looks the name up in the view of a process, and else looks for the file in its directory.
    fn through(&mut self, pid: Pid, name: &Path, bound: FileId) -> Option<(NameTarget, Option<Sighting>)> {
        let view = self.theirs.get(pid.0).filter(|_| !is_in_proc(name))?;
        let is_it = |stat: &Stat| is_bound(stat, view, bound);
        let target = match view.look_up(name) {
            Found::File(fd, stat) if is_it(&stat) => {
                let path = in_view(name, &fd);
                return Some((NameTarget::SameFile, Some(Sighting { fd, stat, path })));
            }
            // The working directory may be another than the one the name was relative to.
            Found::Nothing | Found::File(..) if name.is_relative() => NameTarget::Unknown,
            Found::File(_, stat) => NameTarget::OtherFile { is_socket: stat.is_socket },
            Found::Nothing => NameTarget::Nothing,
            Found::Hidden => return None,
        };
        let found = view.scan(name, &is_it, bound.ino).and_then(|(fd, path)| {
            let path = in_view(&path, &fd);
            Some(Sighting { stat: stat(&fd)?, fd, path })
        });
        Some((target, found))
    }

    /// Asks the kernel for the file, whatever its path is. Requires `CAP_NET_ADMIN` ([K-BIND-11]).
    ///
    /// [K-BIND-11]: stoop::kernel_facts#K-BIND-11
    fn by_the_kernel(
        &mut self,
        socket: &Socket,
        pids: &[Pid],
        bound: FileId,
        so_far: FileLocation,
    ) -> FileLocation {
        let file = socket.dup_fd().ok().and_then(|copy| diag::bound_file_of(copy).ok());
        // What is cached of a file whose file system does not respond may have changed there.
        let file = file.filter(|file| responding::check_file(file.as_fd()).is_ok());
        let Some((stat, fd)) = file.and_then(|fd| Some((stat(&fd)?, fd))) else { return so_far };
        if !bound.may_be(stat.id) {
            return so_far;
        }
        if stat.links == 0 {
            return FileLocation { is_removed: Some(true), ..so_far };
        }
        let so_far = so_far.found();
        match (pids.first(), path_of(&fd)) {
            (Some(&pid), Some(path)) => self.place(pid, Sighting { fd, stat, path }, so_far),
            _ => so_far,
        }
    }

    /// Completes the location of a file that was found: whether this process sees it too.
    fn place(&mut self, pid: Pid, sighting: Sighting, so_far: FileLocation) -> FileLocation {
        let location = so_far.found();
        let Some(ours) = self.ours.as_ref() else { return location };
        let leads_to_it = |path: &Path| matches!(ours.look_up(path), Found::File(_, stat) if is_same(&stat, &sighting.stat));
        let by_kernel = path_of(&sighting.fd).filter(|path| leads_to_it(path));
        let Some(theirs) = self.theirs.get(pid.0) else {
            return FileLocation { here: by_kernel, ..location };
        };
        let mount = theirs.mount(&sighting.stat);
        let known = [path_of(&sighting.fd), Some(sighting.path.clone())];
        let by_mount = || {
            let mount = mount?;
            let inside = known.iter().flatten().find_map(|path| mount.path_in_file_system(path))?;
            let mut paths: Vec<PathBuf> =
                ours.mounts.paths_of(mount.device, &inside).filter(|path| leads_to_it(path)).collect();
            paths.sort_by_key(|path| (path.components().count(), path.clone()));
            paths.into_iter().next()
        };
        let here = by_kernel.or_else(by_mount);
        let is_there =
            matches!(theirs.look_up(&sighting.path), Found::File(_, stat) if is_same(&stat, &sighting.stat));
        let difference = difference(ours, theirs, mount.is_some_and(is_private_tmp));
        let view = difference.filter(|_| is_there);
        let is_covered = here.is_none() && view.is_none();
        let covered = is_covered.then(|| covered_path(ours, &sighting)).flatten();
        let is_unknown = here.is_none() && view.is_none() && covered.is_none();
        let search = if is_unknown { search(ours, theirs, &sighting) } else { FileSearch::default() };
        let view = view.map(|difference| OtherView { pid, path: sighting.path, difference });
        FileLocation { here, view, covered, search, ..location }
    }
}

impl FileLocation {
    /// The file was found, so it has not been removed.
    fn found(self) -> FileLocation {
        FileLocation { is_removed: Some(false), ..self }
    }
}

/// Returns where to search for a file that was found without a path.
fn search(ours: &View, theirs: &View, sighting: &Sighting) -> FileSearch {
    let device = sighting.stat.id.dev;
    let inode = sighting.stat.id.ino;
    let on_device = |entry: &&MountEntry| entry.device == device;
    let mount = ours.mount(&sighting.stat).or_else(|| {
        let mounts = ours.mounts.0.values().filter(on_device);
        mounts.min_by_key(|entry| (entry.root.components().count(), entry.id))
    });
    match mount {
        Some(mount) => FileSearch::OnMount { point: mount.point.clone(), inode },
        // A file system such as btrfs has devices that no list of mounts has ([K-MOUNT-4]).
        None if theirs.mount(&sighting.stat).is_some() => FileSearch::Unknown,
        None if theirs.mounts.0.values().any(|entry| on_device(&entry)) => FileSearch::Unknown,
        None if sighting.stat.mount.is_none() => FileSearch::Unknown,
        None => FileSearch::Unmounted,
    }
}

/// Returns how two views differ, if they do.
fn difference(ours: &View, theirs: &View, is_private_tmp: bool) -> Option<ViewDifference> {
    if ours.root_id.id == theirs.root_id.id && ours.root_id.mount == theirs.root_id.mount {
        return None;
    }
    // A mount id belongs to one mount namespace.
    let is_same_namespace = theirs.root_id.mount.is_some_and(|id| ours.mounts.0.contains_key(&id));
    Some(match (is_private_tmp, is_same_namespace) {
        (true, _) => ViewDifference::PrivateTmp,
        (false, true) => ViewDifference::Root,
        (false, false) => ViewDifference::Mounts,
    })
}

/// Returns whether a file is the one in the kernel's table, which has the device of the file system
/// and the low 32 bits of the inode. If the mount is unknown, only the inode is compared.
fn is_bound(stat: &Stat, view: &View, bound: FileId) -> bool {
    let is_device = view.mount(stat).is_none_or(|mount| mount.device == bound.dev);
    stat.is_socket && is_device && bound.may_be(stat.id)
}

/// Returns the path of a file that is in a mount of our view and has another file or none at its
/// path: a mount covers it. The kernel marks the path of a name that was removed ([K-MOUNT-5]).
///
/// [K-MOUNT-5]: stoop::kernel_facts#K-MOUNT-5
fn covered_path(ours: &View, sighting: &Sighting) -> Option<PathBuf> {
    ours.mount(&sighting.stat)?;
    let path = path_of(&sighting.fd).filter(|path| path.is_absolute())?;
    let is_removed = path.as_os_str().as_encoded_bytes().ends_with(b" (deleted)");
    let is_other = matches!(ours.look_up(&path), Found::Nothing | Found::File(..));
    (is_other && !is_removed).then_some(path)
}

fn is_same(one: &Stat, other: &Stat) -> bool {
    one.id == other.id && one.is_socket
}

/// Returns whether a name leads through the file descriptors of the process that bound it, as one
/// does that is too long for an address ([K-NAME-11]). What it leads to differs by process.
///
/// [K-NAME-11]: stoop::kernel_facts#K-NAME-11
fn is_in_proc(name: &Path) -> bool {
    name.starts_with("/proc") || name.starts_with("/dev/fd")
}

/// Returns the path of a file in a view: its name if that is absolute, else what the kernel keeps.
fn in_view(name: &Path, fd: &OwnedFd) -> PathBuf {
    match name.is_absolute() {
        true => name.to_owned(),
        false => path_of(fd).unwrap_or_else(|| name.to_owned()),
    }
}

fn distinct_pids(socket: &Socket) -> Vec<Pid> {
    let mut pids: Vec<Pid> = socket.owners.iter().map(|owner| owner.pid).collect();
    pids.dedup();
    // A service manager keeps the sockets of its services, which see them in their own views.
    pids.sort_by_key(|pid| pid.0 == 1);
    pids.truncate(PROCESSES_MAX);
    pids
}
