//! The packages for crates.io: each published crate is packed in order of dependencies, and its
//! metadata and contents are checked.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::{Outcome, cargo, output_of, settle, tree};

/// Files that each package has.
const FILES: &[&str] = &["README.md", "LICENSE-MIT", "LICENSE-APACHE"];

/// Fields of a manifest that a registry shows.
const FIELDS: &[&str] = &["description", "license", "repository", "readme", "rust_version"];

/// Packs every published crate without building it, and checks the packages.
pub fn check() -> Outcome {
    run(false)
}

/// Packs every published crate and checks the packages. With `verify`, each is also built from its
/// package, with the others' packages in place of a registry.
pub fn run(verify: bool) -> Outcome {
    let metadata = output_of(&mut cargo(&["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let (published, private) = split(&metadata);
    // Without the network, unless what is needed was never downloaded.
    pack(&private, verify, &["--offline"]).or_else(|_| pack(&private, verify, &[]))?;

    let mut findings: Vec<String> = published.iter().flat_map(|package| unstated(package)).collect();
    findings.extend(private.iter().filter(|p| is_shipped(p)).map(|p| format!("'{}' is private", name(p))));
    findings.extend(published.iter().filter(|p| !is_shipped(p)).map(|p| format!("'{}' is public", name(p))));
    let mut examples = BTreeSet::new();
    for package in &published {
        let files = contents(package)?;
        findings.extend(lacking(name(package), &files));
        findings.extend(unpacked_script(package, &files));
        let shared =
            files.iter().filter(|file| file.starts_with("examples/") && tree::root().join(file).exists());
        findings.extend(shared.filter_map(|file| copied(name(package), file)));
        examples.extend(files.iter().filter_map(|file| file.strip_prefix("examples/").map(str::to_owned)));
    }
    for source in tree::sources("examples", &["rs"])? {
        let file = source.path.trim_start_matches("examples/");
        if !file.contains('/') && !examples.contains(file) {
            findings.push(format!("'{}' is in no package: link it from crates/CRATE/examples", source.path));
        }
    }
    findings.extend(copied("stoop", "KERNEL.md"));
    for package in &published {
        findings
            .extend(["LICENSE-MIT", "LICENSE-APACHE"].iter().filter_map(|file| copied(name(package), file)));
    }
    settle("packages", findings)
}

/// Lets cargo pack all crates but the private ones: it would pack them, too, but does not let one
/// find another.
fn pack(private: &[&Value], verify: bool, options: &[&str]) -> Outcome {
    let mut command = cargo(&["package", "--workspace", "--allow-dirty", "--quiet"]);
    command.args(options).args(private.iter().flat_map(|package| ["--exclude", name(package)]));
    // Without this, each package would be built in a directory of its own, with all dependencies.
    command.env("CARGO_TARGET_DIR", tree::target());
    if !verify {
        command.arg("--no-verify");
    }
    // It warns about each test that is left out of a package: shown only if it fails.
    let packed = command.output().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if packed.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&packed.stderr).into_owned()) }
}

/// Returns the packages that may be published, and the others.
fn split(metadata: &Value) -> (Vec<&Value>, Vec<&Value>) {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages
        .partition(|package| package["publish"].as_array().is_none_or(|registries| !registries.is_empty()))
}

fn name(package: &Value) -> &str {
    package["name"].as_str().unwrap_or_default()
}

fn is_shipped(package: &Value) -> bool {
    package["manifest_path"].as_str().is_some_and(|path| path.contains("/crates/"))
}

/// Reports what a manifest does not state.
fn unstated(package: &Value) -> Vec<String> {
    let is_empty = |field: &&&str| package[**field].as_str().is_none_or(str::is_empty);
    let mut missing: Vec<&str> = FIELDS.iter().filter(is_empty).copied().collect();
    let lists = ["keywords", "categories"];
    missing.extend(lists.iter().filter(|list| package[**list].as_array().is_none_or(Vec::is_empty)));
    if package["metadata"]["docs"]["rs"].is_null() {
        missing.push("package.metadata.docs.rs");
    }
    missing.iter().map(|field| format!("{}: the manifest has no '{field}'", name(package))).collect()
}

