//! The nightly toolchain, if it is installed in addition to the stable one: instrumented builds
//! need it. It is not installed automatically.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{output_of, tree};

/// An installed nightly toolchain.
pub struct Nightly {
    /// Its default target.
    pub host: String,
    sysroot: PathBuf,
}

impl Nightly {
    /// Finds it; the error says what is missing.
    pub fn find() -> Option<Nightly> {
        let version = output_of(run(&["rustc", "-vV"]).stderr(Stdio::null())).unwrap_or_default();
        let version = String::from_utf8_lossy(&version).into_owned();
        let host = version.lines().find_map(|line| line.strip_prefix("host: "));
        let sysroot =
            output_of(run(&["rustc", "--print", "sysroot"]).stderr(Stdio::null())).unwrap_or_default();
        let sysroot = PathBuf::from(String::from_utf8_lossy(&sysroot).trim());
        match host {
            Some(host) => Some(Nightly { host: host.to_owned(), sysroot }),
            None => {
                println!("not run: no nightly toolchain is installed (rustup toolchain install nightly)");
                None
            }
        }
    }

    /// Returns whether the sources of the standard library are installed, so that it can be
    /// rebuilt.
    pub fn has_sources(&self) -> bool {
        self.sysroot.join("lib/rustlib/src/rust/library/Cargo.lock").is_file()
    }

    /// Returns whether `cargo SUBCOMMAND` is installed.
    pub fn has(&self, subcommand: &str) -> bool {
        let mut command = run(&["cargo", subcommand, "--version"]);
        output_of(command.stderr(Stdio::null())).is_ok()
    }

    /// Returns a `cargo` command of this toolchain for an instrumented build: with these flags for
    /// everything that runs on the machine (except build scripts and macros), in a directory of its
    /// own under `target`.
    pub fn cargo(&self, args: &[&str], flags: &str, directory: &str) -> Command {
        let mut command = run(&["cargo"]);
        command.args(args).env("RUSTFLAGS", flags).env("CARGO_INCREMENTAL", "0");
        command.args(["--target", &self.host, "--target-dir", directory]);
        command
    }
}

/// Returns a command for a program of the nightly toolchain, at the root of the workspace.
fn run(args: &[&str]) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly"]).args(args).current_dir(tree::root());
    // Environment variables set by the stable `cargo` that runs this program do not apply to
    // another toolchain.
    for name in ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "CARGO_ENCODED_RUSTFLAGS"] {
        command.env_remove(name);
    }
    command
}
