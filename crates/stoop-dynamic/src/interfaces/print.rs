//! From a tree of nodes to text.

use super::tree::Node;

impl Node {
    /// Creates a node of these words.
    pub fn new<W: Into<String>>(words: impl IntoIterator<Item = W>) -> Node {
        Node { words: words.into_iter().map(Into::into).collect(), ..Node::default() }
    }
}

/// Writes nodes.
pub fn print(nodes: &[Node]) -> String {
    let mut text = String::new();
    nodes.iter().for_each(|node| line(&mut text, node, 0));
    text
}

fn line(text: &mut String, node: &Node, depth: usize) {
    let indent = "  ".repeat(depth);
    // What is defined in a file stands apart, as do the files themselves.
    let is_definition = matches!(node.keyword(), "service" | "message" | "enum" | "extend");
    if depth == 1 && is_definition || depth == 0 && node.keyword() == "file" {
        text.push('\n');
    }
    for comment in &node.comment {
        *text += format!("{indent}# {comment}").trim_end();
        text.push('\n');
    }
    *text += &format!("{indent}{}\n", node.words.join(" "));
    node.children.iter().for_each(|child| line(text, child, depth + 1));
}

/// Returns the text as a word, between quotation marks unless it is plain.
pub fn quote(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted += &format!("\\u{{{:x}}}", u32::from(c)),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}
