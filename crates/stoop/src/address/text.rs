//! The text form of an address, and what else a command line accepts as a socket: a socket type in
//! front, or an inherited file descriptor. Pure.
//!
//! It is lossless: parsing the printed form returns the same address. It contains no control
//! characters, so it is safe to print on a terminal.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::str::FromStr;

use super::escaped::{TIMES, escaped, write_escaped, write_escaped_after};
use super::{Address, AddressError, AddressErrorKind, Repr};
use crate::Kind;

impl Address {
    /// Parses the text form of an address.
    ///
    /// Accepts `/p`, `./p`, `p`, `unix:/p`, `unix:p`, `unix:///p`, `@name`, `unix:@name`,
    /// `unix-abstract:name` and `abstract:name`, with `%XX` for any byte, and `%XX×N` for N of
    /// them. A kind prefix is an error: see [`Target::parse`].
    ///
    /// ```
    /// use stoop::Address;
    ///
    /// assert_eq!(Address::parse("unix:///run/app.sock")?, Address::path("/run/app.sock")?);
    /// assert_eq!(Address::parse("/run/a%20b")?, Address::path("/run/a b")?);
    /// assert_eq!(Address::parse("@app")?, Address::abstract_name("app")?);
    /// assert_eq!(Address::parse("./@app")?, Address::path("./@app")?);
    ///
    /// assert!(Address::parse("/run/100%").is_err()); // an incomplete escape
    /// assert!(Address::parse("dgram:/run/log").is_err()); // a kind prefix
    /// # Ok::<(), stoop::AddressError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the text is not an address. [`AddressError`] says what is wrong and at
    /// which byte.
    #[doc(hidden)]
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Address, AddressError> {
        let text = text.as_ref();
        let target = Target::parse(text)?;
        match (target.kind, target.place) {
            (None, Place::Address(address)) => Ok(address),
            _ => Err(AddressError::new(AddressErrorKind::NotAPlainAddress, text.as_bytes())),
        }
    }
}

/// A target as a user types it: an address, perhaps with a kind prefix (`dgram:/run/log`), or an
/// inherited file descriptor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind, if the text names one.
    pub kind: Option<Kind>,
    /// The address or file descriptor.
    pub place: Place,
}

/// The address or file descriptor of a [`Target`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A socket address.
    Address(Address),
    /// `fd:N`: a file descriptor that this process inherited.
    Descriptor(i32),
}

impl Target {
    /// Parses every form that the command line accepts.
    ///
    /// These are the forms of [`Address::parse`], optionally with the prefix `stream:`, `dgram:` or
    /// `seqpacket:`, and `fd:N`. To name a path whose first component looks like such a prefix,
    /// write `./stream:x`.
    ///
    /// ```
    /// use stoop::internal::{Place, Target};
    /// use stoop::{Address, Kind};
    ///
    /// let target = Target::parse("dgram:/run/log")?;
    /// assert_eq!(target.kind, Some(Kind::Datagram));
    /// assert_eq!(target.place, Place::Address(Address::path("/run/log")?));
    ///
    /// assert_eq!(Target::parse("fd:3")?.place, Place::Descriptor(3));
    /// assert!(Target::parse("fd:three").is_err());
    /// # Ok::<(), stoop::AddressError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the text is neither an address nor a file descriptor ([`AddressError`]).
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Target, AddressError> {
        let text = text.as_ref().as_bytes();
        let (kind, rest) = split_kind(text);
        let place = match rest.strip_prefix(b"fd:") {
            Some(number) => parse_descriptor(number).map(Place::Descriptor),
            None => parse_address(rest).map(Place::Address),
        };
        match place {
            Ok(place) => Ok(Target { kind, place }),
            Err(kind) => Err(AddressError::new(kind, text)),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{}:", kind.word())?;
        }
        match &self.place {
            Place::Address(address) => address.fmt(f),
            Place::Descriptor(number) => write!(f, "fd:{number}"),
        }
    }
}

