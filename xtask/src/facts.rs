//! Checks KERNEL.md: every fact that is relied on has a test.
//!
//! A row is a table line whose first cell is an id (`K-…`) after an anchor of that name, and whose
//! last cell names one or more tests as `file.rs::function`, the file being in
//! `tests/kernel/tests`, or elsewhere with its path from the root. Five things are checked: ids are
//! unique; each row has its anchor; each test named exists, as a `#[test]` function of that name in
//! that file; each id cited anywhere has a row; each id cited in the documentation of a crate is a
//! link to its anchor. A sixth check is that the table of tested kernels is as it was written.

use crate::tree::{self, Source};
use crate::{Outcome, settle, vm};
use std::collections::{BTreeMap, BTreeSet};

const FACTS: &str = "KERNEL.md";
/// The directory of a test whose file is named without a path.
const HOME: &str = "tests/kernel/tests";

/// The directories that cite ids. This crate is not among them: its tests cite ids that must not
/// exist.
const CITED_IN: &[&str] = &["crates", "tests", "examples", "docs", "fuzz", "bench"];
/// Files in the root that cite ids, too.
const CITED_BY: &[&str] =
    &[FACTS, "ARCHITECTURE.md", "DESIGN.md", "README.md", "CONTRIBUTING.md", "CHANGELOG.md"];

/// Reports every violation.
pub fn run() -> Outcome {
    settle("facts", findings()?)
}

fn findings() -> Result<Vec<String>, String> {
    let rows = rows(&tree::read(FACTS)?);
    if rows.is_empty() {
        return Err(format!("{FACTS} has no row that begins with an id"));
    }
    let mut findings = repeated(&rows);
    findings.extend(rows.iter().filter_map(without_anchor));
    for row in &rows {
        findings.extend(untested(row, |path| tree::read(path).ok()));
    }
    let known: BTreeSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    for dir in CITED_IN {
        findings.extend(tree::sources(dir, &["rs", "md", "c"])?.iter().flat_map(|s| dangling(s, &known)));
    }
    findings.extend(tree::sources("crates", &["rs"])?.iter().flat_map(unlinked));
    for path in CITED_BY {
        if let Ok(text) = tree::read(path) {
            findings.extend(dangling(&Source { path: (*path).into(), text }, &known));
        }
    }
    findings.extend(vm::unwritten()?);
    Ok(findings)
}

/// One fact: its id, its line number, the name of its anchor, and the tests it names as (file,
/// function).
#[derive(Debug, PartialEq)]
struct Row {
    id: String,
    line: usize,
    anchor: Option<String>,
    tests: Vec<(String, String)>,
}

fn rows(text: &str) -> Vec<Row> {
    text.lines().enumerate().filter_map(|(n, line)| row(line, n + 1)).collect()
}

fn row(line: &str, number: usize) -> Option<Row> {
    let cells: Vec<&str> =
        line.trim().strip_prefix('|')?.trim_end_matches('|').split('|').map(str::trim).collect();
    let (anchor, first) = match cells.first()?.strip_prefix("<a id=\"") {
        Some(rest) => {
            let (name, rest) = rest.split_once("\"></a>")?;
            (Some(name.to_owned()), rest)
        }
        None => (None, cells[0]),
    };
    let first = first.trim_matches(['`', '*']);
    let id = ids(first).next().filter(|id| *id == first)?;
    let tests = cells.last()?.split(|c: char| c.is_whitespace() || "`,;<>()[]".contains(c));
    let tests =
        tests.filter_map(|word| word.split_once("::")).map(|(f, t)| (located(f), t.to_owned())).collect();
    Some(Row { id: id.to_owned(), line: number, anchor, tests })
}

fn located(file: &str) -> String {
    if file.contains('/') { file.to_owned() } else { format!("{HOME}/{file}") }
}

/// Returns every id cited in a text: `K-` at the start of a word, then letters, digits and inner
/// hyphens.
fn ids(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("K-").filter_map(move |(at, _)| {
        let starts_a_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        let rest = &text[at + 2..];
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(rest.len());
        let tail = rest[..len].trim_end_matches('-');
        (starts_a_word && !tail.is_empty()).then(|| &text[at..at + 2 + tail.len()])
    })
}

fn repeated(rows: &[Row]) -> Vec<String> {
    let mut first = BTreeMap::new();
    rows.iter()
        .filter_map(|row| {
            let before = first.insert(row.id.as_str(), row.line)?;
            Some(format!("{FACTS}:{}: '{}' is already on line {before}", row.line, row.id))
        })
        .collect()
}

