//! The wording of documentation: words of the field's vocabulary, and the form of first sentences.
//!
//! Pure functions of text. Each finding names the line, the word found and the field's word.
//! Findings in files older than this check are counted, file by file, in `xtask/words.budget`: a
//! count may only fall.

mod figures;

use std::collections::BTreeMap;

use crate::tree::{self, Source};
use crate::{Outcome, output_of, settle};

/// The number of existing findings in each file.
const BUDGET: &str = "xtask/words.budget";

/// The longest line of a documentation comment, in columns.
const DOC_COLUMNS: usize = 100;

/// The longest subject of a commit, in columns.
const SUBJECT_COLUMNS: usize = 72;

/// A family of phrases, and the field's word. A pattern is a sequence of words; `^` stands for the
/// start of a sentence. "There is no …" is not one of them, although "is no" is.
struct Family {
    patterns: &'static [&'static str],
    instead: &'static str,
}

const FAMILIES: &[Family] = &[
    Family {
        patterns: &[
            "^ where",
            ", where",
            "error where",
            "false where",
            "none where",
            "also where",
            "only where",
        ],
        instead: "if, when",
    },
    Family {
        patterns: &["is no", "are no", "is none", "that is none", "was none", "no matter of"],
        instead: "is not a …, is invalid",
    },
    Family { patterns: &["beside"], instead: "ancillary data, next to, in addition" },
    Family { patterns: &["at first"], instead: "by default" },
    Family { patterns: &["for ever", "as long as it takes"], instead: "indefinitely" },
    Family {
        patterns: &["whoever", "somebody", "nobody", "everybody", "anybody"],
        instead: "the caller, the peer, a client, no process, every user",
    },
    Family {
        patterns: &[
            "has gone",
            "is gone",
            "are gone",
            "was gone",
            "goes first",
            "goes away",
            "its file goes",
        ],
        instead: "closed, exited, was removed",
    },
    Family {
        patterns: &[
            "takes off",
            "takes away",
            "taken away",
            "takes it away",
            "takes the right",
            "is taken off",
        ],
        instead: "unlinks, removes, returns and clears, requires",
    },
    Family {
        patterns: &["told apart", "tell apart", "tells apart", "told from", "is not told", "cannot be told"],
        instead: "distinguish, detect, cannot be determined",
    },
    Family { patterns: &["be it", "be they"], instead: "whether …, either … or" },
    Family { patterns: &["as there", "as here"], instead: "say it again in a line, and link" },
    Family { patterns: &["of ours", "of theirs", "of his"], instead: "our, their; or who it is" },
    Family {
        patterns: &["lets in", "let in", "lean on", "leans on"],
        instead: "accepts, allows; depends on",
    },
    Family { patterns: &["there and back"], instead: "round trip" },
    Family { patterns: &["mended", "mends", "mend"], instead: "rewrite, repair, fix" },
];

/// Words that end in `s` and are not verbs, where a first sentence could begin with one.
const NOT_VERBS: &[&str] =
    &["this", "its", "as", "is", "was", "has", "does", "these", "bytes", "options", "settings", "less"];

/// The directories with text for users and developers.
const TREES: &[(&str, &[&str])] = &[
    ("crates", &["rs", "md"]),
    ("examples", &["rs", "md"]),
    ("docs/src", &["md"]),
    ("bench", &["rs"]),
    ("fuzz", &["rs"]),
    ("tests", &["rs"]),
    ("xtask", &["rs"]),
];

/// Text files of the root that are checked.
const ROOT_FILES: &[&str] = &[
    "README.md",
    "ARCHITECTURE.md",
    "BENCHMARKS.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "DESIGN.md",
    "KERNEL.md",
    "SECURITY.md",
    "STABILITY.md",
];

