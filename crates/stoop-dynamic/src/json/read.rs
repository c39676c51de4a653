//! Reads messages from JSON, and locates errors.

use std::fmt;
use std::io::Read;

use prost_reflect::{DynamicMessage, Kind, MessageDescriptor};
use serde_json::value::RawValue;
use serde_path_to_error::{Deserializer, Track};

use super::opaque;
use crate::resolve::nearest;

/// The error for text that is not valid JSON for a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    text: String,
    path: String,
    place: Option<(usize, usize)>,
    nearest: Option<String>,
}

impl JsonError {
    /// Returns the path of the field, such as `config.linux.resources[0]`; empty for the whole
    /// message.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the line and column in the text of the message, counted from 1, if known.
    pub fn place(&self) -> Option<(usize, usize)> {
        self.place
    }

    /// Returns the name of the field that was probably meant.
    pub fn nearest(&self) -> Option<&str> {
        self.nearest.as_deref()
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for JsonError {}

/// Reads one message from JSON.
///
/// The form in which [`Style`](super::Style) writes an `Any` of unknown type is accepted, too.
///
/// ```
/// use stoop_dynamic::{Schema, json};
///
/// let request = Schema::builtin().method("runtime.v1.RuntimeService/RunPodSandbox", &[])?.input();
/// assert!(json::read(&request, r#"{"config": {"metadata": {"name": "web"}}}"#).is_ok());
///
/// let error = json::read(&request, r#"{"config": {"metadata": {"nme": "web"}}}"#).unwrap_err();
/// assert_eq!(error.path(), "config.metadata.nme");
/// assert_eq!(error.nearest(), Some("name"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Returns an error ([`JsonError`]) if the text is not JSON, if the message lacks one of the
/// fields, or if a value does not fit its field.
pub fn read(message: &MessageDescriptor, text: &str) -> Result<DynamicMessage, JsonError> {
    // prost-reflect would resolve a type URL with a leading dot to another type.
    if text.contains("/.")
        && let Some(read) = opaque::read(message, text)
    {
        return Ok(read);
    }
    let mut json = serde_json::Deserializer::from_str(text);
    let mut track = Track::new();
    let read = DynamicMessage::deserialize(message.clone(), Deserializer::new(&mut json, &mut track));
    let read = read.and_then(|value| json.end().map(|()| value));
    read.or_else(|error| {
        // prost-reflect rejects unknown types. The second pass is made only if the message has
        // some.
        match opaque::read(message, text) {
            Some(read) => Ok(read),
            None => Err(error_at(&error, &track.path(), message, text)),
        }
    })
}

fn error_at(
    error: &serde_json::Error,
    path: &serde_path_to_error::Path,
    message: &MessageDescriptor,
    text: &str,
) -> JsonError {
    let place = (error.line() > 0).then(|| (error.line(), error.column()));
    // An unknown field is located by a second search: the error's path ends before its name.
    if let Some(unknown) = serde_json::from_str(text).ok().and_then(|value| unknown_field(message, &value)) {
        let names = unknown.owner.fields().map(|field| field.json_name().to_owned()).collect::<Vec<_>>();
        return JsonError {
            text: format!("'{}' has no field '{}'", unknown.owner.full_name(), unknown.name),
            path: unknown.path.trim_start_matches('.').to_owned(),
            place,
            nearest: nearest(&unknown.name, names.into_iter()),
        };
    }
    let words = error.to_string();
    // The position is reported separately.
    let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(front, _)| front).to_owned();
    let path = if path.iter().next().is_none() { String::new() } else { path.to_string() };
    JsonError { text: words, path, place, nearest: None }
}

/// A name that no field has.
struct Unknown {
    name: String,
    owner: MessageDescriptor,
    path: String,
}

/// Returns the first unknown field.
fn unknown_field(owner: &MessageDescriptor, value: &serde_json::Value) -> Option<Unknown> {
    // Well-known types have their own JSON forms, in which any member may occur.
    if owner.full_name().starts_with("google.protobuf.") {
        return None;
    }
    value.as_object()?.iter().find_map(|(name, value)| {
        let field = owner.get_field_by_json_name(name).or_else(|| owner.get_field_by_name(name));
        let Some(field) = field else {
            let is_extension = name.starts_with('[');
            let unknown = || Unknown { name: name.clone(), owner: owner.clone(), path: format!(".{name}") };
            return (!is_extension).then(unknown);
        };
        let below = |kind: Kind, key: &str, value: &serde_json::Value| {
            let unknown = unknown_field(kind.as_message()?, value)?;
            Some(Unknown { path: format!(".{name}{key}{}", unknown.path), ..unknown })
        };
        match value {
            serde_json::Value::Array(values) => values
                .iter()
                .enumerate()
                .find_map(|(at, value)| below(field.kind(), &format!("[{at}]"), value)),
            serde_json::Value::Object(entries) if field.is_map() => {
                let kind = field.kind().as_message()?.map_entry_value_field().kind();
                entries.iter().find_map(|(key, value)| below(kind.clone(), &format!(".{key}"), value))
            }
            value => below(field.kind(), "", value),
        }
    })
}

/// Reads a sequence of messages as they arrive, with or without white space between them.
///
/// ```
/// use stoop_dynamic::{Schema, json};
///
/// let request = Schema::builtin().method("grpc.health.v1.Health/Check", &[])?.input();
/// let input = r#"{"service": "a"} {"service": "b"}{} {"unknown": 1} {}"#;
/// let mut messages = json::messages(request, input.as_bytes());
/// assert_eq!(messages.by_ref().take_while(Result::is_ok).count(), 3);
/// assert!(messages.next().is_none(), "nothing is read after an error");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn messages<R: Read>(message: MessageDescriptor, reader: R) -> Messages<R> {
    let values = serde_json::Deserializer::from_reader(reader).into_iter();
    Messages { message, values, ended: false }
}

