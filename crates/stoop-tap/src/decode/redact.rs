//! Replaces well-known secrets in text.

use super::secrets::Secrets;

const INSTEAD: &[u8] = b"[redacted]";

/// Returns the text with the values of well-known secrets replaced: credentials in HTTP headers,
/// assignments such as `password=…`, JSON members of such a name, and in JSON the values of
/// environment variables.
///
/// # Examples
///
/// ```
/// use stoop_tap::redact;
///
/// let safe = redact(b"Authorization: Basic dTpw\r\nHost: x");
/// assert_eq!(safe, b"Authorization: [redacted]\r\nHost: x");
/// assert_eq!(redact(br#"{"Password": "p", "n": 1}"#), br#"{"Password": "[redacted]", "n": 1}"#);
/// assert_eq!(redact(b"/login?user=u&password=p&x=1"), b"/login?user=u&password=[redacted]&x=1");
/// let safe = redact(br#"{"Env": ["A=b", "C=d"], "Image": "x"}"#);
/// assert_eq!(safe, br#"{"Env": ["A=[redacted]", "C=[redacted]"], "Image": "x"}"#);
/// ```
pub fn redact(text: &[u8]) -> Vec<u8> {
    let mut safe = Vec::with_capacity(text.len());
    let mut at = 0;
    for (start, end) in secrets(text) {
        safe.extend(&text[at..start]);
        safe.extend(INSTEAD);
        at = end;
    }
    safe.extend(&text[at..]);
    safe
}

/// Returns the text with the same secrets overwritten, in the same length.
///
/// # Examples
///
/// ```
/// assert_eq!(stoop_tap::mask(b"x password=abc&y"), b"x password=***&y");
/// ```
pub fn mask(text: &[u8]) -> Vec<u8> {
    let mut safe = text.to_vec();
    for (start, end) in secrets(text) {
        safe[start..end].fill(b'*');
    }
    safe
}

/// Returns the starts and the ends of all secrets, in order.
fn secrets(text: &[u8]) -> Vec<(usize, usize)> {
    let mut judge = Secrets::default();
    let mut found: Vec<(usize, usize)> = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        if !judge.is_secret(*byte) {
            continue;
        }
        match found.last_mut().filter(|(_, end)| *end == at) {
            Some((_, end)) => *end = at + 1,
            None => found.push((at, at + 1)),
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_of_variables_and_credentials_are_secrets() {
        let text = br#"{"envs":[{"key":"A","value":"b"},{"key":"C","value":""}],"auth":{"username":"u","password":"p\"q"},"x":"value"}"#;
        let safe = redact(text);
        let expected = r#"{"envs":[{"key":"A","value":"[redacted]"},{"key":"C","value":""}],"auth":{"username":"u","password":"[redacted]"},"x":"value"}"#;
        assert_eq!(String::from_utf8(safe).unwrap(), expected);
        let text = br#"{"hashedPassword":["$y$a\"b", ["c"]],"secret":["d",{"kept":"e"}],"lastPasswordChangeUSec":"f","password":[]}"#;
        let expected = r#"{"hashedPassword":["[redacted]", ["[redacted]"]],"secret":["[redacted]",{"kept":"e"}],"lastPasswordChangeUSec":"f","password":[]}"#;
        assert_eq!(String::from_utf8(redact(text)).unwrap(), expected);
        let safe = redact(br#"{"aVeryLongNameOfWhichTheEndIsPassword": "p"}"#);
        assert!(safe.ends_with(b": \"[redacted]\"}"));
        assert_eq!(redact(br#"{"auth": "dTpw"}"#), br#"{"auth": "[redacted]"}"#);
        assert_eq!(mask(br#"{"Env":["A=bc"]}"#), br#"{"Env":["A=**"]}"#);
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_length_when_it_is_masked(
            pieces in proptest::collection::vec("\"env\":\\[|\"value\":|[\"{}\\[\\],:= a]|password=|\"auth\": *\"", 0..30),
        ) {
            let text = pieces.concat();
            prop_assert_eq!(mask(text.as_bytes()).len(), text.len());
            prop_assert!(redact(text.as_bytes()).len() <= text.len() * 11 + 11);
        }
    }
}
