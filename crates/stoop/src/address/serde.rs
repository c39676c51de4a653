//! Addresses in the formats of serde (feature `serde`), as text.

use std::fmt;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Address;

/// The text form of [`Address::UNNAMED`].
const UNNAMED: &str = "(unnamed)";

/// The text form of the path `(unnamed)`.
const PATH_LIKE_UNNAMED: &str = "%28unnamed)";

/// Serializes as the text form that [`Address::parse`] parses to the same address: a string, in
/// every format, with bytes that are not UTF-8 as `%XX`.
///
/// The unnamed address, which has no such form, is `(unnamed)`.
///
/// ```
/// use stoop::Address;
///
/// let addresses = [Address::path("/run/50%.sock")?, Address::abstract_name(b"app\xFF")?];
/// let json = serde_json::to_string(&addresses)?;
/// assert_eq!(json, r#"["/run/50%25.sock","@app%FF"]"#);
/// assert_eq!(serde_json::from_str::<[Address; 2]>(&json)?, addresses);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.as_pathname() {
            Some(path) if path.as_os_str() == UNNAMED => serializer.serialize_str(PATH_LIKE_UNNAMED),
            _ => serializer.collect_str(self),
        }
    }
}

/// Deserializes from a string as [`Address::parse`] does: `%` begins an escape and `@` an abstract
/// name. `(unnamed)` is the unnamed address.
impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Address, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Address;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text form of a Unix socket address")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Address, E> {
        match text {
            UNNAMED => Ok(Address::UNNAMED),
            _ => text.parse().map_err(E::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;

    use proptest::prelude::*;

    use super::*;

    fn round_trip(address: &Address) -> Address {
        serde_json::from_str(&serde_json::to_string(address).unwrap()).unwrap()
    }

    #[test]
    fn the_unnamed_address_and_the_path_with_its_text() {
        let path = Address::path(UNNAMED).unwrap();
        for (address, text) in [(&Address::UNNAMED, UNNAMED), (&path, PATH_LIKE_UNNAMED)] {
            assert_eq!(serde_json::to_value(address).unwrap(), text);
            assert_eq!(round_trip(address), *address);
        }
    }

    #[test]
    fn an_error_says_what_is_wrong_with_the_text() {
        let error = serde_json::from_str::<Address>(r#""/run/100%""#).unwrap_err().to_string();
        let said = "/run/100%".parse::<Address>().unwrap_err().to_string();
        assert!(error.starts_with(&said), "{error}");
        assert!(serde_json::from_str::<Address>("7").is_err());
    }

    #[test]
    fn a_reader_that_lends_no_text_is_enough() {
        let json = br#""@app""#;
        let address: Address = serde_json::from_reader(&json[..]).unwrap();
        assert_eq!(address, Address::abstract_name("app").unwrap());
    }

    proptest! {
        #[test]
        fn paths_are_lossless(bytes in proptest::collection::vec(1u8.., 1..200)) {
            let address = Address::path(OsString::from_vec(bytes)).unwrap();
            prop_assert_eq!(round_trip(&address), address);
        }

        #[test]
        fn abstract_names_are_lossless(bytes in proptest::collection::vec(any::<u8>(), 0..=107)) {
            let address = Address::abstract_name(bytes).unwrap();
            prop_assert_eq!(round_trip(&address), address);
        }
    }
}
