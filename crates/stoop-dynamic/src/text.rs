//! Conversion between messages and protobuf's text format.

use std::fmt;

use prost_reflect::text_format::FormatOptions;
use prost_reflect::{DynamicMessage, MessageDescriptor};

/// What separates messages, as in grpcurl's input and output.
const SEPARATOR: char = '\u{1e}';

/// The error for text that is not a message.
#[derive(Clone, Debug)]
pub struct TextError {
    number: usize,
    text: String,
}

impl TextError {
    /// Returns the number of the message, starting at 1.
    pub fn number(&self) -> usize {
        self.number
    }
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for TextError {}

/// Reads messages from text. Several are separated by the character U+001E; blank ones at the end
/// are none.
///
/// ```
/// use stoop_dynamic::{Schema, text};
///
/// let request = Schema::builtin().method("grpc.health.v1.Health/Check", &[])?.input();
/// let messages = text::read(&request, "service: \"a\" \u{1e} service: 'b'")?;
/// assert_eq!(messages.len(), 2);
/// assert_eq!(text::write(&messages[1], true), r#"service:"b""#);
/// assert_eq!(text::read(&request, "")?.len(), 0);
/// let error = text::read(&request, "service: \"a\" \u{1e} name: 1").unwrap_err();
/// assert_eq!(error.number(), 2);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// Returns an error ([`TextError`]) if the text is invalid, or a message lacks one of the fields.
pub fn read(message: &MessageDescriptor, text: &str) -> Result<Vec<DynamicMessage>, TextError> {
    let text = text.trim_end_matches(|c: char| c.is_whitespace() || c == SEPARATOR);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let one = |(at, text): (usize, &str)| {
        DynamicMessage::parse_text_format(message.clone(), text)
            .map_err(|error| TextError { number: at + 1, text: error.to_string() })
    };
    text.split(SEPARATOR).enumerate().map(one).collect()
}

/// Returns a message as text, on one line or indented.
pub fn write(message: &DynamicMessage, one_line: bool) -> String {
    message.to_text_format_with_options(&FormatOptions::new().pretty(!one_line))
}