/// Returns the files of a package that was packed.
fn contents(package: &Value) -> Result<Vec<String>, String> {
    let listing = output_of(tar(package).arg("--list"))?;
    let listing = String::from_utf8_lossy(&listing);
    Ok(listing.lines().filter_map(|line| line.split_once('/')).map(|(_, file)| file.to_owned()).collect())
}

fn tar(package: &Value) -> Command {
    let file = format!("{}-{}.crate", name(package), package["version"].as_str().unwrap_or_default());
    let mut command = Command::new("tar");
    command.arg("--file").arg(tree::target().join("package").join(file)).arg("--gzip");
    command
}

fn lacking(package: &str, files: &[String]) -> Vec<String> {
    let missing = FILES.iter().filter(|file| !files.iter().any(|packed| packed == *file));
    missing.map(|file| format!("{package}: the package has no '{file}'")).collect()
}

/// Reports a build script that was left out: cargo then packs the crate as if it had none.
fn unpacked_script(package: &Value, files: &[String]) -> Option<String> {
    let targets = package["targets"].as_array().into_iter().flatten();
    let is_script = |target: &&Value| target["kind"][0] == "custom-build";
    let script = targets.into_iter().find(is_script)?["src_path"].as_str()?;
    let file = script.rsplit('/').next()?;
    (!files.iter().any(|packed| packed == file))
        .then(|| format!("{}: the package has no '{file}'", name(package)))
}

/// Reports a file of a crate that is a copy of the file of the root with this path, not a link to
/// it: a tool that edits in place replaces links, and the copy then misses the next change.
fn copied(package: &str, file: &str) -> Option<String> {
    let path = format!("crates/{package}/{file}");
    let metadata = tree::root().join(&path).symlink_metadata();
    (!metadata.is_ok_and(|metadata| metadata.is_symlink()))
        .then(|| format!("'{path}' is not a link to '{file}'"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_manifest_does_not_state_is_reported() {
        let mut package = json!({
            "name": "a", "description": "text", "license": "MIT", "repository": "https://x", "readme": "README.md",
            "rust_version": "1.0", "keywords": ["k"], "categories": ["c"], "metadata": {"docs": {"rs": {}}},
        });
        assert!(unstated(&package).is_empty());
        package["readme"] = Value::Null;
        package["keywords"] = json!([]);
        let expected = ["a: the manifest has no 'readme'", "a: the manifest has no 'keywords'"];
        assert_eq!(unstated(&package), expected);
    }

    #[test]
    fn private_packages_are_those_without_a_registry() {
        let metadata = json!({"packages": [{"name": "a", "publish": null}, {"name": "b", "publish": []}]});
        let (published, private) = split(&metadata);
        assert_eq!((name(published[0]), name(private[0])), ("a", "b"));
        assert_eq!((published.len(), private.len()), (1, 1));
    }

    #[test]
    fn a_build_script_has_to_be_packed() {
        let package =
            json!({"name": "a", "targets": [{"kind": ["custom-build"], "src_path": "/x/a/build.rs"}]});
        assert_eq!(unpacked_script(&package, &["build.rs".into()]), None);
        assert_eq!(unpacked_script(&package, &[]).as_deref(), Some("a: the package has no 'build.rs'"));
        assert_eq!(unpacked_script(&json!({"name": "a", "targets": []}), &[]), None);
    }

    #[test]
    fn each_missing_file_is_reported() {
        let files: Vec<String> = ["LICENSE-MIT", "LICENSE-APACHE", "src/README.md"].map(String::from).into();
        assert_eq!(lacking("a", &files), ["a: the package has no 'README.md'"]);
    }
}
