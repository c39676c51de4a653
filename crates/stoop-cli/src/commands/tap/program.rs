//! Pieces of a program that is started: `stoop tap -- CMD`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use stoop::Address;
use stoop_tap::{End, Ended, Flow, FlowId, Piece, Step, Trace, TraceError, What};

use super::args::Tap as Flags;
use super::label_filter::LabelFilter;
use super::names::Label;
use super::source::Source;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::shell;
use crate::signals::Signals;

/// How much of a message is read if nothing else is said.
const PAYLOAD_MAX: usize = 65_000;

/// A program, and what it and its children transfer.
pub(super) struct Program<'f> {
    trace: Trace,
    filter: LabelFilter<'f>,
    /// A request to end, which is passed on.
    terminate: Signals,
    /// Ctrl-C reaches the program itself, and ends nothing here.
    _interrupt: Signals,
}

impl<'f> Program<'f> {
    /// Starts it.
    pub(super) fn start(flags: &'f Flags) -> Result<Program<'f>, Failure> {
        let filter = LabelFilter::new(&flags.selection)?;
        let terminate = Signals::catch_one(signal_hook::consts::SIGTERM)?;
        let interrupt = Signals::catch_one(signal_hook::consts::SIGINT)?;
        let snaplen = flags.files.snaplen.and_then(|len| usize::try_from(len).ok());
        let payload_max = if flags.no_payload { 0 } else { snaplen.unwrap_or(PAYLOAD_MAX) };
        let trace = Trace::start(&flags.program, payload_max).map_err(|error| untraced(&error, flags))?;
        Ok(Program { trace, filter, terminate, _interrupt: interrupt })
    }

    fn is_selected(&self, piece: &Piece) -> bool {
        let known = |end: End| self.label(end).unwrap_or_default();
        match (&piece.what, self.trace.flow(piece.flow)) {
            (What::Connect { listener, process }, _) => {
                let client = Label { process: Some(process.clone()), ..Label::default() };
                self.filter.matches(&[client, known(*listener)], None)
            }
            (_, Some(flow)) => {
                let ends = flow.ends.each_ref().map(|end| {
                    Label { process: end.process.clone(), ..Label::default() }.or(self.label(end.socket))
                });
                self.filter.matches(&ends, Some(flow.kind))
            }
            (_, None) => true,
        }
    }
}

impl Source for Program<'_> {
    fn next(&mut self, timeout: Duration) -> Result<Option<Vec<Piece>>, Failure> {
        if is_readable(&self.terminate) {
            self.terminate.take();
            self.trace.terminate();
        }
        let pieces = self.trace.next(timeout);
        Ok(pieces.map(|pieces| pieces.into_iter().filter(|piece| self.is_selected(piece)).collect()))
    }

    /// The program is asked to end, and what it still does is shown.
    fn stop(&mut self) -> Vec<Piece> {
        self.trace.terminate();
        Vec::new()
    }

    fn ends_when_stopped(&self) -> bool {
        true
    }

    /// A server may accept a client that has already sent.
    fn learns_ends(&self) -> bool {
        true
    }

    fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.trace.flow(id)
    }

    fn wall_time(&self, time_ns: u64) -> SystemTime {
        self.trace.wall_time(time_ns)
    }

    fn label(&self, end: End) -> Option<Label> {
        let address = match self.trace.address(end)? {
            [0, name @ ..] => Address::abstract_name(name).ok(),
            path => Address::path(Path::new(OsStr::from_bytes(path))).ok(),
        };
        Some(Label { address, ..Label::default() })
    }

    fn finish(&mut self) -> Result<Exit, Failure> {
        Ok(match self.trace.ended() {
            None | Some(Ended::Exited(0)) => Exit::Done,
            Some(Ended::Exited(code)) => Exit::Process(code),
            // As a shell reports it.
            Some(Ended::Killed(signal)) => Exit::Process(128u8.wrapping_add(signal as u8)),
            Some(_) => Exit::Failed,
        })
    }
}

fn is_readable(signals: &Signals) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut [PollFd::new(signals, PollFlags::IN)], Some(&now)).is_ok_and(|ready| ready > 0)
}

/// Explains why a program cannot be traced.
fn untraced(error: &TraceError, flags: &Flags) -> Failure {
    let name =
        flags.program.first().map(|name| stoop::escaped(name.as_bytes()).to_string()).unwrap_or_default();
    let (exit, cause) = match error.error.kind() {
        std::io::ErrorKind::PermissionDenied => (Exit::NotPermitted, "the kernel does not permit it"),
        _ => (Exit::Failed, "the kernel refuses it"),
    };
    let report = |what: String| Failure::new(exit, what).seen(format!("{}", error.error));
    match error.step {
        Step::Execute => Failure::io(format!("run '{name}'"), &error.error),
        Step::Trace => report(format!("cannot trace '{name}'"))
            .why(format!("{cause}: /proc/sys/kernel/yama/ptrace_scope of 2 or 3, a seccomp filter, or a security module forbids ptrace"))
            .seen(ptrace_scope())
            .next(format!("sudo {}    # if the scope is 2", crate::sockets::format::command_line()))
            .into(),
        Step::Filter => report(format!("cannot trace '{name}'"))
            .why(format!("{cause}: a filter of system calls cannot be set"))
            .next(format!("strace -f -e trace=network,read,write {}", shell::word(name.as_bytes())))
            .into(),
        _ => Failure::io(format!("start '{name}'"), &error.error),
    }
}

fn ptrace_scope() -> String {
    match std::fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope") {
        Ok(scope) => format!("ptrace_scope is {}", scope.trim()),
        Err(_) => "there is no ptrace_scope: another rule forbids it".to_owned(),
    }
}
