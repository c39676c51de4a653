//! Reports the failure of a command: what failed, why, what was observed, and what to run next.
//!
//! Inspects the machine (through [`diagnose`]) only when the report is printed.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use stoop::escaped;
use stoop::internal::{Operation, Place};
use stoop_inspect::diagnose;
use stoop_inspect::internal::Action;
use stoop_inspect::why::Diagnosis;

use crate::advice::{Client, command_with};
use crate::endpoint::Endpoint;
use crate::exit::Exit;
use crate::{descriptor_limit, errno, output, refused, shell, time};

/// The result of a command: an exit code, or a failure to report.
pub(crate) type Outcome = Result<Exit, Failure>;

/// The reason why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The reader of standard output has closed it. This is not an error, and could not be
    /// reported to that reader anyway.
    OutputClosed,
    /// The user quit at the terminal.
    Quit,
    /// A socket operation failed.
    Socket(stoop::Error),
    /// Any other failure, with what is known about it.
    Report(Report),
}

/// Diagnoses an error, with as many file descriptors as this process may have: it is about to end.
fn inspected(error: &stoop::Error) -> Diagnosis {
    descriptor_limit::raise();
    diagnose(error)
}

/// A failure report in four parts.
#[derive(Debug)]
pub(crate) struct Report {
    exit: Exit,
    /// The exit code of `http` and `grpc`, if it is another one.
    of_call: Option<Exit>,
    what: String,
    why: Option<String>,
    seen: Vec<String>,
    next: Vec<String>,
}

impl Failure {
    /// Creates a failure with its own text. `what` reads like `cannot send to '/x': …`.
    #[expect(clippy::new_ret_no_self, reason = "a report is a failure that can still be added to")]
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Report {
        Report { exit, of_call: None, what: what.into(), why: None, seen: Vec::new(), next: Vec::new() }
    }

    /// Creates a usage error that the command-line parser cannot detect, with its reason.
    pub(crate) fn usage(what: impl Into<String>, why: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, what).why(why).into()
    }

    /// Creates a failure of an operation that does not concern a socket address. `doing` reads like
    /// `read 'notes.txt'`.
    pub(crate) fn io(doing: impl std::fmt::Display, error: &io::Error) -> Failure {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            io::ErrorKind::Unsupported => Exit::Unsupported,
            _ => Exit::Failed,
        };
        Failure::new(exit, format!("cannot {doing}: {}", describe(error)))
            .explained(error.raw_os_error())
            .into()
    }

    /// Creates a failure to write to standard output.
    pub(crate) fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::io("write to standard output", error),
        }
    }

    /// Adds the address, if the failure does not name one itself.
    pub(crate) fn on(self, endpoint: &Endpoint) -> Failure {
        let Endpoint::At(target) = endpoint else { return self };
        match (self, &target.place) {
            (Failure::Socket(error), Place::Address(address)) if error.subject().is_none() => {
                Failure::Socket(error.on(address))
            }
            (failure, _) => failure,
        }
    }

    /// Adapts a failed connect for a client command. If the command already waited, the report says
    /// so instead of recommending to wait. `client` words a suggested client as this command.
    pub(crate) fn for_client(self, waited: Option<Duration>, client: impl Fn(&Client) -> String) -> Failure {
        let Failure::Socket(error) = self else { return self };
        let mut diagnosis = inspected(&error);
        let mut actions = actions(&diagnosis);
        if let Some(waited) = waited.filter(|_| error.is_not_found() || error.is_refused()) {
            let waited = time::show(waited);
            diagnosis.seen.push(format!("no server was listening within the {waited} of --wait"));
            let instead = actions.iter().find_map(without_waiting);
            actions.retain(|action| !waits(action));
            actions.splice(0..0, instead);
        }
        Report::advised(&error, diagnosis, &actions, &client).into()
    }

    /// Uses the exit codes of a command that makes a call: they tell why there is no response.
    #[cfg_attr(not(any(feature = "grpc", feature = "http")), allow(dead_code, reason = "for grpc and http"))]
    pub(crate) fn for_call(self) -> Failure {
        let report = match self {
            Failure::Socket(error) => Report::of(&error),
            Failure::Report(report) => report,
            other => return other,
        };
        Report { exit: report.of_call.unwrap_or(report.exit), ..report }.into()
    }

    /// Creates the failure of a question without an answer. `keep_open` is a command that keeps the
    /// connection open for it, if that was not done.
    pub(crate) fn no_answer(endpoint: &Endpoint, keep_open: Option<String>) -> Failure {
        let what = format!("no answer from '{endpoint}': it closed the connection without sending anything");
        let report = Failure::new(Exit::Failed, what);
        match keep_open {
            Some(command) => report
                .why(
                    "it may not allow this user, may take the end of the input for the end of the client, or had \
                     nothing to say",
                )
                .next(format!("{command}    # leave the connection open until the server closes it")),
            None => report.why("it may not allow this user, or had nothing to say"),
        }
        .seen_all(refused::seen(endpoint))
        .into()
    }

    /// Adds to a failure because the peer has closed the connection that it may have refused the
    /// client. For one that has not sent anything.
    pub(crate) fn unanswered(self) -> Failure {
        match self {
            Failure::Socket(error) if error.is_peer_closed() => {
                let diagnosis = inspected(&error);
                let report = Report::diagnosed(&error, diagnosis.clone(), &Client::connect);
                // A datagram has no connection that a server could have closed.
                if diagnosis.is_current {
                    return report.into();
                }
                let server = error.subject().map(refused::seen_at).unwrap_or_default();
                report
                    .seen("nothing was received from it: it may not allow this user")
                    .seen_all(server)
                    .into()
            }
            other => other,
        }
    }

    /// Returns whether the peer has closed the connection.
    pub(crate) fn is_peer_closed(&self) -> bool {
        matches!(self, Failure::Socket(error) if error.is_peer_closed())
    }

    /// Returns what failed, in one line.
    pub(crate) fn summary(&self) -> String {
        match self {
            Failure::OutputClosed => "standard output was closed".into(),
            Failure::Quit => "interrupted".into(),
            Failure::Socket(error) => error.to_string(),
            Failure::Report(report) => report.what.clone(),
        }
    }

    /// Returns the exit code it leads to.
    #[cfg(feature = "http")]
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Failure::OutputClosed | Failure::Quit => Exit::Done,
            Failure::Socket(error) => Exit::of(error.kind()),
            Failure::Report(report) => report.exit,
        }
    }

    /// Prints the report on standard error, and returns the exit code.
    pub(crate) fn report(self) -> Exit {
        let report = match self {
            Failure::OutputClosed | Failure::Quit => return Exit::Done,
            Failure::Socket(error) => Report::of(&error),
            Failure::Report(report) => report,
        };
        let report = report.completed(&verb());
        output::complain_of(report.text());
        report.exit
    }
}

