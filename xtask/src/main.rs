//! Development tasks of this repository: `cargo xtask VERB`.
//!
//! Contains only the table of verbs. Each check has a file of its own and is a pure function of
//! text, so that its tests can show it failing. Never part of what users install.

mod api;
mod bench;
mod builds;
mod check;
mod facts;
mod fuzz;
mod interfaces;
mod layers;
mod man;
mod models;
mod msrv;
mod nightly;
mod package;
mod pictures;
mod sanitize;
mod site;
mod sizes;
#[cfg(test)]
mod test_script;
mod tree;
mod vm;
mod words;
#[cfg(test)]
mod workflows;

use std::process::{Command, ExitCode};

/// The result of a verb. `Err` is a one-line reason why it could not be done.
type Outcome = Result<(), String>;

/// One verb: its name, what it does, and the function that does it with the arguments that follow.
type Verb = (&'static str, &'static str, fn(&[String]) -> Outcome);

const VERBS: &[Verb] = &[
    (
        "check",
        "all of these except man, pictures, bench and vm, and of package the crates; also format, lints, docs, and cargo-deny if installed",
        check::run,
    ),
    ("builds", "each crate with each feature alone, and for other targets that are installed", |_| {
        builds::run()
    }),
    ("api", "the public API of each crate against api/CRATE.txt; --write", api::run),
    (
        "layers",
        "dependency rules between crates and files, the places of `unsafe`, pure modules; --lower",
        layers::run,
    ),
    ("facts", "every row of KERNEL.md names a test that exists; every citation has a row", |_| facts::run()),
    ("sizes", "the length of files: listed past 400 lines, an error past 800", |_| sizes::run()),
    ("sanitize", "tests under Miri, AddressSanitizer and ThreadSanitizer, if installed", sanitize::run),
    (
        "fuzz",
        "every fuzz target under libFuzzer, with a nightly compiler: `fuzz --seconds 60 ring_words`",
        fuzz::run,
    ),
    (
        "words",
        "the glossary and the rules of documentation, and subjects of commits; --all, --lower, --figures",
        words::run,
    ),
    ("msrv", "the published crates with the oldest supported toolchain, if installed", |_| msrv::run()),
    ("models", "tests of lock-free code under loom, in every order of their memory accesses", |_| {
        models::run()
    }),
    (
        "package",
        "the files of a release into target/packages; --crates, --verify, --try, --target T, --profile P",
        package::run,
    ),
    (
        "site",
        "the guide as a web site in target/site; --write copies the programs into the pages that show them",
        site::run,
    ),
    (
        "interfaces",
        "write the facts of other projects' .proto files, which are the built-in interfaces: `interfaces add NAME …`",
        interfaces::run,
    ),
    ("man", "write the man pages into target/man", |_| man::run()),
    ("pictures", "make the pictures of the README: terminal, tree, bench, or all", pictures::run),
    (
        "bench",
        "build and run a benchmark by its name, with its options; `bench all` writes BENCHMARKS.md",
        bench::run,
    ),
    (
        "vm",
        "the tests on another kernel or on arm64, in qemu: `vm 6.1 -p stoop-kernel-facts`; --write",
        vm::run,
    ),
];

fn main() -> ExitCode {
    if let Some(code) = api::rustdoc() {
        return code;
    }
    let args: Vec<String> = std::env::args().skip(1).collect();
    let verb = args.first().map_or("", String::as_str);
    let Some((_, _, run)) = VERBS.iter().find(|(name, ..)| *name == verb) else {
        eprintln!("{}", usage());
        return ExitCode::from(2);
    };
    match run(&args[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("xtask {verb}: {why}");
            ExitCode::FAILURE
        }
    }
}

fn usage() -> String {
    let mut text = String::from("usage: cargo xtask VERB");
    for (name, what, _) in VERBS {
        text.push_str(&format!("\n  {name:<11}{what}"));
    }
    text
}

/// Prints the findings of a check; any finding is a failure.
fn settle(check: &str, findings: Vec<String>) -> Outcome {
    for finding in &findings {
        eprintln!("{finding}");
    }
    match findings.len() {
        0 => {
            println!("{check}: ok");
            Ok(())
        }
        n => Err(format!("{n} findings")),
    }
}

/// Returns a command for the `cargo` that runs this program, at the root of the workspace.
fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(tree::root());
    command
}

/// Runs a program to completion, with its output inherited.
fn succeed(command: &mut Command) -> Outcome {
    let status = command.status().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?} failed: {status}")) }
}

/// Runs a program to completion and returns its stdout.
fn output_of(command: &mut Command) -> Result<Vec<u8>, String> {
    let output = command.output().map_err(|e| format!("cannot run {command:?}: {e}"))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{command:?} failed: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}
