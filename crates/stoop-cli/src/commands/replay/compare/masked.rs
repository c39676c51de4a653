//! What may stand behind masked secrets: a comparison must not fail because of them. Pure.

/// What a masked byte became in the recording.
pub(super) const MASK: u8 = b'*';

/// Returns whether these bytes, masked, may be what was recorded: each run of `*` stands for
/// anything, of any length.
pub(super) fn matches(recorded: &[u8], now: &[u8]) -> bool {
    let mut parts = recorded.split(|byte| *byte == MASK);
    let first = parts.next().unwrap_or_default();
    let Some(last) = parts.next_back() else { return recorded == now };
    let inner = now.strip_prefix(first).and_then(|rest| rest.strip_suffix(last));
    let Some(mut rest) = inner else { return false };
    for part in parts.filter(|part| !part.is_empty()) {
        match rest.windows(part.len()).position(|window| window == part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

/// Returns whether a header of HTTP/2 may be what was recorded: from its first secret on, which in
/// a Huffman code may have become other letters than `*`, it is not compared.
#[cfg(feature = "grpc")]
pub(super) fn matches_header(name: &[u8], recorded: &[u8], now: &[u8]) -> bool {
    let is_hidden = !recorded.is_empty() && recorded.iter().all(|byte| *byte == MASK);
    let line = [name, b": ", now].concat();
    let masked = stoop_tap::mask(&line);
    let plain = line.iter().zip(&masked).take_while(|(plain, masked)| plain == masked).count();
    let plain = &line[(name.len() + 2).min(plain)..plain];
    is_hidden || recorded == now || plain.len() < now.len() && recorded.starts_with(plain)
}

/// Returns whether this is what JSON has for a field of masked bytes: `*` in base64.
pub(super) fn is_base64(text: &str) -> bool {
    let stars = text.trim_end_matches("Kio=").trim_end_matches("Kg==");
    !text.is_empty() && text.len().is_multiple_of(4) && stars.as_bytes().chunks(4).all(|four| four == b"Kioq")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_stands_around_a_secret_is_compared() {
        assert!(matches(b"/login?token=***&x=1", b"/login?token=abcdef&x=1"));
        assert!(!matches(b"/login?token=***&x=1", b"/login?token=abcdef&x=2"));
        assert!(!matches(b"/login?token=***", b"/logout?token=abc"));
        assert!(matches(b"A=**,B=*,", b"A=,B=long,") && !matches(b"A=**,B=*,", b"A=x,C=y,"));
        assert!(matches(b"same", b"same") && !matches(b"one", b"other"));
        assert!(!matches(b"aa*aa", b"aaa"), "no byte is both");
        assert!(["Kg==", "Kio=", "Kioq", "KioqKioqKg=="].iter().all(|text| is_base64(text)));
        assert!(!["", "Kioa", "Kio", "a2V5"].iter().any(|text| is_base64(text)));
    }

    #[cfg(feature = "grpc")]
    #[test]
    fn a_secret_header_is_not_compared_and_others_are() {
        assert!(matches_header(b"authorization", b"B1%*", b"Bearer x"), "all of it is a secret");
        assert!(matches_header(b"x-private", b"***", b"whatever"), "its sender called it sensitive");
        assert!(matches_header(b":path", b"/a?token=B1%", b"/a?token=abc"));
        assert!(!matches_header(b":path", b"/b?token=B1%", b"/a?token=abc"));
        assert!(!matches_header(b"grpc-status", b"1", b"0"));
    }

    proptest! {
        #[test]
        fn a_text_matches_what_it_became(text in "[ab]{0,20}", from in 0usize..20, len in 0usize..20, longer in "[ab]{0,5}") {
            let (from, to) = (from.min(text.len()), (from + len).min(text.len()));
            let recorded = format!("{}{}{}", &text[..from], "*".repeat(to.saturating_sub(from)), &text[to.max(from)..]);
            prop_assert!(matches(recorded.as_bytes(), text.as_bytes()));
            if to > from {
                let now = format!("{}{longer}{}", &text[..from], &text[to..]);
                prop_assert!(matches(recorded.as_bytes(), now.as_bytes()));
            }
        }
    }
}
