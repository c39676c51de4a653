//! `--form`: a body of `multipart/form-data` (RFC 7578), with curl's notation of fields.

use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use bytes::Bytes;
use stoop::escaped;

use super::body::{FilePart, Part, RequestBody};
use crate::failure::Failure;

/// Content types that are recognized by the name of a file, as in curl.
const TYPES: [(&str, &str); 11] = [
    ("gif", "image/gif"),
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("svg", "image/svg+xml"),
    ("txt", "text/plain"),
    ("htm", "text/html"),
    ("html", "text/html"),
    ("pdf", "application/pdf"),
    ("xml", "application/xml"),
    ("json", "application/json"),
];

/// Creates the body with these fields.
pub(super) fn body(fields: &[OsString]) -> Result<RequestBody, Failure> {
    // Not in any file by accident: 64 random bits.
    let boundary = format!("------------------------{:016x}", RandomState::new().hash_one(0));
    let mut parts = Vec::new();
    for field in fields {
        let field = Field::parse(field.as_bytes())
            .ok_or_else(|| wrong(field, "a field is NAME=CONTENT, NAME=@FILE or NAME=<FILE"))?;
        parts.push(Part::Text(format!("--{boundary}\r\n{}\r\n", field.head()).into()));
        parts.push(match field.content {
            Content::Text(text) => Part::Text(Bytes::copy_from_slice(text)),
            Content::Attached(path) | Content::ValueOf(path) => {
                Part::File(FilePart::named(OsStr::from_bytes(path))?)
            }
        });
        parts.push(Part::Text(Bytes::from_static(b"\r\n")));
    }
    parts.push(Part::Text(format!("--{boundary}--\r\n").into()));
    Ok(RequestBody { parts, content_type: Some(format!("multipart/form-data; boundary={boundary}")) })
}

fn wrong(field: &OsStr, why: &str) -> Failure {
    Failure::usage(format!("invalid field '{}'", escaped(field.as_bytes())), why)
}

/// A field of a form.
#[derive(Debug, PartialEq, Eq)]
struct Field<'a> {
    name: &'a [u8],
    content: Content<'a>,
    content_type: Option<&'a [u8]>,
    file_name: Option<&'a [u8]>,
}

#[derive(Debug, PartialEq, Eq)]
enum Content<'a> {
    Text(&'a [u8]),
    /// A file that is sent as a file.
    Attached(&'a [u8]),
    /// A file whose contents are the value.
    ValueOf(&'a [u8]),
}

impl<'a> Field<'a> {
    fn parse(text: &'a [u8]) -> Option<Field<'a>> {
        let at = text.iter().position(|&byte| byte == b'=')?;
        let (name, mut rest) = (&text[..at], &text[at + 1..]);
        let (mut content_type, mut file_name) = (None, None);
        // Attributes follow at the end: ;type=text/plain;filename=x
        while let Some(at) = rest.windows(6).rposition(|part| part == b";type=" || part == b";filen") {
            match (rest[at..].strip_prefix(b";type="), rest[at..].strip_prefix(b";filename=")) {
                (Some(value), _) => content_type = Some(unquoted(value)),
                (_, Some(value)) => file_name = Some(unquoted(value)),
                (None, None) => break,
            }
            rest = &rest[..at];
        }
        let content = match rest {
            [b'@', path @ ..] => Content::Attached(unquoted(path)),
            [b'<', path @ ..] => Content::ValueOf(unquoted(path)),
            text => Content::Text(unquoted(text)),
        };
        Some(Field { name, content, content_type, file_name })
    }

    /// Returns the headers of its part, each with its line ending.
    fn head(&self) -> String {
        let mut head = format!("Content-Disposition: form-data; name=\"{}\"", in_quotes(self.name));
        let attached = match self.content {
            Content::Attached(path) => Some(path),
            _ => None,
        };
        let base = attached.map(|path| Path::new(OsStr::from_bytes(path)));
        let base = base.and_then(|path| Some(path.file_name()?.as_bytes()));
        if let Some(name) = self.file_name.or(base) {
            head += &format!("; filename=\"{}\"", in_quotes(name));
        }
        head += "\r\n";
        let guessed = || attached.map(|path| content_type(self.file_name.unwrap_or(path)).as_bytes());
        if let Some(kind) = self.content_type.or_else(guessed) {
            head += &format!("Content-Type: {}\r\n", String::from_utf8_lossy(kind));
        }
        head
    }
}

fn unquoted(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text)
}

/// Escapes a name as browsers do.
fn in_quotes(name: &[u8]) -> String {
    String::from_utf8_lossy(name).replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}

fn content_type(name: &[u8]) -> &'static str {
    let end = Path::new(OsStr::from_bytes(name)).extension().and_then(OsStr::to_str).unwrap_or_default();
    let known = TYPES.iter().find(|(known, _)| end.eq_ignore_ascii_case(known));
    known.map_or("application/octet-stream", |(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_notation_of_curl() {
        let head = |text: &str| Field::parse(text.as_bytes()).unwrap().head();
        let disposition = "Content-Disposition: form-data; ";
        assert_eq!(head("a=b"), format!("{disposition}name=\"a\"\r\n"));
        assert_eq!(head("a=b;type=x/y"), format!("{disposition}name=\"a\"\r\nContent-Type: x/y\r\n"));
        let file = head("a\"b=@/tmp/x.png");
        assert_eq!(
            file,
            format!("{disposition}name=\"a%22b\"; filename=\"x.png\"\r\nContent-Type: image/png\r\n")
        );
        let named = head("a=@x;filename=\"y.txt\"");
        assert_eq!(
            named,
            format!("{disposition}name=\"a\"; filename=\"y.txt\"\r\nContent-Type: text/plain\r\n")
        );
        assert_eq!(Field::parse(b"a=<x;type=t").unwrap().content, Content::ValueOf(b"x"));
        assert_eq!(Field::parse(b"a=b;c=d").unwrap().content, Content::Text(b"b;c=d"));
        assert_eq!(Field::parse(b"a"), None);
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_fields_do_not_panic_nor_break_out_of_the_head(text in ".*") {
            if let Some(field) = Field::parse(text.as_bytes()).filter(|field| field.content_type.is_none()) {
                proptest::prop_assert!(field.head().lines().count() <= 2);
            }
        }
    }
}