/// Returns whether an advice is to wait for a server.
fn actions(diagnosis: &Diagnosis) -> Vec<Action> {
    diagnosis.advice.iter().map(|advice| advice.action().clone()).collect()
}

fn waits(action: &Action) -> bool {
    matches!(action, Action::WaitForServer { .. } | Action::WaitForOwner { .. })
}

/// Returns what to do after having waited in vain: start the program, or look at the one that has
/// bound the socket and does not listen.
fn without_waiting(action: &Action) -> Option<Action> {
    match action {
        Action::WaitForOwner { program, .. } => Some(Action::StartOwner { program: program.clone() }),
        Action::WaitForServer { at, is_bound: true } => Some(Action::ShowServer(at.clone())),
        _ => None,
    }
}

impl From<stoop::Error> for Failure {
    fn from(error: stoop::Error) -> Failure {
        Failure::Socket(error)
    }
}

impl From<Report> for Failure {
    fn from(report: Report) -> Failure {
        Failure::Report(report)
    }
}

impl Report {
    /// Creates a report of a library error with its diagnosis.
    pub(crate) fn of(error: &stoop::Error) -> Report {
        Report::diagnosed(error, inspected(error), &Client::connect)
    }

    /// Creates a report of a library error at an address that was configured for `program`: no
    /// other server belongs there.
    pub(crate) fn of_program(error: &stoop::Error, program: &str) -> Report {
        let mut diagnosis = inspected(error);
        let starts = |action: &Action| matches!(action, Action::StartServer { .. } | Action::ReplaceStale(_));
        let starts_ours = diagnosis.advice.iter().any(|advice| starts(advice.action()));
        diagnosis.advice.retain(|advice| !starts(advice.action()) && !waits(advice.action()));
        let report = Report::diagnosed(error, diagnosis, &Client::connect);
        match starts_ours || report.next.is_empty() && (error.is_not_found() || error.is_refused()) {
            true => report.next(format!("# start {program}, or correct the address that is configured")),
            false => report,
        }
    }

    fn diagnosed(error: &stoop::Error, diagnosis: Diagnosis, client: &dyn Fn(&Client) -> String) -> Report {
        let actions = actions(&diagnosis);
        Report::advised(error, diagnosis, &actions, client)
    }

    /// Reports a diagnosis with these actions in place of its advice.
    fn advised(
        error: &stoop::Error,
        diagnosis: Diagnosis,
        actions: &[Action],
        client: &dyn Fn(&Client) -> String,
    ) -> Report {
        let report = Report {
            // A reason that only repeats the error explains nothing.
            why: Some(diagnosis.why).filter(|_| diagnosis.cause != "stated"),
            seen: diagnosis.seen,
            next: actions.iter().map(|action| command_with(action, client)).collect(),
            of_call: Exit::of_call(error.kind()),
            ..Failure::new(Exit::of(error.kind()), error.to_string())
        };
        let report = report.explained(error.errno());
        let why = report.why.unwrap_or_else(|| "stoop has decided this itself, without the kernel".into());
        Report { why: Some(why), ..report }.or_predict(error)
    }

    /// Adds what the errno alone explains, if nothing better is known.
    fn explained(mut self, errno: Option<i32>) -> Report {
        let Some(explanation) = errno.and_then(errno::explain) else { return self };
        self.why.get_or_insert_with(|| explanation.why.into());
        if self.next.is_empty() {
            self.next.extend(explanation.next.map(str::to_owned));
        }
        self
    }