/// Checks every text against the glossary and the rules. `--all` also lists findings within the
/// budget; `--lower` lowers the budget to the present counts; `--figures` prints counts instead.
pub fn run(args: &[String]) -> Outcome {
    let option = args.first().map_or("", String::as_str);
    if !["", "--all", "--lower", "--figures"].contains(&option) {
        return Err(format!("'{option}' is not an option: --all, --lower, --figures"));
    }
    if option == "--figures" {
        return figures::print();
    }
    let mut budget = parse_budget(&tree::read(BUDGET)?)?;
    let mut findings = Vec::new();
    let mut counts = BTreeMap::new();
    for source in sources()? {
        let found = check(&source);
        let allowed = budget.remove(&source.path).unwrap_or(0);
        if option == "--all" || found.len() > allowed {
            findings.extend(found.iter().map(|finding| format!("{}:{finding}", source.path)));
        }
        if found.len() > allowed {
            findings.push(format!("{}: {} findings, and {allowed} are excused", source.path, found.len()));
        } else if found.len() < allowed && option != "--lower" {
            findings.push(format!(
                "{}: {} findings, where {BUDGET} still excuses {allowed}: run `cargo xtask words --lower`",
                source.path,
                found.len()
            ));
        }
        counts.insert(source.path, found.len().min(allowed));
    }
    if option == "--lower" {
        write_budget(&counts)?;
        budget.clear();
    }
    findings.extend(budget.keys().map(|path| format!("{BUDGET}: {path} is not a file that is checked")));
    if option != "--all" {
        findings.extend(subjects()?.iter().filter_map(|subject| check_subject(subject)));
    }
    settle("words", findings)
}

fn sources() -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for (tree, extensions) in TREES {
        sources.extend(tree::sources(tree, extensions)?);
    }
    for file in ROOT_FILES {
        sources.push(Source { path: (*file).to_owned(), text: tree::read(file)? });
    }
    // It has the glossary's left column.
    sources.retain(|source| source.path != "xtask/src/words.rs");
    Ok(sources)
}

/// A line of the budget: how many findings are excused, and in which file.
fn parse_budget(text: &str) -> Result<BTreeMap<String, usize>, String> {
    let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| {
            let (count, path) = line.split_once(' ').ok_or_else(|| format!("{BUDGET}: '{line}'"))?;
            let count = count.parse().map_err(|_| format!("{BUDGET}: '{line}' has no count"))?;
            Ok((path.to_owned(), count))
        })
        .collect()
}

fn write_budget(counts: &BTreeMap<String, usize>) -> Result<(), String> {
    let mut text = String::from(
        "# Findings of `cargo xtask words` in what was written before there was that check. A count may only fall:\n\
         # `cargo xtask words --lower` writes the lower ones.\n",
    );
    for (path, count) in counts.iter().filter(|(_, count)| **count > 0) {
        text.push_str(&format!("{count} {path}\n"));
    }
    std::fs::write(tree::root().join(BUDGET), text).map_err(|e| format!("cannot write '{BUDGET}': {e}"))
}

/// Returns all findings of one file, each with its line.
fn check(source: &Source) -> Vec<String> {
    match source.path.ends_with(".md") {
        true => markdown(&source.text).flat_map(|(line, text)| turns(line, text)).collect(),
        false => {
            let docs = doc_lines(&source.text);
            let prose = prose(&docs).flat_map(|(line, text)| turns(line, text));
            let wide = docs.iter().filter(|(.., columns)| *columns > DOC_COLUMNS);
            let wide =
                wide.map(|(line, _, columns)| format!("{line}: {columns} columns; {DOC_COLUMNS} at most"));
            prose.chain(wide).chain(first_sentences(&source.text)).collect()
        }
    }
}

/// Returns the lines of a page that are prose: no code blocks.
fn markdown(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut is_code = false;
    text.lines().enumerate().filter_map(move |(index, line)| {
        let is_fence = line.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((index + 1, line))
    })
}