/// Returns the ids in the documentation comments of a crate that are not links to the row: each is
/// `[K-…]`, and its definition is in the same comment.
fn unlinked(source: &Source) -> Vec<String> {
    let Some((krate, file)) = source.path.strip_prefix("crates/").and_then(|path| path.split_once('/'))
    else {
        return Vec::new();
    };
    if !file.starts_with("src/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for comment in comments(&source.text) {
        let defined: Vec<(&str, &str)> =
            comment.iter().filter_map(|(_, text)| text.trim().strip_prefix('[')?.split_once("]: ")).collect();
        let mut is_code = false;
        for (line, text) in comment {
            is_code ^= text.trim_start().starts_with("```");
            if is_code || text.trim().starts_with('[') && text.contains("]: ") {
                continue;
            }
            // Between backticks an id is text, and not a citation.
            for part in text.split('`').step_by(2) {
                for id in ids(part) {
                    let target = format!("{}#{id}", target(krate));
                    let is_link = part.contains(&format!("[{id}]"));
                    if !is_link || !defined.contains(&(id, target.as_str())) {
                        findings.push(format!(
                            "{}:{line}: '{id}' is not a link: write `[{id}]`, and end the comment with `[{id}]: {target}`",
                            source.path
                        ));
                    }
                }
            }
        }
    }
    findings
}

/// Returns the documentation comments of a file: the line number and the text of each line.
fn comments(text: &str) -> Vec<Vec<(usize, &str)>> {
    let mut comments: Vec<Vec<(usize, &str)>> = Vec::new();
    let mut before = "";
    for (index, line) in text.lines().enumerate() {
        let code = line.trim_start();
        let mark =
            ["///", "//!"].into_iter().find(|mark| code.starts_with(mark) && !code.starts_with("////"));
        if let Some(mark) = mark {
            if mark != before {
                comments.push(Vec::new());
            }
            comments.last_mut().expect("begun above").push((index + 1, &code[3..]));
        }
        before = mark.unwrap_or_default();
    }
    comments
}

/// Returns the module of the kernel facts as a crate refers to it; two crates do not depend on
/// `stoop`.
fn target(krate: &str) -> &'static str {
    match krate {
        "stoop" => "crate::kernel_facts",
        "stoop-bpf" | "stoop-memory" => "https://docs.rs/stoop/latest/stoop/kernel_facts/index.html",
        _ => "stoop::kernel_facts",
    }
}

/// Returns the finding that documentation could not link to a row.
fn without_anchor(row: &Row) -> Option<String> {
    let id = &row.id;
    (row.anchor.as_ref() != Some(id))
        .then(|| format!("{FACTS}:{}: '{id}' does not begin with `<a id=\"{id}\"></a>`", row.line))
}

/// Returns the reasons why a row has no valid test; `read` reads a file.
fn untested(row: &Row, read: impl Fn(&str) -> Option<String>) -> Vec<String> {
    let at = |what: String| format!("{FACTS}:{}: '{}' {what}", row.line, row.id);
    if row.tests.is_empty() {
        return vec![at("names no test (`file.rs::function`, in the last cell)".into())];
    }
    row.tests
        .iter()
        .filter_map(|(path, function)| match read(path) {
            None => Some(at(format!("names '{path}', which cannot be read"))),
            Some(text) if !has_test(&text, function) => {
                Some(at(format!("names '{function}', which is not a test of '{path}'")))
            }
            Some(_) => None,
        })
        .collect()
}

/// Returns whether a source has a `#[test]` function of this name (its last component, if modules
/// precede it).
fn has_test(source: &str, function: &str) -> bool {
    let name = function.rsplit("::").next().unwrap_or(function);
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(n, line)| {
        let declares = line.split_once("fn ").is_some_and(|(_, rest)| {
            rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '<']))
        });
        let above = lines[..n].iter().rev().take_while(|l| l.starts_with("#[") || l.starts_with("//"));
        declares && above.copied().any(|l| l == "#[test]")
    })
}

