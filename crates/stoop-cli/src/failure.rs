//! What is said when a verb fails: what failed, why, what was looked at, and what to run next.
//!
//! Looks at the machine (through [`crate::cause`]) only when it is printed.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use stoop::{Place, Target, escaped};

use crate::cause;
use crate::exit::Exit;
use crate::time;

/// How a verb ends: an exit code, or a failure to report.
pub(crate) type Outcome = Result<Exit, Failure>;

/// Why a verb could not go on.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Whoever reads our output has closed it: no failure of ours, and nobody to tell.
    OutputClosed,
    /// The person at the terminal has had enough.
    Quit,
    /// An operation on a socket.
    Socket(stoop::Error),
    /// Everything else, with what is known about it.
    Report(Report),
}

/// A failure in its four parts.
#[derive(Debug)]
pub(crate) struct Report {
    exit: Exit,
    what: String,
    why: Option<String>,
    seen: Vec<String>,
    next: Vec<String>,
}

impl Failure {
    /// A failure with a meaning of its own; `what` reads like `cannot send to '/x': …`.
    #[expect(clippy::new_ret_no_self, reason = "a report is a failure that can still be added to")]
    pub(crate) fn new(exit: Exit, what: impl Into<String>) -> Report {
        Report { exit, what: what.into(), why: None, seen: Vec::new(), next: Vec::new() }
    }

    /// A socket's error with its explanation, to be added to.
    pub(crate) fn of(error: &stoop::Error) -> Report {
        Report::of(error)
    }

    /// The command line makes no sense, in a way that its grammar cannot say.
    pub(crate) fn usage(what: impl Into<String>) -> Failure {
        Failure::new(Exit::Usage, what).into()
    }

    /// The system refused something that is not about a socket's address: `doing` reads like `read
    /// 'notes.txt'`.
    pub(crate) fn io(doing: impl std::fmt::Display, error: &io::Error) -> Failure {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied => Exit::NotPermitted,
            io::ErrorKind::Unsupported => Exit::Unsupported,
            _ => Exit::Failed,
        };
        Failure::new(exit, format!("cannot {doing}: {}", words(error))).into()
    }

    /// Writing to standard output failed.
    pub(crate) fn output(error: &io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::OutputClosed,
            _ => Failure::io("write to standard output", error),
        }
    }

    /// The same, with the address it is about where it does not name one by itself.
    pub(crate) fn on(self, target: &Target) -> Failure {
        match (self, &target.place) {
            (Failure::Socket(error), Place::Address(address)) if error.subject().is_none() => {
                Failure::Socket(error.on(address))
            }
            (failure, _) => failure,
        }
    }

    /// A connect that failed, as told by a client's verb: a wait that was in vain is mentioned
    /// instead of recommended, and `again` makes the commands that connect this verb's own.
    pub(crate) fn in_vain(self, waited: Option<Duration>, again: impl Fn(&str) -> String) -> Failure {
        let Failure::Socket(error) = self else { return self };
        let mut report = Report::of(&error);
        if let Some(waited) = waited.filter(|_| error.is_not_found() || error.is_refused()) {
            report = report.seen(format!("no server came within the {} of --wait", time::show(waited)));
            report.next.retain(|command| !command.contains(" --wait "));
        }
        report.next = report.next.iter().map(|command| again(command)).collect();
        report.into()
    }

    /// Whether the other side of a connection has gone.
    pub(crate) fn is_peer_gone(&self) -> bool {
        matches!(self, Failure::Socket(error) if error.is_peer_gone())
    }

    /// What failed, in one line.
    pub(crate) fn summary(&self) -> String {
        match self {
            Failure::OutputClosed => "standard output was closed".into(),
            Failure::Quit => "interrupted".into(),
            Failure::Socket(error) => error.to_string(),
            Failure::Report(report) => report.what.clone(),
        }
    }

    /// Prints it on standard error, and says how the command ends.
    pub(crate) fn report(self) -> Exit {
        let report = match self {
            Failure::OutputClosed | Failure::Quit => return Exit::Done,
            Failure::Socket(error) => Report::of(&error),
            Failure::Report(report) => report,
        };
        // With standard error closed there is nobody left to tell.
        let _ = io::stderr().write_all(report.text().as_bytes());
        report.exit
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
    /// A library error with its explanation.
    fn of(error: &stoop::Error) -> Report {
        let (explanation, what) = (cause::of(error), error.to_string());
        Report {
            // Nothing is explained by saying it again.
            why: Some(explanation.why).filter(|why| !why.is_empty() && !what.contains(why.as_str())),
            seen: explanation.seen,
            next: explanation.next,
            ..Failure::new(Exit::of(error.kind()), what)
        }
    }

    /// What it means here.
    pub(crate) fn why(mut self, why: impl Into<String>) -> Report {
        self.why = Some(why.into());
        self
    }

    /// What was looked at to say so.
    pub(crate) fn seen(mut self, seen: impl Into<String>) -> Report {
        self.seen.push(seen.into());
        self
    }

    /// A command to run, perhaps with a `# comment`.
    pub(crate) fn next(mut self, next: impl Into<String>) -> Report {
        self.next.push(next.into());
        self
    }

    /// All of it, as it is printed.
    pub(crate) fn text(&self) -> String {
        self.text_as("error")
    }

    /// The same about something that was gone on without.
    pub(crate) fn warning(&self) -> String {
        self.text_as("warning")
    }

    /// What failed, in one line.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    fn text_as(&self, word: &str) -> String {
        let labelled = [("why:", self.why.as_slice()), ("seen:", &self.seen), ("next:", &self.next)];
        format!("{word}: {}\n{}", one_line(&self.what), parts(&labelled))
    }
}

/// Lines under their labels, aligned.
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

/// The library escapes what it shows; this holds for everything else, too.
fn one_line(text: &str) -> String {
    text.split('%').map(|part| escaped(part).to_string()).collect::<Vec<_>>().join("%")
}

/// The system's words for an error, with the name of the errno where it has one.
pub(crate) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    let lower = characters.next().map(|first| first.to_lowercase().chain(characters).collect::<String>());
    lower.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_parts_in_order_and_aligned() {
        let report = Failure::new(Exit::Failed, "cannot frob '/x'")
            .why("nobody frobs")
            .seen("one")
            .seen("two\nlines")
            .next("stoop serve /x%20y    # does");
        let expected = "error: cannot frob '/x'\n  why:  nobody frobs\n  seen: one\n        two%0Alines\n  \
                        next: stoop serve /x%20y    # does\n";
        assert_eq!(report.text(), expected);
    }

    #[test]
    fn io_errors_have_their_codes() {
        let error = io::Error::from_raw_os_error(13);
        let Failure::Report(report) = Failure::io("read 'x'", &error) else { panic!("a report") };
        assert_eq!(
            (report.exit, report.what.as_str()),
            (Exit::NotPermitted, "cannot read 'x': permission denied")
        );
        assert!(matches!(Failure::output(&io::Error::from_raw_os_error(32)), Failure::OutputClosed));
    }
}
