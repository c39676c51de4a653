//! Reads messages from JSON, and locates errors.

mod any;
mod message;
mod scalar;
mod syntax;
mod well_known;

use std::fmt;
use std::io::Read;

use prost_reflect::{DynamicMessage, MessageDescriptor};
use serde_json::value::RawValue;

use self::message::Reader;
use self::syntax::Json;
use super::error::{Fault, JsonError};

/// Parsing options.
#[derive(Clone, Copy, Debug, Default)]
pub struct ParseOptions {
    /// Discards fields and names of enum values that the schema lacks, instead of rejecting them.
    pub discard_unknown: bool,
}

/// Reads one message from JSON.
///
/// The form in which [`Style`](super::Style) writes an `Any` of unknown type is accepted, too.
/// Whether all required fields are set is not checked: see
/// [`missing_required`](super::missing_required).
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
    ParseOptions::default().read(message, text)
}

impl ParseOptions {
    /// Reads one message from JSON, with these options.
    ///
    /// ```
    /// use stoop_dynamic::{Schema, json};
    ///
    /// let request = Schema::builtin().method("grpc.health.v1.Health/Check", &[])?.input();
    /// let text = r#"{"service": "a", "added_later": [1]}"#;
    /// assert!(json::read(&request, text).is_err());
    /// assert!(json::ParseOptions { discard_unknown: true }.read(&request, text).is_ok());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Returns the same errors as [`read`].
    pub fn read(self, message: &MessageDescriptor, text: &str) -> Result<DynamicMessage, JsonError> {
        let whole = Json::parse(text).map_err(|error| JsonError::syntax(&error))?;
        let reader = Reader { discard_unknown: self.discard_unknown, depth: 1, own_form: well_known::read };
        reader.message(message, whole).map_err(|fault| fault.locate(text))
    }

    /// Reads a sequence of messages as [`messages`] does, with these options.
    pub fn messages<R: Read>(self, message: MessageDescriptor, reader: R) -> Messages<R> {
        let values = serde_json::Deserializer::from_reader(reader).into_iter();
        Messages { message, options: self, values, ended: false }
    }
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
    ParseOptions::default().messages(message, reader)
}

/// The iterator returned by [`messages`]. It ends after an error.
pub struct Messages<R: Read> {
    message: MessageDescriptor,
    options: ParseOptions,
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
            Ok(value) => self.options.read(&self.message, value.get()),
            Err(error) => Err(JsonError::syntax(&error)),
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
