//! The parts of a JSON text, each of which knows where it is in the text.
//!
//! A part is a slice of the text, and is parsed one level at a time. So numbers keep all their
//! digits, repeated keys are seen, and every fault has a position.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Fault;

/// A value in a JSON text.
#[derive(Clone, Copy)]
pub(super) struct Json<'t>(&'t str);

/// A member of an object.
pub(super) struct Member<'t> {
    pub(super) name: String,
    /// The text from the name on, for its position.
    pub(super) at: &'t str,
    pub(super) value: Json<'t>,
}

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Type {
    Null,
    Bool(bool),
    Number,
    String,
    Array,
    Object,
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Null => "null",
            Type::Bool(true) => "true",
            Type::Bool(false) => "false",
            Type::Number => "a number",
            Type::String => "a string",
            Type::Array => "an array",
            Type::Object => "an object",
        })
    }
}

impl<'t> Json<'t> {
    /// Parses a text that is one value.
    pub(super) fn parse(text: &'t str) -> Result<Json<'t>, serde_json::Error> {
        serde_json::from_str::<&RawValue>(text).map(|raw| Json(raw.get()))
    }

    /// Returns the text of the value.
    pub(super) fn text(self) -> &'t str {
        self.0
    }

    pub(super) fn kind(self) -> Type {
        match self.0.as_bytes().first() {
            Some(b'n') => Type::Null,
            Some(b't') => Type::Bool(true),
            Some(b'f') => Type::Bool(false),
            Some(b'"') => Type::String,
            Some(b'[') => Type::Array,
            Some(b'{') => Type::Object,
            _ => Type::Number,
        }
    }

    pub(super) fn is_null(self) -> bool {
        self.kind() == Type::Null
    }

    pub(super) fn fault(self, text: impl Into<String>) -> Box<Fault> {
        Fault::new(self.0, text)
    }

    /// Returns the fault of a value of another type.
    pub(super) fn is_not(self, wanted: &str) -> Box<Fault> {
        self.fault(format!("expected {wanted}, found {}", self.kind()))
    }

    pub(super) fn string(self) -> Result<String, Box<Fault>> {
        match self.kind() {
            Type::String => self.parsed(),
            _ => Err(self.is_not("a string")),
        }
    }

    pub(super) fn elements(self) -> Result<Vec<Json<'t>>, Box<Fault>> {
        if self.kind() != Type::Array {
            return Err(self.is_not("an array"));
        }
        let values: Vec<&'t RawValue> = self.parsed()?;
        Ok(values.into_iter().map(|raw| Json(raw.get())).collect())
    }

    /// Returns the members of an object, in the order of the text.
    pub(super) fn members(self) -> Result<Vec<Member<'t>>, Box<Fault>> {
        if self.kind() != Type::Object {
            return Err(self.is_not("an object"));
        }
        let Entries(entries) = self.parsed()?;
        let mut end = 1;
        let members = entries.into_iter().map(|(name, value)| {
            // Between the previous value and this one, the first quote begins the name.
            let name_at = self.0[end..].find('"').map_or(end, |offset| end + offset);
            end = value.0.as_ptr().addr() - self.0.as_ptr().addr() + value.0.len();
            Member { name, at: &self.0[name_at..], value }
        });
        Ok(members.collect())
    }

    fn parsed<T: Deserialize<'t>>(self) -> Result<T, Box<Fault>> {
        serde_json::from_str(self.0).map_err(|error| {
            let words = error.to_string();
            self.fault(words.rsplit_once(" at line ").map_or(words.as_str(), |(front, _)| front))
        })
    }
}

/// The members of an object, including those with the same name.
struct Entries<'t>(Vec<(String, Json<'t>)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EntriesVisitor;
        impl<'de> Visitor<'de> for EntriesVisitor {
            type Value = Entries<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<'de>, A::Error> {
                let mut entries = Vec::new();
                while let Some((name, raw)) = map.next_entry::<String, &'de RawValue>()? {
                    entries.push((name, Json(raw.get())));
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(EntriesVisitor)
    }
}
