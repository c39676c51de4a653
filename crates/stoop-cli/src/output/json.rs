//! Formats events as JSON lines, a stable interface. Fields may be added. Existing ones keep their
//! name and meaning under one schema number. No value can control a terminal.

use std::io;

use serde::{Serialize, Serializer};
use serde_json::ser::Formatter;

use super::data::Data;
use super::event::Event;

/// The version of everything that `--json` prints.
pub(crate) const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    event: &'a Event,
}

/// Formats one event as one line.
pub(super) fn line(event: &Event) -> String {
    let mut text = Vec::new();
    push(&Line { schema: SCHEMA, event }, &mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Appends a line. The values of this crate can always be represented in JSON.
pub(crate) fn push(line: &impl Serialize, text: &mut Vec<u8>) {
    let start = text.len();
    match line.serialize(&mut serde_json::Serializer::with_formatter(&mut *text, Inert)) {
        Ok(()) => text.push(b'\n'),
        Err(_) => text.truncate(start),
    }
}

/// A formatter that writes characters that control a terminal, or reorder text on it, as `\uXXXX`.
/// JSON itself requires that only up to U+001F.
struct Inert;

impl Formatter for Inert {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        mut fragment: &str,
    ) -> io::Result<()> {
        while let Some((at, character)) = fragment.char_indices().find(|(_, one)| is_active(*one)) {
            writer.write_all(&fragment.as_bytes()[..at])?;
            write!(writer, "\\u{:04x}", u32::from(character))?;
            fragment = &fragment[at + character.len_utf8()..];
        }
        writer.write_all(fragment.as_bytes())
    }
}

/// Returns whether a character must be escaped. None of these is beyond U+FFFF.
fn is_active(character: char) -> bool {
    character >= '\u{7F}'
        && (character.is_control()
            || matches!(character, '\u{61C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}'))
}

impl Serialize for Data {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(&self.0) {
            Ok(text) => serializer.collect_map([("text", text)]),
            Err(_) => serializer.collect_map([("bytes", base64(&self.0))]),
        }
    }
}

/// Encodes standard base64, with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
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
    use super::super::{Message, PeerInfo};
    use super::*;

    #[test]
    fn base64_is_standard_with_padding() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"foob", "Zm9vYg==")]
        {
            assert_eq!(base64(bytes), text);
        }
        assert_eq!(base64(&[0xff, 0xfe, 0xfd]), "//79");
    }

    #[test]
    fn json_escapes_control_characters_losslessly() {
        let hostile = "a\u{9b}2J\u{7f}\u{202e}\u{2066}\x1b[\n\"\\日本\u{85}";
        let mut text = Vec::new();
        push(&hostile, &mut text);
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text, "\"a\\u009b2J\\u007f\\u202e\\u2066\\u001b[\\n\\\"\\\\日本\\u0085\"\n");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }

    #[test]
    fn a_line_has_schema_event_and_lossless_data() {
        let message = |data: &[u8]| {
            let sender = PeerInfo { uid: Some(0), ..PeerInfo::default() };
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
