//! Which mounts may not respond, and which did.

use std::collections::HashMap;
use std::ffi::CString;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{AtFlags, Statx, StatxFlags, makedev, statx};

use super::error::NotResponding;
use crate::mountinfo::{self, MountEntry};
use crate::socket_file::file_system;
use crate::sys::{LookupProcess, LookupState};

/// How long a file system has to respond.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long what was found is good for.
const FRESH: Duration = Duration::from_secs(1);

static MOUNTS: Mutex<Mounts> = Mutex::new(Mounts { served: None, read: None, lookups: None });

#[derive(Debug)]
struct Mounts {
    /// The mounts that may not respond, by device.
    served: Option<HashMap<u64, Vec<MountEntry>>>,
    /// When those of this process were read.
    read: Option<Instant>,
    lookups: Option<HashMap<u64, Lookup>>,
}

#[derive(Debug)]
enum Lookup {
    Returned(Instant),
    /// It is still waiting. Another one would wait, too.
    Waiting(LookupProcess),
}

/// Learns of the mounts in the view of another process.
pub fn learn<'m>(mounts: impl IntoIterator<Item = &'m MountEntry>) {
    let served = served(mounts.into_iter().cloned());
    if !served.is_empty() {
        locked().add(served);
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
    fn add(&mut self, served: Vec<MountEntry>) {
        let known = self.served.get_or_insert_default();
        for entry in served {
            let of_device = known.entry(entry.device).or_default();
            of_device.retain(|other| other.id != entry.id);
            of_device.push(entry);
        }
    }

    /// Returns the mount of a device with this id, or else any.
    fn find(&self, device: u64, id: u64) -> Option<MountEntry> {
        let of_device = self.served.as_ref()?.get(&device)?;
        of_device.iter().find(|entry| entry.id == id).or(of_device.last()).cloned()
    }

    fn responds(&mut self, device: u64, directory: BorrowedFd<'_>, name: &[u8]) -> bool {
        let lookups = self.lookups.get_or_insert_default();
        match lookups.get(&device) {
            Some(Lookup::Returned(at)) if at.elapsed() < FRESH => return true,
            Some(Lookup::Waiting(process)) => match process.wait(Duration::ZERO) {
                LookupState::Waiting => return false,
                LookupState::Returned | LookupState::Killed => {}
            },
            _ => {}
        }
        let name = if name.is_empty() { b"." } else { name };
        let started = CString::new(name).ok().and_then(|name| LookupProcess::start(directory, &name).ok());
        // Where no process can be started, this one has to try.
        let Some(process) = started else { return true };
        let state = process.wait(PATIENCE);
        let responds = state != LookupState::Waiting;
        let lookup = if responds { Lookup::Returned(Instant::now()) } else { Lookup::Waiting(process) };
        lookups.insert(device, lookup);
        responds
    }
}

fn locked() -> MutexGuard<'static, Mounts> {
    let mut mounts = MOUNTS.lock().unwrap_or_else(PoisonError::into_inner);
    if mounts.read.is_none_or(|at| at.elapsed() >= FRESH) {
        let own = mountinfo::read("/proc/thread-self").unwrap_or_default();
        mounts.add(served(own));
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
}
