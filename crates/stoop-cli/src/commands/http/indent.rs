//! Indents JSON as it arrives: every token is kept, and only the whitespace between tokens changes.
//!
//! This is not a parser. Input that is not JSON comes out with odd line breaks and nothing lost.
//! The state is a few numbers, so an endless response is indented as it arrives.

/// The indentation of each level.
const INDENT: &[u8] = b"  ";

/// The maximum depth of indentation. The sender chooses the depth, and would otherwise choose the
/// length of each line too.
const DEEPEST: usize = 40;

/// Indents JSON that arrives in arbitrary pieces: one value, or several in sequence.
#[derive(Debug)]
pub(super) struct Indenter {
    depth: usize,
    string: InString,
    /// Whether a bracket was just opened. The next character shows whether it is empty.
    opened: bool,
    /// Whether a value has ended on this line. The next one starts on a new line.
    ended: bool,
    /// Whether this line is empty.
    blank: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum InString {
    No,
    Yes,
    /// The character after a backslash.
    Escaped,
}

impl Default for Indenter {
    fn default() -> Indenter {
        Indenter { depth: 0, string: InString::No, opened: false, ended: false, blank: true }
    }
}

impl Indenter {
    /// Indents the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) -> Vec<u8> {
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
                    // A reader that waits for the next value can see where this one ends.
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
    fn json_is_indented() {
        let expected = "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": \"x, {y}: \\\"[\"\n}\n";
        assert_eq!(indented(r#"{"a":[1,{}],"b":"x, {y}: \"["}"#), expected);
        assert_eq!(indented(expected), expected, "what is indented stays so");
        assert_eq!(indented("[ ]\n{}\n"), "[]\n{}\n");
        assert_eq!(indented("1 2\n\"a\"\"b\" null"), "1\n2\n\"a\"\n\"b\"\nnull");
    }

    #[test]
    fn indenting_preserves_values_across_pieces() {
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
    fn invalid_json_is_preserved_in_bounded_space() {
        for text in ["}}}]]]", "{{{{\"", "<html>, a: b</html>", "\"\\", ",,,,"] {
            let kept: String = indented(text).chars().filter(|c| !c.is_whitespace()).collect();
            let was: String = text.chars().filter(|c| !c.is_whitespace()).collect();
            assert_eq!(kept, was);
        }
        let deep = "[".repeat(100_000);
        assert!(indented(&deep).len() < deep.len() * (2 + INDENT.len() * DEEPEST));
    }
}
