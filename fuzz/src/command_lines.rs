//! Command lines as they are typed for curl and grpcurl: any words, one on each line; and the
//! values that they contain.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use std::time::Duration;

use crate::form_field::Field;
use crate::{curl, foreign_flags, grpcurl, header_line, percent, time, write_out};

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
        if let Some((why, next)) = foreign_flags::find(curl::ELSEWHERE, word) {
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

/// Checks curl's notations: the head of a form's part cannot be broken by a field, headers keep
/// their name, and what is percent-encoded is decoded to the same.
pub fn values(data: &[u8]) {
    for field in [Field::parse(data), Field::plain(data)].into_iter().flatten() {
        let head = field.head();
        assert!(head.ends_with("\r\n") && head.lines().all(|line| line.starts_with("Content-")), "{head:?}");
    }
    let form = String::from_utf8(percent::percent_encoded(data)).expect("encoded text is ASCII");
    assert_eq!(percent::decoded(&form.replace('+', " ")), data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some((name, value)) = header_line::parse(text) {
        assert!(header_line::is_named(text, &name), "{text:?} became {name}: {value:?}");
    }
    let encoded = percent::encoded(text);
    assert_eq!(percent::encoded(&encoded), encoded, "what is encoded stays as it is");
    let written = write_out::format(text, &write_out::Facts::default());
    assert!(written.out.len() <= text.len(), "without headers nothing becomes longer");
}

/// Checks that durations are read or refused, and that those shown are read back.
pub fn durations(data: &[u8]) {
    let Ok(span) = time::parse(&String::from_utf8_lossy(data)) else { return };
    let millis = Duration::from_millis(span.as_millis().try_into().unwrap_or(u64::MAX / 1000));
    assert_eq!(time::parse(&time::show(millis)), Ok(millis));
    assert!(!time::about(span).is_empty());
}
