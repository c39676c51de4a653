//! Programs under test and their peers: their input, their output, and their exit within a timeout.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use stoop_testkit::{Injector, KillOnDrop, eventually, spawn};

use crate::binary::{binary, binary_for_others};

/// The default timeout of a program.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Environment variables that would change a program's behaviour.
const UNWANTED: [&str; 10] = [
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "CLICOLOR_FORCE",
    "DOCKER_HOST",
    "DOCKER_CONTEXT",
    "DOCKER_CONFIG",
    "CONTAINER_HOST",
    "CONTAINER_RUNTIME_ENDPOINT",
];

/// A program to be started. Its stdin is empty by default.
#[derive(Debug)]
pub struct Run {
    command: Command,
    input: Option<Vec<u8>>,
    open: bool,
    given: Option<OwnedFd>,
}

/// Returns the built `stoop` command.
pub fn stoop<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    program(binary(), args)
}

/// Returns the built `stoop` command, run by this user and the group of the same number. Requires
/// root.
pub fn stoop_as<A: AsRef<OsStr>>(uid: u32, args: impl IntoIterator<Item = A>) -> Run {
    let mut run = program(binary_for_others(), args);
    run.command.arg0("stoop").uid(uid).gid(uid).env_remove("HOME");
    run
}

/// Returns every verb of the command, as its help lists them.
pub fn verbs() -> Vec<String> {
    let help = stoop(["--help"]).run().ok().text();
    let listed =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let verbs: Vec<_> = listed.filter_map(|line| line.split_whitespace().next()).map(str::to_owned).collect();
    assert!(verbs.iter().any(|verb| verb == "serve"), "no verbs in the help:\n{help}");
    verbs
}

/// Returns the peer written in Python: see `peers/peer.py`.
pub fn peer<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Run {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/peer.py");
    let mut run = program("python3", [script]);
    run.command.args(args);
    run
}

/// Returns any program.
pub fn program<A: AsRef<OsStr>>(name: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Run {
    let mut command = Command::new(name);
    command.args(args).env("LC_ALL", "C.UTF-8").env("TERM", "dumb");
    for name in UNWANTED {
        command.env_remove(name);
    }
    Run { command, input: None, open: false, given: None }
}

impl Run {
    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Run {
        self.command.args(args);
        self
    }

    /// Adds an argument.
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Run {
        self.command.arg(arg);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Run {
        self.command.env(name, value);
        self
    }

    /// Watches its system calls, from its exec on. Not for a program that is wrapped afterwards.
    #[track_caller]
    pub fn watched(mut self, injector: &Injector) -> Run {
        injector.attach(&mut self.command).expect("watch its system calls");
        self
    }

    /// Runs in this directory.
    pub fn inside(mut self, directory: &Path) -> Run {
        self.command.current_dir(directory);
        self
    }

    /// Writes these bytes to stdin, then closes it.
    pub fn input(mut self, bytes: impl Into<Vec<u8>>) -> Run {
        self.input = Some(bytes.into());
        self
    }

    /// Leaves stdin open: see [`Running::say`] and [`Running::end_input`].
    pub fn open_input(mut self) -> Run {
        self.open = true;
        self
    }

    /// Uses this as its stdin.
    pub fn stdin(mut self, given: impl Into<OwnedFd>) -> Run {
        self.given = Some(given.into());
        self
    }

    /// Starts it through another program, such as `prlimit --nofile=20`, which takes it as its last
    /// arguments. Not for [`stoop_as`].
    pub fn under<A: AsRef<OsStr>>(self, wrapper: &str, args: impl IntoIterator<Item = A>) -> Run {
        let mut run = program(wrapper, args);
        run.command.arg(self.command.get_program()).args(self.command.get_args());
        run.command.envs(self.command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if let Some(directory) = self.command.get_current_dir() {
            run.command.current_dir(directory);
        }
        Run { command: run.command, ..self }
    }

    /// Runs with this umask, written in octal.
    pub fn umask(self, mask: &str) -> Run {
        let script = format!("umask {mask}; exec \"$@\"");
        self.under("sh", ["-c", &script, "sh"])
    }

    /// Runs it to completion.
    #[track_caller]
    pub fn run(self) -> Output {
        self.spawn().finish()
    }

    /// Starts it.
    #[track_caller]
    pub fn spawn(mut self) -> Running {
        let piped = self.input.is_some() || self.open;
        let stdin = match self.given.take() {
            Some(given) => given.into(),
            None if piped => Stdio::piped(),
            None => Stdio::null(),
        };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match spawn(&mut self.command) {
            Ok(child) => KillOnDrop(child),
            Err(error) => panic!("cannot start {:?}: {error}", self.command),
        };
        let name = format!("{:?}", self.command);
        let stdout = Heard::new(child.stdout.take().expect("stdout is a pipe"));
        let stderr = Heard::new(child.stderr.take().expect("stderr is a pipe"));
        if let Some(bytes) = self.input {
            let mut stdin = child.stdin.take().expect("stdin is a pipe");
            // If a program exits before it has read everything, that is not the test's fault.
            thread::spawn(move || drop(stdin.write_all(&bytes)));
        }
        Running { child, name, stdout, stderr }
    }
}

/// The output of a program so far, collected by a thread so that the program never waits for the
/// test.
#[derive(Debug)]
struct Heard {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Heard {
    fn new(mut from: impl Read + Send + 'static) -> Heard {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(len @ 1..) = from.read(&mut buffer) {
                shared.lock().expect("no panic while locked").extend_from_slice(&buffer[..len]);
            }
        });
        Heard { bytes, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().expect("no panic while locked").clone()
    }

    fn has(&self, word: &str) -> bool {
        String::from_utf8_lossy(&self.so_far()).contains(word)
    }

    fn is_over(&self) -> bool {
        self.reader.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// A running program; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: KillOnDrop,
    name: String,
    stdout: Heard,
    stderr: Heard,
}

impl Running {
    /// Returns its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.pid() as i32).expect("a pid is not 0");
        kill_process(pid, signal).expect("signal a child of ours");
    }

    /// Writes to its stdin, which was left open.
    #[track_caller]
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        let stdin = self.child.stdin.as_mut().expect("stdin is open");
        stdin.write_all(bytes.as_ref()).expect("the program takes its input");
    }

    /// Closes its stdin.
    pub fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// Returns what it has written to stdout so far.
    pub fn stdout(&self) -> Vec<u8> {
        self.stdout.so_far()
    }

    /// Returns what it has written to stderr so far, as text.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// Waits until stdout contains `word`.
    #[track_caller]
    pub fn wait_stdout(&self, word: &str) {
        eventually(LIMIT, || self.stdout.has(word));
    }

    /// Waits until stdout has this many bytes, and returns them.
    #[track_caller]
    pub fn wait_bytes(&self, len: usize) -> Vec<u8> {
        eventually(LIMIT, || self.stdout.so_far().len() >= len);
        self.stdout()
    }

    /// Waits until stderr contains `word`.
    #[track_caller]
    pub fn wait_stderr(&self, word: &str) {
        eventually(LIMIT, || self.stderr.has(word));
    }

    /// Returns whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("wait for the program").is_none()
    }

    /// Waits for its exit, within [`LIMIT`].
    #[track_caller]
    pub fn finish(mut self) -> Output {
        let mut status = None;
        eventually(LIMIT, || {
            status = self.child.try_wait().expect("wait for the program");
            status.is_some()
        });
        // A child of the program may hold its pipes a moment longer.
        eventually(LIMIT, || self.stdout.is_over() && self.stderr.is_over());
        let status = status.expect("it has ended");
        Output {
            code: status.code(),
            signal: status.signal(),
            stdout: self.stdout(),
            stderr: self.stderr(),
            name: self.name,
        }
    }

    /// Terminates it as a service manager does, and waits for its exit.
    #[track_caller]
    pub fn terminate(self) -> Output {
        self.signal(Signal::TERM);
        self.finish()
    }

    /// Kills it without a chance to clean up.
    #[track_caller]
    pub fn kill(self) -> Output {
        self.signal(Signal::KILL);
        self.finish()
    }
}

