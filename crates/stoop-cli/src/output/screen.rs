//! Shows what a peer sends, as it arrives: unchanged bytes to a file or a pipe, escaped text to a
//! terminal.

use std::io::{self, IsTerminal};

#[cfg(any(feature = "grpc", feature = "http"))]
use super::complain;
use super::human::safe;
use super::print;
use crate::failure::Failure;
use crate::pump::Sink;

/// Prints above a line that is being edited.
pub(crate) type Printer = Box<dyn FnMut(String) -> Result<(), Failure>>;

/// The destination of what a peer sends.
pub(crate) struct Screen {
    terminal: bool,
    printer: Option<Printer>,
    write: fn(&[u8]) -> Result<(), Failure>,
    /// The start of a character whose remaining bytes have not arrived yet.
    held: Vec<u8>,
    /// Whether what was shown last did not end with a newline.
    in_line: bool,
}

impl Screen {
    /// Creates one for standard output, or for `printer` if there is one.
    pub(crate) fn new(printer: Option<Printer>) -> Screen {
        let terminal = io::stdout().is_terminal();
        Screen { terminal, printer, write: print, held: Vec::new(), in_line: false }
    }

    /// Creates one for standard error.
    #[cfg(any(feature = "grpc", feature = "http"))]
    pub(crate) fn on_stderr() -> Screen {
        Screen { terminal: io::stderr().is_terminal(), write: complain, ..Screen::new(None) }
    }

    /// Returns whether the output is a terminal.
    #[cfg(feature = "http")]
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

    /// Shows what is still held back, and moves a terminal to the start of a line. A line editor
    /// does that itself.
    fn finish(&mut self) -> Result<(), Failure> {
        let held = std::mem::take(&mut self.held);
        if !held.is_empty() {
            self.show(safe(&held))?;
        }
        if self.in_line && self.printer.is_none() { self.show("\n".into()) } else { Ok(()) }
    }
}

/// Returns how many bytes precede an incomplete character at the end.
pub(crate) fn whole_len(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map_or(&[][..], |chunk| chunk.invalid());
    let begun = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
    bytes.len() - if begun { last.len() } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incomplete_characters_are_held_back() {
        assert_eq!(whole_len(b""), 0);
        assert_eq!(whole_len("grün".as_bytes()), 5);
        assert_eq!(whole_len(&"grü".as_bytes()[..3]), 2);
        assert_eq!(whole_len(b"a\xe2\x82"), 1);
        assert_eq!(whole_len(b"a\xff"), 2);
        assert_eq!(whole_len(b"\xff\xe2"), 1);
    }
}
