//! Prints headers, trailers, the status and times to standard error.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stoop::escaped;
use stoop_dynamic::{CallError, MetadataMap, Status, code_name, code_number};
use tokio_stream::{Stream, StreamExt};

use super::metadata;
use super::session::Session;
use crate::failure::Failure;
use crate::output::Screen;
use crate::pump::Sink;
use crate::time;

/// Counts the messages of a stream as they are taken from it.
pub(super) fn counted<S: Stream>(stream: S) -> (impl Stream<Item = S::Item> + use<S>, Arc<AtomicU64>) {
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    let stream = stream.map(move |message| {
        counter.fetch_add(1, Ordering::Relaxed);
        message
    });
    (stream, count)
}

impl Session<'_> {
    /// Prints the request: its method, and its metadata.
    pub(super) fn show_request(&self, method: &str) -> Result<(), Failure> {
        if self.flags.verbose == 0 {
            return Ok(());
        }
        let mut lines = vec![format!("POST /{method}")];
        lines.extend(metadata::all_lines(&self.options.metadata));
        self.show_lines('>', &lines, true)
    }

    /// Prints the headers of the response.
    pub(super) fn show_headers(&self, headers: &MetadataMap) -> Result<(), Failure> {
        match self.flags.verbose {
            0 => self.show_included(headers),
            _ => {
                self.show_lines('<', &metadata::all_lines(headers), true)?;
                self.show_time("headers received")
            }
        }
    }

    /// Prints the trailers of a response that succeeded.
    pub(super) fn show_trailers(&self, trailers: &MetadataMap) -> Result<(), Failure> {
        match self.flags.verbose {
            0 => self.show_included(trailers),
            _ => {
                let mut lines = metadata::all_lines(trailers);
                if !trailers.contains_key("grpc-status") {
                    lines.insert(0, "grpc-status: 0".into());
                }
                self.show_lines('<', &lines, false)?;
                self.show_time("call ended")
            }
        }
    }

    /// Prints the status of a response that failed, with its trailers.
    pub(super) fn show_failure(&self, error: &CallError) -> Result<(), Failure> {
        match error.status() {
            Some(status) if self.flags.verbose > 0 => {
                self.show_lines('<', &status_lines(status), false)?;
                self.show_time("call ended")
            }
            _ => Ok(()),
        }
    }

    /// Prints how many messages were exchanged.
    pub(super) fn show_counts(&self, sent: u64, received: u64) -> Result<(), Failure> {
        let messages = |count: u64| format!("{count} message{}", if count == 1 { "" } else { "s" });
        match self.flags.verbose {
            0 => Ok(()),
            _ => self.show_lines('*', &[format!("sent {}, received {received}", messages(sent))], false),
        }
    }

    fn show_time(&self, what: &str) -> Result<(), Failure> {
        match self.flags.verbose {
            0 | 1 => Ok(()),
            _ => self.show_lines('*', &[format!("{what} after {}", time::show(self.begun.elapsed()))], false),
        }
    }

    fn show_included(&self, map: &MetadataMap) -> Result<(), Failure> {
        match self.flags.include {
            true => self.show_lines('<', &metadata::lines(map), false),
            false => Ok(()),
        }
    }

    /// Prints lines that begin with a mark, as curl does; `is_head` ends them with an empty one.
    fn show_lines(&self, mark: char, lines: &[String], is_head: bool) -> Result<(), Failure> {
        let mut text: String = lines.iter().map(|line| format!("{mark} {line}\n")).collect();
        if is_head {
            text.push_str(&format!("{mark}\n"));
        }
        let mut screen = Screen::on_stderr();
        screen.put(text.as_bytes())?;
        screen.finish()
    }
}

/// Returns a status as the trailers that it was sent in.
fn status_lines(status: &Status) -> Vec<String> {
    let mut lines = vec![format!("grpc-status: {} ({})", code_number(status), code_name(status))];
    if !status.message().is_empty() {
        lines.push(format!("grpc-message: {}", escaped(status.message())));
    }
    lines.extend(metadata::lines(status.metadata()));
    lines
}
