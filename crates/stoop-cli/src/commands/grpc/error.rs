//! Explains errors in four parts: what was requested, why it failed, what was observed, and what to
//! try.

use std::path::PathBuf;

use stoop::escaped;
use stoop_grpc::dynamic::json::Style;
use stoop_grpc::dynamic::{CallError, Code, Greeting, Schema, Status, Unresolved, details};

use super::metadata;
use crate::args::Grpc;
use crate::exit::Exit;
use crate::failure::{Failure, Report};
use crate::shell::quoted;
use crate::time;

/// The observation about a server that is late: it has neither refused the call nor disconnected.
pub(super) const UNFINISHED: &str = "the server is connected, and has not ended the call";

/// The request, to be named in failure reports.
pub(super) struct ErrorContext<'f> {
    pub(super) flags: &'f Grpc,
}

impl ErrorContext<'_> {
    /// Turns a suggested command that connects into one that makes this call. Others are unchanged.
    pub(super) fn again(&self, command: &str) -> String {
        match command.strip_prefix("stoop connect ").and_then(|rest| rest.split_once(" --wait ")) {
            Some((_, waits)) => self.command(&format!("--wait {waits}")),
            None => command.into(),
        }
    }

    /// Explains a call that failed.
    pub(super) fn explain(&self, called: &str, error: &CallError, schema: &Schema) -> Failure {
        match error {
            CallError::Late => self.late(called, UNFINISHED),
            // Client and server both have a timer for the deadline, and either may fire first.
            CallError::Answered(status)
                if status.code() == Code::DeadlineExceeded && self.flags.timeout.is_some() =>
            {
                self.late(called, "the server says so itself (DEADLINE_EXCEEDED)")
            }
            CallError::Answered(status) => self.answered(called, status, schema),
            CallError::TooLarge { max_bytes } => self
                .report(called, format!("a message of the server is larger than {max_bytes} bytes"))
                .why("an answer is kept in memory whole, so there is a limit")
                .next(self.command(&format!("--max-message {}M", (max_bytes >> 20).max(1) * 16)))
                .into(),
            CallError::Malformed(_) => self
                .report(called, error)
                .why("the server has another version of the schema, breaks the protocol, or speaks plain HTTP/2")
                .next(format!("{} describe", self.server()))
                .next(format!("stoop http {} / --http2", self.address()))
                .into(),
            error => self
                .report(called, error)
                .why("the connection broke before the answer was complete")
                .next(self.command("--wait 10s    # when the server is there again"))
                .into(),
        }
    }

    /// Explains an error status that the server answered with (exit code 1).
    fn answered(&self, called: &str, status: &Status, schema: &Schema) -> Failure {
        let name = name_of(status.code());
        let message = status.message();
        let said = if message.is_empty() { String::new() } else { format!(": {message}") };
        let what = format!("'{}' was answered with {name}{said}", called);
        let mut report = Failure::new(Exit::No, what).why(meaning(status.code()));
        let style = Style { one_line: true, ..Style::default() };
        for detail in details(status, schema) {
            report = report.seen(format!("detail {}", style.text(&detail)));
        }
        for line in metadata::lines(status.metadata()) {
            report = report.seen(format!("metadata {line}"));
        }
        let lacks_namespace = called.starts_with("containerd.")
            && !self
                .flags
                .metadata
                .iter()
                .any(|pair| pair.to_ascii_lowercase().starts_with("containerd-namespace"));
        match status.code() {
            Code::FailedPrecondition | Code::InvalidArgument if lacks_namespace => {
                report = report.next(self.command("-H 'containerd-namespace: default'"));
            }
            Code::Unimplemented => report = report.next(format!("{} list", self.server())),
            Code::InvalidArgument => {
                report = report.next(format!("{} describe {called}", self.server()));
            }
            _ => {}
        }
        report.into()
    }

    /// Reports that the deadline has passed. `seen` describes the state at that moment.
    pub(super) fn late(&self, called: &str, seen: &str) -> Failure {
        let within = time::show(self.flags.timeout.unwrap_or_default());
        self.report(called, format!("the call was not over within {within}"))
            .why("the server is busy, waits for something, or goes on sending")
            .seen(seen)
            .next(self.command("--timeout 1m"))
            .into()
    }

    /// Reports that the server speaks another protocol.
    pub(super) fn other_protocol(&self, greeting: &Greeting) -> Failure {
        let by_hand = format!("stoop connect {}    # talk to it by hand", self.address());
        match greeting {
            Greeting::Http1(line) => self
                .useless("it does not understand HTTP/2, which gRPC is made of")
                .why("a server that speaks HTTP/1 is there")
                .seen(format!("it said '{}'", line))
                .next(format!("stoop http {} /", self.address())),
            Greeting::Other(bytes) => self
                .useless("it speaks another protocol")
                .why("a gRPC server would first say its settings of HTTP/2")
                .seen(format!("it said '{}'", escaped(bytes)))
                .next(by_hand),
            _ => self
                .useless("it closed the connection")
                .why("it speaks another protocol, refuses us, or has ended")
                .seen("the connection was accepted, and not a byte came back")
                .next(by_hand),
        }
        .into()
    }

    /// Reports that the connection failed immediately.
    pub(super) fn unusable(&self, error: &dyn std::error::Error) -> Failure {
        self.useless(&error.to_string()).into()
    }

    /// Reports a name that matches nothing, or several things.
    pub(super) fn unresolved(&self, sort: &str, name: &str, found: &Unresolved, schema: &Schema) -> Failure {
        match found {
            Unresolved::Ambiguous(names) => names
                .iter()
                .fold(
                    Failure::new(Exit::Usage, format!("'{name}' may be any of several {sort}s"))
                        .why("a name may be cut to its end only where nothing else ends so"),
                    |report, name| report.next(format!("{} {}", self.server(), self.asked(sort, name))),
                )
                .into(),
            Unresolved::Unknown(names) => {
                let report = Failure::new(Exit::Usage, format!("there is no {sort} '{name}'"))
                    .seen(format!("in what is known of the server: {}", schema.origin()));
                let report = match names.first() {
                    Some(nearest) => report.why(format!("'{}' was probably meant", nearest)),
                    None => report,
                };
                let suggested = names.iter().fold(report, |report, name| {
                    report.next(format!("{} {}", self.server(), self.asked(sort, name)))
                });
                suggested.next(format!("{} list", self.server())).into()
            }
        }
    }

    fn asked(&self, sort: &str, name: &str) -> String {
        if sort == "method" { name.to_owned() } else { format!("describe {name}") }
    }

    fn useless(&self, why: &str) -> Report {
        Failure::new(Exit::Failed, format!("no gRPC with '{}': {why}", self.flags.endpoint))
    }

    fn report(&self, called: &str, why: impl std::fmt::Display) -> Report {
        let what = format!("no answer to '{}' from '{}': {why}", called, self.flags.endpoint);
        Failure::new(Exit::Failed, what)
    }

    pub(super) fn address(&self) -> String {
        quoted(self.flags.endpoint.to_string().as_ref())
    }

    /// Returns this command line with `more` appended.
    fn command(&self, more: &str) -> String {
        let words = [self.flags.action.as_deref(), self.flags.data.as_deref()];
        let words: String =
            words.into_iter().flatten().map(|word| format!(" {}", quoted(word.as_ref()))).collect();
        format!("{}{words} {more}", self.server())
    }

    /// Returns the part of the command line that selects the server and the schema.
    fn server(&self) -> String {
        let flags = self.flags;
        let files = |flag: &'static str, files: &[PathBuf]| -> String {
            files.iter().map(|file| format!(" {flag} {}", quoted(file.as_ref()))).collect()
        };
        let mut command = format!("stoop grpc {}", self.address());
        command += &files("--import-path", &flags.import_path);
        command += &files("--proto", &flags.proto);
        command += &files("--descriptor-set", &flags.descriptor_set);
        for (flag, is_given) in [(" --builtin", flags.builtin), (" --ttrpc", flags.ttrpc)] {
            command += if is_given { flag } else { "" };
        }
        command
    }
}

/// Returns the name of a code in the protocol.
pub(super) fn name_of(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// Returns the meaning of a code.
fn meaning(code: Code) -> &'static str {
    match code {
        Code::Ok => "all went well",
        Code::Cancelled => "the call was given up",
        Code::Unknown => "the server does not say which sort of error it is",
        Code::InvalidArgument => "the server refuses what was sent, whatever state it is in",
        Code::DeadlineExceeded => "the server was not done in time",
        Code::NotFound => "what was named is not there",
        Code::AlreadyExists => "what was to be made is there already",
        Code::PermissionDenied => "the server knows who asks, and does not let them",
        Code::ResourceExhausted => {
            "a limit of the server is reached: room, a quota, or the size of a message"
        }
        Code::FailedPrecondition => "the server is not in the state that this needs",
        Code::Aborted => "it met with something else that was going on; it may work when tried again",
        Code::OutOfRange => "it goes past the end of what there is",
        Code::Unimplemented => "the server has no such method, or not in this version",
        Code::Internal => "something is broken inside the server",
        Code::Unavailable => "the server cannot do it now; it may work when tried again",
        Code::DataLoss => "the server has lost data",
        Code::Unauthenticated => "the server does not know who asks",
    }
}
