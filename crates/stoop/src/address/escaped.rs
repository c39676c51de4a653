//! Bytes as text that is safe on a terminal. Pure.

use std::fmt;

/// The mark between an escaped byte and the number of its repetitions, as in `%00×98`. Directly
/// after an escape it is escaped itself, so that a name cannot be taken for one with repetitions.
pub(super) const TIMES: char = '×';

/// Writes bytes as printable text, with `%XX` for `%` and for every byte that is not part of a
/// printable character.
pub(super) fn write_escaped(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    write_escaped_after(f, bytes, false)
}

/// Writes bytes as printable text, after an escape if `is_escape` is set.
pub(super) fn write_escaped_after(
    f: &mut fmt::Formatter<'_>,
    bytes: &[u8],
    mut is_escape: bool,
) -> fmt::Result {
    for chunk in bytes.utf8_chunks() {
        let mut rest = chunk.valid();
        while !rest.is_empty() {
            let is_plain = |c: char| c != '%' && is_printable(c) && !(is_escape && c == TIMES);
            // Only the first character is preceded by an escape.
            let first = rest.chars().next().filter(|&c| is_plain(c)).map_or(0, char::len_utf8);
            let is_hidden = |&(_, c): &(usize, char)| c == '%' || !is_printable(c);
            let end = match first {
                0 => 0,
                first => {
                    rest[first..].char_indices().find(is_hidden).map_or(rest.len(), |(at, _)| first + at)
                }
            };
            let (plain, behind) = rest.split_at(end);
            f.write_str(plain)?;
            let hidden = behind.chars().next().map_or(0, char::len_utf8);
            write_bytes(f, &behind.as_bytes()[..hidden])?;
            is_escape = hidden > 0;
            rest = &behind[hidden..];
        }
        write_bytes(f, chunk.invalid())?;
        is_escape |= !chunk.invalid().is_empty();
    }
    Ok(())
}

/// Writes each byte as `%XX`.
fn write_bytes(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "%{byte:02X}"))
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
