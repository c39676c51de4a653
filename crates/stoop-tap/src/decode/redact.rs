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

/// JSON members whose value is a secret.
const MEMBERS: &[&str] =
    &["password", "passwd", "secret", "token", "identitytoken", "registrytoken", "apikey"];

const INSTEAD: &[u8] = b"[redacted]";

/// Returns the text with the values of well-known secrets replaced: credentials in HTTP headers,
/// assignments such as `password=…`, and JSON members of such a name.
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
/// ```
pub fn redact(text: &[u8]) -> Vec<u8> {
    let lower = text.to_ascii_lowercase();
    let mut safe = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match secret_at(&lower, at) {
            Some((start, end)) => {
                safe.extend(&text[at..start]);
                safe.extend(INSTEAD);
                at = end;
            }
            None => {
                safe.push(text[at]);
                at += 1;
            }
        }
    }
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
    let lower = text.to_ascii_lowercase();
    let mut safe = text.to_vec();
    let mut at = 0;
    while at < text.len() {
        match secret_at(&lower, at) {
            Some((start, end)) => {
                safe[start..end].fill(b'*');
                at = end;
            }
            None => at += 1,
        }
    }
    safe
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
    let name = rest.strip_prefix(b"\"")?;
    let member = MEMBERS.iter().find(|member| {
        name.strip_prefix(member.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'"'))
    })?;
    let colon = at + member.len() + 2;
    let blanks = lower[colon..].iter().take_while(|byte| matches!(byte, b' ' | b':')).count();
    let start = colon + blanks + 1;
    if blanks == 0 || lower.get(start - 1) != Some(&b'"') {
        return None;
    }
    Some((start, start + string_len(&lower[start..])))
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
