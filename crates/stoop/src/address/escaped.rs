//! Bytes as text that is safe on a terminal. Pure.

use std::fmt;

/// Writes bytes as printable text, with `%XX` for `%` and for every byte that is not part of a
/// printable character.
pub(super) fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while let Some((at, character)) = rest.char_indices().find(|&(_, c)| c == '%' || !is_printable(c)) {
            let (plain, hidden) = rest.split_at(at);
            let (hidden, behind) = hidden.split_at(character.len_utf8());
            f.write_str(plain)?;
            for byte in hidden.bytes() {
                write!(f, "%{byte:02X}")?;
            }
            rest = behind;
        }
        f.write_str(rest)?;
        for byte in chunk.invalid() {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// Returns whether a character is printable: neither a control character nor one that reorders or
/// hides its neighbours on a terminal.
fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    !character.is_control()
        && !matches!(character,
            '\u{AD}' | '\u{61C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}'
            | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
}

/// Formats any bytes (a file name, a socket's name) as safe text, with `%XX` for what is not
/// printable.
///
/// ```
/// assert_eq!(stoop::escaped(b"a\x1b[31m").to_string(), "a%1B[31m");
/// ```
pub fn escaped(bytes: &(impl AsRef<[u8]> + ?Sized)) -> impl fmt::Display + '_ {
    struct Escaped<'a>(&'a [u8]);
    impl fmt::Display for Escaped<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write_escaped(f, self.0)
        }
    }
    Escaped(bytes.as_ref())
}
