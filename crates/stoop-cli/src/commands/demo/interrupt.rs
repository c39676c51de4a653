//! What is left to do if a signal ends the demo: its servers are killed and its directory removed.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level::emulate_default_handler;

use crate::failure::Failure;

/// How often the directory is removed again, if a process that is about to exit still adds to it.
const ATTEMPTS: u32 = 100;

/// The servers that run now.
#[derive(Clone, Debug, Default)]
pub(super) struct Running(Arc<Mutex<Vec<u32>>>);

impl Running {
    pub(super) fn add(&self, pid: u32) {
        self.with(|pids| pids.push(pid));
    }

    /// Forgets a process. Called before it is waited for: from then on its id may be another's.
    pub(super) fn remove(&self, pid: u32) {
        self.with(|pids| pids.retain(|&other| other != pid));
    }

    fn kill_all(&self) {
        self.with(|pids| {
            let pids = pids.drain(..).filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
            // One that has exited is as it should be.
            for pid in pids {
                let _ = kill_process(pid, Signal::KILL);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Vec<u32>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Cleans up on SIGINT and SIGTERM, and then ends the process as the signal would have done.
pub(super) fn clean_up_on_signals(directory: PathBuf, running: Running) -> Result<(), Failure> {
    let failed = |error| Failure::io("prepare for signals", &error);
    let mut signals = Signals::new([SIGINT, SIGTERM]).map_err(failed)?;
    let clean_up = move || {
        let Some(signal) = signals.forever().next() else { return };
        for _ in 0..ATTEMPTS {
            running.kill_all();
            let _removed_below = fs::remove_dir_all(&directory);
            if !directory.exists() {
                break;
            }
        }
        // It does not return for these two signals.
        let _ = emulate_default_handler(signal);
    };
    std::thread::Builder::new().name("signals".into()).spawn(clean_up).map(drop).map_err(failed)
}
