//! Which mounts may not respond, and which did.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, Statx, StatxFlags, makedev, statx};

use super::error::NotResponding;
use crate::mountinfo::{self, MountEntry};
use crate::socket_file::file_system;
use crate::sys::{LookupProcess, LookupState};

/// How long a file system has to respond.
const PATIENCE: Duration = Duration::from_secs(2);

/// What takes longer than this may take all of [`PATIENCE`], so the other file systems are asked
/// meanwhile.
const USUAL: Duration = Duration::from_millis(50);

/// The largest number of file systems that are asked meanwhile.
const OTHERS_MAX: usize = 64;

/// How long what was found is good for.
const FRESH: Duration = Duration::from_secs(1);

/// The largest number of views, each with a root directory that stays open, whose mounts are asked
/// meanwhile.
const ROOTS_MAX: usize = 16;

/// This process, in `/proc`.
const OURS: &str = "/proc/thread-self";

static MOUNTS: Mutex<Mounts> =
    Mutex::new(Mounts { served: None, roots: Vec::new(), read: None, lookups: None });

#[derive(Debug)]
struct Mounts {
    /// The mounts that may not respond, by device.
    served: Option<HashMap<u64, Vec<Served>>>,
    /// The root directories of [`Served::root`].
    roots: Vec<Weak<OwnedFd>>,
    /// When those of this process were read.
    read: Option<Instant>,
    lookups: Option<HashMap<u64, Lookup>>,
}

/// A mount that may not respond.
#[derive(Clone, Debug)]
struct Served {
    entry: MountEntry,
    /// The root directory of a process that reaches the mount by its path, without another such
    /// mount on the way.
    root: Option<Arc<OwnedFd>>,
}

#[derive(Debug)]
enum Lookup {
    Returned(Instant),
    /// It was still waiting when it was last seen, and has until then.
    Waiting(LookupProcess, Instant),
}

/// Learns of the mounts in the view of the process with this directory in `/proc`.
pub fn learn<'m>(proc: &str, mounts: impl IntoIterator<Item = &'m MountEntry>) {
    let served = served(mounts.into_iter().cloned());
    if !served.is_empty() {
        locked().add(proc, served);
    }
}

/// Returns whether no mount is known that may not respond.
pub(super) fn are_all_local() -> bool {
    locked().served.as_ref().is_none_or(HashMap::is_empty)
}

/// Checks the lookup of a name in this directory, or with no name the directory or file itself.
pub(super) fn check(directory: BorrowedFd<'_>, name: &[u8]) -> Result<(), NotResponding> {
    let Some(stat) = cached(directory) else { return Ok(()) };
    let device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
    let mut mounts = locked();
    let Some(mount) = mounts.find(device, stat.stx_mnt_id) else { return Ok(()) };
    match mounts.responds(device, directory, name) {
        true => Ok(()),
        false => Err(NotResponding { mount: Box::new(mount) }),
    }
}

/// Returns whether a file is in a mount that may not respond, or whether that is not known.
pub(super) fn may_wait(file: BorrowedFd<'_>) -> bool {
    cached(file).is_none_or(|stat| {
        locked().find(makedev(stat.stx_dev_major, stat.stx_dev_minor), stat.stx_mnt_id).is_some()
    })
}

impl Mounts {
    fn add(&mut self, proc: &str, served: Vec<MountEntry>) {
        let root = self.open_root(proc);
        let reached = are_reached_directly(&served);
        let known = self.served.get_or_insert_default();
        for (entry, is_reached) in served.into_iter().zip(reached) {
            let of_device = known.entry(entry.device).or_default();
            of_device.retain(|other| other.entry.id != entry.id);
            of_device.push(Served { entry, root: root.clone().filter(|_| is_reached) });
        }
    }

    fn open_root(&mut self, proc: &str) -> Option<Arc<OwnedFd>> {
        self.roots.retain(|root| root.strong_count() > 0);
        if self.roots.len() >= ROOTS_MAX {
            return None;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, format!("{proc}/root"), flags, Mode::empty());
        let root = Arc::new(root.ok()?);
        self.roots.push(Arc::downgrade(&root));
        Some(root)
    }

    /// Returns the mount of a device with this id, or else any.
    fn find(&self, device: u64, id: u64) -> Option<MountEntry> {
        let of_device = self.served.as_ref()?.get(&device)?;
        let mount = of_device.iter().find(|mount| mount.entry.id == id).or(of_device.last())?;
        Some(mount.entry.clone())
    }

    fn responds(&mut self, device: u64, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        match self.lookups.get_or_insert_default().get(&device) {
            Some(Lookup::Returned(at)) if at.elapsed() < FRESH => return true,
            Some(Lookup::Waiting(process, until)) if is_waiting(process, *until) => return false,
            _ => {}
        }
        let name = if name.is_empty() { b"." } else { name };
        // If no process can be started, this one has to try.
        let Some((process, until)) = start(directory, name) else { return true };
        if process.wait(USUAL) == LookupState::Waiting {
            self.ask_others(device);
        }
        let responds = !is_waiting(&process, until);
        let lookup =
            if responds { Lookup::Returned(Instant::now()) } else { Lookup::Waiting(process, until) };
        self.lookups.get_or_insert_default().insert(device, lookup);
        responds
    }

