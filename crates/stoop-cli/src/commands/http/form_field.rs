//! A field of `--form`, in curl's notation. Pure.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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

/// A field of a form.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field<'a> {
    pub(super) name: &'a [u8],
    pub(super) content: Content<'a>,
    pub(super) content_type: Option<&'a [u8]>,
    pub(super) file_name: Option<&'a [u8]>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    Text(&'a [u8]),
    /// A file that is sent as a file.
    Attached(&'a [u8]),
    /// A file whose contents are the value.
    ValueOf(&'a [u8]),
}

impl<'a> Field<'a> {
    /// Parses a field. Returns `None` if it has no `=`, or a type that would end its header.
    pub(super) fn parse(text: &'a [u8]) -> Option<Field<'a>> {
        let (name, mut rest) = name_and_content(text)?;
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
        if content_type.is_some_and(|kind: &[u8]| kind.iter().any(u8::is_ascii_control)) {
            return None;
        }
        let content = match rest {
            [b'@', path @ ..] => Content::Attached(unquoted(path)),
            [b'<', path @ ..] => Content::ValueOf(unquoted(path)),
            text => Content::Text(unquoted(text)),
        };
        Some(Field { name, content, content_type, file_name })
    }

    /// Parses a field whose content is text, whatever it begins with. Returns `None` if it has no
    /// `=`.
    pub(super) fn plain(text: &'a [u8]) -> Option<Field<'a>> {
        let (name, content) = name_and_content(text)?;
        Some(Field { name, content: Content::Text(content), content_type: None, file_name: None })
    }

    /// Returns the headers of its part, each with its line ending.
    pub(super) fn head(&self) -> String {
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
        let guessed = || {
            attached
                .filter(|path| *path != b"-")
                .map(|path| content_type(self.file_name.unwrap_or(path)).as_bytes())
        };
        if let Some(kind) = self.content_type.or_else(guessed) {
            head += &format!("Content-Type: {}\r\n", String::from_utf8_lossy(kind));
        }
        head
    }
}

fn name_and_content(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&byte| byte == b'=')?;
    Some((&text[..at], &text[at + 1..]))
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
        assert_eq!(Field::plain(b"a=@x;type=t").unwrap().content, Content::Text(b"@x;type=t"));
        assert_eq!(Field::plain(b"a"), None);
        for wrong in ["a", "a=b;type=x\r\nX: y"] {
            assert_eq!(Field::parse(wrong.as_bytes()), None, "{wrong:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_fields_do_not_panic_nor_break_out_of_the_head(text in ".*") {
            if let Some(field) = Field::parse(text.as_bytes()) {
                proptest::prop_assert!(field.head().lines().count() <= 2);
            }
        }
    }
}
