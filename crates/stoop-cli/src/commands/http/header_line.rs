//! A header as `--header` takes it. Pure.

use http::header::{HeaderName, HeaderValue};

/// Parses `Name: value`. As in curl, `Name:` removes a default header, and `Name;` sends one
/// without a value.
pub(super) fn parse(line: &str) -> Option<(HeaderName, Option<HeaderValue>)> {
    let (name, value) = match (line.split_once(':'), line.strip_suffix(';')) {
        (Some((name, value)), _) => (name, Some(value.trim()).filter(|value| !value.is_empty())),
        (None, Some(name)) => (name, Some("")),
        (None, None) => return None,
    };
    let name = HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
    Some((name, value.map(HeaderValue::from_str).transpose().ok()?))
}

/// Returns whether a line is a header of this name.
pub(super) fn is_named(line: &str, name: &HeaderName) -> bool {
    let end = line.find([':', ';']).unwrap_or(line.len());
    line[..end].trim().eq_ignore_ascii_case(name.as_str())
}
