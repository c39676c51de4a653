//! JSON indented for a person, as it arrives: every character of it stays, only the space between
//! them changes.
//!
//! Not a parser: what is no JSON comes out with odd line breaks and nothing lost. Needs no memory
//! but a few numbers, so an answer without end is indented as it comes.

/// How far each level is moved in.
const INDENT: &[u8] = b"  ";

/// Deeper than this, lines are moved in no further: the depth is the sender's choice, and so would
/// be the length of each line.
const DEEPEST: usize = 40;

/// Indents JSON, however it is cut: one value, or one after the other.
#[derive(Debug)]
pub(crate) struct Indenter {
    depth: usize,
    string: InString,
    /// A bracket has just been opened: whether it is empty shows with the next character.
    opened: bool,
    /// A value has ended on this line, and the next one begins a line of its own.
    ended: bool,
    /// Nothing stands on this line.
    blank: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    /// After a backslash.
    Escaped,
}

impl Default for Indenter {
    fn default() -> Indenter {
        Indenter { depth: 0, string: InString::No, opened: false, ended: false, blank: true }
    }
}

impl Indenter {
    /// The next piece.
    pub(crate) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut text = Vec::with_capacity(piece.len() * 2);
        for &byte in piece {
            match self.string {
                InString::No => self.outside(byte, &mut text),
                _ => self.inside(byte, &mut text),
            }
        }
        text
    }

    fn inside(&mut self, byte: u8, text: &mut Vec<u8>) {
        text.push(byte);
        self.string = match (self.string, byte) {
            (InString::Yes, b'\\') => InString::Escaped,
            (InString::Yes, b'"') => {
                self.ended = self.depth == 0;
                InString::No
            }
            _ => InString::Yes,
        };
    }

    fn outside(&mut self, byte: u8, text: &mut Vec<u8>) {
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => self.ended |= self.depth == 0 && !self.blank,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if !std::mem::take(&mut self.opened) {
                    self.line(text);
                }
                text.push(byte);
                if self.depth == 0 {
                    // Whoever waits for the next value sees this one's end.
                    text.push(b'\n');
                    (self.ended, self.blank) = (false, true);
                }
            }
            _ => self.begin(byte, text),
        }
    }

    fn begin(&mut self, byte: u8, text: &mut Vec<u8>) {
        if std::mem::take(&mut self.opened) || std::mem::take(&mut self.ended) {
            self.line(text);
        }
        self.blank = false;
        text.push(byte);
        match byte {
            b'{' | b'[' => {
                self.depth += 1;
                self.opened = true;
            }
            b',' => self.line(text),
            b':' => text.push(b' '),
            b'"' => self.string = InString::Yes,
            _ => {}
        }
    }

    fn line(&self, text: &mut Vec<u8>) {
        text.push(b'\n');
        text.extend(std::iter::repeat_n(INDENT, self.depth.min(DEEPEST)).flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indented(json: &str) -> String {
        String::from_utf8(Indenter::default().push(json.as_bytes())).unwrap()
    }

    #[test]
    fn brackets_commas_and_colons_make_lines() {
        let expected = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x, {y}: \\\"[\"\n}\n";
        assert_eq!(indented(r#"{"a":[1,{}],"b":"x, {y}: \"["}"#), expected);
        assert_eq!(indented(expected), expected, "what is indented stays so");
        assert_eq!(indented("[ ]\n{}\n"), "[]\n{}\n");
        assert_eq!(indented("1 2\n\"a\"\"b\" null"), "1\n2\n\"a\"\n\"b\"\nnull");
    }

    #[test]
    fn values_stay_what_they_are_however_they_are_cut() {
        let values = [
            serde_json::json!({"a": [1, 2.5e10, -3], "b": {"c": null, "d": [[], {}, [{}]]}, "": "\\\"\n\u{1f600}{["}),
            serde_json::json!([true, false, "x", "a\\"]),
            serde_json::json!("only text, with: {all} [of] it\\"),
        ];
        for value in &values {
            let text = value.to_string();
            for cut in 0..text.len() {
                let mut indenter = Indenter::default();
                let (one, other) = text.as_bytes().split_at(cut);
                let whole = [indenter.push(one), indenter.push(other)].concat();
                assert_eq!(serde_json::from_slice::<serde_json::Value>(&whole).unwrap(), *value);
            }
        }
    }

    #[test]
    fn what_is_no_json_loses_nothing_and_costs_no_more_than_a_line() {
        for text in ["}}}]]]", "{{{{\"", "<html>, a: b</html>", "\"\\", ",,,,"] {
            let kept: String = indented(text).chars().filter(|c| !c.is_whitespace()).collect();
            let was: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            assert_eq!(kept, was);
        }
        let deep = "[".repeat(100_000);
        assert!(indented(&deep).len() < deep.len() * (2 + INDENT.len() * DEEPEST));
    }
}
