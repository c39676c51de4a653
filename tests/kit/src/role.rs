//! Tests with several processes: the test binary runs itself again, for one test only, in another
//! role.
//!
//! ```no_run
//! use stoop_testkit::{Role, role};
//!
//! #[test]
//! fn umask_cuts() {
//!     if role().is_none() {
//!         return Role::new("umask_cuts", "child").run();
//!     }
//!     // here is the child, alone in its process
//! }
//! ```
//!
//! The child is the same executable, started through `/proc/self/exe`, so another user needs no
//! permission on its path.

use std::io::{self, Read};
use std::ops::{Deref, DerefMut};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{PoisonError, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::wait::scaled;
use crate::{Injector, eventually, slowness};

/// The environment variable that tells a child its role.
const ROLE: &str = "STOOP_ROLE";

/// The first output of a child: without it, a misspelled test name would run no test at all, and
/// pass.
const BEGINS: &str = "the child's part begins";

/// The time within which a child has to print it.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The maximum lifetime of a child, even if its parent was killed and no process waits for it any
/// more.
const LONGEST_LIFE_SECONDS: u32 = 120;

/// The timeout of [`Role::run`].
const RUN_LIMIT: Duration = Duration::from_secs(60);

/// Locked for writing while a child is being started, for reading while [`close`] closes.
static STARTING: RwLock<()> = RwLock::new(());

/// Starts another program, synchronized with [`close`].
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    start(command, |child| eventually(START_LIMIT, || has_closed_its_copies(child))).map(|(child, ())| child)
}

/// Starts a child and waits with `until`. [`close`] is blocked for the whole time.
fn start<T>(command: &mut Command, until: impl FnOnce(&mut Child) -> T) -> io::Result<(Child, T)> {
    let _alone = STARTING.write().unwrap_or_else(PoisonError::into_inner);
    let mut child = command.spawn()?;
    let answer = until(&mut child);
    Ok((child, answer))
}

/// Returns whether the exec has completed, or the child has exited.
///
/// `Command::spawn` returns a little too early: in an exec the kernel first releases the old
/// memory, which wakes the parent, and closes file descriptors later. Until then the child's
/// command line is its parent's, or empty.
fn has_closed_its_copies(child: &Child) -> bool {
    let line = |process: &str| std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
    let theirs = line(&child.id().to_string());
    if !theirs.is_empty() && theirs != line("self") {
        return true;
    }
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    waitid(WaitId::Pid(Pid::from_child(child)), look).is_ok_and(|ended| ended.is_some())
}

/// Drops an owner of file descriptors, and ensures that they are closed when this returns.
///
/// A child has copies of all file descriptors from its fork to its exec, close-on-exec or not. A
/// `drop` in another thread during that time leaves a listener listening or a pipe open for a
/// moment. This function waits for children that are being started by [`spawn`] and [`Role`]; if it
/// matters, start none with a plain `Command::spawn`.
pub fn close<T>(descriptors: T) {
    closing(|| drop(descriptors));
}

/// Runs `work`, which closes file descriptors in a way of its own; see [`close`].
pub fn closing<T>(work: impl FnOnce() -> T) -> T {
    let _nobody_starts = STARTING.read().unwrap_or_else(PoisonError::into_inner);
    work()
}

/// Returns the role of this process: `None` in the test itself, the name given to [`Role::new`] in
/// a child.
///
/// Call it in the first line of a test that has children. In a child it also tells the parent that
/// the role has begun, and sets an alarm, so that no child outlives a killed test run for more than
/// two minutes.
pub fn role() -> Option<String> {
    let role = std::env::var(ROLE).ok()?;
    let lifetime_seconds = (f64::from(LONGEST_LIFE_SECONDS) * slowness()) as u32;
    #[expect(unsafe_code, reason = "rustix has no alarm(2)")]
    // SAFETY: alarm takes a number and touches no memory; this process exists for one test, whose alarm it
    // is.
    unsafe {
        libc::alarm(lifetime_seconds)
    };
    println!("{BEGINS}");
    Some(role)
}

