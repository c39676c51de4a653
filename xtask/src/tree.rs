//! The files of the repository: the root, the files below it, and their contents.
//!
//! The only module of this crate that reads sources; the checks get text. Never follows symlinks,
//! and never enters build output or hidden directories.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// One text file: its path from the root, and its contents.
pub struct Source {
    pub path: String,
    pub text: String,
}

impl Source {
    /// Returns the lines of code: all but the test module at the end of the file, if there is one.
    pub fn shipped_lines(&self) -> impl Iterator<Item = &str> {
        let lines: Vec<&str> = self.text.lines().collect();
        let tests = |pair: &[&str]| {
            pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{')
        };
        let end = lines.windows(2).rposition(tests).unwrap_or(lines.len());
        lines.into_iter().take(end)
    }
}

/// Returns the root of the workspace.
///
/// Cargo says where this package is when it runs the program. What it said at compile time may be
/// another checkout, if both share a target directory.
pub fn root() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or(env!("CARGO_MANIFEST_DIR").into());
        let root = Path::new(&package).parent().expect("xtask lies one level below the root");
        root.to_owned()
    })
}

/// Returns the directory that Cargo builds into.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns the names of the published crates, which are the directories in `crates`.
pub fn crates() -> Result<Vec<String>, String> {
    let entries = fs::read_dir(root().join("crates")).map_err(|e| format!("cannot list 'crates': {e}"))?;
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    Ok(names)
}

/// Reads one file, named from the root.
pub fn read(path: &str) -> Result<String, String> {
    fs::read_to_string(root().join(path)).map_err(|e| format!("cannot read '{path}': {e}"))
}

/// Returns every file below `dir` (named from the root, "" is the root itself), or `dir` if it is a
/// file, with one of these extensions, in order of path. A missing path is an error: a check of no
/// files would always pass.
pub fn sources(dir: &str, extensions: &[&str]) -> Result<Vec<Source>, String> {
    let mut paths = Vec::new();
    walk(&root().join(dir), &mut paths).map_err(|e| format!("cannot list '{dir}': {e}"))?;
    paths.retain(|p| p.extension().is_some_and(|e| extensions.iter().any(|x| e == *x)));
    paths.sort();
    paths
        .into_iter()
        .map(|full| {
            let path = full.strip_prefix(root()).expect("walked from the root").display().to_string();
            read(&path).map(|text| Source { path, text })
        })
        .collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    if dir.is_file() {
        found.push(dir.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let hidden = name.as_encoded_bytes().starts_with(b".");
        let kind = entry.file_type()?;
        if kind.is_dir() && !hidden && name != "target" && name != "corpus" {
            walk(&entry.path(), found)?;
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_test_module_at_the_end_is_skipped() {
        let shipped = |text: &str| Source { path: "a.rs".into(), text: text.into() }.shipped_lines().count();
        assert_eq!(shipped("a\n#[cfg(test)]\nmod tests {\n}"), 1);
        assert_eq!(shipped("a\n#[cfg(test)]\nmod tests;\nb"), 4, "a module elsewhere hides nothing after it");
        assert_eq!(shipped("#[cfg(test)]\nuse x;\na"), 3);
    }
}
