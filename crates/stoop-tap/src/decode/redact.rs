//! Replaces well-known secrets in text.

use super::secrets::Secrets;

const INSTEAD: &[u8] = b"[redacted]";

/// Returns the text with the values of well-known secrets replaced: credentials in HTTP headers,
/// assignments such as `password=…`, passwords in URLs, JSON members of such a name, and in JSON
/// the values of environment variables.
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
        let is_secret = judge.is_secret(*byte);
        if judge.take_innocent() {
            found.pop();
        }
        if !is_secret {
            continue;
        }
        match found.last_mut().filter(|(_, end)| *end == at) {
            Some((_, end)) => *end = at + 1,
            None => found.push((at, at + 1)),
        }
    }
    if judge.is_innocent_end() {
        found.pop();
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

    #[test]
    fn what_identifies_an_account_in_sql_is_a_secret() {
        for (text, safe) in [
            (
                "grant all on *.* to w identified by \"p\"\"q\", x",
                "grant all on *.* to w identified by \"[redacted]\"\"[redacted]\", x",
            ),
            (
                "alter user u identified via ed25519 using 'p' or unix_socket",
                "alter user u identified via ed25519 using '[redacted]' or unix_socket",
            ),
            ("IDENTIFIED BY 'p' REPLACE 'q'", "IDENTIFIED BY '[redacted]' REPLACE '[redacted]'"),
            (
                r"create user u identified by 'p\'q' comment 'c'",
                "create user u identified by '[redacted]' comment 'c'",
            ),
            ("set password = password(\"p\")", "set password = [redacted]\"[redacted]\")"),
            ("password=a(b,c) x", "password=[redacted],c) x"),
            (
                "alter role r password E'p' valid until 'v'",
                "alter role r password E'[redacted]' valid until 'v'",
            ),
            ("alter role r password $$p q$$", "alter role r password $[redacted]"),
            ("select replace('a', \"b\"), x using y", "select replace('a', \"b\"), x using y"),
        ] {
            assert_eq!(String::from_utf8(redact(text.as_bytes())).unwrap(), safe);
        }
    }

    #[test]
    fn passwords_in_urls_are_secrets_and_ports_are_not() {
        for (text, safe) in [
            ("postgres://user:pw@host/db", "postgres://user:[redacted]@host/db"),
            (
                "Location: http://u:p%40w!,;(x)@h:8080/a?b=c\r\nX: y",
                "Location: http://u:[redacted]@h:8080/a?b=c\r\nX: y",
            ),
            ("mongodb+srv://u:12345@h1:27017,h2:27017/d", "mongodb+srv://u:[redacted]@h1:27017,h2:27017/d"),
            ("redis://:pw@h:6379/0", "redis://:[redacted]@h:6379/0"),
            (r#"{"url":"amqp:\/\/u:pw@h","n":1}"#, r#"{"url":"amqp:\/\/u:[redacted]@h","n":1}"#),
            ("http://localhost:8080", "http://localhost:8080"),
            (
                "at http://[::1]:80/, https://h:443, and 'http://h:81'",
                "at http://[::1]:80/, https://h:443, and 'http://h:81'",
            ),
            ("http://u@h:80/x:y@z http://h/a:b@c a:b@c", "http://u@h:80/x:y@z http://h/a:b@c a:b@c"),
            (
                "/a?sig=s%3D&se=1&access_token=t&api_key=k&X-Amz-Signature=0f&design=d&pass=p",
                "/a?sig=[redacted]&se=1&access_token=[redacted]&api_key=[redacted]&X-Amz-Signature=[redacted]&design=d&pass=[redacted]",
            ),
            (
                "http://u:123456789@h http://u:12a@h http://u:@h",
                "http://u:[redacted]@h http://u:[redacted]@h http://u:@h",
            ),
        ] {
            assert_eq!(String::from_utf8(redact(text.as_bytes())).unwrap(), safe);
        }
        // In pieces, a password is never shown, though a port may be hidden.
        let text = b"see http://u:12345@h:8080/ and http://h:8080/x";
        for cut in 1..text.len() {
            let mut judge = Secrets::default();
            let mut masked = text.to_vec();
            let (one, other) = masked.split_at_mut(cut);
            judge.mask(one);
            judge.mask(other);
            assert!(
                masked.starts_with(b"see http://u:*****@h:8080/ and http://h:"),
                "{}",
                masked.escape_ascii()
            );
            assert_eq!(masked.len(), text.len());
        }
        assert_eq!(mask(text), b"see http://u:*****@h:8080/ and http://h:8080/x");
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_length_when_it_is_masked(
            pieces in proptest::collection::vec("://|:1|@|\"env\":\\[|\"value\":|[\"{}\\[\\],:= a]|password=|\"auth\": *\"", 0..30),
        ) {
            let text = pieces.concat();
            prop_assert_eq!(mask(text.as_bytes()).len(), text.len());
            prop_assert!(redact(text.as_bytes()).len() <= text.len() * 11 + 11);
        }
    }
}
