//! What the readers of files and of their members share: the package, the comments, and lines.

use std::collections::BTreeMap;

use super::names::{is_path, within};
use super::tree::{FormError, Node};

/// Comments by the name of what they are about.
pub type Comments = BTreeMap<String, String>;

type Read<T> = Result<T, FormError>;

/// Keeps the comment on what has this name.
pub(super) fn keep(comments: &mut Comments, name: String, node: &Node) {
    if !node.comment.is_empty() {
        comments.insert(name, node.comment.join("\n"));
    }
}

/// Reads one file.
pub(super) struct Reader<'p> {
    pub(super) comments: &'p mut Comments,
    pub(super) package: String,
    pub(super) proto3: bool,
}

impl Reader<'_> {
    /// Keeps the comment on an element.
    pub(super) fn note(&mut self, name: String, node: &Node) {
        keep(self.comments, name, node);
    }

    /// Returns the full name of a type, with a dot before it. Without one, it is in the package.
    pub(super) fn type_name(&self, node: &Node, word: &str) -> Read<String> {
        match word.strip_prefix('.') {
            Some(full) => path(node, full).map(|full| format!(".{full}")),
            None => path(node, word).map(|word| format!(".{}", within(&self.package, word))),
        }
    }
}

/// Returns the word, which must be a name.
pub(super) fn path<'n>(node: &Node, word: &'n str) -> Read<&'n str> {
    is_path(word).then_some(word).ok_or_else(|| node.error(format!("'{word}' is not a name")))
}

/// Returns the words of a line that has so many.
pub(super) fn words<const N: usize>(node: &Node) -> Read<[&str; N]> {
    let words: Vec<&str> = node.words.iter().map(String::as_str).collect();
    words.try_into().map_err(|_| node.error(format!("'{}' takes {} words", node.keyword(), N - 1)))
}

/// Checks that nothing is below a node.
pub(super) fn leaf(node: &Node) -> Read<()> {
    match node.children.first() {
        None => Ok(()),
        Some(child) => Err(child.error(format!("nothing is expected below '{}'", node.keyword()))),
    }
}

/// Returns a length as descriptors have it.
pub(super) fn count(length: usize) -> i32 {
    i32::try_from(length).unwrap_or(i32::MAX)
}
