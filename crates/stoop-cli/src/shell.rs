//! Quotes words of suggested commands, so that they can be pasted into a shell and shown on a
//! terminal.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use stoop::{Address, escaped};

/// Quotes a word for a shell. A word that is too long or not printable is left to the reader to
/// fill in.
pub(crate) fn quoted(word: &OsStr) -> String {
    const LONGEST: usize = 60;
    let prints =
        |text: &&str| text.len() <= LONGEST && escaped(*text).to_string().replace("%25", "%") == **text;
    match word.to_str().filter(prints) {
        Some(text) if text.starts_with('-') => "…".into(),
        Some(text) => self::word(text),
        None => "…".into(),
    }
}

/// Quotes an address in the command's own grammar, which has no control characters.
pub(crate) fn address(address: &Address) -> String {
    word(not_a_flag(address.to_string().as_bytes()).as_ref())
}

/// Quotes a path for the standard shell tools, whatever bytes it has.
pub(crate) fn path(path: &Path) -> String {
    word(not_a_flag(path.as_os_str().as_bytes()).as_ref())
}

/// Prefixes a relative path that starts with a dash, which would be parsed as a flag.
fn not_a_flag(bytes: &[u8]) -> Cow<'_, [u8]> {
    match bytes.first() {
        Some(b'-') => [b"./", bytes].concat().into(),
        _ => bytes.into(),
    }
}

/// Quotes one word, whatever bytes it has.
pub(crate) fn word(bytes: impl AsRef<[u8]>) -> String {
    let bytes = bytes.as_ref();
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(byte);
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.is_empty() && bytes.iter().all(plain) => text.to_owned(),
        Ok(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let escaped: String = bytes
                .iter()
                .map(|&byte| match byte {
                    b'\'' | b'\\' => format!("\\{}", byte as char),
                    b' '..=b'~' => (byte as char).to_string(),
                    _ => format!("\\x{byte:02x}"),
                })
                .collect();
            format!("$'{escaped}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_dash_is_not_a_flag() {
        assert_eq!(address(&Address::path("-x").unwrap()), "./-x");
        assert_eq!(path(Path::new("-x y")), "'./-x y'");
    }

    #[test]
    fn words() {
        assert_eq!(word(b"/run/app.sock"), "/run/app.sock");
        assert_eq!(word(b"/a b"), "'/a b'");
        assert_eq!(word(b"it's"), r"'it'\''s'");
        assert_eq!(word(b"a\nb\xff"), r"$'a\x0ab\xff'");
        assert_eq!(word(b""), "''");
    }
}
