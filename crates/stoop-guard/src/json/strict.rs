//! Reads JSON that every parser reads alike. Pure.
//!
//! Parsers disagree about repeated keys. Go's matches keys without regard to case, so that
//! `privileged` sets `Privileged`. Both are refused, in every object of a body.

use std::collections::HashSet;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Parses one value, and nothing after it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(bytes).map(|Strict(value)| value).map_err(|error| error.to_string())
}

/// Returns the key as parsers compare it that ignore case: with Unicode's simple folding, which
/// maps the Kelvin sign to `k` and the long s to `s`.
pub(crate) fn fold(key: &str) -> String {
    key.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Strict, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Strict(value)) = access.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let (mut map, mut seen) = (Map::new(), HashSet::new());
        while let Some((key, Strict(value))) = access.next_entry::<String, Strict>()? {
            if !seen.insert(fold(&key)) {
                return Err(A::Error::custom(format!(
                    "the key {key:?} is repeated, or differs in case alone"
                )));
            }
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn repeated_and_folded_keys_are_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"Privileged":false,"privileged":true}"#,
            r#"{"x":{"HostConfig":{},"hostConfig":{}}}"#,
            r#"[{"Binds":[],"BIND\u0053":[]}]"#,
            "{\"links\":[],\"lin\u{212A}s\":[]}",
            "{\"Devices\":[],\"Device\u{017F}\":[]}",
        ] {
            assert!(parse(text.as_bytes()).unwrap_err().contains("differs in case"), "{text}");
        }
    }

    #[test]
    fn other_texts_are_refused_too() {
        for bytes in
            [&b""[..], b"{} {}", b"{}x", b"{\"a\":1,}", b"\xff", b"{\"a\":\"\\ud800\"}", b"1e999", b"NaN"]
        {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse("[".repeat(100_000).as_bytes()).is_err());
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map("[a-d]{1,3}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(value in values()) {
            prop_assert_eq!(parse(value.to_string().as_bytes()), Ok(value));
        }
    }
}
