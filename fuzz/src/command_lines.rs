//! Command lines as they are typed for curl and grpcurl: any words, one on each line.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use crate::{curl, grpcurl};

fn words(verb: &str, data: &[u8]) -> Vec<OsString> {
    let typed = data.split(|&byte| byte == b'\n').map(|word| OsString::from_vec(word.to_vec()));
    ["stoop", verb].map(OsString::from).into_iter().chain(typed).collect()
}

/// Returns the words behind the first `--`, which no flag follows; none if it may be the value of a
/// flag.
fn operands(words: &[OsString]) -> &[OsString] {
    match words.iter().position(|word| word == "--") {
        Some(end) if !is_flag(&words[end - 1]) => &words[end + 1..],
        _ => &[],
    }
}

fn is_flag(word: &OsString) -> bool {
    word.as_encoded_bytes().starts_with(b"-")
}

/// Checks that rewriting moves the address, and loses no other word.
pub fn curl(data: &[u8]) {
    let words = words("http", data);
    let rewritten = curl::rewrite(words.clone());
    assert_eq!(rewritten[..2], words[..2]);
    assert!(rewritten.len() <= words.len() && rewritten.len() + 1 >= words.len());
    if rewritten != words {
        let kept = |word: &&OsString| rewritten.contains(word);
        assert!(words.iter().filter(|word| !kept(word)).count() <= 2, "{words:?} became {rewritten:?}");
        assert!(rewritten.ends_with(operands(&words)));
    }
    for word in words.iter().filter_map(|word| word.to_str()) {
        if let Some((why, next)) = curl::elsewhere(word) {
            assert!(!why.is_empty() && next.contains("stoop"));
        }
    }
}

/// Checks that every flag of grpcurl is translated or refused, and that no other word is changed.
pub fn grpcurl(data: &[u8]) {
    let words = words("grpc", data);
    match grpcurl::translate(words.clone()) {
        Ok(translated) => {
            assert_eq!(translated[..2], words[..2]);
            assert!(translated.len() <= words.len() + words.len() && translated.ends_with(operands(&words)));
            let first = words[2..].iter().position(is_flag).unwrap_or(words.len() - 2);
            assert_eq!(translated[2..2 + first], words[2..2 + first], "what precedes the flags");
        }
        Err(refusal) => {
            let is_given = |word: &OsString| word.to_string_lossy().contains(&refusal.flag);
            assert!(words.iter().any(is_given) && !refusal.why.is_empty());
        }
    }
}
