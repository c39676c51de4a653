//! The public API of each published crate, one item a line: `api/CRATE.txt`.
//!
//! Of the printed counts, the second leaves out `impl` lines and the members of trait
//! implementations: what a reader of the documentation has to learn. For `stoop`, a second line
//! counts those that std or tokio has under the same name, and those without optional features.
//!
//! rustdoc describes a crate as JSON, and the `public-api` crate lists it: with all features but
//! `fuzzing`, without hidden items, and without derived, blanket and auto trait implementations.
//! The JSON is unstable, so the stable rustdoc has to be told to write it, and its format has to be
//! the one that `public-api` reads. With another toolchain the check is reported as not run.

mod peers;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use peers::Library;
use public_api::{Builder, PublicItem};
use serde_json::Value;

use crate::{Outcome, builds, cargo, output_of, settle, succeed, tree};

/// The directory of the listings.
const DIRECTORY: &str = "api";

/// The format of rustdoc's JSON that the version of `public-api` in `Cargo.toml` reads.
const FORMAT: u64 = 57;

/// Of the repository alone: functions for the fuzz targets.
const UNLISTED_FEATURE: &str = "fuzzing";

/// The crate with the types of std and tokio.
const COMPARED: &str = "stoop";

/// Set for the `rustdoc` of [`items`], which is this program; see [`rustdoc`].
const AS_RUSTDOC: &str = "XTASK_AS_RUSTDOC";

