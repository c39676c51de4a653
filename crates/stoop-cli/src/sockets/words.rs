//! Untrusted bytes as words that are safe on a terminal, and the same words read back. Pure.
//!
//! A word is lossless: what is printed can be typed. It has a space only between two characters of
//! a name, never two and never one at its ends, so no name can look like the next column. A byte
//! that is repeated is written once, with its number: `%00×98`.

use std::ffi::OsString;
use std::fmt::{Display, Write as _};
use std::os::unix::ffi::OsStringExt;

use stoop::{Address, escaped};

/// The mark before the number of repetitions of an escaped byte.
const TIMES: char = '×';
/// The minimum number of repetitions that are folded.
const FOLDED: usize = 4;

/// Appends an address or another name, without spaces.
pub(crate) fn push_unspaced(shown: &impl Display, text: &mut String) {
    push(shown, |_, _| false, text);
}

/// Returns a name, with the spaces that cannot be mistaken.
pub(crate) fn spaced(bytes: &[u8]) -> String {
    let mut text = String::new();
    push(&escaped(bytes), is_inside, &mut text);
    text
}

/// Returns whether a space between these characters cannot be taken for the end of a name.
fn is_inside(before: char, after: char) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || "._:@/".contains(c);
    (is_part(before) || before == '-') && is_part(after)
}

/// Reads a word back: the bytes it stands for. `None` if it is not one.
pub(crate) fn bytes_of(word: &[u8]) -> Option<Vec<u8>> {
    let name = OsString::from_vec([b"@", word].concat());
    Address::parse(name).ok()?.as_abstract_name().map(<[u8]>::to_vec)
}

/// Appends escaped text. A space remains if `is_safe` between its neighbours.
fn push(shown: &impl Display, is_safe: fn(char, char) -> bool, text: &mut String) {
    let start = text.len();
    // Writing to a string cannot fail.
    let _ = write!(text, "{shown}");
    let written = &text[start..];
    if !written.contains([' ', '%']) {
        return;
    }
    let word = folded(&without_spaces(written, is_safe));
    text.replace_range(start.., &word);
}

fn without_spaces(text: &str, is_safe: fn(char, char) -> bool) -> String {
    let mut word = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    let (mut before, mut is_escape) = (' ', false);
    while let Some(character) = characters.next() {
        let next = characters.peek().copied().unwrap_or(' ');
        is_escape = match character {
            ' ' if !is_safe(before, next) => {
                word.push_str("%20");
                true
            }
            // After an escape it would begin a number of repetitions.
            TIMES if is_escape => {
                word.push_str("%C3%97");
                true
            }
            other => {
                word.push(other);
                false
            }
        };
        before = character;
    }
    word
}

/// Folds repeated escapes. A digit behind them is not taken for a part of their number.
fn folded(text: &str) -> String {
    let mut word = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('%') {
        word.push_str(&rest[..at]);
        // Escaped text has two digits behind each sign.
        let (escape, behind) = rest[at..].split_at_checked(3).unwrap_or((&rest[at..], ""));
        let mut count = 1;
        rest = behind;
        while let Some(behind) = rest.strip_prefix(escape) {
            (count, rest) = (count + 1, behind);
        }
        push_run(escape, count, rest.starts_with(|c: char| c.is_ascii_digit()), &mut word);
    }
    word.push_str(rest);
    word
}

fn push_run(escape: &str, count: usize, before_digit: bool, word: &mut String) {
    let (folded, alone) = match count {
        FOLDED.. => (count - usize::from(before_digit), usize::from(before_digit)),
        few => (0, few),
    };
    if folded > 0 {
        let _ = write!(word, "{escape}{TIMES}{folded}");
    }
    word.extend(std::iter::repeat_n(escape, alone));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use stoop::internal::{Place, Target};

    fn unspaced(address: &Address) -> String {
        let mut text = String::new();
        push_unspaced(address, &mut text);
        text
    }

    /// Whether a word could be taken for two columns, or for a name with the note behind it.
    fn is_one_word(word: &str) -> bool {
        !word.starts_with(' ') && !word.ends_with(' ') && !word.contains("  ") && !word.contains(" +")
    }

    #[test]
    fn words_are_short_and_readable() {
        for (name, word) in [
            ("web app", "web app"),
            ("Web Content", "Web Content"),
            ("tmux: server", "tmux: server"),
            (" a", "%20a"),
            ("a  b", "a%20%20b"),
            ("a ", "a%20"),
            ("a +3", "a%20+3"),
            ("a ×3", "a%20%C3%973"),
            ("a (b", "a%20(b"),
            ("a×3", "a×3"),
            ("a\0\0\0\0\0b", "a%00×5b"),
            ("a\0\0\0\0\x005", "a%00×4%005"),
        ] {
            assert_eq!(spaced(name.as_bytes()), word);
        }
        let name = [b"x".as_slice(), &[0; 98]].concat();
        assert_eq!(unspaced(&Address::abstract_name(name).unwrap()), "@x%00×98");
    }

    /// Names that are near the borders of the notation.
    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            Just(b"\0".to_vec()),
            Just(b" ".to_vec()),
            Just("×".as_bytes().to_vec()),
            Just("é".as_bytes().to_vec()),
            Just(b"%".to_vec()),
            Just(b"%00".to_vec()),
            Just(b"stream:".to_vec()),
            "[a-z0-9+'\"@:/(){},;*?-]".prop_map(String::into_bytes),
            "[0-9]".prop_map(String::into_bytes),
            proptest::collection::vec(any::<u8>(), 1..3),
        ]
        .prop_flat_map(|part: Vec<u8>| (Just(part), 1usize..7).prop_map(|(part, times)| part.repeat(times)));
        proptest::collection::vec(part, 1..8).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn printed_addresses_can_be_typed(mut name in bytes()) {
            name.truncate(107);
            let of_path = name.iter().copied().filter(|&byte| byte != 0).collect::<Vec<u8>>();
            let mut addresses = vec![Address::abstract_name(name).unwrap()];
            addresses.extend(Address::path(OsString::from_vec(of_path)).ok());
            for address in addresses {
                let word = unspaced(&address);
                prop_assert!(!word.contains(' ') && !word.contains(char::is_control), "{word}");
                let typed = Target::parse(&word).map(|target| (target.kind, target.place));
                prop_assert_eq!(typed, Ok((None, Place::Address(address))), "{}", word);
            }
        }

        #[test]
        fn printed_names_can_be_typed(mut name in bytes()) {
            name.truncate(107);
            let word = spaced(&name);
            prop_assert!(is_one_word(&word) && !word.contains(char::is_control), "{word}");
            prop_assert_eq!(bytes_of(word.as_bytes()), Some(name), "{}", word);
        }
    }
}
