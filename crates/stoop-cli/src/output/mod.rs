//! The output of commands. A command emits values ([`Event`]), `human` and `json` format the same
//! value, and only this module writes to standard output.
//!
//! No control character from an untrusted source reaches a terminal.

mod color;
mod data;
mod error_log;
mod event;
mod human;
mod json;
mod markup;
mod screen;
mod streams;
mod table;
mod unread;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::failure::{Failure, Report};

#[cfg(feature = "top")]
pub(crate) use color::has_color;
pub(crate) use color::{ColorWhen, color_warnings, set_color};
pub(crate) use data::Data;
pub(crate) use error_log::ErrorLog;
#[cfg(any(feature = "grpc", feature = "http"))]
pub(crate) use event::Headers;
pub(crate) use event::{Event, Message, PeerInfo, Text, Word};
#[cfg(any(feature = "grpc", feature = "http"))]
pub(crate) use json::base64;
pub(crate) use json::{SCHEMA, push as push_json};
pub(crate) use markup::escape;
pub(crate) use screen::{Printer, Screen, whole_len};
use streams::{QUIET, write_out};
pub(crate) use streams::{complain, complain_of, set_quiet, status};
pub(crate) use table::{Column, Table, Truncate, terminal_width, truncate_end, truncate_middle, width_of};
pub(crate) use unread::flush;

/// The destination and format of a command's output.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    /// Creates an output in JSON lines or text. `quiet` suppresses text on standard error.
    pub(crate) fn new(json: bool, quiet: bool) -> Output {
        Output { json, quiet }
    }

    /// Returns whether events are printed as JSON.
    pub(crate) fn is_json(self) -> bool {
        self.json
    }

    /// Reports an event that the reader may ignore. If standard output was closed, this succeeds
    /// without printing, so the caller can continue.
    pub(crate) fn tell(self, event: &Event) -> Result<(), Failure> {
        match self.emit(event) {
            Err(Failure::OutputClosed) => Ok(()),
            result => result,
        }
    }

    /// Prints an event of a server, which continues whatever happens: a full disk for its events is
    /// not a reason to stop, nor is a reader that does not read a reason to wait. The first of
    /// several consecutive failures is reported on standard error.
    pub(crate) fn note(self, event: &Event) {
        static FAILING: AtomicBool = AtomicBool::new(false);
        let noted = match self.json {
            true => unread::write_line(json::line(event).into_bytes()),
            false => self.emit(event),
        };
        let failure = noted.err().filter(|failure| !matches!(failure, Failure::OutputClosed));
        let failed_before = FAILING.swap(failure.is_some(), Ordering::Relaxed);
        if let (Some(failure), false) = (failure, failed_before) {
            status(&format!("stoop: cannot report an event: {}\n", failure.summary()));
        }
    }

    /// Prints an event with a single write, so that lines from several threads are not interleaved.
    pub(crate) fn emit(self, event: &Event) -> Result<(), Failure> {
        if self.json {
            return print(json::line(event).as_bytes());
        }
        match human::render(event) {
            Some(human::Rendered::Output(bytes)) => print(&bytes),
            Some(human::Rendered::Status(line)) if !self.quiet => {
                status(&line);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Output {
    /// Reports a problem that did not stop the command, on standard error or as an event.
    pub(crate) fn warn(self, report: &Report) -> Result<(), Failure> {
        if self.json {
            return self.tell(&Event::Error { from: None, error: report.what().to_owned(), count: 1 });
        }
        if !self.quiet && !QUIET.load(Ordering::Relaxed) {
            complain_of(report.warning());
        }
        Ok(())
    }
}

/// Writes all bytes to standard output at once, without line buffering, after the events that wait.
pub(crate) fn print(bytes: &[u8]) -> Result<(), Failure> {
    unread::settle();
    write_out(bytes)
}
