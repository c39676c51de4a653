//! Words of a command line, quoted so that they can be pasted into a shell and shown on a terminal.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::Address;

/// An address in the command's own grammar, which has no control characters.
pub(super) fn address(address: &Address) -> String {
    word(address.to_string().as_bytes())
}

/// A path as the shell's own tools take it.
pub(super) fn path(path: &Path) -> String {
    word(path.as_os_str().as_bytes())
}

fn word(bytes: &[u8]) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/._-+:@%,=".contains(byte);
    match std::str::from_utf8(bytes) {
        Ok(text) if !bytes.is_empty() && bytes.iter().all(plain) => text.to_string(),
        Ok(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', r"'\''")),
        _ => {
            let escaped: String = bytes
                .iter()
                .map(|&byte| match byte {
                    b'\'' | b'\\' => format!("\\{}", byte as char),
                    b' '..=b'~' => (byte as char).to_string(),
                    _ => format!("\\x{byte:02x}"),
                })
                .collect();
            format!("$'{escaped}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words() {
        assert_eq!(word(b"/run/app.sock"), "/run/app.sock");
        assert_eq!(word(b"/a b"), "'/a b'");
        assert_eq!(word(b"it's"), r"'it'\''s'");
        assert_eq!(word(b"a\nb\xff"), r"$'a\x0ab\xff'");
        assert_eq!(word(b""), "''");
    }
}
