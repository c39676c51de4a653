//! The text form of an address, as a user types and reads it. Pure.
//!
//! It is lossless: parsing the printed form returns the same address. It contains no control
//! characters, so it is safe to print on a terminal.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::str::FromStr;

use super::{Address, AddressError, AddressErrorKind, Place, Repr, Target};

impl Address {
    /// Parses the text form of an address.
    ///
    /// Accepts `/p`, `./p`, `p`, `unix:/p`, `unix:p`, `unix:///p`, `@name`, `unix:@name`,
    /// `unix-abstract:name` and `abstract:name`, with `%XX` for any byte. A kind prefix is an
    /// error: see [`Target::parse`].
    ///
    /// ```
    /// use stoop::{Address, AddressErrorKind};
    ///
    /// assert_eq!(Address::parse("unix:///run/app.sock")?, Address::path("/run/app.sock")?);
    /// assert_eq!(Address::parse("/run/a%20b")?, Address::path("/run/a b")?);
    /// assert_eq!(Address::parse("@app")?, Address::abstract_name("app")?);
    /// assert_eq!(Address::parse("./@app")?, Address::path("./@app")?);
    ///
    /// let error = Address::parse("/run/100%").unwrap_err();
    /// assert_eq!(error.kind(), AddressErrorKind::BadEscape { at: 8 });
    /// let error = Address::parse("dgram:/run/log").unwrap_err();
    /// assert_eq!(error.kind(), AddressErrorKind::NotAPlainAddress);
    /// # Ok::<(), stoop::AddressError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the text is not an address. [`AddressError`] says what is wrong and at
    /// which byte.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Address, AddressError> {
        let text = text.as_ref();
        let target = Target::parse(text)?;
        match (target.kind, target.place) {
            (None, Place::Address(address)) => Ok(address),
            _ => Err(AddressError::new(AddressErrorKind::NotAPlainAddress, text.as_bytes())),
        }
    }
}

/// Parses an address without a socket type in front.
pub(super) fn parse_address(text: &[u8]) -> Result<Address, AddressErrorKind> {
    for prefix in [&b"unix-abstract:"[..], b"abstract:"] {
        if let Some(name) = text.strip_prefix(prefix) {
            return abstract_name(name);
        }
    }
    let rest = match text.strip_prefix(b"unix:") {
        // A URL with an empty authority: unix:///run/x means /run/x.
        Some(rest) => rest.strip_prefix(b"//").filter(|path| path.starts_with(b"/")).unwrap_or(rest),
        None => text,
    };
    match rest.strip_prefix(b"@") {
        Some(name) => abstract_name(name),
        None => Address::path(OsString::from_vec(decode_percent(rest)?)).map_err(|error| error.kind()),
    }
}

fn abstract_name(text: &[u8]) -> Result<Address, AddressErrorKind> {
    Address::abstract_name(decode_percent(text)?).map_err(|error| error.kind())
}

fn decode_percent(text: &[u8]) -> Result<Vec<u8>, AddressErrorKind> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if byte != b'%' {
            bytes.push(byte);
            at += 1;
            continue;
        }
        let digit = |index: usize| text.get(index).and_then(|&d| (d as char).to_digit(16));
        let (Some(high), Some(low)) = (digit(at + 1), digit(at + 2)) else {
            return Err(AddressErrorKind::BadEscape { at });
        };
        bytes.push((high * 16 + low) as u8);
        at += 3;
    }
    Ok(bytes)
}

/// Writes bytes as printable text, with `%XX` for `%` and for every byte that is not part of a
/// printable character.
fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some((at, character)) = rest.char_indices().find(|&(_, c)| c == '%' || !is_printable(c)) {
            let (plain, hidden) = rest.split_at(at);
            let (hidden, behind) = hidden.split_at(character.len_utf8());
            f.write_str(plain)?;
            for byte in hidden.bytes() {
                write!(f, "%{byte:02X}")?;
            }
            rest = behind;
        }
        f.write_str(rest)?;
        for byte in chunk.invalid() {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// Returns whether a character is printable: neither a control character nor one that reorders or
/// hides its neighbours on a terminal.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    !character.is_control()
        && !matches!(character,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Formats any bytes (a file name, a socket's name) as safe text, with `%XX` for what is not
/// printable.
///
/// ```
/// assert_eq!(stoop::escaped(b"a\x1b[31m").to_string(), "a%1B[31m");
/// ```
pub fn escaped(bytes: &(impl AsRef<[u8]> + ?Sized)) -> impl fmt::Display + '_ {
    struct Escaped<'a>(&'a [u8]);
    impl fmt::Display for Escaped<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_escaped(f, self.0)
        }
    }
    Escaped(bytes.as_ref())
}

