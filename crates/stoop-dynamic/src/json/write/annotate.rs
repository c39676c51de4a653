//! Comments for a human reader on values whose exact form is hard to read.

use std::cell::Cell;
use std::io::{self, Write};
use std::rc::Rc;

use prost_reflect::{FieldDescriptor, Value};
use serde_json::ser::Formatter;

use crate::json::time::timestamp_text;

/// The longest text shown for bytes, in characters.
const MAX_CHARS: usize = 200;

/// A comment on the value that is being written.
pub(super) type Comment = Rc<Cell<Option<String>>>;

/// Returns what helps to read a value: the time that a number of nanoseconds stands for, or the
/// text that bytes are.
pub(super) fn comment(field: &FieldDescriptor, value: &Value) -> Option<String> {
    match value {
        Value::I64(nanos) if counts_nanoseconds(field) && *nanos > 0 => {
            timestamp_text(nanos / 1_000_000_000, (nanos % 1_000_000_000) as i32)
        }
        Value::Bytes(bytes) => text(bytes),
        _ => None,
    }
}

/// Returns whether a field is a time in nanoseconds. The CRI has such fields, and says so only in
/// its comments.
fn counts_nanoseconds(field: &FieldDescriptor) -> bool {
    let is_cri = field.parent_message().package_name() == "runtime.v1";
    is_cri && matches!(field.name(), "created_at" | "started_at" | "finished_at" | "timestamp")
}

/// Returns bytes that are printable text, as a JSON string.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if text.is_empty() || !text.chars().all(is_plain) {
        return None;
    }
    let short: String = text.chars().take(MAX_CHARS).collect();
    let end = if short.len() < text.len() { " …" } else { "" };
    Some(format!("{}{end}", serde_json::to_string(&short).ok()?))
}

/// Formats JSON with an indentation of two spaces, and with a comment at the end of each line whose
/// value has one.
pub(super) struct Annotated {
    pub(super) comment: Comment,
    depth: usize,
    is_empty: bool,
}

impl Annotated {
    pub(super) fn new(comment: Comment) -> Annotated {
        Annotated { comment, depth: 0, is_empty: false }
    }

    /// Ends the line, with the comment on its value, and begins the next.
    fn line<W: ?Sized + Write>(&self, writer: &mut W) -> io::Result<()> {
        if let Some(comment) = self.comment.take() {
            write!(writer, "  // {comment}")?;
        }
        write!(writer, "\n{:width$}", "", width = 2 * self.depth)
    }

    fn open<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &str) -> io::Result<()> {
        self.depth += 1;
        self.is_empty = true;
        writer.write_all(bracket.as_bytes())
    }

    fn close<W: ?Sized + Write>(&mut self, writer: &mut W, bracket: &str) -> io::Result<()> {
        self.depth -= 1;
        if !self.is_empty {
            self.line(writer)?;
        }
        self.is_empty = false;
        writer.write_all(bracket.as_bytes())
    }

    fn next<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.is_empty = false;
        if !first {
            writer.write_all(b",")?;
        }
        self.line(writer)
    }
}

impl Formatter for Annotated {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, "[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, "]")
    }

    fn begin_array_value<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, "{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, "}")
    }

    fn begin_object_key<W: ?Sized + Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}
