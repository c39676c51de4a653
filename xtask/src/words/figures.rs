//! The wording of each published crate in figures: `cargo xtask words --figures`.
//!
//! Counts only documentation comments of shipped code. A public function is one declared `pub`, or
//! a method of a public trait. A running example is a code block that rustdoc compiles and runs:
//! not one marked `no_run`, `ignore` or `compile_fail`, and not one of another language.

use super::{begins_with_verb, doc_lines, documentation_of, is_public_function, prose, turns, words};
use crate::tree::{self, Source};

/// The targets: the maximum of phrases of [`super::FAMILIES`] in 1,000 words, the minimum share of
/// functions whose documentation begins with a verb, and the minimum number of functions with an
/// example.
const TARGETS: (f64, f64, usize) = (1.0, 0.9, 120);

/// What is counted in one crate, or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Figures {
    words: usize,
    phrases: usize,
    /// Public functions with documentation.
    functions: usize,
    verbs: usize,
    examples: usize,
}

impl Figures {
    fn add(&mut self, other: Figures) {
        self.words += other.words;
        self.phrases += other.phrases;
        self.functions += other.functions;
        self.verbs += other.verbs;
        self.examples += other.examples;
    }

    fn per_thousand_words(self) -> f64 {
        self.phrases as f64 * 1e3 / self.words.max(1) as f64
    }

    fn verb_share(self) -> f64 {
        self.verbs as f64 / self.functions.max(1) as f64
    }

    fn row(self, name: &str) -> String {
        format!(
            "{name:<14}{:>8}{:>9}{:>11.2}{:>11}{:>8} %{:>10}\n",
            self.words,
            self.phrases,
            self.per_thousand_words(),
            self.functions,
            (self.verb_share() * 100.0).floor(),
            self.examples
        )
    }
}

/// Prints the figures of each crate, and of all.
pub fn print() -> Result<(), String> {
    let mut rows = Vec::new();
    for name in tree::crates()? {
        let mut figures = Figures::default();
        for source in tree::sources(&format!("crates/{name}/src"), &["rs"])? {
            figures.add(count(&source));
        }
        rows.push((name, figures));
    }
    print!("{}", table(&rows));
    Ok(())
}

fn table(rows: &[(String, Figures)]) -> String {
    let mut text = format!(
        "{:<14}{:>8}{:>9}{:>11}{:>11}{:>10}{:>10}\n",
        "crate", "words", "phrases", "per 1,000", "functions", "verb", "examples"
    );
    let mut all = Figures::default();
    for (name, figures) in rows {
        text.push_str(&figures.row(name));
        all.add(*figures);
    }
    text.push_str(&all.row("all"));
    let (phrases, share, examples) = TARGETS;
    let met = |is_met: bool| if is_met { "met" } else { "missed" };
    let few_phrases = rows.iter().all(|(_, one)| one.per_thousand_words() <= phrases);
    let verbs_first = rows.iter().all(|(_, one)| one.verb_share() >= share);
    text.push_str(&format!(
        "targets: ≤ {phrases} per 1,000 words in each crate: {}; a verb first in ≥ {} % in each crate: {}; \
         ≥ {examples} functions with a running example: {}\n",
        met(few_phrases),
        share * 100.0,
        met(verbs_first),
        met(all.examples >= examples)
    ));
    text
}

fn count(source: &Source) -> Figures {
    let shipped: Vec<&str> = source.shipped_lines().collect();
    let text = shipped.join("\n");
    let mut figures = Figures::default();
    let docs = doc_lines(&text);
    for (line, prose) in prose(&docs) {
        figures.words += words(prose).iter().filter(|word| !["^", ","].contains(&word.as_str())).count();
        figures.phrases += turns(line, prose).len();
    }
    let lines: Vec<&str> = shipped.iter().map(|line| line.trim_start()).collect();
    for index in public_functions(&shipped) {
        let Some((first, sentence)) = documentation_of(&lines, index) else { continue };
        figures.functions += 1;
        figures.verbs += usize::from(begins_with_verb(sentence));
        figures.examples += usize::from(has_running_example(&lines[first..index]));
    }
    figures
}

/// Returns the lines that declare public functions and methods of public traits.
fn public_functions(lines: &[&str]) -> Vec<usize> {
    let mut trait_indent = None;
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        if code.starts_with("pub trait ") || code.starts_with("pub unsafe trait ") {
            trait_indent = Some(indent);
        } else if code.starts_with('}') && trait_indent == Some(indent) {
            trait_indent = None;
        }
        let is_method = trait_indent.is_some_and(|of_trait| indent == of_trait + 4)
            && ["fn ", "async fn ", "unsafe fn "].iter().any(|start| code.starts_with(start));
        if is_method || is_public_function(code) {
            found.push(index);
        }
    }
    found
}

/// Returns whether documentation has a code block that runs as a test.
fn has_running_example(documentation: &[&str]) -> bool {
    let mut is_code = false;
    documentation.iter().filter_map(|line| line.strip_prefix("///")?.trim().strip_prefix("```")).any(|info| {
        is_code = !is_code;
        let runs = |word: &str| ["rust", "should_panic"].contains(&word) || word.starts_with("edition");
        is_code && info.split(',').map(str::trim).filter(|word| !word.is_empty()).all(runs)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Figures {
        count(&Source { path: "a.rs".into(), text: text.into() })
    }

    #[test]
    fn documentation_is_counted_and_code_is_not() {
        let text =
            "/// Waits for ever, `forever()`.\n/// ```\n/// beside;\n/// ```\npub fn wait() {}\n// whoever\n";
        let expected = Figures { words: 4, phrases: 1, functions: 1, verbs: 1, examples: 1 };
        assert_eq!(of(text), expected);
        assert_eq!(of("#[cfg(test)]\nmod tests {\n/// Whoever.\npub fn f() {}\n}\n"), Figures::default());
    }

    #[test]
    fn methods_of_public_traits_are_public() {
        let text = "pub trait A {\n    /// The end.\n    fn a();\n}\nimpl A for B {\n    /// Ends.\n    fn a() {}\n}\n";
        assert_eq!((of(text).functions, of(text).verbs), (1, 0));
        assert_eq!(of(&text.replace("pub trait", "trait")).functions, 0);
    }

    #[test]
    fn an_example_runs_unless_it_is_marked() {
        let example =
            |info: &str| of(&format!("/// Ends.\n/// ```{info}\n/// f();\n/// ```\npub fn f() {{}}\n"));
        for info in ["", "rust", "should_panic", "edition2024"] {
            assert_eq!(example(info).examples, 1, "{info}");
        }
        for info in ["no_run", "ignore", "text", "rust,no_run", "compile_fail"] {
            assert_eq!(example(info).examples, 0, "{info}");
        }
    }

    #[test]
    fn the_table_compares_with_the_targets() {
        let good = Figures { words: 1000, phrases: 1, functions: 130, verbs: 120, examples: 120 };
        let text = table(&[("stoop".into(), good)]);
        assert!(
            text.contains("stoop             1000        1       1.00        130      92 %       120\n"),
            "{text}"
        );
        assert!(!text.contains("missed"), "{text}");
        let bad = Figures { phrases: 2, verbs: 100, examples: 3, ..good };
        assert_eq!(table(&[("stoop".into(), bad)]).matches("missed").count(), 3);
    }
}
