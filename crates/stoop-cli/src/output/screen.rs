//! What a peer says, as it arrives: exact bytes to a file or a pipe, safe text to a terminal.

use std::io::{self, IsTerminal};

use super::human::safe;
use super::{complain, print};
use crate::failure::Failure;
use crate::pump::Sink;

/// A way to print beside a line that is being edited.
pub(crate) type Printer = Box<dyn FnMut(String) -> Result<(), Failure>>;

/// The place where a peer's words appear.
pub(crate) struct Screen {
    terminal: bool,
    printer: Option<Printer>,
    write: fn(&[u8]) -> Result<(), Failure>,
    /// The start of a character whose rest has not arrived: shown when it has.
    held: Vec<u8>,
    /// Whether what was shown last ends in the middle of a line.
    in_line: bool,
}

impl Screen {
    /// On standard output; through `printer`, where there is one.
    pub(crate) fn new(printer: Option<Printer>) -> Screen {
        let terminal = io::stdout().is_terminal();
        Screen { terminal, printer, write: print, held: Vec::new(), in_line: false }
    }

    /// On standard error.
    pub(crate) fn on_stderr() -> Screen {
        Screen { terminal: io::stderr().is_terminal(), write: complain, ..Screen::new(None) }
    }

    /// Whether a person reads it.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    fn show(&mut self, text: String) -> Result<(), Failure> {
        self.in_line = !text.ends_with('\n');
        match &mut self.printer {
            Some(printer) => printer(text),
            None => (self.write)(text.as_bytes()),
        }
    }
}

impl Sink for Screen {
    fn put(&mut self, piece: &[u8]) -> Result<(), Failure> {
        if !self.terminal {
            return (self.write)(piece);
        }
        self.held.extend_from_slice(piece);
        let held = self.held.split_off(whole_len(&self.held));
        let text = safe(&std::mem::replace(&mut self.held, held));
        if text.is_empty() { Ok(()) } else { self.show(text) }
    }

    /// Shows what is still held back, and leaves a terminal at the start of a line. An editor sees
    /// to that itself.
    fn finish(&mut self) -> Result<(), Failure> {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            self.show(safe(&held))?;
        }
        if self.in_line && self.printer.is_none() { self.show("\n".into()) } else { Ok(()) }
    }
}

/// How many bytes there are before a character that is only begun.
pub(crate) fn whole_len(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let begun = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
    bytes.len() - if begun { last.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_character_is_not_shown_in_halves() {
        assert_eq!(whole_len(b""), 0);
        assert_eq!(whole_len("grün".as_bytes()), 5);
        assert_eq!(whole_len(&"grü".as_bytes()[..3]), 2);
        assert_eq!(whole_len(b"a\xe2\x82"), 1);
        assert_eq!(whole_len(b"a\xff"), 2);
        assert_eq!(whole_len(b"\xff\xe2"), 1);
    }
}
