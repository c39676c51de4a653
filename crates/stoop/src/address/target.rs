//! What a command line accepts as a socket: an address, perhaps with a socket type in front, or an
//! inherited file descriptor. Pure.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;

use super::text::parse_address;
use super::{Address, AddressError, AddressErrorKind};
use crate::Kind;

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
    /// use stoop::{Address, AddressErrorKind, Kind, Place, Target};
    ///
    /// let target = Target::parse("dgram:/run/log")?;
    /// assert_eq!(target.kind, Some(Kind::Datagram));
    /// assert_eq!(target.place, Place::Address(Address::path("/run/log")?));
    ///
    /// assert_eq!(Target::parse("fd:3")?.place, Place::Descriptor(3));
    /// let error = Target::parse("fd:three").unwrap_err();
    /// assert_eq!(error.kind(), AddressErrorKind::BadDescriptor);
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    }
}
