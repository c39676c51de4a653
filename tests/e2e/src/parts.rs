//! The parts in which a failure of the command explains itself.

use crate::run::Output;

/// What a failure says: that it failed, why, what was seen, and what to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `error:`
    What,
    /// `why:`
    Why,
    /// `seen:`
    Seen,
    /// `next:`
    Next,
}

use Part::{Next, Seen, What, Why};

impl Output {
    /// Panics unless it ended with this code and said each of these words in this part, and nothing
    /// outside of the four.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[(Part, &str)]) -> Output {
        let output = self.code(code);
        assert!(!output.stderr.contains("panicked"), "{}", output.stderr);
        let lines = parts(&output.stderr);
        for (part, word) in words {
            let is_said = lines.iter().any(|(said, line)| said == part && line.contains(word));
            assert!(is_said, "'{word}' is not in the part {part:?} of:\n{}", output.stderr);
        }
        output
    }
}

/// Each line, and the part it belongs to. Events in front of a failure belong to none.
fn parts(stderr: &str) -> Vec<(Part, &str)> {
    let mut part = None;
    let mut lines = Vec::new();
    for line in stderr.lines() {
        let begins = [("error: ", What), ("  why:  ", Why), ("  seen: ", Seen), ("  next: ", Next)];
        if let Some((_, begun)) = begins.iter().find(|(label, _)| line.starts_with(label)) {
            part = Some(*begun);
        } else if part.is_some() {
            assert!(line.starts_with("        "), "'{line}' belongs to no part of:\n{stderr}");
        }
        lines.extend(part.map(|part| (part, line)));
    }
    lines
}