/// The iterator returned by [`messages`]. It ends after an error.
pub struct Messages<R: Read> {
    message: MessageDescriptor,
    values: serde_json::StreamDeserializer<'static, serde_json::de::IoRead<R>, Box<RawValue>>,
    ended: bool,
}

impl<R: Read> fmt::Debug for Messages<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messages").field("message", &self.message).finish_non_exhaustive()
    }
}

impl<R: Read> Iterator for Messages<R> {
    type Item = Result<DynamicMessage, JsonError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let result = match self.values.next()? {
            Ok(value) => read(&self.message, value.get()),
            Err(error) => Err(error_at(&error, &Track::new().path(), &self.message, "")),
        };
        self.ended = result.is_err();
        Some(result)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Schema;
    use crate::json::Style;

    fn descriptor(name: &str) -> MessageDescriptor {
        Schema::builtin().pool().get_message_by_name(name).unwrap()
    }

    fn wrong(name: &str, text: &str) -> JsonError {
        read(&descriptor(name), text).unwrap_err()
    }

    #[test]
    fn an_unknown_field_is_located() {
        let text = "{\"config\": {\"metadata\":\n {\"nam\": \"x\"}}}";
        let error = wrong("runtime.v1.RunPodSandboxRequest", text);
        assert_eq!(error.to_string(), "'runtime.v1.PodSandboxMetadata' has no field 'nam'");
        assert_eq!((error.path(), error.nearest()), ("config.metadata.nam", Some("name")));
        assert_eq!(error.place().unwrap().0, 2);
        let error = wrong("runtime.v1.CreateContainerRequest", r#"{"config":{"mounts":[{},{"hostPth":1}]}}"#);
        assert_eq!((error.path(), error.nearest()), ("config.mounts[1].hostPth", Some("hostPath")));
    }

    #[test]
    fn an_invalid_value_is_located() {
        let error = wrong("runtime.v1.RunPodSandboxRequest", r#"{"config":{"metadata":{"attempt":"many"}}}"#);
        assert_eq!((error.path(), error.nearest()), ("config.metadata.attempt", None));
        let error = wrong("runtime.v1.VersionRequest", "{\"version\": 1");
        assert!(error.place().is_some(), "{error}");
        let error = wrong("runtime.v1.VersionRequest", "{} {}");
        assert!(error.to_string().contains("trailing"), "{error}");
    }

    #[test]
    fn json_and_proto_names_are_read() {
        for text in [r#"{"pod_sandbox_id":"1"}"#, r#"{"podSandboxId":"1"}"#] {
            let message = read(&descriptor("runtime.v1.StopPodSandboxRequest"), text).unwrap();
            let line = Style { one_line: true, ..Style::default() }.text(&message);
            assert_eq!(line, r#"{"podSandboxId":"1"}"#);
        }
    }

    #[test]
    fn messages_are_read_one_by_one() {
        let name = descriptor("runtime.v1.VersionRequest");
        let text = "{\"version\":\"a\"}\n{} {\"version\":\"b\"}{\"no\":1}{}";
        let mut messages = messages(name, text.as_bytes());
        let texts: Vec<_> = messages.by_ref().take(3).map(|message| message.unwrap().to_string()).collect();
        assert_eq!(texts.len(), 3);
        assert_eq!(messages.next().unwrap().unwrap_err().path(), "no");
        assert!(messages.next().is_none());
    }

    /// Reads the one field of a wrapper message, such as `google.protobuf.DoubleValue`, from this
    /// text.
    fn number(wrapper: &str, text: &str) -> prost_reflect::Value {
        read(&descriptor(wrapper), text).unwrap().get_field_by_number(1).unwrap().into_owned()
    }

    #[test]
    fn halfway_doubles_are_rounded_correctly() {
        for text in [
            "1.1350117800803111e-250",
            "1.1350117800803113e-250",
            "2.2250738585072011e-308",
            "9007199254740993",
        ] {
            let expected: f64 = text.parse().unwrap();
            assert_eq!(number("google.protobuf.DoubleValue", text).as_f64(), Some(expected), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn numbers_are_read_as_the_nearest_float(bits: u64) {
            let double = f64::from_bits(bits);
            for text in [format!("{double:e}"), format!("{double:.25e}"), format!("{double}")] {
                if double.is_finite() {
                    let read = number("google.protobuf.DoubleValue", &text);
                    proptest::prop_assert_eq!(read.as_f64().map(f64::to_bits), Some(bits), "{}", text);
                }
            }
            let float = f32::from_bits(bits as u32);
            if float.is_finite() {
                let read = number("google.protobuf.FloatValue", &float.to_string());
                proptest::prop_assert_eq!(read.as_f32().map(f32::to_bits), Some(bits as u32), "{}", float);
            }
        }
    }
}
