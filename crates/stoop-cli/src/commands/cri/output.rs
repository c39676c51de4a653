//! Prints results.

use serde_json::Value;

use super::args::Format;
use super::table::Listing;
use super::yaml;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::{Screen, print, terminal_width};
use crate::pump::Sink;

/// Prints a value as JSON or YAML, or the table.
pub(super) fn show(format: Format, value: &Value, table: impl FnOnce() -> Listing) -> Outcome {
    match format {
        Format::Table => print(table().text(terminal_width()).as_bytes())?,
        Format::Json => escaped(&format!("{value:#}\n"))?,
        Format::Yaml => escaped(&yaml::text(value))?,
    }
    Ok(Exit::Done)
}

/// Prints text of the runtime: on a terminal without control characters.
pub(super) fn escaped(text: &str) -> Result<(), Failure> {
    let mut screen = Screen::new(None);
    screen.put(text.as_bytes())?;
    screen.finish()
}

/// Prints lines.
pub(super) fn lines<'t>(lines: impl IntoIterator<Item = &'t str>) -> Result<(), Failure> {
    let text: String = lines.into_iter().map(|line| format!("{}\n", stoop::escaped(line))).collect();
    print(text.as_bytes())
}

/// Does something with each of several things. What fails is reported, and the others are done. If
/// all of them fail, the exit code is that of the last one.
#[derive(Debug, Default)]
pub(super) struct Tally {
    done: usize,
    failed: Option<Exit>,
}

impl Tally {
    pub(super) fn add(&mut self, result: Result<(), Failure>) -> Result<(), Failure> {
        match result {
            Ok(()) => self.done += 1,
            // Nobody reads on.
            Err(failure @ (Failure::OutputClosed | Failure::Quit)) => return Err(failure),
            Err(failure) => self.failed = Some(failure.report()),
        }
        Ok(())
    }

    pub(super) fn exit(self) -> Exit {
        match self.failed {
            None => Exit::Done,
            Some(exit) if self.done == 0 => exit,
            Some(_) => Exit::Partial,
        }
    }
}
