//! Replaces well-known secrets in text.

/// What stands before a secret, in lower case. The secret ends at the end of the line, or for those
/// that end in `=` at the next separator.
const BEFORE: &[&str] = &[
    "authorization:",
    "proxy-authorization:",
    "x-registry-auth:",
    "x-registry-config:",
    "cookie:",
    "set-cookie:",
    "x-api-key:",
    "x-vault-token:",
    "password=",
    "passwd=",
    "pwd=",
    "secret=",
    "token=",
    "api_key=",
    "apikey=",
    "access_key=",
];

/// JSON members whose value is a secret if it is a string.
const MEMBERS: &[&str] = &[
    "password",
    "passwd",
    "secret",
    "token",
    "auth",
    "identitytoken",
    "identity_token",
    "registrytoken",
    "registry_token",
    "apikey",
];

/// JSON members that have environment variables: strings such as `NAME=value`, or objects with a
/// `value`.
const ENVIRONMENTS: &[&str] = &["env", "envs"];

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
    let lower = text.to_ascii_lowercase();
    let mut found = Vec::new();
    let mut at = 0;
    while at < text.len() {
        if let Some((start, end)) = secret_at(&lower, at) {
            found.push((start, end));
            at = end;
        } else if let Some(start) = member_at(&lower, at, ENVIRONMENTS, b"[{") {
            at = environment(&lower, start, &mut found);
        } else {
            at += 1;
        }
    }
    found
}

/// If a name of a secret begins at this position: the start and the end of the secret.
fn secret_at(lower: &[u8], at: usize) -> Option<(usize, usize)> {
    let rest = &lower[at..];
    if let Some(word) = BEFORE.iter().find(|word| rest.starts_with(word.as_bytes())) {
        let start = at + word.len();
        let start = start + lower[start..].iter().take_while(|byte| **byte == b' ').count();
        let ends = |byte: &u8| match word.ends_with('=') {
            true => matches!(byte, b'&' | b';' | b',' | b'"' | b'\'') || byte.is_ascii_whitespace(),
            false => matches!(byte, b'\r' | b'\n'),
        };
        let len = lower[start..].iter().position(ends).unwrap_or(lower.len() - start);
        return (len > 0).then_some((start, start + len));
    }
    let start = member_at(lower, at, MEMBERS, b"\"")?;
    let end = start + string_len(&lower[start..]);
    (start < end).then_some((start, end))
}

/// If a JSON member of such a name is here, and its value begins with one of these bytes: the place
/// behind that byte.
fn member_at(lower: &[u8], at: usize, names: &[&str], begins: &[u8]) -> Option<usize> {
    let rest = lower[at..].strip_prefix(b"\"")?;
    let is_named =
        |name: &&&str| rest.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.starts_with(b"\""));
    let colon = at + names.iter().find(is_named)?.len() + 2;
    let blanks = lower[colon..].iter().take_while(|byte| matches!(byte, b' ' | b':')).count();
    let start = colon + blanks;
    (blanks > 0 && begins.contains(lower.get(start)?)).then_some(start + 1)
}

/// Adds the values of environment variables. Returns where they end.
fn environment(lower: &[u8], mut at: usize, found: &mut Vec<(usize, usize)>) -> usize {
    let mut depth = 1;
    let mut is_value = false;
    while let Some(byte) = lower.get(at).filter(|_| depth > 0) {
        at += 1;
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            b'"' => {
                let end = at + string_len(&lower[at..]);
                let text = &lower[at..end];
                let name = text.iter().position(|byte| *byte == b'=').filter(|_| !is_value);
                let start = name.map_or(at, |name| at + name + 1);
                if (is_value || name.is_some()) && start < end {
                    found.push((start, end));
                }
                let colon = lower.get(end + 1..).unwrap_or_default().trim_ascii_start().first();
                is_value = text == b"value" && colon == Some(&b':');
                at = (end + 1).min(lower.len());
            }
            _ => {}
        }
    }
    at
}

/// The length of a JSON string without its end.
fn string_len(rest: &[u8]) -> usize {
    let mut escaped = false;
    rest.iter()
        .position(|byte| {
            let ends = *byte == b'"' && !escaped;
            escaped = *byte == b'\\' && !escaped;
            ends
        })
        .unwrap_or(rest.len())
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