    /// Starts to look up the other mounts: those that do not respond share one deadline, instead of
    /// having one after another.
    fn ask_others(&mut self, device: u64) {
        let lookups = self.lookups.get_or_insert_default();
        let is_known = |device: &u64| match lookups.get(device) {
            Some(Lookup::Returned(at)) => at.elapsed() < FRESH,
            Some(Lookup::Waiting(process, _)) => process.wait(Duration::ZERO) == LookupState::Waiting,
            None => false,
        };
        let others = self.served.iter().flatten().filter(|(other, _)| **other != device && !is_known(other));
        let ask = |(device, mounts): (&u64, &Vec<Served>)| {
            let (mount, root) = mounts.iter().find_map(|mount| Some((mount, mount.root.as_ref()?)))?;
            let point = mount.entry.point.strip_prefix("/").unwrap_or(&mount.entry.point);
            let (process, until) = start(root.as_fd(), point.as_os_str().as_bytes())?;
            Some((*device, Lookup::Waiting(process, until)))
        };
        let asked: Vec<_> = others.filter_map(ask).take(OTHERS_MAX).collect();
        lookups.extend(asked);
    }
}

fn start(directory: BorrowedFd<'_>, name: &[u8]) -> Option<(LookupProcess, Instant)> {
    let process = LookupProcess::start(directory, &CString::new(name).ok()?).ok()?;
    Some((process, Instant::now() + PATIENCE))
}

/// Returns whether a lookup has not returned when its time is up.
fn is_waiting(process: &LookupProcess, until: Instant) -> bool {
    process.wait(until.saturating_duration_since(Instant::now())) == LookupState::Waiting
}

/// Returns for each of these mounts whether its path leads to it through none of the others: then a
/// lookup of the path that does not return is due to this mount. Pure.
fn are_reached_directly(mounts: &[MountEntry]) -> Vec<bool> {
    // The root directory, which is often an overlay, responds: no process runs otherwise.
    let is_root = |mount: &MountEntry| mount.point == Path::new("/");
    let is_on_the_way = |other: &MountEntry, to: &MountEntry| {
        other.id != to.id && to.point.starts_with(&other.point) && !is_root(other)
    };
    mounts.iter().map(|to| !mounts.iter().any(|other| is_on_the_way(other, to))).collect()
}

fn locked() -> MutexGuard<'static, Mounts> {
    let mut mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    if mounts.read.is_none_or(|at| at.elapsed() >= FRESH) {
        let own = served(mountinfo::read(OURS).unwrap_or_default());
        if !own.is_empty() {
            mounts.add(OURS, own);
        }
        mounts.read = Some(Instant::now());
    }
    mounts
}

/// Returns the mounts that may not respond. An overlay may be made of them.
fn served(mounts: impl IntoIterator<Item = MountEntry>) -> Vec<MountEntry> {
    let is_served = |entry: &MountEntry| file_system::is_served(&entry.file_system);
    let relevant = |entry: &MountEntry| is_served(entry) || entry.file_system == "overlay";
    let relevant: Vec<MountEntry> = mounts.into_iter().filter(relevant).collect();
    if relevant.iter().any(is_served) { relevant } else { Vec::new() }
}

/// Returns what the kernel has cached of a file: this never waits ([K-LOCK-6]). `None` if the file
/// system has refused this user without a question to its server.
///
/// [K-LOCK-6]: crate::kernel_facts#K-LOCK-6
pub(super) fn cached(file: BorrowedFd<'_>) -> Option<Statx> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC;
    statx(file, c"", flags, StatxFlags::TYPE | StatxFlags::INO | StatxFlags::MNT_ID).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_mounts_with_a_server_may_not_respond() {
        let table = |text: &str| served(mountinfo::parse(text.as_bytes())).len();
        assert_eq!(table("1 0 8:1 / / rw - ext4 x rw\n2 1 0:9 / /o rw - overlay o rw\n"), 0);
        assert_eq!(table("2 1 0:9 / /o rw - overlay o rw\n3 1 0:10 / /m rw - nfs4 host:/ rw\n"), 2);
        assert_eq!(table("3 1 0:10 / /m rw - fuse.x x rw\n4 1 0:11 / /sys rw - fusectl f rw\n"), 1);
    }

    /// Hundreds of containers may each have a mount with a server.
    #[test]
    fn few_root_directories_stay_open() {
        let mut mounts = Mounts { served: None, roots: Vec::new(), read: None, lookups: None };
        for id in 0..100 {
            let line = format!("{id} 1 0:{id} / /m rw - fuse.x x rw\n");
            mounts.add(OURS, mountinfo::parse(line.as_bytes()).collect());
        }
        let all = mounts.served.iter().flatten().flat_map(|(_, mounts)| mounts);
        assert_eq!(all.filter(|mount| mount.root.is_some()).count(), ROOTS_MAX);
    }

    #[test]
    fn a_mount_below_or_under_another_is_not_asked_by_its_path() {
        let reached = |points: &[&str]| {
            let line = |(id, point): (usize, &&str)| format!("{id} 1 0:{id} / {point} rw - fuse.x x rw\n");
            let table: String = points.iter().enumerate().map(line).collect();
            are_reached_directly(&mountinfo::parse(table.as_bytes()).collect::<Vec<_>>())
        };
        assert_eq!(reached(&["/a", "/b", "/ab"]), [true, true, true]);
        assert_eq!(reached(&["/a", "/a/b"]), [true, false], "the way leads through /a");
        assert_eq!(reached(&["/a/b", "/a"]), [false, true], "it may be covered");
        assert_eq!(reached(&["/a", "/a"]), [false, false], "one covers the other");
        assert_eq!(reached(&["/"]), [true]);
    }
}
