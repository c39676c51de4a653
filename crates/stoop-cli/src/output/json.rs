//! Events as JSON lines: an interface. Fields may be added; what is there keeps its name and meaning under one schema number.

use serde::{Serialize, Serializer};

use super::{Data, Event};

/// The version of everything that `--json` prints.
pub(crate) const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    event: &'a Event,
}

/// One event, one line.
pub(super) fn line(event: &Event) -> String {
    let mut line = serde_json::to_string(&Line { schema: SCHEMA, event }).unwrap_or_default();
    line.push('\n');
    line
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.collect_map([("text", text)]),
            Err(_) => serializer.collect_map([("bytes", base64(&self.0))]),
        }
    }
}

/// Standard base64, with padding.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(group.get(at).copied().unwrap_or(0)));
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) as usize & 63;
            text.push(if digit <= group.len() { char::from(DIGITS[value]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::{Message, Who};
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn a_line_has_schema_event_and_lossless_data() {
        let message = |data: &[u8]| {
            let sender = Who { uid: Some(0), ..Who::default() };
            let size = data.len();
            let data = Data(data.to_vec());
            line(&Event::Message(Message { from: None, sender, size, descriptors: Vec::new(), data }))
        };
        let text = r#"{"schema":1,"event":"message","uid":0,"size":3,"data":{"text":"a\nb"}}"#;
        assert_eq!(message(b"a\nb"), format!("{text}\n"));
        let bytes = r#"{"schema":1,"event":"message","uid":0,"size":1,"data":{"bytes":"/w=="}}"#;
        assert_eq!(message(b"\xff"), format!("{bytes}\n"));
    }
}