/// Starts `test` of the current test binary again in the role `role`, with additional environment
/// variables; see [`Role::spawn`].
///
/// `test` is the full name as `cargo test` prints it. The child is not guarded; wrap it in
/// [`KillOnDrop`].
#[track_caller]
pub fn spawn_self(test: &str, role: &str, env: &[(&str, &str)]) -> Child {
    env.iter().fold(Role::new(test, role), |role, (name, value)| role.env(name, value)).start()
}

/// A part of a test that runs in a process of its own.
#[derive(Debug)]
pub struct Role {
    command: Command,
}

impl Role {
    /// Creates the role `role` in the test whose full name, as `cargo test` prints it, is `test`.
    ///
    /// The child finds stdin and stdout connected to its parent by pipes; stderr is the parent's.
    pub fn new(test: &str, role: &str) -> Role {
        let mut command = Command::new("/proc/self/exe");
        command
            .args(["--exact", test, "--nocapture", "--test-threads=1", "-q"])
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Role { command }
    }

    /// Adds a variable to the child's environment.
    pub fn env(mut self, name: &str, value: &str) -> Role {
        self.command.env(name, value);
        self
    }

    /// Starts the child through another program, which is given the child's command line after
    /// these arguments: `unshare --net`. The started process is then that program's.
    pub fn within(mut self, program: &str, arguments: &[&str]) -> Role {
        let child = std::mem::replace(&mut self.command, Command::new(program));
        // `/proc/self/exe` would be that program.
        let binary = std::env::current_exe().expect("the path of the test binary");
        self.command.args(arguments).arg(binary).args(child.get_args());
        self.command.envs(child.get_envs().filter_map(|(name, value)| Some((name, value?))));
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped());
        self
    }

    /// Watches the child's system calls, from its exec on.
    #[track_caller]
    pub fn watched(mut self, injector: &Injector) -> Role {
        injector.attach(&mut self.command).expect("watch the child's system calls");
        self
    }

    /// Runs the child as this user and group, without supplementary groups. Only root can.
    pub fn user(mut self, uid: u32, gid: u32) -> Role {
        self.command.uid(uid).gid(gid);
        self
    }

    /// Starts the child and waits until it calls [`role`]. Panics if it never does, for example
    /// because of a misspelled test name.
    ///
    /// The test harness writes lines of its own to stdout; read the child's with
    /// [`KillOnDrop::line`].
    #[track_caller]
    pub fn spawn(self) -> KillOnDrop {
        KillOnDrop(self.start())
    }

    /// Starts the child, waits for its exit (one minute at most) and panics unless it passed.
    #[track_caller]
    pub fn run(self) {
        let status = self.spawn().finish(RUN_LIMIT);
        assert!(status.success(), "the child process failed: {status}");
    }

    #[track_caller]
    fn start(mut self) -> Child {
        let begins = |child: &mut Child| read_line(child, BEGINS, START_LIMIT).is_some();
        let (child, began) = start(&mut self.command, begins).expect("start the test binary again");
        if !began {
            drop(KillOnDrop(child));
            panic!("the child ran no test that calls role(): is its name misspelled?");
        }
        child
    }
}

/// A child process that is killed and reaped when the value is dropped, also by a panic.
#[derive(Debug)]
pub struct KillOnDrop(pub Child);

impl KillOnDrop {
    /// Reads the child's stdout up to the first line that begins with `word`, and returns the rest
    /// of that line, trimmed. Other lines are discarded. Panics at the end of the output, or after
    /// `limit`.
    #[track_caller]
    pub fn line(&mut self, word: &str, limit: Duration) -> String {
        match read_line(&mut self.0, word, limit) {
            Some(rest) => rest,
            None => panic!("the child ended, or took {limit:?}, without a line of \"{word}\""),
        }
    }

