//! Addresses of Unix domain sockets: a path, an abstract name, or unnamed.
//!
//! The text form is lossless (`parse` of `Display` returns the same address). It contains no
//! control characters, so it is safe to print on a terminal. This module never touches the file
//! system.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Kind;

/// The maximum length of an abstract name, in bytes: `sun_path` less the leading NUL (K-NAME-14).
pub const ABSTRACT_NAME_MAX_BYTES: usize = 107;

/// The maximum length of a path that the kernel accepts directly, in bytes (K-NAME-3).
///
/// Longer paths work nevertheless: see [`Address`].
pub const DIRECT_PATH_MAX_BYTES: usize = 108;

/// The address of a Unix domain socket.
///
/// A path may be longer than the kernel's limit of 108 bytes. Binding and connecting then go
/// through the file descriptor of a directory or file (K-NAME-11), without changing the working
/// directory of the process.
///
/// An abstract name is an exact string of bytes: every byte counts, including NUL (K-NAME-7).
///
/// ```
/// use stoop::Address;
/// let address: Address = "unix:/run/app.sock".parse()?;
/// assert_eq!(address, Address::path("/run/app.sock")?);
/// assert_eq!(address.to_string(), "/run/app.sock");
/// assert_eq!(Address::abstract_name(b"a\0b")?.to_string(), "@a%00b");
/// # Ok::<(), stoop::AddressError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Path(PathBuf),
    Abstract(Vec<u8>),
    Unnamed,
}

impl Address {
    /// The unnamed address: that of an unbound client, or of one end of a socket pair.
    ///
    /// ```
    /// use stoop::{Address, Stream};
    ///
    /// let (one, _other) = Stream::pair()?;
    /// assert_eq!(one.local_address()?, Address::UNNAMED);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub const UNNAMED: Address = Address(Repr::Unnamed);

    /// Creates a path address.
    ///
    /// The path is used as it is: `@`, `%` and `:` have no special meaning here.
    ///
    /// ```
    /// use std::path::Path;
    /// use stoop::{Address, AddressError};
    ///
    /// let address = Address::path("/run/100%25@home.sock")?;
    /// assert_eq!(address.as_path(), Some(Path::new("/run/100%25@home.sock")));
    ///
    /// assert_eq!(Address::path(""), Err(AddressError::EmptyPath));
    /// assert_eq!(Address::path("/run/a\0b"), Err(AddressError::NulInPath { at: 6 }));
    /// # Ok::<(), AddressError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the path is empty ([`AddressError::EmptyPath`]) or contains a NUL byte
    /// ([`AddressError::NulInPath`]), where the kernel would truncate it (K-NAME-4).
    pub fn path(path: impl Into<PathBuf>) -> Result<Address, AddressError> {
        let path = path.into();
        let bytes = path.as_os_str().as_bytes();
        if bytes.is_empty() {
            return Err(AddressError::EmptyPath);
        }
        if let Some(at) = bytes.iter().position(|&byte| byte == 0) {
            return Err(AddressError::NulInPath { at });
        }
        Ok(Address(Repr::Path(path)))
    }

    /// Creates an abstract address: a name in the network namespace, without a file (Linux only).
    ///
    /// The empty name is valid.
    ///
    /// ```
    /// use stoop::{Address, AddressError};
    ///
    /// // Every byte counts: these are three names.
    /// let names = ["app", "app\0", "app\0\0"].map(Address::abstract_name);
    /// assert!(names[0] != names[1] && names[1] != names[2]);
    ///
    /// assert!(Address::abstract_name([0; 107]).is_ok());
    /// let error = Address::abstract_name([0; 108]).unwrap_err();
    /// assert_eq!(error, AddressError::NameTooLong { len_bytes: 108 });
    /// ```
    ///
    /// # Errors
    /// Returns an error if the name is longer than [`ABSTRACT_NAME_MAX_BYTES`]
    /// ([`AddressError::NameTooLong`]).
    pub fn abstract_name(name: impl Into<Vec<u8>>) -> Result<Address, AddressError> {
        let name = name.into();
        if name.len() > ABSTRACT_NAME_MAX_BYTES {
            return Err(AddressError::NameTooLong { len_bytes: name.len() });
        }
        Ok(Address(Repr::Abstract(name)))
    }

