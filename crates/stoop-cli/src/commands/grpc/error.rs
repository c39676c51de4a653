//! Explains errors in four parts: what was requested, why it failed, what was observed, and what to
//! try.

use std::path::PathBuf;

use stoop::escaped;
use stoop_dynamic::json::Style;
use stoop_dynamic::{
    CallError, Code, Greeting, HttpResponse, Origin, Schema, Status, Unresolved, code_name, code_number,
    details,
};

use super::cri_plugin::CriPlugin;
use super::h2c::Refusal;
use super::meaning::{meaning, session};
use super::metadata;
use super::probed::Probed;
use crate::accepted;
use crate::advice::Client;
use crate::args::Grpc;
use crate::exit::{Exit, GrpcCode};
use crate::failure::{Failure, Report};
use crate::features::is_built;
use crate::refused;
use crate::shell::quoted;
use crate::time;
use crate::tls::{is_tls, tls_client};

/// The observation about a server that is late: it has neither refused the call nor disconnected.
pub(super) const UNFINISHED: &str = "the connection is open, and the call has not ended";

/// The request, to be named in failure reports.
pub(super) struct ErrorContext<'f> {
    pub(super) flags: &'f Grpc,
}

impl ErrorContext<'_> {
    /// Words a suggested client that waits as this command. Any other client only connects.
    pub(super) fn client(&self, client: &Client) -> String {
        match client.waits {
            true => self.command(&format!("{}{}", client.flags().trim_start(), client.comment())),
            false => client.connect(),
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
                self.late(called, "the server reported DEADLINE_EXCEEDED")
            }
            CallError::Answered(status) => self.answered(called, status, schema),
            CallError::TooLarge { max_bytes } => self
                .report(called, format!("message too large: more than {max_bytes} bytes"))
                .why("a message is held in memory as a whole, so its size is limited")
                .next(self.command(&format!("--max-message {}M", (max_bytes >> 20).max(1) * 16)))
                .into(),
            CallError::Http(response) => self.http_response(called, response),
            CallError::NoStatus => self
                .broken(called, error)
                .why("the server or a proxy in front of it cut the response off: what was received may be incomplete")
                .next(format!("stoop who {}    # the server, its user and its clients", self.address()))
                .into(),
            CallError::Malformed(_) => self
                .report(called, error)
                .why("the server uses another version of the schema, violates the protocol, or speaks plain HTTP/2")
                .next(format!("{} describe", self.server()))
                .next_all(self.http("/ --http2"))
                .into(),
            error => self
                .broken(called, error)
                .why("the connection was closed before the response was complete")
                .next(self.command("--wait 10s    # once the server is running again"))
                .into(),
        }
    }

    /// Explains a response that is HTTP, but not gRPC.
    fn http_response(&self, called: &str, response: &HttpResponse) -> Failure {
        let is_error = response.status.is_client_error() || response.status.is_server_error();
        let exit = if is_error { Exit::HttpStatus } else { Exit::Failed };
        let what = format!("no gRPC response to '{called}' from '{}': {response}", self.flags.endpoint);
        let report = Failure::new(exit, what).why(match response.status.as_u16() {
            401 | 403 => "a proxy or the server wants credentials, or refuses them",
            404 => "no gRPC service is served here: a proxy has no route to it, or it is another HTTP server",
            502..=504 => "a proxy answers, because it does not get a response of the server behind it",
            _ => "a proxy answers, or a server that does not serve gRPC",
        });
        let report = match &*response.line {
            "" => report.seen("the body has no text"),
            line => report.seen(format!("the body begins with '{}'", escaped(line))),
        };
        match response.status.as_u16() {
            401 | 403 => report.next(self.command("-H 'authorization: Bearer TOKEN'")),
            502..=504 => report.next(self.command("--wait 10s    # once the server behind it is available")),
            _ => report.next_all(self.http("/ --http2")),
        }
        .into()
    }

    /// Explains a connection that is not upgraded to gRPC.
    pub(super) fn not_upgraded(&self, asked: &str, refusal: &Refusal) -> Failure {
        let what = |why: &str| format!("cannot use gRPC with '{}': {why}", self.flags.endpoint);
        match refusal {
            Refusal::Answer { status, line, body } => {
                let report =
                    Failure::new(Exit::HttpStatus, what("the server does not upgrade the connection"));
                let report = report.seen(format!("it answered '{asked}' with '{}'", escaped(line)));
                let report = match body.trim() {
                    "" => report,
                    body => report.seen(format!("the body begins with '{}'", escaped(body))),
                };
                match status {
                    404 => report.why("it has no such path: a Docker of before 18.09, or another server"),
                    _ => report.why("it does not offer gRPC over HTTP/1 at this path"),
                }
                .next_all(self.http("/"))
            }
            Refusal::Other(bytes) => Failure::new(Exit::Failed, what("the server does not speak HTTP/1"))
                .why("the connection is upgraded from HTTP/1, as --h2c and docker ask for")
                .seen(format!("it sent '{}'", escaped(bytes)))
                .next(format!("stoop grpc {} list    # without an upgrade", self.address())),
            Refusal::Closed => Failure::new(Exit::CutOff, what("the server closed the connection"))
                .why("it does not speak HTTP/1, does not allow this user, or exited")
                .seen_all(refused::seen(&self.flags.endpoint))
                .seen(format!("nothing was received after '{asked}'"))
                .next(format!("stoop who {}    # the server, its user and its clients", self.address())),
            Refusal::Io(error) => Failure::new(Exit::CutOff, what(&error.to_string()))
                .why("the connection broke before it was upgraded")
                .next(format!("stoop who {}    # the server, its user and its clients", self.address())),
        }
        .into()
    }

    /// Explains why containerd does not implement a method of the CRI.
    pub(super) fn without_cri(&self, called: &str, plugin: &CriPlugin) -> Failure {
        let report = Failure::new(
            Exit::GrpcStatus(GrpcCode::of(Code::Unimplemented.into())),
            format!("'{called}' returned UNIMPLEMENTED: this containerd does not serve the CRI"),
        );
        match plugin {
            CriPlugin::NotLoaded => report
                .why("it runs without its CRI plugin: the configuration disables it, or it is not built in")
                .seen("its list of plugins has no CRI plugin")
                .next("grep disabled_plugins /etc/containerd/config.toml    # without 'cri' there, and after a restart, it serves the CRI"),
            CriPlugin::Failed(error) => report
                .why("its CRI plugin failed to start")
                .seen(format!("its list of plugins says: {}", escaped(error)))
                .next("journalctl -u containerd -e"),
        }
        .into()
    }

    /// Explains an error status that the server answered with.
    fn answered(&self, called: &str, status: &Status, schema: &Schema) -> Failure {
        let name = code_name(status);
        let message = status.message();
        let said = if message.is_empty() { String::new() } else { format!(": {message}") };
        let what = format!("'{}' returned {name}{said}", called);
        let exit = Exit::GrpcStatus(GrpcCode::of(code_number(status)));
        let mut report = Failure::new(exit, what).why(match code_number(status) {
            number if number == i32::from(status.code()) => meaning(status.code()),
            _ => "gRPC does not define this code: it is the server's own",
        });
        let style = Style { one_line: true, ..Style::default() };
        for detail in details(status, schema) {
            report = report.seen(format!("detail {}", style.text(&detail)));
        }
        for line in metadata::lines(status.metadata()) {
            report = report.seen(format!("metadata {line}"));
        }
        if let Some((seen, next)) = session(status) {
            return report.seen(seen).next(next).into();
        }
        let lacks_namespace = called.starts_with("containerd.")
            && !self
                .flags
                .header
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
            Code::Unavailable => report = report.next(self.command("--wait 10s    # once it is available")),
            _ => {
                let server =
                    format!("stoop who {}    # the server, its user and its clients", self.address());
                report = report.next(server);
            }
        }
        report.into()
    }

    /// Reports that the deadline has passed. `seen` describes the state at that moment.
    pub(super) fn late(&self, called: &str, seen: &str) -> Failure {
        let within = time::show(self.flags.timeout.unwrap_or_default());
        if accepted::surely_waits() {
            return self
                .overdue(called, &within)
                .why(accepted::NOT_ACCEPTED)
                .next(accepted::show_server(&self.address()))
                .into();
        }
        self.overdue(called, &within)
            .why("the server is busy, waiting for something, or still sending")
            .seen(seen)
            .next(self.command("--timeout 1m"))
            .into()
    }

    /// Reports that the server speaks another protocol.
    pub(super) fn other_protocol(&self, greeting: &Greeting) -> Failure {
        let by_hand = format!("stoop connect {}    # connect to it by hand", self.address());
        match greeting {
            Greeting::Http1(line) => self
                .useless("the server does not speak HTTP/2, on which gRPC is based")
                .why("it is an HTTP/1 server")
                .seen(format!("it sent '{}'", line))
                .next_all(self.http("/"))
                .next_all(self.build_kit()),
            Greeting::Other(bytes) if is_tls(bytes) => self
                .useless("the server speaks TLS")
                .why("TLS is not needed on a Unix socket: the kernel already keeps the data from other users")
                .seen("its first bytes are a TLS record")
                .next_all(tls_client(&self.address())),
            Greeting::Other(bytes) => self
                .useless("the server speaks another protocol")
                .why("a gRPC server starts with its HTTP/2 settings")
                .seen(format!("it sent '{}'", escaped(bytes)))
                .next(by_hand),
            _ => self
                .unusable_with(Exit::CutOff, "the server closed the connection")
                .why("it speaks another protocol, such as TLS, does not allow this user, or exited")
                .seen("the connection was accepted, but no data was received")
                .seen_all(refused::seen(&self.flags.endpoint))
                .next(by_hand)
                .next_all(tls_client(&self.address())),
        }
        .into()
    }

    /// Reports that the connection failed immediately.
    pub(super) fn unusable(&self, error: &dyn std::error::Error) -> Failure {
        self.useless(&error.to_string())
            .why("the server speaks another protocol, such as TLS, does not allow this user, or exited")
            .seen_all(refused::seen(&self.flags.endpoint))
            .next(format!("stoop who {}    # the server, its user and its clients", self.address()))
            .next_all(tls_client(&self.address()))
            .into()
    }

    /// Reports that no service of the server is known: it has no reflection, and was not proven to
    /// have any of the built-in services.
    pub(super) fn unknown_services(&self, probed: &Probed, fallback: Option<String>) -> Failure {
        let none = match probed.is_partial {
            true => "its answers do not show whether it has any of the built-in services",
            false => "it has none of the built-in services",
        };
        let why = match probed.refused {
            Some(code) => {
                format!("it refuses calls: {}, {}", code_name(&Status::new(code, "")), meaning(code))
            }
            None => format!("it has no reflection, and {none}"),
        };
        let report =
            Failure::new(Exit::No, format!("the services of '{}' are not known", self.flags.endpoint))
                .why(why);
        let report = fallback.into_iter().fold(report, Report::seen);
        match probed.refused {
            Some(_) => report.next(self.command("-H 'authorization: Bearer TOKEN'")),
            None => {
                report.next(format!("{} --proto FILE.proto list    # its own definitions", self.server()))
            }
        }
        .into()
    }

    /// Reports that the server does not have a built-in service.
    pub(super) fn absent(&self, service: &str) -> Failure {
        Failure::new(Exit::No, format!("'{}' does not have the service '{service}'", self.flags.endpoint))
            .why("it reports that it does not know it")
            .next(format!("{} list", self.server()))
            .into()
    }

    /// Reports a name that matches nothing, or several things.
    pub(super) fn unresolved(&self, sort: &str, name: &str, found: &Unresolved, schema: &Schema) -> Failure {
        match found {
            Unresolved::Ambiguous(names) => names
                .iter()
                .fold(
                    Failure::new(Exit::Usage, format!("'{name}' is ambiguous: it matches several {sort}s"))
                        .why("a name may be shortened only if nothing else has the same ending"),
                    |report, name| report.next(format!("{} {}", self.server(), self.asked(sort, name))),
                )
                .into(),
            Unresolved::Unknown(names) => {
                let report = Failure::new(Exit::Usage, format!("unknown {sort} '{name}'"))
                    .seen(format!("searched: {}", schema.origin()));
                let report = report.why(match names.first() {
                    Some(nearest) => format!("did you mean '{nearest}'?"),
                    None => format!("the schema has no {sort} of a similar name"),
                });
                let suggested = names.iter().fold(report, |report, name| {
                    report.next(format!("{} {}", self.server(), self.asked(sort, name)))
                });
                match schema.origin() {
                    // Whatever else the server has, only its own definitions tell.
                    Origin::Builtin => suggested
                        .next(format!("{} --proto FILE.proto list    # its own definitions", self.server())),
                    _ => suggested.next(format!("{} list", self.server())),
                }
                .into()
            }
        }
    }

    fn asked(&self, sort: &str, name: &str) -> String {
        if sort == "method" { name.to_owned() } else { format!("describe {name}") }
    }

    fn useless(&self, why: &str) -> Report {
        self.unusable_with(Exit::Failed, why)
    }

    fn unusable_with(&self, exit: Exit, why: &str) -> Report {
        Failure::new(exit, format!("cannot use gRPC with '{}': {why}", self.flags.endpoint))
    }

    fn report(&self, called: &str, why: impl std::fmt::Display) -> Report {
        self.unanswered(Exit::Failed, called, why)
    }

    fn broken(&self, called: &str, why: impl std::fmt::Display) -> Report {
        self.unanswered(Exit::CutOff, called, why)
    }

    fn overdue(&self, called: &str, within: &str) -> Report {
        self.unanswered(Exit::TimedOut, called, format!("the call did not end within {within}"))
    }

    fn unanswered(&self, exit: Exit, called: &str, why: impl std::fmt::Display) -> Report {
        Failure::new(exit, format!("no response to '{called}' from '{}': {why}", self.flags.endpoint))
    }

    /// Returns the command for the gRPC services of Docker, if the socket has the name of Docker's.
    fn build_kit(&self) -> Option<String> {
        let is_docker = self.flags.endpoint.to_string().ends_with("docker.sock");
        is_docker.then(|| format!("stoop grpc {} --h2c /grpc list    # Docker's BuildKit", self.address()))
    }

    /// Returns a command for an HTTP server, if this build has it.
    fn http(&self, request: &str) -> Option<String> {
        is_built("http").then(|| format!("stoop http {} {request}", self.address()))
    }

    pub(super) fn address(&self) -> String {
        quoted(self.flags.endpoint.to_string().as_ref())
    }

    /// Returns this command line with `more` appended.
    fn command(&self, more: &str) -> String {
        let words = [self.flags.action.as_deref(), self.flags.message()];
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
        command += &files("--import-path", &flags.schema.import_path);
        command += &files("--proto", &flags.schema.proto);
        command += &files("--descriptor-set", &flags.schema.descriptor_set);
        if let Some(path) = &flags.h2c {
            command += &format!(" --h2c {}", quoted(path.as_ref()));
        }
        if let Some(authority) = &flags.authority {
            command += &format!(" --authority {}", quoted(authority.as_str().as_ref()));
        }
        for (flag, is_given) in [(" --builtin", flags.builtin), (" --ttrpc", flags.ttrpc)] {
            command += if is_given { flag } else { "" };
        }
        command
    }
}
