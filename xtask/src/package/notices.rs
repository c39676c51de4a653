//! The licence texts of the crates that are linked into the command, as their authors ask for.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::sbom::components;
use crate::{cargo, output_of};

/// How the names of files with such texts begin.
const NAMES: &[&str] = &["license", "licence", "copying", "copyright", "notice", "unlicense"];

/// Returns one text: each licence, after the crates that it applies to.
pub(super) fn text(target: &str) -> Result<String, String> {
    let metadata = output_of(&mut cargo(&["metadata", "--locked", "--format-version=1"]))?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let sources: BTreeMap<(&str, &str), PathBuf> = packages
        .filter_map(|package| {
            let directory = Path::new(package["manifest_path"].as_str()?).parent()?;
            Some(((package["name"].as_str()?, package["version"].as_str()?), directory.to_owned()))
        })
        .collect();
    // Many crates have the same text.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for component in components(target)? {
        let Some(directory) = sources.get(&(&*component.name, &*component.version)) else { continue };
        let title = format!("{} {} ({})", component.name, component.version, component.license);
        let found = licenses(directory);
        // The field of the manifest is all that the author has stated.
        let found = if found.is_empty() { vec![String::from("(no text in the package)")] } else { found };
        for text in found {
            texts.entry(text).or_default().push(title.clone());
        }
    }
    let line = "=".repeat(78);
    Ok(texts.iter().map(|(text, titles)| format!("{}\n\n{text}\n{line}\n", titles.join("\n"))).collect())
}

/// Returns the texts in the directory of a crate.
fn licenses(directory: &Path) -> Vec<String> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    paths.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        path.is_file() && NAMES.iter().any(|start| name.starts_with(start))
    });
    paths.sort();
    paths.iter().filter_map(|path| fs::read_to_string(path).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree;

    #[test]
    fn both_texts_of_this_repository_are_found() {
        let found = licenses(tree::root());
        assert_eq!(found.len(), 2);
        assert!(found[0].contains("Apache License") && found[1].contains("MIT License"));
    }
}
