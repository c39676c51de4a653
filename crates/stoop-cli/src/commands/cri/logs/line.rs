//! Decodes the log files of the CRI: `TIME STREAM TAGS TEXT`, one line each. Pure.
//!
//! If a line of the container is too long, it is split. Parts but the last have the tag `P`.

use super::super::moment;

/// The stream that the container wrote a line to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Stdout,
    Stderr,
}

/// What of a log is printed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Choice {
    /// Lines before this time are left out.
    pub(super) since: Option<i64>,
    pub(super) timestamps: bool,
    pub(super) limit_bytes: Option<u64>,
}

/// What is printed of one line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Printed {
    pub(super) source: Source,
    pub(super) text: Vec<u8>,
}

/// Decodes a file as it arrives.
#[derive(Debug)]
pub(super) struct Decoder {
    choice: Choice,
    held: Vec<u8>,
    /// How much of `held` was decoded.
    at: usize,
    /// Whether the last line of stdout, and of stderr, continues.
    continues: [bool; 2],
    /// How many bytes may still be printed.
    left: u64,
}

impl Decoder {
    pub(super) fn new(choice: Choice) -> Decoder {
        let left = choice.limit_bytes.unwrap_or(u64::MAX);
        Decoder { choice, held: Vec::new(), at: 0, continues: [false; 2], left }
    }

    /// Adds a piece of the file.
    pub(super) fn push(&mut self, piece: &[u8]) {
        self.held.drain(..std::mem::take(&mut self.at));
        self.held.extend_from_slice(piece);
    }

    /// Returns whether as much was printed as may be.
    pub(super) fn is_full(&self) -> bool {
        self.left == 0
    }

    /// Returns what is printed next, or `None` until more arrives.
    pub(super) fn next(&mut self) -> Option<Printed> {
        while !self.is_full() {
            let rest = &self.held[self.at..];
            let len = rest.iter().position(|&byte| byte == b'\n')?;
            let line = rest[..len].to_vec();
            self.at += len + 1;
            if let Some(mut printed) = self.decode(&line) {
                printed.text.truncate(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= printed.text.len() as u64;
                return Some(printed);
            }
        }
        None
    }

    fn decode(&mut self, line: &[u8]) -> Option<Printed> {
        let Some(Line { time, source, is_partial, text }) = Line::parse(line) else {
            // What is not a line of this format is shown as it is.
            return Some(Printed { source: Source::Stdout, text: [line, b"\n"].concat() });
        };
        let is_new = !std::mem::replace(&mut self.continues[source as usize], is_partial);
        if self.choice.since.is_some_and(|since| moment::parse(time).is_some_and(|time| time < since)) {
            return None;
        }
        let mut shown = Vec::with_capacity(line.len() + 1);
        if self.choice.timestamps && is_new {
            shown.extend_from_slice(time.as_bytes());
            shown.push(b' ');
        }
        shown.extend_from_slice(text);
        if !is_partial {
            shown.push(b'\n');
        }
        Some(Printed { source, text: shown })
    }
}

/// One line of a file.
struct Line<'l> {
    time: &'l str,
    source: Source,
    is_partial: bool,
    text: &'l [u8],
}

impl Line<'_> {
    fn parse(line: &[u8]) -> Option<Line<'_>> {
        let mut parts = line.splitn(4, |&byte| byte == b' ');
        let time = std::str::from_utf8(parts.next()?).ok()?;
        moment::parse(time)?;
        let source = match parts.next()? {
            b"stdout" => Source::Stdout,
            b"stderr" => Source::Stderr,
            _ => return None,
        };
        let tags = parts.next()?;
        let is_partial = tags.split(|&byte| byte == b':').any(|tag| tag == b"P");
        Some(Line { time, source, is_partial, text: parts.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LOG: &str = "\
2026-11-29T10:00:00.5Z stdout F one
2026-11-29T10:00:01Z stderr F two  words
2026-11-29T10:00:02+00:00 stdout P three, 
2026-11-29T10:00:02Z stderr F between
2026-11-29T10:00:03Z stdout F four
2026-11-29T10:00:04Z stdout F 
no line of a log
";

    fn printed(choice: Choice, pieces: usize) -> (String, String) {
        let mut decoder = Decoder::new(choice);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        for piece in LOG.as_bytes().chunks(pieces) {
            decoder.push(piece);
            while let Some(Printed { source, text }) = decoder.next() {
                if source == Source::Stdout { out.extend(text) } else { err.extend(text) }
            }
        }
        (String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn lines_lose_their_heads() {
        let expected =
            ("one\nthree, four\n\nno line of a log\n".to_owned(), "two  words\nbetween\n".to_owned());
        for pieces in [1, 7, 4096] {
            assert_eq!(printed(Choice::default(), pieces), expected);
        }
    }

    #[test]
    fn whole_lines_have_times() {
        let (out, err) = printed(Choice { timestamps: true, ..Choice::default() }, 4096);
        assert!(
            out.starts_with("2026-11-29T10:00:00.5Z one\n2026-11-29T10:00:02+00:00 three, four\n"),
            "{out}"
        );
        assert!(err.starts_with("2026-11-29T10:00:01Z two"), "{err}");
    }

    #[test]
    fn lines_are_chosen_by_time_and_bytes() {
        let since = moment::parse("2026-11-29T10:00:03Z");
        let (out, err) = printed(Choice { since, ..Choice::default() }, 4096);
        assert_eq!((out.as_str(), err.as_str()), ("four\n\nno line of a log\n", ""));
        let (out, err) = printed(Choice { limit_bytes: Some(6), ..Choice::default() }, 4096);
        assert_eq!((out.as_str(), err.as_str()), ("one\n", "tw"));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(file in prop::collection::vec(any::<u8>(), 0..200), size in 1usize..50) {
            let all = |size: usize| {
                let mut decoder = Decoder::new(Choice { timestamps: true, ..Choice::default() });
                let mut all = Vec::new();
                for piece in file.chunks(size) {
                    decoder.push(piece);
                    while let Some(Printed { text, .. }) = decoder.next() {
                        all.extend(text);
                    }
                }
                all
            };
            prop_assert_eq!(all(size), all(1000));
        }
    }
}
