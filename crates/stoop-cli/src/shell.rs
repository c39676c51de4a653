//! Quotes words of suggested commands, so that they can be pasted into a shell.

use std::ffi::OsStr;

use stoop::escaped;

/// Quotes a word for a shell. A word that is too long or not printable is left to the reader to
/// fill in.
pub(crate) fn quoted(word: &OsStr) -> String {
    const LONGEST: usize = 60;
    let prints =
        |text: &&str| text.len() <= LONGEST && escaped(*text).to_string().replace("%25", "%") == **text;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._+:@%,=-".contains(&byte);
    match word.to_str().filter(prints) {
        Some(text) if text.starts_with('-') => "…".into(),
        Some(text) if !text.is_empty() && text.bytes().all(plain) => text.into(),
        Some(text) => format!("'{}'", text.replace('\'', r"'\''")),
        None => "…".into(),
    }
}
