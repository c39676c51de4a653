//! Watches the system calls of a child process: counts them, fails them with an errno, or kills the
//! child at one of them.
//!
//! The kernel's seccomp notifier stops each watched call of the child, of all its threads and of
//! its own children, before it is executed, and asks the test what to do (K-NOTIF-1). The child
//! does not notice. The watched calls are listed in `calls.rs`.
//!
//! ```no_run
//! use std::process::Command;
//! use rustix::io::Errno;
//! use stoop_testkit::{Injector, spawn};
//!
//! let injector = Injector::new();
//! let mut command = Command::new("ls");
//! injector.attach(&mut command).unwrap();
//! injector.fail("getdents64", 0, Errno::IO);
//! let status = spawn(&mut command).unwrap().wait().unwrap();
//! assert!(injector.disarm().is_some() && !status.success());
//! ```
//!
//! - [`Injector::calls`] lists the calls that an undisturbed run makes.
//! - [`Injector::kill_at`] and [`Injector::fail`] are plans: one at a time, each for a single call.
//!   [`Injector::disarm`] says which call it was. They may be made while the child runs.
//! - [`Injector::begin_when`] leaves out the startup of a program: the loader, the language's
//!   runtime.
//! - A child that hangs is killed after two minutes, even if no process waits for it.
//!
//! A call that is failed is not executed at all: unlike in the kernel, a `close` that fails leaves
//! its file descriptor open.

mod calls;
mod campaign;
mod supervisor;
mod sys;
#[cfg(test)]
mod tests;

pub use campaign::{Campaign, FAULTS, Report, errnos};

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use rustix::io::Errno;
use rustix::process::Signal;

/// A system call that a child was about to make.
#[derive(Clone, Debug)]
pub struct Call {
    /// Its name, as in the manual.
    pub name: &'static str,
    /// Its arguments, as numbers.
    pub arguments: [u64; 6],
    /// Its index among the counted calls, from 0.
    pub index: usize,
    /// Its index among the counted calls of this name, from 0.
    pub occurrence: usize,
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { name, arguments, index, occurrence } = self;
        write!(f, "#{index} {name}({:#x}, {:#x}, {:#x}, …), ", arguments[0], arguments[1], arguments[2])?;
        write!(f, "call {occurrence} of its name")
    }
}

/// What is to be done, and at which call.
#[derive(Clone, Copy, Debug)]
enum Plan {
    KillAt(usize),
    Fail(&'static str, usize, Errno),
}

/// Returns whether this is the call.
type Wanted = Box<dyn FnMut(&Call) -> bool + Send>;

/// What the test and the supervisor share.
#[derive(Default)]
struct State {
    /// The condition at which counting begins, if it has not begun.
    begin: Option<Wanted>,
    /// The signal that is sent at a call.
    signal: Option<(Signal, Wanted)>,
    calls: Vec<Call>,
    /// The count of each name.
    counts: HashMap<&'static str, usize>,
    plan: Option<Plan>,
    hit: Option<Call>,
    /// The supervisor's error; the injector cannot be used any more then.
    failure: Option<String>,
}

/// Watches the system calls of one child.
#[derive(Clone, Default)]
pub struct Injector(Arc<Mutex<State>>);

impl fmt::Debug for Injector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Injector").field(&self.state().plan).finish()
    }
}

impl Injector {
    /// Creates an injector without a plan, which only counts.
    pub fn new() -> Injector {
        Injector::default()
    }

    /// Watches the process that this command starts, from its exec on.
    ///
    /// # Errors
    /// Returns an error if there is no file descriptor or no memory for it. If the kernel has no
    /// notifier, starting the command fails: see [`lacking`].
    pub fn attach(&self, command: &mut Command) -> io::Result<()> {
        supervisor::attach(self.clone(), command)
    }

    /// Counts, lists and disturbs calls only from the first one on for which `begins` returns true.
    pub fn begin_when(&self, begins: impl FnMut(&Call) -> bool + Send + 'static) {
        self.state().begin = Some(Box::new(begins));
    }

    /// Counts, lists and disturbs calls only from the child's [`mark`] on.
    pub fn begin_at_mark(&self) {
        self.begin_when(supervisor::is_mark);
    }

    /// Sends the child this signal, once, just before the first call for which `at` returns true.
    /// The call is then executed.
    pub fn signal_at(&self, signal: Signal, at: impl FnMut(&Call) -> bool + Send + 'static) {
        self.state().signal = Some((signal, Box::new(at)));
    }

    /// Kills the child at the call of this index, before it is executed.
    pub fn kill_at(&self, index: usize) {
        self.state().plan = Some(Plan::KillAt(index));
    }

    /// Fails the call `name` that follows `skipped` others of this name, counted from now on. The
    /// list of calls is cleared.
    pub fn fail(&self, name: &'static str, skipped: usize, errno: Errno) {
        let mut state = self.state();
        state.forget();
        state.hit = None;
        state.plan = Some(Plan::Fail(name, skipped, errno));
    }

    /// Clears the plan, and returns the call at which it was carried out.
    pub fn disarm(&self) -> Option<Call> {
        let mut state = self.state();
        state.plan = None;
        state.hit.take()
    }

    /// Returns the call at which the plan was carried out, if it was.
    pub fn hit(&self) -> Option<Call> {
        self.state().hit.clone()
    }

    /// Returns the calls so far, or since the last [`Injector::fail`] or [`Injector::forget`].
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Returns the number of these calls.
    pub fn count(&self) -> usize {
        self.state().calls.len()
    }

    /// Clears the list of calls.
    pub fn forget(&self) {
        self.state().forget();
    }

    /// Panics if the supervisor failed.
    #[track_caller]
    pub fn check(&self) {
        if let Some(failure) = &self.state().failure {
            panic!("the child's calls are not watched: {failure}");
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells an injector that the relevant part of this process begins. Returns whether an injector was
/// listening.
pub fn mark() -> bool {
    sys::mark()
}

/// Returns what this machine lacks for an [`Injector`], for [`skip!`](macro@crate::skip).
pub fn lacking() -> Option<&'static str> {
    static LACKING: OnceLock<Option<String>> = OnceLock::new();
    LACKING.get_or_init(supervisor::try_out).as_deref()
}
