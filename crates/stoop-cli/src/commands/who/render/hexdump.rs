//! Formats unread bytes: sixteen per line, in hexadecimal and as text. Pure.

use std::fmt::Write as _;

/// The maximum number of bytes shown.
pub(in crate::commands::who) const PEEK_BYTES: usize = 256;

/// Formats lines like `hexdump -C`, each after `indent`.
pub(in crate::commands::who) fn dump(bytes: &[u8], indent: &str) -> String {
    let mut text = String::new();
    for (number, line) in bytes.chunks(16).enumerate() {
        let _ = write!(text, "{indent}{:04x}  ", number * 16);
        for at in 0..16 {
            match line.get(at) {
                Some(byte) => drop(write!(text, "{byte:02x} ")),
                None => text.push_str("   "),
            }
            if at == 7 {
                text.push(' ');
            }
        }
        let shown = |byte: &u8| if (0x20..0x7f).contains(byte) { char::from(*byte) } else { '.' };
        text.push(' ');
        text.extend(line.iter().map(shown));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_dumped_as_hex_and_printable_text() {
        let expected = "  0000  47 45 54 20 2f 1b 5b 32  4a 0d 0a ff 00 31 32 33  GET /.[2J....123\n\
                        \x20 0010  34                                                4\n";
        assert_eq!(dump(b"GET /\x1b[2J\r\n\xff\x001234", "  "), expected);
        assert_eq!(dump(b"", "  "), "");
    }
}
