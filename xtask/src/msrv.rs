//! `cargo xtask msrv`: builds the published crates with the oldest toolchain that they promise to
//! support, the `rust-version` of the workspace.
//!
//! Nothing is installed. If the toolchain is not there, that is reported, and nothing is built.

use std::process::Command;

use serde_json::Value;

use crate::{Outcome, builds, cargo, output_of, settle, succeed, tree};

/// Builds each published crate with all of its features, and without any.
pub fn run() -> Outcome {
    let manifest = tree::read("Cargo.toml")?;
    let oldest = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \"")?.strip_suffix('"'));
    let oldest = oldest.ok_or("Cargo.toml has no rust-version")?;
    let current = output_of(Command::new("rustc").arg("--version"))?;
    let current = String::from_utf8_lossy(&current);
    if current.strip_prefix("rustc ").is_some_and(|version| is(version, oldest)) {
        println!("msrv: Rust {oldest} is the toolchain that everything else is built with");
        return Ok(());
    }
    let list = output_of(Command::new("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let list = String::from_utf8_lossy(&list);
    let Some(toolchain) = list.split_whitespace().find(|name| is(name, oldest)) else {
        println!("not run: Rust {oldest} is not installed (rustup toolchain install {oldest})");
        return Ok(());
    };
    let metadata = output_of(&mut cargo(&["metadata", "--format-version=1", "--no-deps"]))?;
    let metadata: Value = serde_json::from_slice(&metadata).map_err(|e| format!("cargo metadata: {e}"))?;
    let packages: Vec<String> = builds::shipped(&metadata).map(|(package, _)| package).collect();
    for features in ["--all-features", "--no-default-features"] {
        let mut command = Command::new("rustup");
        command.args(["run", toolchain, "cargo", "check", "-q", "--locked", "--lib", "--bins", features]);
        command.args(["--target-dir", "target/msrv"]).current_dir(tree::root());
        // Set by the `cargo` that runs this program, for its own toolchain.
        for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN"] {
            command.env_remove(name);
        }
        succeed(command.args(packages.iter().flat_map(|package| ["-p", package])))?;
    }
    settle("msrv", Vec::new())
}

/// Returns whether this is the name of a toolchain of this version, corrections included.
fn is(toolchain: &str, version: &str) -> bool {
    let rest = toolchain.strip_prefix(version);
    rest.is_some_and(|rest| rest.starts_with('-') || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_toolchain_is_recognized_by_its_version() {
        assert!(is("1.95.0-x86_64-unknown-linux-gnu", "1.95"));
        assert!(is("1.95-x86_64-unknown-linux-gnu", "1.95"));
        assert!(is("1.95.0 (59807616e 2026-04-14)", "1.95"));
        assert!(!is("1.9.0-x86_64-unknown-linux-gnu", "1.95"));
        assert!(!is("1.951.0-x86_64-unknown-linux-gnu", "1.95"));
        assert!(!is("stable-x86_64-unknown-linux-gnu", "1.95"));
    }
}