/// The result of a program.
#[derive(Debug)]
pub struct Output {
    /// The exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that killed it, if one did.
    pub signal: Option<i32>,
    /// All of stdout.
    pub stdout: Vec<u8>,
    /// All of stderr, as text.
    pub stderr: String,
    name: String,
}

impl Output {
    /// Panics, with all its output, unless it exited with this code.
    #[track_caller]
    pub fn code(self, expected: i32) -> Output {
        let Output { code, signal, stderr, name, .. } = &self;
        assert!(
            *code == Some(expected),
            "{name}\nended with code {code:?}, signal {signal:?} instead of {expected}\nstdout: {}\nstderr: {stderr}",
            self.text()
        );
        self
    }

    /// Panics unless it exited with 0.
    #[track_caller]
    pub fn ok(self) -> Output {
        self.code(0)
    }

    /// Panics unless it exited with 0, or with 6 after it reported what it could not see: some
    /// machines hide a process even from root.
    #[track_caller]
    pub fn seen(self) -> Output {
        if self.code != Some(6) {
            return self.ok();
        }
        self.explains(&["not visible"]);
        self
    }

    /// Returns stdout as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns each line of stdout as JSON.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        let line = |line: &str| {
            serde_json::from_str(line).unwrap_or_else(|error| panic!("not JSON ({error}): {line}"))
        };
        self.text().lines().map(line).collect()
    }

    /// Panics unless stdout is exactly this; reports the first difference instead of printing
    /// megabytes.
    #[track_caller]
    pub fn stdout_is(&self, expected: &[u8]) {
        let same = self.stdout.iter().zip(expected).take_while(|(one, other)| one == other).count();
        assert!(
            self.stdout == expected,
            "{}\nwrote {} bytes where {} were expected; they differ from byte {same}\nstderr: {}",
            self.name,
            self.stdout.len(),
            expected.len(),
            self.stderr
        );
    }

    /// Panics unless stderr contains each of these.
    #[track_caller]
    pub fn explains(&self, words: &[&str]) {
        for word in words {
            assert!(
                self.stderr.contains(word),
                "'{word}' is not in what {} said:\n{}",
                self.name,
                self.stderr
            );
        }
    }
}
