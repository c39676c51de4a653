//! Text to a tree of nodes: one node a line, two spaces a level.

use std::fmt;

/// The maximum depth of nodes. Messages of real interfaces are nested four times.
const MAX_DEPTH: usize = 32;

/// One line of words, with the lines that are indented below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// The words. A part between quotation marks may have spaces.
    pub words: Vec<String>,
    /// The lines of the comment before it, without `# `.
    pub comment: Vec<String>,
    /// The nodes below it.
    pub children: Vec<Node>,
    /// The number of its line, from 1, or 0 if it was not read.
    pub line: usize,
}

/// The error for text that is not in the form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormError {
    /// The number of the line, from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for FormError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

impl std::error::Error for FormError {}

impl Node {
    /// Returns the first word.
    pub fn keyword(&self) -> &str {
        self.words.first().map(String::as_str).unwrap_or_default()
    }

    /// Returns an error about this line.
    pub fn error(&self, text: impl Into<String>) -> FormError {
        FormError { line: self.line, text: text.into() }
    }
}

/// Reads nodes.
///
/// # Errors
/// Returns an error if a line is indented wrongly or has an open quotation mark.
pub fn parse(text: &str) -> Result<Vec<Node>, FormError> {
    // The nodes that are open, one of each depth, below a root.
    let mut open = vec![Node::default()];
    let mut comment = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let error = |text: &str| FormError { line: at + 1, text: text.into() };
        let content = line.trim_start_matches(' ');
        if let Some(text) = content.strip_prefix('#') {
            if text.contains(char::is_control) {
                return Err(error("a comment is plain text"));
            }
            comment.push(text.strip_prefix(' ').unwrap_or(text).trim_end().to_owned());
            continue;
        }
        if content.is_empty() {
            continue;
        }
        let spaces = line.len() - content.len();
        if !spaces.is_multiple_of(2) || spaces / 2 >= open.len() || spaces / 2 >= MAX_DEPTH {
            return Err(error("wrong indentation"));
        }
        let words = words(content).ok_or_else(|| error("words are separated by one space each"))?;
        close(&mut open, spaces / 2);
        open.push(Node { words, comment: std::mem::take(&mut comment), children: Vec::new(), line: at + 1 });
    }
    if !comment.is_empty() {
        return Err(FormError { line: text.lines().count(), text: "nothing follows the comment".into() });
    }
    close(&mut open, 0);
    Ok(open.pop().unwrap_or_default().children)
}

/// Moves nodes below this depth into their parents.
fn close(open: &mut Vec<Node>, depth: usize) {
    while open.len() > depth + 1 {
        let node = open.pop().expect("longer than 1");
        open.last_mut().expect("the root stays").children.push(node);
    }
}

/// Splits at each space that is not between quotation marks.
fn words(line: &str) -> Option<Vec<String>> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut is_quoted, mut is_escaped) = (false, false);
    for c in line.chars() {
        if c == ' ' && !is_quoted {
            words.push(std::mem::take(&mut word));
            continue;
        }
        if c == '"' && !is_escaped {
            is_quoted = !is_quoted;
        }
        is_escaped = c == '\\' && is_quoted && !is_escaped;
        word.push(c);
    }
    words.push(word);
    let is_sound =
        !is_quoted && words.iter().all(|word| !word.is_empty() && !word.contains(char::is_control));
    is_sound.then_some(words)
}

/// Returns the text of a word without its quotation marks, or `None` if they are not in pairs.
pub fn unquote(word: &str) -> Option<String> {
    let Some(mut rest) = word.strip_prefix('"') else {
        return (!word.contains('"')).then(|| word.to_owned());
    };
    rest = rest.strip_suffix('"')?;
    let mut text = String::new();
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return None,
            '\\' if rest.starts_with(['"', '\\']) => {
                text.push_str(&rest[..1]);
                rest = &rest[1..];
            }
            '\\' => {
                let (code, after) = rest.strip_prefix("u{")?.split_once('}')?;
                text.push(char::from_u32(u32::from_str_radix(code, 16).ok()?)?);
                rest = after;
            }
            c => text.push(c),
        }
    }
    Some(text)
}
