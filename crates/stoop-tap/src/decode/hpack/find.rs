//! Looks for a header by its name.

use super::decode::{Header, Text};

/// A header that was looked for.
#[derive(Clone, Copy, Debug)]
pub(in crate::decode) enum Found<'h> {
    Known(&'h [u8]),
    /// It may be one of those that were sent before.
    Before,
    Absent,
}

impl<'h> Found<'h> {
    pub(in crate::decode) fn of(headers: &'h [Header], name: &str) -> Found<'h> {
        let is_named =
            |header: &&Header| matches!(&header.name, Text::Known(known) if known == name.as_bytes());
        match headers.iter().find(is_named).map(|header| &header.value) {
            Some(Text::Known(value)) => Found::Known(value),
            Some(Text::Before(_)) => Found::Before,
            None if headers.iter().any(|header| matches!(header.name, Text::Before(_))) => Found::Before,
            None => Found::Absent,
        }
    }

    pub(in crate::decode) fn text(self) -> Option<String> {
        match self {
            Found::Known(value) => Some(String::from_utf8_lossy(value).into_owned()),
            _ => None,
        }
    }
}
