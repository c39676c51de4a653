//! What the demo looks like: short sections, colour where a terminal wants it. Counts the checks.

use std::io::IsTerminal;
use std::time::Duration;

use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::print;

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const CYAN: &str = "36";

/// Where the demo is written, line by line.
pub(super) struct Paper {
    colour: bool,
    held: u32,
    failed: u32,
}

impl Paper {
    /// Standard output, in colour on a terminal, unless `NO_COLOR` is set.
    pub(super) fn new() -> Paper {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paper { colour: std::io::stdout().is_terminal() && !refused, held: 0, failed: 0 }
    }

    pub(super) fn title(&self, text: &str) -> Result<(), Failure> {
        self.line("", BOLD, text)
    }

    pub(super) fn heading(&self, number: u32, title: &str) -> Result<(), Failure> {
        print(b"\n")?;
        self.line("", BOLD, &format!("{number}. {title}"))
    }

    /// Says something about what follows.
    pub(super) fn text(&self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line("   ", "", line))
    }

    /// Draws something.
    pub(super) fn picture(&self, picture: &str) -> Result<(), Failure> {
        picture.lines().filter(|line| !line.is_empty()).try_for_each(|line| self.line("   ", DIM, line))
    }

    /// What is typed.
    pub(super) fn command(&self, command: &str) -> Result<(), Failure> {
        self.line("   ", CYAN, &format!("$ {command}"))
    }

    /// What a command has said.
    pub(super) fn said(&self, text: &str) -> Result<(), Failure> {
        text.lines().try_for_each(|line| self.line("     ", "", line))
    }

    /// Notes whether something is as it is to be.
    pub(super) fn check(&mut self, holds: bool, what: &str) -> Result<(), Failure> {
        let (mark, colour, count) =
            if holds { ("ok", GREEN, &mut self.held) } else { ("NO", RED, &mut self.failed) };
        *count += 1;
        self.line("   ", colour, &format!("{mark}  {what}"))
    }

    /// What to try oneself.
    pub(super) fn invite(&self, command: &str) -> Result<(), Failure> {
        self.line("   ", DIM, &format!("try it: {command}"))
    }

    /// The last line, and how the demo ends.
    pub(super) fn sum(&self, time: Duration) -> Outcome {
        print(b"\n")?;
        let seconds = time.as_secs_f64();
        if self.failed > 0 {
            let all = self.failed + self.held;
            self.line("", RED, &format!("{} of {all} checks failed, in {seconds:.1} s", self.failed))?;
            return Ok(Exit::No);
        }
        self.line("", GREEN, &format!("{} checks, all of them ok, in {seconds:.1} s", self.held))?;
        print(b"next: stoop serve --help, stoop connect --help, stoop man\n")?;
        Ok(Exit::Done)
    }

    fn line(&self, indent: &str, colour: &str, text: &str) -> Result<(), Failure> {
        let line = match self.colour && !colour.is_empty() {
            true => format!("{indent}\x1b[{colour}m{text}\x1b[0m\n"),
            false => format!("{indent}{text}\n"),
        };
        print(line.as_bytes())
    }
}
