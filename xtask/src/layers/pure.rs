//! The pure parts: no I/O, no clock, no system calls of their own. Property tests and fuzzers drive
//! them.
//!
//! Their list is that of ARCHITECTURE.md, in the section "Pure parts": a path from the root, and
//! after "except" what in it is not pure.

use super::lines_with;
use crate::tree::{self, Source};

const LIST: &str = "ARCHITECTURE.md";
const SECTION: &str = "## Pure parts";

/// What a pure part does not contain. Of `std::io` it may use errors and types of bytes in memory,
/// each imported by its own name.
const NO_IO: &[&str] = &[
    "std::fs",
    "std::io::{",
    "io::Read",
    "io::Seek",
    "io::Write",
    "io::copy",
    "io::stderr",
    "io::stdin",
    "io::stdout",
    "std::net",
    "std::os::unix::net",
    "std::process::Command",
    "std::thread",
    "tokio::net",
    "rustix::net",
    "Instant::now",
    "SystemTime::now",
    "sys::",
];

/// Returns every line of a pure part that is not pure.
pub fn findings() -> Result<Vec<String>, String> {
    let parts = parts(&tree::read(LIST)?);
    if parts.is_empty() {
        return Err(format!("{LIST} has no list in the section '{SECTION}'"));
    }
    let mut findings = Vec::new();
    for part in &parts {
        let sources = tree::sources(&part.path, &["rs"])?;
        for exception in part.exceptions.iter().filter(|path| tree::sources(path, &["rs"]).is_err()) {
            findings.push(format!("{LIST}: '{exception}' does not exist"));
        }
        findings.extend(sources.iter().filter(|source| part.contains(source)).flat_map(impure_lines));
    }
    Ok(findings)
}

#[derive(Debug, PartialEq)]
struct Part {
    path: String,
    exceptions: Vec<String>,
}

impl Part {
    fn contains(&self, source: &Source) -> bool {
        let is_within = |path: &String| {
            source
                .path
                .strip_prefix(path.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        !self.exceptions.iter().any(is_within)
    }
}

/// Returns the parts listed in the section: items that begin with `- `, with paths in backticks.
fn parts(text: &str) -> Vec<Part> {
    let section = text.lines().skip_while(|line| *line != SECTION).skip(1);
    let mut items: Vec<String> = Vec::new();
    for line in section.take_while(|line| !line.starts_with("## ")) {
        match (line.strip_prefix("- "), items.last_mut()) {
            (Some(item), _) => items.push(item.to_owned()),
            (None, Some(item)) if line.starts_with("  ") => item.push_str(line),
            _ => {}
        }
    }
    items.iter().flat_map(|item| parts_of(item)).collect()
}

fn parts_of(item: &str) -> Vec<Part> {
    let list = item.split_once(": ").map_or(item, |(list, _)| list);
    let (paths, exceptions) = list.split_once("except").unwrap_or((list, ""));
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let exceptions = quoted(exceptions);
    let part = |path: String| Part {
        exceptions: exceptions.iter().map(|name| format!("{path}/{name}")).collect(),
        path,
    };
    quoted(paths).into_iter().map(part).collect()
}

fn impure_lines(source: &Source) -> Vec<String> {
    lines_with(source, NO_IO.iter(), "a pure part does no I/O and reads no clock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_read() {
        let text = "- `no`\n## Pure parts\n\nText.\n\n- `a/b.rs`,\n  `a/c`\n- `d`, except `e`, `f.rs`: of `g`\n\n## Next\n- `no`\n";
        let part = |path: &str, exceptions: &[&str]| Part {
            path: path.into(),
            exceptions: exceptions.iter().map(|name| (*name).to_owned()).collect(),
        };
        let parts = parts(text);
        assert_eq!(parts, [part("a/b.rs", &[]), part("a/c", &[]), part("d", &["d/e", "d/f.rs"])]);
        let contains = |path: &str| parts[2].contains(&Source { path: path.into(), text: String::new() });
        assert_eq!(["d/x.rs", "d/e/y.rs", "d/f.rs", "d/e.rs"].map(contains), [true, false, false, true]);
    }

    #[test]
    fn a_clock_in_a_pure_part_is_found() {
        let found = |line: &str| {
            impure_lines(&Source { path: "a.rs".into(), text: format!("fn f() {{\n{line}\n}}") })
        };
        assert_eq!(
            found("    Instant::now()"),
            ["a.rs:2: 'Instant::now': a pure part does no I/O and reads no clock"]
        );
        assert_eq!(found("use std::io::{self, Read};").len(), 1);
        assert_eq!(found("io::Write::flush(to)").len(), 1);
        assert_eq!(found("use std::io::BufRead;\nfn f() -> io::Error {}"), [""; 0]);
    }
}
