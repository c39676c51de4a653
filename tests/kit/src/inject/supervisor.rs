//! The thread that answers the notifications of a child's calls.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, pidfd_send_signal};

use super::sys::{self, MARK, Notification, Reply, SharedNumber};
use super::{Call, Injector, Plan, State, calls};

/// The maximum lifetime of a child, so that none outlives its test for long.
const LONGEST_LIFE: Duration = Duration::from_secs(120);

/// How long a child may take from its fork to its exec.
const START_LIMIT: Duration = Duration::from_secs(30);

/// The polling interval for the number that a child writes.
const LOOK: Duration = Duration::from_micros(100);

pub(super) fn attach(injector: Injector, command: &mut Command) -> io::Result<()> {
    let (pid, theirs) = pipe_with(PipeFlags::CLOEXEC)?;
    let number = Arc::new(SharedNumber::new()?);
    sys::filter(command, theirs, Arc::clone(&number));
    thread::Builder::new().name("supervisor".into()).spawn(move || {
        let watched = take(pid.into(), &number).and_then(|listener| match listener {
            Some((process, listener)) => supervise(&injector, &process, &listener),
            None => Ok(()),
        });
        if let Err(error) = watched {
            injector.state().failure = Some(error.to_string());
        }
    })?;
    Ok(())
}

/// Takes the child and its listener; `None` if the command was never started.
fn take(mut pid: File, number: &SharedNumber) -> io::Result<Option<(OwnedFd, OwnedFd)>> {
    let mut bytes = [0; 4];
    if pid.read_exact(&mut bytes).is_err() {
        return Ok(None);
    }
    let pid = Pid::from_raw(i32::from_ne_bytes(bytes)).expect("a pid is not 0");
    let end = Instant::now() + START_LIMIT;
    loop {
        if let Some(number) = number.get() {
            return sys::take_listener(pid, number).map(Some);
        }
        // The start may have failed: then there is no child, or a zombie waits to be reaped.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
        if stat.map_or(true, |stat| stat.contains(") Z ")) || Instant::now() > end {
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

/// Answers each call until no process is left that could make one.
fn supervise(injector: &Injector, process: &OwnedFd, listener: &OwnedFd) -> io::Result<()> {
    let end = Instant::now() + LONGEST_LIFE;
    loop {
        match wait(listener.as_fd(), end)? {
            Some(ready) if ready.contains(PollFlags::IN) => {
                if let Some(call) = sys::receive(listener)? {
                    answer(injector, process, listener, call)?;
                }
            }
            Some(_) => return Ok(()),
            None => {
                pidfd_send_signal(process, Signal::KILL)?;
                return Err(io::Error::other("it lived too long, and was killed"));
            }
        }
    }
}

fn wait(listener: impl AsFd, end: Instant) -> io::Result<Option<PollFlags>> {
    let left = end.saturating_duration_since(Instant::now());
    let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
    let mut entry = [PollFd::new(&listener, PollFlags::IN)];
    match poll(&mut entry, Some(&left)) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(entry[0].revents())),
        Err(rustix::io::Errno::INTR) => Ok(Some(PollFlags::IN)),
        Err(errno) => Err(errno.into()),
    }
}

fn answer(injector: &Injector, process: &OwnedFd, listener: &OwnedFd, taken: Notification) -> io::Result<()> {
    let decision = injector.state().decide(&taken);
    if let Some(signal) = decision.signal {
        // If the child was killed in the meantime, no answer is needed.
        let _ = pidfd_send_signal(process, signal);
    }
    match decision.reply {
        Some(reply) => sys::answer(listener, taken.id, reply),
        None => Ok(()),
    }
}

/// The answer to a call.
struct Decision {
    signal: Option<Signal>,
    /// `None` for a call during which the process exits.
    reply: Option<Reply>,
}

impl State {
    fn decide(&mut self, taken: &Notification) -> Decision {
        let mut decision = Decision { signal: None, reply: Some(Reply::Continue) };
        let mut call =
            Call { name: calls::name(taken.number), arguments: taken.arguments, index: 0, occurrence: 0 };
        let marked = is_mark(&call);
        if marked {
            decision.reply = Some(Reply::Return(0));
        }
        if let Some(begins) = &mut self.begin {
            if !begins(&call) {
                return decision;
            }
            self.begin = None;
        }
        if marked || changes_nothing(&call) {
            return decision;
        }
        call.index = self.calls.len();
        let count = self.counts.entry(call.name).or_default();
        (call.occurrence, *count) = (*count, *count + 1);
        if self.signal.as_mut().is_some_and(|(_, at)| at(&call)) {
            decision.signal = self.signal.take().map(|(signal, _)| signal);
        }
        match self.plan {
            Some(Plan::KillAt(index)) if index == call.index => {
                (decision.signal, decision.reply) = (Some(Signal::KILL), None);
                self.fired(&call);
            }
            Some(Plan::Fail(name, skipped, errno)) if name == call.name && skipped == call.occurrence => {
                decision.reply = Some(Reply::Return(-errno.raw_os_error()));
                self.fired(&call);
            }
            _ => {}
        }
        self.calls.push(call);
        decision
    }

    pub(super) fn forget(&mut self) {
        self.calls.clear();
        self.counts.clear();
    }

    fn fired(&mut self, call: &Call) {
        (self.plan, self.hit) = (None, Some(call.clone()));
    }
}

pub(super) fn is_mark(call: &Call) -> bool {
    call.name == "prctl" && call.arguments[0] == MARK
}

/// Calls that only query, or concern the calling thread alone: debug builds make many of them.
fn changes_nothing(call: &Call) -> bool {
    let command = call.arguments[1] as i32;
    match call.name {
        "prctl" | "execve" => true,
        "fcntl" => [libc::F_GETFD, libc::F_SETFD, libc::F_GETFL].contains(&command),
        _ => false,
    }
}

/// Returns why no child can be watched on this machine, if so.
pub(super) fn try_out() -> Option<String> {
    let injector = Injector::new();
    let mut command = Command::new("/proc/self/exe");
    command.arg("--list").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let started = injector.attach(&mut command).and_then(|()| crate::spawn(&mut command));
    match started.and_then(|mut child| child.wait()) {
        Err(error) => Some(format!("a seccomp notifier ({error})")),
        Ok(_) if injector.count() == 0 => Some("a seccomp notifier that tells of calls".into()),
        Ok(_) => None,
    }
}