/// Returns the documentation comments of a file: line, text, columns.
fn doc_lines(text: &str) -> Vec<(usize, &str, usize)> {
    let doc = |line: &'_ str| -> Option<usize> {
        let indent = line.len() - line.trim_start().len();
        let is_doc = ["///", "//!"].iter().any(|mark| line[indent..].starts_with(mark));
        (is_doc && !line[indent..].starts_with("////")).then_some(indent)
    };
    let lines = text.lines().enumerate();
    lines
        .filter_map(|(index, line)| {
            let indent = doc(line)?;
            Some((index + 1, &line[indent + 3..], line.chars().count()))
        })
        .collect()
}

fn prose<'t>(docs: &[(usize, &'t str, usize)]) -> impl Iterator<Item = (usize, &'t str)> {
    let mut is_code = false;
    docs.iter().filter_map(move |&(line, text, _)| {
        let is_fence = text.trim_start().starts_with("```");
        is_code ^= is_fence;
        (!is_code && !is_fence).then_some((line, text))
    })
}

/// Returns the phrases found in one line of prose.
fn turns(line: usize, text: &str) -> Vec<String> {
    let words = words(text);
    let mut found = Vec::new();
    for family in FAMILIES {
        for pattern in family.patterns {
            let wanted: Vec<&str> = pattern.split(' ').collect();
            let is_found = |at: usize| {
                let follows_there = at > 0 && words[at - 1] == "there" && wanted[0] != "^";
                words[at..].iter().map(String::as_str).take(wanted.len()).eq(wanted.iter().copied())
                    && !follows_there
            };
            let times = (0..words.len()).filter(|at| is_found(*at)).count();
            let finding = format!("{line}: '{}': {}", pattern.trim_start_matches("^ "), family.instead);
            found.extend(std::iter::repeat_n(finding, times));
        }
    }
    found
}

/// Returns the words of a line in lower case, including `,` and `^` (before a sentence). Code
/// between backticks is one word.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut begins = true;
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            words.push("`".to_owned());
            begins = false;
            continue;
        }
        for word in part.split_whitespace() {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            if bare.is_empty() {
                continue;
            }
            if begins {
                words.push("^".to_owned());
            }
            words.push(bare);
            begins = word.ends_with(['.', ':']);
            if word.ends_with(',') {
                words.push(",".to_owned());
            }
        }
    }
    words
}

/// Returns first sentences of public functions that do not begin with a verb, and `# Errors`
/// sections that do not begin with a condition.
fn first_sentences(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        if *line == "/// # Errors" {
            let says = lines.get(index + 1).copied().unwrap_or_default();
            if !says.starts_with("/// Returns ")
                && !says.starts_with("/// This ")
                && !says.starts_with("/// See ")
            {
                found.push(format!("{}: `# Errors` begins with \"Returns an error if …\"", index + 2));
            }
        }
        if is_public_function(line)
            && let Some((at, doc)) = documentation_of(&lines, index)
            && !begins_with_verb(doc)
        {
            found.push(format!("{}: begins with no verb (\"Returns …\", \"Binds …\"): {doc}", at + 1));
        }
    }
    found
}

fn is_public_function(line: &str) -> bool {
    ["pub fn ", "pub async fn ", "pub const fn ", "pub unsafe fn "]
        .iter()
        .any(|start| line.starts_with(start))
}

/// Returns the first line of the documentation above a line, skipping attributes.
fn documentation_of<'t>(lines: &[&'t str], item: usize) -> Option<(usize, &'t str)> {
    let above = lines[..item].iter().rposition(|line| !line.starts_with("///") && !line.starts_with("#["));
    let first = above.map_or(0, |index| index + 1);
    let at = (first..item).find(|&index| lines[index].starts_with("///"))?;
    Some((at, lines[at].trim_start_matches('/').trim()))
}

fn begins_with_verb(doc: &str) -> bool {
    let first = doc.split_whitespace().next().unwrap_or_default();
    let bare = first.trim_matches(|c: char| !c.is_alphabetic()).to_lowercase();
    bare.ends_with('s') && !NOT_VERBS.contains(&&*bare)
}

