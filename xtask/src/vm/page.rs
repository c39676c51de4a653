//! The page of results: `docs/src/reference/kernels.md`, whose table `vm --write` writes.
//!
//! The page is the only place of the results: a run replaces the rows of its kernel and packages,
//! and keeps the others. A row names the test binaries that ran, unless that is all of the package.

use std::collections::BTreeMap;
use std::fs;

use super::report::{Report, Results};
use super::{KERNELS, TESTED};
use crate::Outcome;
use crate::tree::{read, root};

const PAGE: &str = "docs/src/reference/kernels.md";
const BEGIN: &str = "<!-- results: cargo xtask vm all --write -->\n";
const END: &str = "<!-- end of results -->";
const HEAD: &str = "| `vm` | kernel | machine | tests of | passed | skipped | failed |
| --- | --- | --- | --- | --: | --: | --- |
";

/// The rows by kernel and package, in the order of the page.
type Rows = BTreeMap<(usize, usize), String>;

/// Writes the results of a guest into the page.
pub fn write(kernel: &str, report: &Report, is_selection: bool) -> Outcome {
    let text = updated(&read(PAGE)?, kernel, report, is_selection)?;
    fs::write(root().join(PAGE), text).map_err(|e| format!("cannot write '{PAGE}': {e}"))
}

/// Returns a finding if the table is not as `vm --write` writes it.
pub fn unwritten() -> Result<Vec<String>, String> {
    let text = read(PAGE)?;
    let (before, table, after) = table(&text)?;
    let is_written = rendered(before, &rows(table), after) == text;
    let finding = || format!("{PAGE}: the table was changed by hand: cargo xtask vm KERNEL --write");
    Ok((!is_written).then(finding).into_iter().collect())
}

fn updated(text: &str, kernel: &str, report: &Report, is_selection: bool) -> Result<String, String> {
    let (before, old, after) = table(text)?;
    let mut rows = rows(old);
    for (package, results) in &report.packages {
        if let Some(place) = place(kernel, package) {
            rows.insert(place, row(kernel, report, package, results, is_selection));
        }
    }
    Ok(rendered(before, &rows, after))
}

/// Returns the page with these rows, and one for each kernel that has none.
fn rendered(before: &str, rows: &Rows, after: &str) -> String {
    let mut text = format!("{before}{BEGIN}\n{HEAD}");
    for (number, kernel) in KERNELS.iter().enumerate() {
        let of_kernel = rows.range((number, 0)..(number + 1, 0));
        let start = text.len();
        text.extend(of_kernel.map(|(_, row)| row.as_str()));
        if text.len() == start {
            text += &format!("| `{}` | not run | | | | | |\n", kernel.name);
        }
    }
    text + "\n" + END + after
}

/// Returns the page before the table, the table, and the page after it.
fn table(text: &str) -> Result<(&str, &str, &str), String> {
    let parts = text.split_once(BEGIN).and_then(|(before, rest)| {
        let (table, after) = rest.split_once(END)?;
        Some((before, table, after))
    });
    parts.ok_or_else(|| format!("{PAGE} has no place for the results"))
}

fn rows(table: &str) -> Rows {
    let keyed = |line: &str| {
        let name = |cell: &'_ str| cell.split('`').nth(1).unwrap_or_default().to_owned();
        let cells: Vec<String> = line.split('|').map(name).collect();
        Some((place(cells.get(1)?, cells.get(4)?)?, format!("{line}\n")))
    };
    table.lines().filter_map(keyed).collect()
}

fn place(kernel: &str, package: &str) -> Option<(usize, usize)> {
    let kernel = KERNELS.iter().position(|known| known.name == kernel)?;
    Some((kernel, TESTED.iter().position(|known| *known == package)?))
}

fn row(kernel: &str, report: &Report, package: &str, results: &Results, is_selection: bool) -> String {
    let failed = match &results.failed[..] {
        [] => "0".to_owned(),
        tests => tests.iter().map(|test| format!("`{test}`")).collect::<Vec<_>>().join(", "),
    };
    let Report { release, machine, .. } = report;
    let Results { passed, skipped, binaries, .. } = results;
    // In no order of their own: cargo reports each when it is built.
    let mut names: Vec<&str> = binaries.iter().map(String::as_str).collect();
    names.sort_unstable();
    let ran = if is_selection { format!(": {}", names.join(", ")) } else { String::new() };
    format!("| `{kernel}` | {release} | {machine} | `{package}`{ran} | {passed} | {skipped} | {failed} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(passed: u32) -> Report {
        let binaries = vec!["paths".into(), "bind".into()];
        let results = Results { passed, skipped: 1, binaries, failed: Vec::new() };
        let packages = BTreeMap::from([("stoop".to_owned(), results)]);
        let mut report = Report::default();
        (report.release, report.machine) = ("6.12.1".into(), "aarch64".into());
        report.packages = packages;
        report
    }

    #[test]
    fn a_run_replaces_its_rows_and_keeps_the_others() {
        let empty = format!("# Kernels\n\n{BEGIN}{END}\nmore\n");
        let page = updated(&empty, "arm64-6.12", &report(1), false).unwrap();
        let page = updated(&page, "6.1", &report(2), true).unwrap();
        let page = updated(&page, "6.1", &report(3), true).unwrap();
        let row = |name, ran, passed| {
            format!("| `{name}` | 6.12.1 | aarch64 | `stoop`{ran} | {passed} | 1 | 0 |\n")
        };
        let not_run = |name| format!("| `{name}` | not run | | | | | |\n");
        let rows = row("6.1", ": bind, paths", 3) + &not_run("6.12") + &not_run("newest");
        let rows = rows + &row("arm64-6.12", "", 1);
        let rows = rows + &not_run("arm64-newest");
        assert_eq!(page, format!("# Kernels\n\n{BEGIN}\n{HEAD}{rows}\n{END}\nmore\n"));
    }

    #[test]
    fn a_page_without_a_place_is_an_error() {
        assert!(table("# Kernels\n").is_err());
    }
}
