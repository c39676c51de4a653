//! JSON without a parser: the length of a value, and the members of an object. Pure.

/// Returns the length of the value at the beginning of the text; `None` if it is incomplete.
pub(super) fn value_len(text: &[u8]) -> Option<usize> {
    let (mut depth, mut at) = (0u32, 0);
    loop {
        match text.get(at)? {
            b'"' => at += string_len(&text[at..])?,
            b'{' | b'[' => (depth, at) = (depth + 1, at + 1),
            b'}' | b']' if depth > 0 => (depth, at) = (depth - 1, at + 1),
            b',' | b'}' | b']' if depth == 0 => return Some(at),
            byte if depth == 0 && byte.is_ascii_whitespace() && at > 0 => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

/// The length of a string, with its quotes.
fn string_len(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// Returns the value of a member of an object, as it is written.
pub(super) fn member<'t>(object: &'t [u8], name: &str) -> Option<&'t [u8]> {
    let mut rest = object.trim_ascii_start().strip_prefix(b"{")?;
    loop {
        rest = rest.trim_ascii_start();
        let key = rest.split_off(..string_len(rest).filter(|_| rest.starts_with(b"\""))?)?;
        rest = rest.trim_ascii_start().strip_prefix(b":")?.trim_ascii_start();
        let value = rest.split_off(..value_len(rest)?)?;
        if key[1..key.len() - 1] == *name.as_bytes() {
            return Some(value);
        }
        rest = rest.trim_ascii_start().strip_prefix(b",")?;
    }
}

/// Returns the text of a member that is a string, with its escapes as they are.
pub(super) fn text(object: &[u8], name: &str) -> Option<String> {
    let value = member(object, name)?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn members_of_the_outer_object_are_found() {
        let object = br#" { "a" : {"b": "}"}, "c":[1,{"b":2}] ,"b":"x\"y", "n":-1.5, "z": null}"#;
        assert_eq!(member(object, "a").unwrap(), br#"{"b": "}"}"#);
        assert_eq!(member(object, "c").unwrap(), br#"[1,{"b":2}]"#);
        assert_eq!(text(object, "b").unwrap(), r#"x\"y"#);
        assert_eq!(
            (member(object, "n").unwrap(), member(object, "z").unwrap()),
            (&b"-1.5"[..], &b"null"[..])
        );
        assert_eq!((member(object, "y"), text(object, "n")), (None, None));
        assert_eq!(value_len(object.trim_ascii_start()), Some(object.len() - 1));
        assert_eq!(value_len(br#"{"a": "}"#), None);
    }

    proptest! {
        #[test]
        fn anything_is_read(pieces in proptest::collection::vec("[{}\\[\\],:\"\\\\a1 ]", 0..40)) {
            let text = pieces.concat();
            if let Some(len) = value_len(text.as_bytes()) {
                prop_assert!(len <= text.len());
            }
            member(text.as_bytes(), "a");
        }
    }
}