fn split_kind(text: &[u8]) -> (Option<Kind>, &[u8]) {
    let Some(colon) = text.iter().position(|&byte| byte == b':') else { return (None, text) };
    let word = std::str::from_utf8(&text[..colon]).unwrap_or("");
    match word.parse() {
        Ok(kind) => (Some(kind), &text[colon + 1..]),
        Err(_) => (None, text),
    }
}

fn parse_descriptor(number: &[u8]) -> Result<i32, AddressErrorKind> {
    std::str::from_utf8(number)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(AddressErrorKind::BadDescriptor)
}

/// Parses an address without a socket type in front.
fn parse_address(text: &[u8]) -> Result<Address, AddressErrorKind> {
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
        let byte = (high * 16 + low) as u8;
        let (count, len) = repetitions(&text[at + 3..]).ok_or(AddressErrorKind::BadEscape { at })?;
        bytes.resize(bytes.len() + count, byte);
        at += 3 + len;
    }
    Ok(bytes)
}

/// The maximum number of repetitions: no address is longer.
const REPETITIONS_MAX: usize = 4096;

/// Parses `×N` after an escaped byte. Returns the number of bytes it stands for, which is 1 without
/// it, and its length. `None` if the number is 0, or larger than any address.
fn repetitions(text: &[u8]) -> Option<(usize, usize)> {
    let mut mark = [0; 4];
    let mark = TIMES.encode_utf8(&mut mark);
    let digits = text.strip_prefix(mark.as_bytes()).unwrap_or_default();
    let digits = &digits[..digits.iter().take_while(|byte| byte.is_ascii_digit()).count()];
    if digits.is_empty() {
        return Some((1, 0));
    }
    let count: usize = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (1..=REPETITIONS_MAX).contains(&count).then_some((count, mark.len() + digits.len()))
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
                write_escaped_after(f, &bytes[1..], true)
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
            ("@x%00×3y", name(b"x\0\0\0y")),
            ("/%20×2%20", path("/   ")),
            ("/a×3", path("/a×3")),
            ("/a%20×", path("/a ×")),
            ("/a%20%C3%973", path("/a ×3")),
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
            ("/%20×0", AddressErrorKind::BadEscape { at: 1 }),
            ("/%20×99999999999999999999", AddressErrorKind::BadEscape { at: 1 }),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!((error.kind(), error.input()), (kind, text.as_bytes()), "{text}");
        }
        let error = Address::abstract_name([0; 108]).unwrap_err();
        assert_eq!(error.kind(), AddressErrorKind::NameTooLong { len_bytes: 108 });
        assert!(Address::abstract_name([0; 107]).is_ok());
    }

    #[test]
    fn kinds_and_descriptors() {
        let path = Address::path("/p").unwrap();
        let target = Target::parse("dgram:unix:/p").unwrap();
        assert_eq!((target.kind, target.place), (Some(Kind::Datagram), Place::Address(path)));
        assert_eq!(Target::parse("fd:3").unwrap().place, Place::Descriptor(3));
        assert_eq!(Target::parse("seqpacket:fd:0").unwrap().to_string(), "seqpacket:fd:0");
        for bad in ["fd:", "fd:-1", "fd:+1", "fd:x", "fd:99999999999"] {
            let error = Target::parse(bad).unwrap_err();
            assert_eq!((error.kind(), error.input()), (AddressErrorKind::BadDescriptor, bad.as_bytes()));
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Target::parse(OsStr::from_bytes(&bytes));
        }

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
        fn repeated_text_is_lossless(text in "(@|\u{0}|\u{1b}|×|%|[0-9]| |é|a)+") {
            let address = Address::path(text.replace('\0', "\u{2}")).unwrap();
            prop_assert_eq!(Address::parse(address.to_string()), Ok(address));
            let bytes: Vec<u8> = text.bytes().take(107).collect();
            let address = Address::abstract_name(bytes).unwrap();
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