    /// Closes the child's stdin and waits for its exit. Panics after `limit` (dropping the value
    /// then kills it).
    #[track_caller]
    pub fn finish(&mut self, limit: Duration) -> ExitStatus {
        drop(self.0.stdin.take());
        let limit = scaled(limit);
        let end = Instant::now() + limit;
        loop {
            if let Some(status) = self.0.try_wait().expect("wait for the child") {
                return status;
            }
            assert!(Instant::now() < end, "the child still runs after {limit:?}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Returns the rest of the first line of the child's stdout that begins with `word`; `None` at the
/// end or after `limit`.
fn read_line(child: &mut Child, word: &str, limit: Duration) -> Option<String> {
    let end = Instant::now() + scaled(limit);
    let stdout = child.stdout.as_mut().expect("the child's stdout is a pipe");
    let mut line = Vec::new();
    loop {
        match read_byte(stdout, end)? {
            b'\n' => {
                if let Some(rest) = String::from_utf8_lossy(&line).strip_prefix(word) {
                    return Some(rest.trim().to_owned());
                }
                line.clear();
            }
            byte => line.push(byte),
        }
    }
}

/// Reads one byte; `None` at the end of the pipe or at `end`. Reads one at a time, so that nothing
/// is buffered.
fn read_byte(stdout: &mut ChildStdout, end: Instant) -> Option<u8> {
    let left = end.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    let ready =
        poll(&mut [PollFd::new(&*stdout, PollFlags::IN)], Some(&left)).expect("poll the child's stdout");
    let mut byte = [0];
    (ready == 1 && stdout.read(&mut byte).expect("read the child's stdout") == 1).then_some(byte[0])
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        // Fails only for a child that was already waited for, which is fine.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Deref for KillOnDrop {
    type Target = Child;

    fn deref(&self) -> &Child {
        &self.0
    }
}

impl DerefMut for KillOnDrop {
    fn deref_mut(&mut self) -> &mut Child {
        &mut self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{NOBODY, is_root, skip};

    const SHORT: Duration = Duration::from_secs(20);

    #[test]
    fn a_child_runs_its_role_and_reports() {
        const TEST: &str = "role::tests::a_child_runs_its_role_and_reports";
        if let Some(role) = role() {
            println!("ready as {role} with {}", std::env::var("EXTRA").unwrap());
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
            return;
        }
        let mut child = KillOnDrop(spawn_self(TEST, "echo", &[("EXTRA", "more")]));
        assert_eq!(child.line("ready", SHORT), "as echo with more");
        assert!(child.try_wait().unwrap().is_none(), "waits for the end of its stdin");
        assert!(child.finish(SHORT).success());
    }

    #[test]
    fn a_child_runs_as_another_user() {
        const TEST: &str = "role::tests::a_child_runs_as_another_user";
        if role().is_some() {
            assert_eq!(rustix::process::getuid().as_raw(), NOBODY);
            assert_eq!(rustix::process::getgid().as_raw(), NOBODY);
            assert!(rustix::process::getgroups().unwrap().is_empty());
            return;
        }
        if !is_root() {
            skip!("lacks root");
        }
        Role::new(TEST, "nobody").user(NOBODY, NOBODY).run();
    }

    #[test]
    #[should_panic(expected = "the child process failed")]
    fn a_child_that_fails_fails_the_test() {
        const TEST: &str = "role::tests::a_child_that_fails_fails_the_test";
        if role().is_some() {
            std::process::exit(3);
        }
        Role::new(TEST, "fail").run();
    }

    #[test]
    #[should_panic(expected = "is its name misspelled?")]
    fn a_misspelled_test_is_detected() {
        Role::new("role::tests::no_such_test", "nobody").run();
    }

    #[test]
    fn a_dropped_child_is_killed() {
        const TEST: &str = "role::tests::a_dropped_child_is_killed";
        if role().is_some() {
            println!("ready");
            thread::sleep(Duration::from_secs(600));
        }
        let mut child = Role::new(TEST, "sleep").spawn();
        child.line("ready", SHORT);
        let pid = child.id();
        drop(child);
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    }
}
