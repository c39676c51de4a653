//! The parts of an error of the command.

use crate::run::Output;

/// The parts of an error: what failed, why, what was seen, and what to try.
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
    /// Panics unless it exited with this code and each of these words is in this part, with nothing
    /// outside of the four parts.
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

/// Returns each line with its part. Events in front of an error belong to none.
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
