//! The length of files: past 400 lines a file is listed, past 800 it fails unless its header gives
//! a reason.
//!
//! Tests at the end of a file do not count: they are read one at a time.

use crate::tree::{self, Source};
use crate::{Outcome, settle};

/// Longer than this is still allowed, and listed.
const COMFORTABLE: usize = 400;
/// Longer than this needs a reason.
const LIMIT: usize = 800;
/// How a header begins its reason.
const REASON: &str = "//! Long because";

/// Lists the long files of the workspace; fails if one is too long.
pub fn run() -> Outcome {
    let sources = tree::sources("", &["rs"])?;
    for source in &sources {
        let lines = source.shipped_lines().count();
        if lines > COMFORTABLE {
            println!("{}: {lines} lines", source.path);
        }
    }
    settle("sizes", sources.iter().filter_map(too_long).collect())
}

fn too_long(source: &Source) -> Option<String> {
    let lines = source.shipped_lines().count();
    let excused = source.text.lines().take_while(|l| l.starts_with("//!")).any(|l| l.starts_with(REASON));
    (lines > LIMIT && !excused)
        .then(|| format!("{}: {lines} lines, and no `{REASON} …` in its header", source.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(header: &str, lines: usize) -> Source {
        Source { path: "a.rs".into(), text: format!("{header}\n{}", "let x = 1;\n".repeat(lines)) }
    }

    #[test]
    fn a_file_past_the_limit_fails() {
        assert_eq!(too_long(&file("//! What it is.", LIMIT - 1)), None);
        assert!(too_long(&file("//! What it is.", LIMIT)).is_some());
    }

    #[test]
    fn a_reason_counts_only_in_the_header() {
        let reason = "//! Long because the kernel is.";
        assert_eq!(too_long(&file(reason, LIMIT)), None);
        assert!(too_long(&file(&format!("use x;\n{reason}"), LIMIT)).is_some());
    }

    #[test]
    fn tests_do_not_count() {
        let mut long = file("//! What it is.", 10);
        long.text.push_str("#[cfg(test)]\nmod tests {\n");
        long.text.push_str(&"x\n".repeat(LIMIT));
        assert_eq!(long.shipped_lines().count(), 11);
        assert_eq!(too_long(&long), None);
    }
}