fn dangling(source: &Source, known: &BTreeSet<&str>) -> Vec<String> {
    let lines = source.text.lines().enumerate();
    lines
        .flat_map(|(n, line)| {
            ids(line)
                .filter(|id| !known.contains(id))
                .map(move |id| format!("{}:{}: '{id}' has no row in {FACTS}", source.path, n + 1))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "# Facts, each with an id (K-…)\n\
        | id | fact | test |\n\
        | --- | --- | --- |\n\
        | K-BIND-1 | a mode, from K-BIND-2 on | `bind.rs::mode_at_birth` |\n\
        | `K-7` | two of them | tests/a.rs::one, tests/b.rs::deep::two |\n\
        | K-8 | untested | |\n";

    fn pair(path: &str, function: &str) -> (String, String) {
        (path.into(), function.into())
    }

    #[test]
    fn rows_are_the_lines_that_begin_with_an_id() {
        let rows = rows(TABLE);
        assert_eq!(rows.iter().map(|r| r.id.as_str()).collect::<Vec<_>>(), ["K-BIND-1", "K-7", "K-8"]);
        assert_eq!(rows[0].line, 4);
        assert_eq!(rows[0].tests, [pair("tests/kernel/tests/bind.rs", "mode_at_birth")]);
        assert_eq!(rows[1].tests, [pair("tests/a.rs", "one"), pair("tests/b.rs", "deep::two")]);
        assert!(rows[2].tests.is_empty());
    }

    #[test]
    fn an_id_begins_a_word() {
        assert_eq!(ids("see K-1, (K-ABC-2) and `K-x-`.").collect::<Vec<_>>(), ["K-1", "K-ABC-2", "K-x"]);
        assert_eq!(ids("the ids K-… of DARK-1 and the letter K-").count(), 0);
    }

    #[test]
    fn a_repeated_id_is_found() {
        assert!(repeated(&rows(TABLE)).is_empty());
        let twice = format!("{TABLE}| K-7 | again | tests/a.rs::one |\n");
        assert_eq!(repeated(&rows(&twice)), ["KERNEL.md:7: 'K-7' is already on line 5"]);
    }

    #[test]
    fn a_row_needs_its_own_anchor() {
        let finding = |line: &str| without_anchor(&row(line, 7).expect(line));
        assert_eq!(finding("| <a id=\"K-7\"></a>K-7 | a fact | a.rs::one |"), None);
        assert!(finding("| <a id=\"K-8\"></a>K-7 | a fact | a.rs::one |").is_some(), "another id");
        assert_eq!(
            finding("| K-7 | a fact | a.rs::one |").as_deref(),
            Some("KERNEL.md:7: 'K-7' does not begin with `<a id=\"K-7\"></a>`")
        );
    }

    #[test]
    fn a_citation_in_documentation_is_a_link() {
        let found = |path: &str, text: &str| unlinked(&Source { path: path.into(), text: text.into() });
        let path = "crates/stoop/src/a.rs";
        let linked = "/// It waits ([K-7]).\n///\n/// [K-7]: crate::kernel_facts#K-7\nfn wait() {}\n";
        assert_eq!(found(path, linked), [""; 0]);
        assert_eq!(
            found(path, "/// It waits (K-7).\n"),
            ["crates/stoop/src/a.rs:1: 'K-7' is not a link: write `[K-7]`, and end the comment with \
              `[K-7]: crate::kernel_facts#K-7`"]
        );
        assert_eq!(found(path, "/// It waits ([K-7]).\n").len(), 1, "no definition");
        assert_eq!(found(path, &linked.replace("#K-7", "#K-8")).len(), 1, "another row");
        assert_eq!(found("crates/stoop-inspect/src/a.rs", linked).len(), 1, "another crate");
        assert_eq!(found("crates/stoop/tests/a.rs", "/// K-7\n"), [""; 0], "not published");
        assert_eq!(found(path, "// K-7\n/// `K-7`\n/// ```\n/// // K-7\n/// ```\n"), [""; 0], "not prose");
        let two = "/// [K-7]\nfn a() {}\n/// [K-7]: crate::kernel_facts#K-7\nfn b() {}\n";
        assert_eq!(found(path, two).len(), 1, "defined in another comment");
    }

    #[test]
    fn a_row_needs_a_test_that_exists() {
        let read =
            |path: &str| (path == "tests/a.rs").then(|| "#[test]\nfn one() {}\nfn helper() {}".to_owned());
        let row = |tests| Row { id: "K-1".into(), line: 1, anchor: None, tests };
        assert!(untested(&row(vec![pair("tests/a.rs", "one")]), read).is_empty());
        assert_eq!(untested(&row(vec![]), read).len(), 1, "no test named");
        assert_eq!(untested(&row(vec![pair("tests/a.rs", "helper")]), read).len(), 1, "not a test");
        assert_eq!(untested(&row(vec![pair("tests/missing.rs", "one")]), read).len(), 1, "no such file");
    }

    #[test]
    fn a_test_is_a_function_under_the_attribute() {
        assert!(has_test("#[test]\nfn mode() {", "mode"));
        assert!(has_test("#[test]\n// why\n#[cfg(unix)]\nfn mode() {", "tests::mode"));
        assert!(!has_test("#[test]\nfn mode_at_birth() {", "mode"));
        assert!(!has_test("fn mode() {", "mode"));
        assert!(!has_test("#[test]\nfn other() {}\nfn mode() {", "mode"));
    }

    #[test]
    fn a_citation_without_a_row_is_found() {
        let source = Source { path: "a.rs".into(), text: "// K-7\n// K-9 says".into() };
        assert_eq!(dangling(&source, &["K-7"].into()), ["a.rs:2: 'K-9' has no row in KERNEL.md"]);
    }
}