    /// Recommends to predict the call by the kernel's rules, if there is no other advice.
    fn or_predict(mut self, error: &stoop::Error) -> Report {
        if let (true, Some(address)) = (self.next.is_empty(), error.subject()) {
            if error.is_peer_closed() {
                let address = shell::address(address);
                self.next.push(format!("stoop who {address}    # its server, and who is connected to it"));
                return self;
            }
            let (address, operation) = (shell::address(address), operation_flag(error.operation()));
            self.next.push(format!("stoop why {address}{operation}    # by the rules of the kernel"));
        }
        self
    }

    /// Adds the parts without which no failure is reported: the cause, as far as it is known, and a
    /// next step, which is the help of this command if there is none.
    fn completed(mut self, verb: &str) -> Report {
        self.why.get_or_insert_with(|| "the cause is not visible from here".into());
        if self.next.is_empty() {
            let help = ["stoop", verb, "--help"].into_iter().filter(|word| !word.is_empty());
            self.next.push(help.collect::<Vec<_>>().join(" "));
        }
        self
    }

    /// Sets the exit code of a command that makes a call.
    pub(crate) fn of_call(mut self, exit: Exit) -> Report {
        self.of_call = Some(exit);
        self
    }

    /// Sets the reason.
    pub(crate) fn why(mut self, why: impl Into<String>) -> Report {
        self.why = Some(why.into());
        self
    }

    /// Adds an observation that supports the reason.
    pub(crate) fn seen(mut self, seen: impl Into<String>) -> Report {
        self.seen.push(seen.into());
        self
    }

    /// Adds observations.
    pub(crate) fn seen_all(self, seen: impl IntoIterator<Item = String>) -> Report {
        seen.into_iter().fold(self, Report::seen)
    }

    /// Adds a command to run, optionally with a `# comment`.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Report {
        self.next.push(next.into());
        self
    }

    /// Adds commands to run.
    pub(crate) fn next_all(self, commands: impl IntoIterator<Item = String>) -> Report {
        commands.into_iter().fold(self, Report::next)
    }

    /// Formats the whole report.
    pub(crate) fn text(&self) -> String {
        self.text_as("error")
    }

    /// Formats the report as a warning, for a problem that did not stop the command.
    pub(crate) fn warning(&self) -> String {
        self.text_as("warning")
    }

    /// Returns what failed, in one line.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    fn text_as(&self, word: &str) -> String {
        let labelled = [("why:", self.why.as_slice()), ("seen:", &self.seen), ("next:", &self.next)];
        format!("{word}: {}\n{}", one_line(&self.what), parts(&labelled))
    }
}

/// Returns the command of this process that its first argument names, or an empty string.
fn verb() -> String {
    let first = std::env::args_os().nth(1).and_then(|word| word.into_string().ok()).unwrap_or_default();
    let is_word = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_word { first } else { String::new() }
}

/// Formats lines with labels, aligned.
pub(crate) fn parts(labelled: &[(&str, &[String])]) -> String {
    let width = labelled.iter().filter(|(_, lines)| !lines.is_empty()).map(|(label, _)| label.len()).max();
    let width = width.unwrap_or(0).max("seen:".len());
    let mut text = String::new();
    for (label, lines) in labelled {
        for (number, line) in lines.iter().enumerate() {
            let label = if number == 0 { label } else { "" };
            let _ = writeln!(text, "  {label:width$} {}", one_line(line));
        }
    }
    text
}

/// Escapes control characters and line breaks. The library escapes what it shows, and this covers
/// everything else.
fn one_line(text: &str) -> String {
    text.split('%').map(|part| escaped(part).to_string()).collect::<Vec<_>>().join("%")
}

/// Formats a system error, with the name of its errno if it has one.
pub(crate) fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    let lower = characters.next().map(|first| first.to_lowercase().chain(characters).collect::<String>());
    lower.unwrap_or_default()
}

/// Returns the flag with which `stoop why` is asked for an operation.
pub(crate) fn operation_flag(operation: Operation) -> &'static str {
    match operation {
        Operation::Bind => " --op bind",
        Operation::Send => " --op send",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_parts_are_ordered_and_aligned() {
        let report = Failure::new(Exit::Failed, "cannot frob '/x'")
            .why("it does not frob")
            .seen("one")
            .seen("two\nlines")
            .next("stoop serve /x%20y    # does");
        let expected = "error: cannot frob '/x'\n  why:  it does not frob\n  seen: one\n        two%0Alines\n  \
                        next: stoop serve /x%20y    # does\n";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn io_errors_map_to_exit_codes() {
        let error = io::Error::from_raw_os_error(13);
        let Failure::Report(report) = Failure::io("read 'x'", &error) else { panic!("a report") };
        assert_eq!(
            (report.exit, report.what.as_str()),
            (Exit::NotPermitted, "cannot read 'x': permission denied")
        );
        assert!(matches!(Failure::output(&io::Error::from_raw_os_error(32)), Failure::OutputClosed));
    }
}
