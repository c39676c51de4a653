//! Credentials in headers of HTTP/1 and in JSON.

use super::names::{NAME_BYTES, is_secret_field, is_secret_header};

/// What the bytes so far are.
#[derive(Debug)]
pub(super) struct Http {
    state: State,
    /// The word that is being read, in lower case, if it can still be one of the names.
    word: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// In a line, of which nothing is known.
    Text,
    /// At the start of a line, in what may be the name of a header.
    Header,
    /// Between the colon and the value of a header.
    HeaderStart,
    /// In the value of a header.
    HeaderValue,
    /// In a string of JSON, which may be the name of a field.
    Name,
    /// After such a name, before the colon, and after it.
    Colon,
    FieldStart,
    /// In the value of a field; after a backslash.
    FieldValue,
    Escaped,
}

impl Http {
    pub(super) fn new() -> Http {
        Http { state: State::Header, word: Vec::new() }
    }

    /// Returns whether the next byte is part of a secret.
    pub(super) fn is_secret(&mut self, byte: u8) -> bool {
        let is_space = matches!(byte, b' ' | b'\t');
        let is_line_end = matches!(byte, b'\r' | b'\n');
        let state = self.state;
        let (next, is_secret) = match state {
            State::HeaderStart | State::HeaderValue if is_line_end => (State::Text, false),
            State::HeaderStart if is_space => (State::HeaderStart, false),
            State::HeaderStart | State::HeaderValue => (State::HeaderValue, true),
            State::FieldValue if byte == b'"' => (State::Text, false),
            State::FieldValue if byte == b'\\' => (State::Escaped, true),
            State::FieldValue | State::Escaped => (State::FieldValue, true),
            State::Header if byte == b':' && is_secret_header(&self.word) => (State::HeaderStart, false),
            State::Name if byte == b'"' && is_secret_field(&self.word) => (State::Colon, false),
            State::Colon if is_space || is_line_end => (State::Colon, false),
            State::Colon if byte == b':' => (State::FieldStart, false),
            State::FieldStart if is_space || is_line_end => (State::FieldStart, false),
            State::FieldStart if byte == b'"' => (State::FieldValue, false),
            State::Header | State::Name if self.grows(byte) => return false,
            _ => (State::Text, false),
        };
        self.state = match next {
            State::Text if byte == b'\n' => State::Header,
            // The quote that ends a string may also begin one: only what follows tells.
            State::Text if byte == b'"' => State::Name,
            next => next,
        };
        self.word.clear();
        is_secret
    }

    fn grows(&mut self, byte: u8) -> bool {
        let is_part = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if is_part && self.word.len() < NAME_BYTES {
            self.word.push(byte.to_ascii_lowercase());
        }
        is_part && self.word.len() < NAME_BYTES
    }
}
