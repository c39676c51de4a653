//! `cargo xtask check`: every check that is not a test, in one run.
//!
//! Continues after a failure, so that one run reports everything, and ends with the names of the
//! failed steps.

use std::time::Instant;

use crate::{
    Outcome, api, builds, cargo, facts, fuzz, layers, models, msrv, output_of, package, sanitize, site,
    sizes, succeed, words,
};

/// The name a step is reported under, and how it is run.
type Step = (&'static str, fn() -> Outcome);

const STEPS: &[Step] = &[
    ("format", || succeed(&mut cargo(&["fmt", "--all", "--check"]))),
    ("lints", lints),
    ("docs", docs),
    ("builds", builds::run),
    ("public API", || api::run(&[])),
    ("layers", || layers::run(&[])),
    ("facts", facts::run),
    ("sizes", sizes::run),
    ("words", || words::run(&[])),
    ("guide", site::check),
    ("oldest toolchain", msrv::run),
    ("packages", package::check_crates),
    ("models", models::run),
    ("licences and sources", deny),
    ("sanitizers", || sanitize::run(&[])),
    ("fuzz targets", fuzz::check),
];

/// All opt-in features that no other crate of the workspace enables. `builds` covers each crate
/// without them.
const ASYNC: &[&str] = &["--features", "stoop/tracing,stoop-http/axum,stoop-grpc/connector"];

/// Runs every step; fails if any of them failed.
pub fn run() -> Outcome {
    let mut failed = Vec::new();
    for (name, step) in STEPS {
        println!("== {name}");
        let begun = Instant::now();
        if let Err(why) = step() {
            eprintln!("{name}: {why}");
            failed.push(*name);
        }
        println!("   {name}: {} s", begun.elapsed().as_secs());
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn lints() -> Outcome {
    let mut command = cargo(&["clippy", "-q", "--workspace", "--all-targets"]);
    succeed(command.args(ASYNC).args(["--", "-D", "warnings"]))
}

fn docs() -> Outcome {
    let mut command = cargo(&["doc", "-q", "--workspace", "--no-deps", "--document-private-items"]);
    succeed(command.args(ASYNC).env("RUSTDOCFLAGS", "-D warnings"))
}

/// The parts of cargo-deny that need no network. `cargo deny check advisories` does, and is run by
/// hand.
fn deny() -> Outcome {
    if output_of(&mut cargo(&["deny", "--version"])).is_err() {
        println!("not run: cargo-deny is not installed");
        return Ok(());
    }
    succeed(&mut cargo(&["deny", "check", "bans", "licenses", "sources"]))
}