/// Compares the API of each crate with its listing; `--write` rewrites the listings.
pub fn run(args: &[String]) -> Outcome {
    let write = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => false,
        ["--write"] => true,
        _ => return Err(format!("'{}' is not an option: --write", args.join(" "))),
    };
    let metadata = output_of(&mut cargo(&["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let target = PathBuf::from(metadata["target_directory"].as_str().unwrap_or("target"));
    let mut findings = Vec::new();
    let mut listings = Vec::new();
    for (package, features) in builds::shipped(&metadata) {
        if package == COMPARED {
            let Some(default) = items(&package, None, &target)? else { return Ok(()) };
            println!("{package} with default features: {}", compared(&own(&default)));
        }
        let Some(items) = items(&package, Some(&features), &target)? else { return Ok(()) };
        let own = own(&items);
        println!("{package}: {} items, {} without implementations", items.len(), own.len());
        if package == COMPARED {
            println!("{package} with all features: {}", compared(&own));
        }
        let path = format!("{DIRECTORY}/{package}.txt");
        let listing: String = items.iter().map(|item| format!("{item}\n")).collect();
        if write {
            fs::create_dir_all(tree::root().join(DIRECTORY))
                .and_then(|()| fs::write(tree::root().join(&path), listing))
                .map_err(|e| format!("cannot write '{path}': {e}"))?;
        } else {
            findings.extend(changes(&path, &tree::read(&path).unwrap_or_default(), &listing));
        }
        listings.push(path);
    }
    findings.extend(unknown(&listings)?);
    if !findings.is_empty() && !write {
        println!("if these changes are intended: cargo xtask api --write");
    }
    settle("api", findings)
}

/// Returns the public items of a crate with these features, or with the default ones; or `None`,
/// after saying why, if this toolchain's rustdoc writes another format.
fn items(
    package: &str,
    features: Option<&[String]>,
    target: &Path,
) -> Result<Option<Vec<PublicItem>>, String> {
    let mut command = cargo(&["rustdoc", "-q", "--lib", "-p", package]);
    if let Some(features) = features {
        command.arg("--no-default-features");
        for feature in features.iter().filter(|feature| *feature != UNLISTED_FEATURE) {
            command.args(["--features", feature]);
        }
    }
    let this = std::env::current_exe().map_err(|e| format!("cannot find this program: {e}"))?;
    command.args(["--", "-Z", "unstable-options", "--output-format", "json", "--cap-lints", "allow"]);
    succeed(command.env("RUSTDOC", this).env(AS_RUSTDOC, real_rustdoc()))?;
    let path = target.join("doc").join(package.replace('-', "_")).with_extension("json");
    let json = fs::read_to_string(&path).map_err(|e| format!("cannot read '{}': {e}", path.display()))?;
    match format(&json) {
        Some(FORMAT) => {}
        other => {
            let other = other.map_or("another format".to_owned(), |number| format!("format {number}"));
            println!("not run: the JSON of this toolchain's rustdoc has {other}, and not format {FORMAT}");
            return Ok(None);
        }
    }
    let listing = Builder::from_rustdoc_json(path)
        .omit_auto_derived_impls(true)
        .omit_auto_trait_impls(true)
        .omit_blanket_impls(true)
        .build()
        .map_err(|e| format!("{package}: {e}"))?;
    Ok(Some(listing.into_items().collect()))
}

/// Returns the items that are neither an `impl` line nor a member of a trait implementation.
fn own(items: &[PublicItem]) -> Vec<String> {
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    let of_traits: HashSet<_> = (items.iter().zip(&texts))
        .filter(|(_, text)| is_implementation(text) && text.contains(" for "))
        .map(|(item, _)| item.id())
        .collect();
    let is_own = |item: &PublicItem| item.parent_id().is_none_or(|parent| !of_traits.contains(&parent));
    let kept = items.iter().zip(&texts).filter(|(item, text)| !is_implementation(text) && is_own(item));
    kept.map(|(_, text)| text.clone()).collect()
}

/// Says how many of these items std and tokio have too.
fn compared(items: &[String]) -> String {
    let of = |library| items.iter().filter(|item| peers::library(item) == Some(library)).count();
    let (std, tokio) = (of(Library::Std), of(Library::Tokio));
    let others = items.len() - std - tokio;
    format!("{} without implementations: {std} of std, {tokio} of tokio, {others} of its own", items.len())
}

fn is_implementation(item: &str) -> bool {
    ["impl ", "impl<", "unsafe impl"].iter().any(|start| item.starts_with(start))
}

/// Returns the number of the format, which the JSON contains once.
fn format(json: &str) -> Option<u64> {
    let (_, rest) = json.rsplit_once("\"format_version\":")?;
    let digits = rest.trim_start().split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn real_rustdoc() -> PathBuf {
    let cargo = std::env::var_os("CARGO").map(PathBuf::from);
    let rustdoc = cargo.map(|cargo| cargo.with_file_name("rustdoc")).filter(|rustdoc| rustdoc.is_file());
    rustdoc.unwrap_or_else(|| "rustdoc".into())
}

/// Runs the rustdoc of the toolchain with its unstable options, if this process was started in its
/// place.
///
/// The environment variable that allows them must not be set for cargo: build scripts of several
/// dependencies run again whenever it changes, and so would everything that depends on them.
pub fn rustdoc() -> Option<ExitCode> {
    let mut command = Command::new(std::env::var_os(AS_RUSTDOC)?);
    let status = command.args(std::env::args_os().skip(1)).env("RUSTC_BOOTSTRAP", "1").status();
    Some(match status {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot run {command:?}: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Returns the lines that only one of two listings has, each as often as the other lacks it.
fn changes(path: &str, old: &str, new: &str) -> Vec<String> {
    let without = |text: &str, other: &str, sign: char| {
        let mut others: Vec<&str> = other.lines().collect();
        let mut lines: Vec<String> = Vec::new();
        for line in text.lines() {
            match others.iter().position(|other| *other == line) {
                Some(same) => drop(others.swap_remove(same)),
                None => lines.push(format!("{path}: {sign} {line}")),
            }
        }
        lines
    };
    [without(old, new, '-'), without(new, old, '+')].concat()
}

/// Returns listings of crates that do not exist.
fn unknown(known: &[String]) -> Result<Vec<String>, String> {
    let files = fs::read_dir(tree::root().join(DIRECTORY)).into_iter().flatten().flatten();
    let paths = files.map(|file| format!("{DIRECTORY}/{}", file.file_name().to_string_lossy()));
    Ok(paths
        .filter(|path| !known.contains(path))
        .map(|path| format!("{path}: no crate of this name"))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn added_and_removed_items_are_changes() {
        let found = changes("api/a.txt", "pub fn a::f()\npub fn a::g()\n", "pub fn a::g()\npub fn a::h()\n");
        assert_eq!(found, ["api/a.txt: - pub fn a::f()", "api/a.txt: + pub fn a::h()"]);
        assert_eq!(
            changes("api/a.txt", "x\nx\ny\n", "y\nx\n"),
            ["api/a.txt: - x"],
            "as often as it is there"
        );
        assert_eq!(changes("api/a.txt", "x\n", "x\n"), [""; 0]);
    }

    #[test]
    fn the_format_is_found_in_the_json() {
        assert_eq!(format(r#"{"root":1,"format_version":57}"#), Some(57));
        assert_eq!(format(r#"{"index":{}}"#), None);
    }
}
