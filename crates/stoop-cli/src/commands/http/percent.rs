//! Percent-encoding. Pure.

/// Percent-encodes every byte that is not unreserved (RFC 3986, 2.3), and spaces as forms do.
pub(super) fn percent_encoded(bytes: &[u8]) -> Vec<u8> {
    let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let encode = |&byte: &u8| match byte {
        b' ' => vec![b'+'],
        byte if is_unreserved(byte) => vec![byte],
        byte => format!("%{byte:02X}").into(),
    };
    bytes.iter().flat_map(encode).collect()
}

/// Decodes percent-encoded text. A `%` without two hexadecimal digits is kept.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let digit = |at: usize| behind.get(at).and_then(|&digit| char::from(digit).to_digit(16));
        match digit(0).zip(digit(1)) {
            Some((high, low)) if *first == b'%' => {
                bytes.push((high << 4 | low) as u8);
                rest = &behind[2..];
            }
            _ => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

/// Percent-encodes every byte that a URI cannot contain. A `%` is kept, because it may be part of
/// an existing encoding.
pub(super) fn encoded(text: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"\"#<>\\^`{|}".contains(&byte);
    text.bytes()
        .map(|byte| if fits(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}
