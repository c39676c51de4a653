//! What is left to do if a signal ends the demo: its processes are killed, its directory removed.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::failure::Failure;

/// How often the directory is removed again, if a process that is about to exit still adds to it.
const ATTEMPTS: u32 = 400;
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// The processes that run now, by their ids.
///
/// A signal ends the demo while this is locked: the thread that plays it can start none from then
/// on, nor end the demo first.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<HashMap<u32, OwnedFd>>>);

impl Running {
    /// Starts a process.
    pub(super) fn spawn(&self, command: &mut Command) -> io::Result<Child> {
        let mut running = self.lock();
        let mut child = command.spawn()?;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(pidfd) => drop(running.insert(child.id(), pidfd)),
            Err(errno) => {
                child.kill()?;
                child.wait()?;
                return Err(errno.into());
            }
        }
        Ok(child)
    }

    /// Forgets a process that has been waited for.
    pub(super) fn remove(&self, pid: u32) {
        self.lock().remove(&pid);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u32, OwnedFd>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cleans up on SIGINT and SIGTERM, and then ends the process as the signal would have done.
pub(super) fn clean_up_on_signals(directory: PathBuf, running: Running) -> Result<(), Failure> {
    let failed = |error| Failure::io("prepare for signals", &error);
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let clean_up = move || {
        let Some(signal) = signals.forever().next() else { return };
        // To the end.
        let running = running.lock();
        for pidfd in running.values() {
            // One that has exited is as it should be.
            let _ = pidfd_send_signal(pidfd, Signal::KILL);
        }
        remove(&directory);
        // It does not return for these two signals.
        let _ = emulate_default_handler(signal);
    };
    std::thread::Builder::new().name("signals".into()).spawn(clean_up).map(drop).map_err(failed)
}

fn remove(directory: &Path) {
    for _ in 0..ATTEMPTS {
        let _removed_below = fs::remove_dir_all(directory);
        if !directory.exists() {
            return;
        }
        std::thread::sleep(PAUSE);
    }
}
