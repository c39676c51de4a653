//! The error for JSON that is not a message.

use std::fmt;

/// The error for text that is not valid JSON for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    pub(super) text: String,
    pub(super) path: String,
    pub(super) place: Option<(usize, usize)>,
    pub(super) nearest: Option<String>,
}

impl JsonError {
    /// Returns the path of the field, such as `config.linux.resources[0]`; empty for the whole
    /// message.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the line and column in the text of the message, counted from 1, if known.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }

    /// Returns the name of the field or value that was probably meant.
    pub fn nearest(&self) -> Option<&str> {
        self.nearest.as_deref()
    }

    /// Returns the error for text that is not JSON.
    pub(super) fn syntax(error: &serde_json::Error) -> JsonError {
        let words = error.to_string();
        // The position is reported separately.
        let text = words.rsplit_once(" at line ").map_or(words.as_str(), |(front, _)| front).to_owned();
        let place = (error.line() > 0).then(|| (error.line(), error.column()));
        JsonError { text, path: String::new(), place, nearest: None }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for JsonError {}

/// What is wrong with a part of the text, before its position is known.
#[derive(Debug)]
pub(super) struct Fault {
    text: String,
    /// The address of the first byte of the part.
    at: usize,
    /// The steps to the field, the innermost first.
    path: Vec<String>,
    nearest: Option<String>,
}

impl Fault {
    /// Creates a fault of a part of the text.
    pub(super) fn new(part: &str, text: impl Into<String>) -> Box<Fault> {
        Box::new(Fault { text: text.into(), at: part.as_ptr().addr(), path: Vec::new(), nearest: None })
    }

    pub(super) fn nearest(mut self: Box<Self>, nearest: Option<String>) -> Box<Fault> {
        self.nearest = nearest;
        self
    }

    /// Adds a step to the path: `.name` or `[0]`.
    pub(super) fn within(mut self: Box<Self>, step: impl Into<String>) -> Box<Fault> {
        self.path.push(step.into());
        self
    }

    /// Returns the error, with the position in the whole text.
    pub(super) fn locate(self, whole: &str) -> JsonError {
        let front = self.at.checked_sub(whole.as_ptr().addr()).and_then(|offset| whole.get(..offset));
        let place = front.map(|front| {
            let line = front.rsplit('\n').next().unwrap_or_default();
            (front.matches('\n').count() + 1, line.chars().count() + 1)
        });
        let path: String = self.path.iter().rev().map(String::as_str).collect();
        let path = path.strip_prefix('.').unwrap_or(&path).to_owned();
        JsonError { text: self.text, path, place, nearest: self.nearest }
    }
}