    /// Returns the path, if this is a path address.
    ///
    /// ```
    /// use stoop::{Bind, Datagram};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let server = Bind::new(&path).datagram()?;
    /// assert_eq!(server.local_address()?.as_path(), Some(path.as_path()));
    /// // A client has an abstract name, which the kernel assigned.
    /// assert_eq!(Datagram::connect(&path)?.local_address()?.as_path(), None);
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn as_path(&self) -> Option<&Path> {
        match &self.0 {
            Repr::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Returns the bytes of the abstract name, if this is an abstract address.
    ///
    /// ```
    /// use stoop::{Address, Bind};
    ///
    /// let listener = Bind::new(Address::UNNAMED).listen()?;
    /// let address = listener.local_address()?;
    /// assert_eq!(address.as_abstract().map(<[u8]>::len), Some(5)); // five hexadecimal digits
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn as_abstract(&self) -> Option<&[u8]> {
        match &self.0 {
            Repr::Abstract(name) => Some(name),
            _ => None,
        }
    }

    /// Returns whether this is the unnamed address.
    ///
    /// ```
    /// use stoop::{Bind, Stream};
    ///
    /// # let directory = stoop_testkit::tempdir();
    /// # let path = directory.path().join("app.sock");
    /// let listener = Bind::new(&path).listen()?;
    /// let client = Stream::connect(&path)?;
    /// assert!(client.local_address()?.is_unnamed());
    /// assert!(!client.peer_address()?.is_unnamed());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn is_unnamed(&self) -> bool {
        matches!(self.0, Repr::Unnamed)
    }

    /// Parses the text form of an address.
    ///
    /// Accepts `/p`, `./p`, `p`, `unix:/p`, `unix:p`, `unix:///p`, `@name`, `unix:@name`,
    /// `unix-abstract:name` and `abstract:name`, with `%XX` for any byte. A kind prefix is an
    /// error: see [`Target::parse`].
    ///
    /// ```
    /// use stoop::{Address, AddressError};
    ///
    /// assert_eq!(Address::parse("unix:///run/app.sock")?, Address::path("/run/app.sock")?);
    /// assert_eq!(Address::parse("/run/a%20b")?, Address::path("/run/a b")?);
    /// assert_eq!(Address::parse("@app")?, Address::abstract_name("app")?);
    /// assert_eq!(Address::parse("./@app")?, Address::path("./@app")?);
    ///
    /// assert_eq!(Address::parse("/run/100%"), Err(AddressError::BadEscape { at: 8 }));
    /// assert_eq!(Address::parse("dgram:/run/log"), Err(AddressError::NotAPlainAddress));
    /// # Ok::<(), AddressError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the text is not an address. [`AddressError`] says what is wrong and at
    /// which byte.
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Address, AddressError> {
        let target = Target::parse(text)?;
        match (target.kind, target.place) {
            (None, Place::Address(address)) => Ok(address),
            _ => Err(AddressError::NotAPlainAddress),
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
    /// use stoop::{Address, AddressError, Kind, Place, Target};
    ///
    /// let target = Target::parse("dgram:/run/log")?;
    /// assert_eq!(target.kind, Some(Kind::Datagram));
    /// assert_eq!(target.place, Place::Address(Address::path("/run/log")?));
    ///
    /// assert_eq!(Target::parse("fd:3")?.place, Place::Descriptor(3));
    /// assert_eq!(Target::parse("fd:three"), Err(AddressError::BadDescriptor));
    /// # Ok::<(), AddressError>(())
    /// ```
    ///
    /// # Errors
    /// Returns an error if the text is neither an address nor a file descriptor ([`AddressError`]).
    pub fn parse(text: impl AsRef<OsStr>) -> Result<Target, AddressError> {
        let text = text.as_ref().as_bytes();
        let (kind, rest) = split_kind(text);
        let place = match rest.strip_prefix(b"fd:") {
            Some(number) => Place::Descriptor(parse_descriptor(number)?),
            None => Place::Address(parse_address(rest)?),
        };
        Ok(Target { kind, place })
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

fn parse_descriptor(number: &[u8]) -> Result<i32, AddressError> {
    std::str::from_utf8(number)
        .ok()
        .filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(AddressError::BadDescriptor)
}

fn parse_address(text: &[u8]) -> Result<Address, AddressError> {
    for prefix in [&b"unix-abstract:"[..], b"abstract:"] {
        if let Some(name) = text.strip_prefix(prefix) {
            return Address::abstract_name(decode_percent(name)?);
        }
    }
    let rest = match text.strip_prefix(b"unix:") {
        // A URL with an empty authority: unix:///run/x means /run/x.
        Some(rest) => rest.strip_prefix(b"//").filter(|path| path.starts_with(b"/")).unwrap_or(rest),
        None => text,
    };
    match rest.strip_prefix(b"@") {
        Some(name) => Address::abstract_name(decode_percent(name)?),
        None => Address::path(OsString::from_vec(decode_percent(rest)?)),
    }
}

fn decode_percent(text: &[u8]) -> Result<Vec<u8>, AddressError> {
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
            return Err(AddressError::BadEscape { at });
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

/// A value that names a Unix domain socket.
///
/// Text is parsed by [`Address::parse`]. A `Path` is used as it is.
pub trait ToAddress {
    /// Returns the address.
    ///
    /// # Errors
    /// Returns an error if the text is not an address ([`AddressError`]).
    fn to_address(&self) -> Result<Address, AddressError>;
}

impl ToAddress for Address {
    fn to_address(&self) -> Result<Address, AddressError> {
        Ok(self.clone())
    }
}

impl ToAddress for str {
    fn to_address(&self) -> Result<Address, AddressError> {
        Address::parse(self)
    }
}

impl ToAddress for String {
    fn to_address(&self) -> Result<Address, AddressError> {
        Address::parse(self)
    }
}

impl ToAddress for Path {
    fn to_address(&self) -> Result<Address, AddressError> {
        Address::path(self)
    }
}

impl ToAddress for PathBuf {
    fn to_address(&self) -> Result<Address, AddressError> {
        Address::path(self)
    }
}

impl<T: ToAddress + ?Sized> ToAddress for &T {
    fn to_address(&self) -> Result<Address, AddressError> {
        (**self).to_address()
    }
}

/// The reason why a text or a string of bytes is not the address of a Unix domain socket.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressError {
    /// The path is empty.
    EmptyPath,
    /// The path contains a NUL byte.
    NulInPath {
        /// The position of the NUL byte, in bytes from the start.
        at: usize,
    },
    /// The abstract name is longer than [`ABSTRACT_NAME_MAX_BYTES`].
    NameTooLong {
        /// The length of the name in bytes.
        len_bytes: usize,
    },
    /// A `%` is not followed by two hexadecimal digits.
    BadEscape {
        /// The position of the `%`, in bytes from the start of the path or name.
        at: usize,
    },
    /// `fd:` is not followed by a plain number.
    BadDescriptor,
    /// A kind or a file descriptor is given where only an address is allowed.
    NotAPlainAddress,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressError::EmptyPath => f.write_str("empty path"),
            AddressError::NulInPath { at } => {
                write!(f, "NUL byte in the path at byte {at}; the kernel would truncate the path there")
            }
            AddressError::NameTooLong { len_bytes } => {
                write!(f, "abstract name too long: {len_bytes} bytes, at most {ABSTRACT_NAME_MAX_BYTES}")
            }
            AddressError::BadEscape { at } => {
                write!(
                    f,
                    "'%' at byte {at} is not followed by two hexadecimal digits; a literal '%' is written %25"
                )
            }
            AddressError::BadDescriptor => {
                f.write_str("'fd:' is not followed by a file descriptor number, as in fd:3")
            }
            AddressError::NotAPlainAddress => {
                f.write_str("an address is expected, without a socket type or 'fd:' in front")
            }
        }
    }
}

impl std::error::Error for AddressError {}

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
    fn kinds_and_descriptors() {
        let target = Target::parse("dgram:unix:/p").unwrap();
        assert_eq!((target.kind, target.place), (Some(Kind::Datagram), Place::Address(path("/p"))));
        assert_eq!(Target::parse("fd:3").unwrap().place, Place::Descriptor(3));
        assert_eq!(Target::parse("seqpacket:fd:0").unwrap().to_string(), "seqpacket:fd:0");
        for bad in ["fd:", "fd:-1", "fd:+1", "fd:x", "fd:99999999999"] {
            assert_eq!(Target::parse(bad), Err(AddressError::BadDescriptor), "{bad}");
        }
        assert_eq!(Address::parse("stream:/p"), Err(AddressError::NotAPlainAddress));
    }

    #[test]
    fn refusals() {
        assert_eq!(Address::parse(""), Err(AddressError::EmptyPath));
        assert_eq!(Address::parse("unix:"), Err(AddressError::EmptyPath));
        assert_eq!(Address::parse("/a%00b"), Err(AddressError::NulInPath { at: 2 }));
        assert_eq!(Address::parse("/a%2"), Err(AddressError::BadEscape { at: 2 }));
        assert_eq!(Address::abstract_name([0; 108]), Err(AddressError::NameTooLong { len_bytes: 108 }));
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

        #[test]
        fn parsing_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = Target::parse(OsStr::from_bytes(&bytes));
        }
    }
}
