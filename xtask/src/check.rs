//! `cargo xtask check`: every check that is not a test, in one run.
//!
//! Continues after a failure, so that one run reports everything, and ends with the names of the
//! failed steps. The steps that build into directories of their own run at the same time as the
//! others, in a process of their own: each alone leaves processors idle while it links or checks a
//! large crate.

use std::fs::File;
use std::process::{Child, Command};
use std::time::Instant;

use crate::{
    Outcome, api, builds, cargo, facts, fuzz, layers, models, msrv, output_of, package, sanitize, site,
    sizes, succeed, tree, words,
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
    ("packages", package::check_crates),
    ("licences and sources", deny),
];

/// The steps whose builds wait for no other, in directories of their own.
const APART: &[Step] = &[
    ("models", models::run),
    ("sanitizers", || sanitize::run(&[])),
    ("fuzz targets", fuzz::check),
    ("oldest toolchain", msrv::run),
];

/// The option of the process that runs [`APART`], and its output.
const APART_OPTION: &str = "--apart";
const APART_OUTPUT: &str = "target/check-apart.txt";

/// All opt-in features that no other crate of the workspace enables. `builds` covers each crate
/// without them.
const ASYNC: &[&str] = &["--features", "stoop/tracing,stoop-http/axum,stoop-grpc/connector"];

/// Runs every step; fails if any of them failed.
pub fn run(args: &[String]) -> Outcome {
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        [APART_OPTION] => return failures(run_steps(APART)),
        _ => return Err(format!("'{}' is not an option: {APART_OPTION}", args.join(" "))),
    }
    let mut apart = spawn_apart()?;
    let mut failed = run_steps(STEPS);
    let succeeded = apart.wait().map_err(|e| format!("cannot wait for {APART_OPTION}: {e}"))?.success();
    print!("{}", tree::read(APART_OUTPUT)?);
    failed.extend((!succeeded).then_some("those of their own directories, above"));
    failures(failed)
}

fn run_steps(steps: &[Step]) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for (name, step) in steps {
        println!("== {name}");
        let begun = Instant::now();
        if let Err(why) = step() {
            eprintln!("{name}: {why}");
            failed.push(*name);
        }
        println!("   {name}: {} s", begun.elapsed().as_secs());
    }
    failed
}

fn failures(failed: Vec<&str>) -> Outcome {
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

/// Starts this program for [`APART`]. Its output is kept for the end: it would be mixed with that
/// of the others.
fn spawn_apart() -> Result<Child, String> {
    let describe = |e: std::io::Error| format!("cannot run {APART_OPTION}: {e}");
    let names: Vec<&str> = APART.iter().map(|(name, _)| *name).collect();
    println!("at the same time: {}; their output is at the end", names.join(", "));
    let path = tree::root().join(APART_OUTPUT);
    std::fs::create_dir_all(tree::root().join("target")).map_err(describe)?;
    let output = File::create(path).map_err(describe)?;
    let errors = output.try_clone().map_err(describe)?;
    let mut command = Command::new(std::env::current_exe().map_err(describe)?);
    command.args(["check", APART_OPTION]).stdout(output).stderr(errors).spawn().map_err(describe)
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
