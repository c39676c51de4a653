//! Splits a line into words and quotes words, as bash does. Pure.
//!
//! bash hands over the line as typed, and replaces only what follows the last colon or other
//! character of `COMP_WORDBREAKS` in the word under the cursor.

/// The words of a line up to the cursor, and how its last word was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The words, without quotes. The last one is under the cursor, and may be empty.
    pub(super) words: Vec<String>,
    /// The start of the last word in the line, in bytes.
    start: usize,
    /// The quote that is open at the cursor.
    quote: Option<char>,
}

/// Splits the last command of a line: what follows the last `|`, `;` or `&` outside of quotes.
pub(super) fn split(line: &str) -> Line {
    let (mut words, mut word, mut start) = (Vec::new(), None::<String>, line.len());
    let (mut quote, mut is_escaped) = (None, false);
    for (at, c) in line.char_indices() {
        let is_special = quote.is_none() && !is_escaped;
        match c {
            ' ' | '\t' | '\n' if is_special => words.extend(word.take()),
            '|' | ';' | '&' if is_special => {
                words.clear();
                word = None;
            }
            _ => {
                if word.is_none() {
                    start = at;
                }
                let text = word.get_or_insert_default();
                match (quote, c) {
                    _ if is_escaped => text.push(c),
                    (Some('"') | None, '\\') => {
                        is_escaped = true;
                        continue;
                    }
                    (Some(open), c) if c == open => quote = None,
                    (None, '\'' | '"') => quote = Some(c),
                    _ => text.push(c),
                }
            }
        }
        is_escaped = false;
    }
    if word.is_none() {
        start = line.len();
    }
    words.push(word.unwrap_or_default());
    Line { words, start, quote }
}

impl Line {
    /// Returns what bash inserts for a candidate, in place of `replaced`: the end of the word under
    /// the cursor that it would overwrite.
    pub(super) fn insertion(&self, line: &str, replaced: &str, candidate: &str) -> String {
        let typed = &line[self.start..];
        let kept = typed.strip_suffix(replaced).unwrap_or_default();
        // The part that stays was typed by the user, perhaps with quotes.
        let kept = split(kept).words.pop().unwrap_or_default();
        let rest = candidate.strip_prefix(kept.as_str()).unwrap_or(candidate);
        match self.quote {
            Some('\'') => rest.replace('\'', r"'\''"),
            Some(_) => escape(rest, "\"$`\\"),
            None => escape(rest, " \t\"'\\$`*?[]{}()<>|;&!#~"),
        }
    }
}

fn escape(text: &str, special: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        // Within a word neither has a meaning; a home directory stays one.
        let is_plain = c == '#' && at > 0 || c == '~';
        if special.contains(c) && !is_plain {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        split(line).words
    }

    #[test]
    fn lines_are_split_into_words() {
        assert_eq!(words("stoop ls "), ["stoop", "ls", ""]);
        assert_eq!(words("stoop ls dgram:./a"), ["stoop", "ls", "dgram:./a"]);
        assert_eq!(words(r"stoop send './a b' a\ b"), ["stoop", "send", "./a b", "a b"]);
        assert_eq!(words("echo x | sudo stoop w"), ["sudo", "stoop", "w"]);
        assert_eq!(words("stoop why \"./a b"), ["stoop", "why", "./a b"]);
        assert_eq!(words(""), [""]);
    }

    #[test]
    fn only_the_part_that_bash_replaces_is_inserted() {
        let inserted = |line: &str, replaced, candidate| split(line).insertion(line, replaced, candidate);
        assert_eq!(inserted("stoop ls dgram:./a", "./a", "dgram:./app"), "./app");
        assert_eq!(inserted("stoop ls ./a", "./a", "./app"), "./app");
        assert_eq!(inserted("stoop ls @a", "a", "@app"), "app");
        assert_eq!(inserted("stoop ls pid:", "", "pid:12"), "12");
        assert_eq!(inserted("stoop ls ", "", "docker"), "docker");
        assert_eq!(inserted("stoop ls ./a", "./a", "./a b"), r"./a\ b");
        assert_eq!(inserted("stoop ls './a", "./a", "./a b"), "./a b");
        assert_eq!(inserted(r"stoop ls ./a\ b", r"./a\ b", "./a bc"), r"./a\ bc");
        assert_eq!(inserted("stoop ls --kind=d", "d", "--kind=dgram"), "dgram");
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in ".*", replaced in ".{0,3}", candidate in ".*") {
            split(&line).insertion(&line, &replaced, &candidate);
        }

        #[test]
        fn what_is_inserted_is_read_back(candidate in "[^\\n\\t#]{1,20}") {
            let line = format!("stoop ls {}", split("stoop ls ").insertion("stoop ls ", "", &candidate));
            let words = split(&line).words;
            proptest::prop_assert_eq!(words.last().unwrap(), &candidate);
        }
    }
}
