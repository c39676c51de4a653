//! Builds that a build of the workspace does not cover: each crate with each of its features alone
//! (in a workspace, a feature that one crate enables is enabled for all), and for other targets.
//! One alone finds what it uses of any other, which is then disabled.
//! Nothing is linked or run.

use std::path::Path;

use serde_json::Value;

use crate::{Outcome, cargo, output_of, settle, succeed};

/// The other targets. One whose standard library is not installed is reported as skipped.
const TARGETS: &[&str] = &["x86_64-unknown-linux-musl", "aarch64-unknown-linux-gnu"];

/// Features that need a C compiler for the target.
const NATIVE: &[&str] = &["tls"];

/// Checks every combination.
pub fn run() -> Outcome {
    let metadata = output_of(&mut cargo(&["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let mut findings = Vec::new();
    for (package, features) in alone(&metadata) {
        let mut command = cargo(&["clippy", "-q", "-p", &package, "--no-default-features"]);
        if succeed(command.args(["--features", &features, "--", "-D", "warnings"])).is_err() {
            findings.push(format!("{package} does not build with only '{features}'"));
        }
    }
    for target in TARGETS {
        if !is_installed(target) {
            println!(
                "not run: the standard library for {target} is not installed (rustup target add {target})"
            );
            continue;
        }
        let mut command = cargo(&["check", "-q", "--target", target, "--lib", "--bins"]);
        for (package, features) in together(&metadata) {
            command.args(["-p", &package]);
            command.args(features.iter().flat_map(|name| ["--features".into(), format!("{package}/{name}")]));
        }
        if succeed(&mut command).is_err() {
            findings.push(format!("does not build for {target}"));
        }
    }
    settle("builds", findings)
}

/// Builds each published crate without features, and with each one.
fn alone(metadata: &Value) -> Vec<(String, String)> {
    let with = |(package, features): (String, Vec<String>)| {
        let names = features.into_iter().chain([String::new()]);
        names.map(move |feature| (package.clone(), feature)).collect::<Vec<_>>()
    };
    shipped(metadata).flat_map(with).collect()
}

/// Builds each published crate, with all features that require nothing of the machine.
fn together(metadata: &Value) -> impl Iterator<Item = (String, Vec<String>)> {
    shipped(metadata).map(|(package, features)| {
        let portable = features.into_iter().filter(|feature| !NATIVE.contains(&feature.as_str()));
        (package, portable.collect())
    })
}

fn published(metadata: &Value) -> impl Iterator<Item = &Value> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    packages.filter(|package| package["manifest_path"].as_str().is_some_and(|path| path.contains("/crates/")))
}

/// Returns each published crate, with its features.
pub fn shipped(metadata: &Value) -> impl Iterator<Item = (String, Vec<String>)> {
    published(metadata).map(|package| {
        let features = package["features"].as_object().into_iter().flat_map(|features| features.keys());
        let name = package["name"].as_str().unwrap_or_default().to_owned();
        (name, features.filter(|feature| *feature != "default").cloned().collect())
    })
}

fn is_installed(target: &str) -> bool {
    let sysroot =
        output_of(std::process::Command::new("rustc").args(["--print", "sysroot"])).unwrap_or_default();
    let sysroot = String::from_utf8_lossy(&sysroot);
    Path::new(sysroot.trim()).join("lib/rustlib").join(target).join("lib").is_dir()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_features_of_published_crates_are_built_alone() {
        let metadata = serde_json::json!({"packages": [
            {"name": "a", "manifest_path": "/x/crates/a/Cargo.toml", "features": {"default": ["f"], "f": [], "tls": []}},
            {"name": "b", "manifest_path": "/x/tests/b/Cargo.toml", "features": {"g": []}},
        ]});
        let pair = |feature: &str| ("a".to_owned(), feature.to_owned());
        assert_eq!(alone(&metadata), [pair("f"), pair("tls"), pair("")]);
        let together: Vec<_> = together(&metadata).collect();
        assert_eq!(together, [("a".to_owned(), vec!["f".to_owned()])]);
    }
}