/// Returns the subjects of commits since the last tag, or since this check was added.
fn subjects() -> Result<Vec<String>, String> {
    let git = |args: &[&str]| {
        let mut command = std::process::Command::new("git");
        let output = output_of(command.args(args).current_dir(tree::root()))?;
        Ok::<_, String>(String::from_utf8_lossy(&output).trim().to_owned())
    };
    let base = match git(&["describe", "--tags", "--abbrev=0"]) {
        Ok(tag) => tag,
        Err(_) => git(&["log", "--diff-filter=A", "-1", "--format=%H", "--", BUDGET])?,
    };
    // An archive without history, or a commit that is missing.
    if base.is_empty() {
        return Ok(Vec::new());
    }
    Ok(git(&["log", "--no-merges", "--format=%s", &format!("{base}..HEAD")])?
        .lines()
        .map(str::to_owned)
        .collect())
}

fn check_subject(subject: &str) -> Option<String> {
    let columns = subject.chars().count();
    if columns > SUBJECT_COLUMNS {
        return Some(format!("commit '{subject}': {columns} columns; {SUBJECT_COLUMNS} at most"));
    }
    let (area, what) = subject.split_once(": ").unwrap_or_default();
    let is_area = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || " ,-_/.".contains(c);
    let fits = !area.is_empty() && area.chars().all(is_area) && what.starts_with(char::is_lowercase);
    (!fits).then(|| format!("commit '{subject}': not of the form `area: imperative`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        check(&Source { path: "a.rs".into(), text: text.into() })
    }

    #[test]
    fn a_phrase_is_found_with_its_replacement() {
        let [one] = &found("/// Waits for ever.\n")[..] else { panic!() };
        assert_eq!(one, "1: 'for ever': indefinitely");
        assert_eq!(found("//! Where it fails, it fails.\n").len(), 1);
        assert_eq!(found("/// If there is no file, and there are no users.\n"), [""; 0]);
        assert_eq!(found("/// It is no file.\n").len(), 1);
        assert_eq!(
            found("/// The place where it stands; `beside` and code:\n/// ```\n/// beside\n/// ```\n"),
            [""; 0]
        );
        assert_eq!(found("let beside = \"nobody\"; // whoever\n"), [""; 0], "documentation alone");
        let page = Source { path: "a.md".into(), text: "```\nwhoever\n```\nNobody, whoever.\n".into() };
        assert_eq!(check(&page).len(), 2);
    }

    #[test]
    fn lines_have_a_width() {
        assert_eq!(found(&format!("/// {}\n", "x".repeat(96))), [""; 0]);
        assert_eq!(found(&format!("    /// {}\n", "x".repeat(96))).len(), 1);
    }

    #[test]
    fn public_functions_begin_with_a_verb() {
        assert_eq!(found("/// Returns the length.\n#[must_use]\npub fn len() {}\n"), [""; 0]);
        assert_eq!(found("/// The length.\npub fn len() {}\n").len(), 1);
        assert_eq!(found("/// This length.\npub async fn len() {}\n").len(), 1);
        assert_eq!(found("/// The length.\nfn len() {}\n"), [""; 0], "public ones");
        assert_eq!(found("pub fn len() {}\n"), [""; 0], "without documentation rustc warns");
    }

    #[test]
    fn error_sections_state_the_condition() {
        assert_eq!(found("/// # Errors\n/// Returns an error if it fails.\n"), [""; 0]);
        assert_eq!(found("/// # Errors\n/// As [`other`].\n").len(), 1);
    }

    #[test]
    fn subjects_have_a_form() {
        assert_eq!(check_subject("bind: take no lock for a free name"), None);
        assert_eq!(check_subject("serve, handover: give turns"), None);
        for wrong in ["Take no lock", "bind: Take no lock", ": x", &format!("bind: {}", "x".repeat(70))] {
            assert!(check_subject(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn the_budget_is_read() {
        let budget = parse_budget("# why\n3 a.rs\n1 b c.md\n").unwrap();
        assert_eq!((budget["a.rs"], budget["b c.md"]), (3, 1));
        assert!(parse_budget("x a.rs\n").is_err() && parse_budget("3\n").is_err());
    }
}