impl fmt::Display for Address {
    /// Writes the text form that [`Address::parse`] parses to the same address.
    ///
    /// The unnamed address is written as `(unnamed)`. This is the one form that names a file when
    /// parsed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Path(path) => {
                let bytes = path.as_os_str().as_bytes();
                if bytes.starts_with(b"/") {
                    return write_escaped(f, bytes);
                }
                let text = escaped(bytes).to_string();
                if Address::parse(&text).ok().as_ref() == Some(self) {
                    return f.write_str(&text);
                }
                // A relative path that starts like a prefix (`fd:3`, `@x`): writing its first byte
                // as an escape hides the prefix from the parser and keeps the path.
                write!(f, "%{:02X}", bytes[0])?;
                write_escaped(f, &bytes[1..])
            }
            Repr::Abstract(name) => {
                f.write_str("@")?;
                write_escaped(f, name)
            }
            Repr::Unnamed => f.write_str("(unnamed)"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Address, AddressError> {
        Address::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn path(text: &str) -> Address {
        Address::path(text).unwrap()
    }

    fn name(bytes: &[u8]) -> Address {
        Address::abstract_name(bytes).unwrap()
    }

    #[test]
    fn every_spelling() {
        for (text, expected) in [
            ("/p", path("/p")),
            ("./p", path("./p")),
            ("p", path("p")),
            ("unix:/p", path("/p")),
            ("unix:p", path("p")),
            ("unix:///p", path("/p")),
            ("unix://p", path("//p")),
            ("/a%20b", path("/a b")),
            ("./stream:x", path("./stream:x")),
            ("@name", name(b"name")),
            ("unix:@name", name(b"name")),
            ("unix-abstract:name", name(b"name")),
            ("abstract:@x", name(b"@x")),
            ("@", name(b"")),
            ("@%00%FF", name(b"\0\xFF")),
        ] {
            assert_eq!(Address::parse(text).as_ref(), Ok(&expected), "{text}");
        }
    }

    #[test]
    fn invalid_text() {
        for (text, kind) in [
            ("", AddressErrorKind::EmptyPath),
            ("unix:", AddressErrorKind::EmptyPath),
            ("/a%00b", AddressErrorKind::NulInPath { at: 2 }),
            ("/a%2", AddressErrorKind::BadEscape { at: 2 }),
            ("stream:/p", AddressErrorKind::NotAPlainAddress),
            ("stream:/a%2", AddressErrorKind::BadEscape { at: 2 }),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!((error.kind(), error.input()), (kind, text.as_bytes()), "{text}");
        }
        let error = Address::abstract_name([0; 108]).unwrap_err();
        assert_eq!(error.kind(), AddressErrorKind::NameTooLong { len_bytes: 108 });
        assert!(Address::abstract_name([0; 107]).is_ok());
    }

    proptest! {
        #[test]
        fn path_text_is_lossless_and_safe(bytes in proptest::collection::vec(1u8.., 1..300)) {
            let address = Address::path(OsString::from_vec(bytes)).unwrap();
            let text = address.to_string();
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(Address::parse(&text), Ok(address));
        }

        #[test]
        fn prefixed_path_text_is_lossless(text in "(unix|abstract|stream|fd|dgram|@|:|/|%|[0-9a-f])+") {
            let address = Address::path(&text).unwrap();
            prop_assert_eq!(Address::parse(address.to_string()), Ok(address));
        }

        #[test]
        fn name_text_is_lossless_and_safe(bytes in proptest::collection::vec(any::<u8>(), 0..=107)) {
            let address = Address::abstract_name(bytes).unwrap();
            let text = address.to_string();
            prop_assert!(!text.chars().any(char::is_control));
            prop_assert_eq!(Address::parse(&text), Ok(address));
        }
    }
}
