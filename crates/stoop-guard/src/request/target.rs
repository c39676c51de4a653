//! Request targets: decoded once, refused if anything is left that another server could interpret.
//! Pure.

use std::fmt::Write;

use super::Unclear;

/// A path and a query, decoded.
///
/// Its text ([`Target::to_text`]) is the only spelling that is forwarded, and parses to the same
/// target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) segments: Vec<String>,
    pub(crate) query: Vec<(String, String)>,
}

impl Target {
    /// Parses a target in origin form, such as `/containers/json?all=1`.
    pub(crate) fn parse(text: &str) -> Result<Target, Unclear> {
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        Ok(Target { segments: segments(path)?, query: pairs(query)? })
    }

    /// Returns the canonical text.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        self.segments.iter().for_each(|segment| {
            text.push('/');
            encode(&mut text, segment, b":@");
        });
        if text.is_empty() {
            text.push('/');
        }
        for (index, (key, value)) in self.query.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            encode(&mut text, key, b"");
            text.push('=');
            encode(&mut text, value, b"");
        }
        text
    }
}

fn segments(path: &str) -> Result<Vec<String>, Unclear> {
    let rest = path.strip_prefix('/').ok_or_else(|| Unclear::new("the target is not a path"))?;
    if rest.is_empty() {
        return Ok(Vec::new());
    }
    rest.split('/').map(segment).collect()
}

fn segment(text: &str) -> Result<String, Unclear> {
    let decoded = decode(text, false)?;
    match decoded.as_str() {
        "" => return Err(Unclear::new("the path has an empty segment (a doubled or trailing slash)")),
        "." | ".." => return Err(Unclear::new("the path has a dot segment")),
        _ => {}
    }
    let is_plain = |byte: u8| byte.is_ascii_graphic() && !b"/\\%;?#".contains(&byte);
    match decoded.bytes().all(is_plain) {
        true => Ok(decoded),
        false => Err(Unclear::new("the path has a character that servers interpret differently")),
    }
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, Unclear> {
    if query.contains(';') {
        return Err(Unclear::new("the query has a semicolon, which some servers take for a separator"));
    }
    query.split('&').filter(|pair| !pair.is_empty()).map(pair).collect()
}

fn pair(text: &str) -> Result<(String, String), Unclear> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let (key, value) = (decode(key, true)?, decode(value, true)?);
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if key.is_empty() || !key.bytes().all(is_plain) {
        return Err(Unclear::new("a query key has a character that servers interpret differently"));
    }
    match value.chars().any(char::is_control) {
        true => Err(Unclear::new("a query value has a control character")),
        false => Ok((key, value)),
    }
}

/// Decodes `%XX` once, and `+` in a query.
fn decode(text: &str, is_query: bool) -> Result<String, Unclear> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => match (rest.next().and_then(digit), rest.next().and_then(digit)) {
                (Some(high), Some(low)) => high << 4 | low,
                _ => return Err(Unclear::new("a percent sign is not followed by two digits")),
            },
            b'+' if is_query => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).map_err(|_| Unclear::new("the target is not UTF-8"))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn encode(text: &mut String, part: &str, also: &[u8]) {
    for byte in part.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || also.contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_spelling_is_forwarded() {
        for (text, canonical) in [
            ("/", "/"),
            ("/containers/json", "/containers/json"),
            ("/%63ontainers/js%6fn?", "/containers/json"),
            ("/a?all=1&&limit=", "/a?all=1&limit="),
            ("/a?all", "/a?all="),
            ("/a?filters=%7B%22a+b%22%3A%5B%5D%7D", "/a?filters=%7B%22a%20b%22%3A%5B%5D%7D"),
            ("/images/host:5000/a@sha256:00", "/images/host:5000/a@sha256:00"),
        ] {
            assert_eq!(Target::parse(text).unwrap().to_text(), canonical, "{text}");
        }
    }

    #[test]
    fn what_has_several_meanings_is_refused() {
        for text in [
            "",
            "*",
            "a",
            "http://x/a",
            "//a",
            "/a/",
            "/a//b",
            "/./a",
            "/a/..",
            "/a/%2e%2e/b",
            "/%2E/b",
            "/a%2fb",
            "/a%5cb",
            "/a\\b",
            "/%2563",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%00",
            "/a;x=1",
            "/a%3bx",
            "/a%20b",
            "/a%ff",
            "/a%c3%a9",
            "/a%3fb",
            "/a%23b",
            "/a?b;c",
            "/a?%00=1",
            "/a?a=%0a",
            "/a?=1",
            "/a?a%5b%5d=1",
            "/a?b=%ff",
        ] {
            assert!(Target::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn parsing_is_idempotent(text in "/[ -~]{0,40}") {
            if let Ok(target) = Target::parse(&text) {
                let canonical = target.to_text();
                let again = Target::parse(&canonical);
                prop_assert_eq!(again.as_ref(), Ok(&target));
                prop_assert_eq!(again.unwrap().to_text(), canonical);
            }
        }

        #[test]
        fn a_second_parser_sees_the_same_path(text in "/[a-c%/.?&=2eEfF+;]{0,24}") {
            if let Ok(target) = Target::parse(&text) {
                let uri: http::Uri = target.to_text().parse().unwrap();
                let expected = format!("/{}", target.segments.join("/"));
                // Nothing in the canonical path is encoded unless it has to be.
                prop_assert!(!expected.contains("..") || !expected.split('/').any(|part| part == ".."));
                prop_assert_eq!(uri.path().split('/').count(), expected.split('/').count());
                prop_assert!(!uri.path().contains("//"));
            }
        }
    }
}
