//! Prints the demo: short sections, in colour if the terminal supports it. Counts the checks.

use std::io::IsTerminal;
use std::time::Duration;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Event, Output, print};

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Prints the demo, line by line. As JSON lines, only its checks.
pub(super) struct Transcript {
    output: Output,
    colour: bool,
    section: &'static str,
    passed: u32,
    failed: u32,
}

impl Transcript {
    /// Creates one for standard output: JSON lines, or text, in colour on a terminal unless
    /// `NO_COLOR` is set.
    pub(super) fn new(json: bool) -> Transcript {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = std::io::stdout().is_terminal() && !refused;
        Transcript { output: Output::new(json, false), colour, section: "", passed: 0, failed: 0 }
    }

    pub(super) fn title(&self, text: &str) -> Result<(), Failure> {
        self.line("", BOLD, text)
    }

    pub(super) fn heading(&mut self, number: u32, title: &'static str) -> Result<(), Failure> {
        self.section = title;
        self.blank_line()?;
        self.line("", BOLD, &format!("{number}. {title}"))
    }

    /// Prints an introduction to what follows.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line("   ", "", line))
    }

    /// Prints a drawing.
    pub(super) fn picture(&self, picture: &str) -> Result<(), Failure> {
        picture.lines().filter(|line| !line.is_empty()).try_for_each(|line| self.line("   ", DIM, line))
    }

    /// Prints a command line.
    pub(super) fn command(&self, command: &str) -> Result<(), Failure> {
        self.line("   ", CYAN, &format!("$ {command}"))
    }

    /// Prints the output of a command.
    pub(super) fn output(&self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line("     ", "", line))
    }

    /// Records a check, and whether it passed.
    pub(super) fn check(&mut self, holds: bool, what: &str) -> Result<(), Failure> {
        let (mark, colour, count) =
            if holds { ("ok", GREEN, &mut self.passed) } else { ("NO", RED, &mut self.failed) };
        *count += 1;
        if self.output.is_json() {
            let text = what.to_owned();
            return self.output.emit(&Event::Check { section: self.section, passed: holds, text });
        }
        self.line("   ", colour, &format!("{mark}  {what}"))
    }

    /// Prints a command that the user may try.
    pub(super) fn suggest(&self, command: &str) -> Result<(), Failure> {
        self.line("   ", DIM, &format!("try it: {command}"))
    }

    /// Prints the summary, and returns the result of the demo.
    pub(super) fn finish(&self, time: Duration) -> Outcome {
        if self.output.is_json() {
            let time_ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
            let Transcript { passed, failed, .. } = *self;
            self.output.emit(&Event::Summary { passed, failed, time_ms })?;
            return Ok(if failed > 0 { Exit::No } else { Exit::Done });
        }
        self.blank_line()?;
        let seconds = time.as_secs_f64();
        if self.failed > 0 {
            let all = self.failed + self.passed;
            self.line("", RED, &format!("{} of {all} checks failed, in {seconds:.1} s", self.failed))?;
            return Ok(Exit::No);
        }
        self.line("", GREEN, &format!("all {} checks passed, in {seconds:.1} s", self.passed))?;
        print(b"next: stoop serve --help, stoop connect --help, stoop man\n")?;
        Ok(Exit::Done)
    }

    fn blank_line(&self) -> Result<(), Failure> {
        if self.output.is_json() { Ok(()) } else { print(b"\n") }
    }

    fn line(&self, indent: &str, colour: &str, text: &str) -> Result<(), Failure> {
        if self.output.is_json() {
            return Ok(());
        }
        let line = match self.colour && !colour.is_empty() {
            true => format!("{indent}\x1b[{colour}m{text}\x1b[0m\n"),
            false => format!("{indent}{text}\n"),
        };
        print(line.as_bytes())
    }
}
