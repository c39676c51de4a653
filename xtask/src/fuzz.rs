//! Runs the fuzz targets under libFuzzer, each for a limited time.
//!
//! Inputs that reach new code are kept from run to run in `target/fuzz/corpus/TARGET`; the corpora
//! of the repository are read and never changed. `cargo fuzz` is not needed: its flags for the
//! compiler are below.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::nightly::Nightly;
use crate::{Outcome, output_of, settle, succeed, tree};

/// Counters at every edge and a call at every comparison: what libFuzzer learns from.
const FLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// Detects errors other than panics, at twice the time to build and to run: for longer runs than
/// those of `cargo xtask check`.
const ADDRESS: &str = "-Zsanitizer=address";

/// The directory of all output.
const DIRECTORY: &str = "target/fuzz";

/// How long each target runs by default.
pub const SECONDS: u32 = 2;

/// The number of runs of each target in `cargo xtask check`: always on the same inputs, so that a
/// check fails because of a change, and not because of a random find.
const REPEATABLE: [&str; 2] = ["-seed=1", "-runs=5000"];

/// Limits of libFuzzer: one input may take ten seconds and two gigabytes, and is a page at most.
const LIMITS: [&str; 3] = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"];

/// Runs the named targets, or all, on new inputs.
pub fn run(args: &[String]) -> Outcome {
    run_with(&arguments(args, &targets()?)?)
}

/// Runs all targets on a fixed set of inputs.
pub fn check() -> Outcome {
    run_with(&Options { repeatable: true, ..arguments(&[], &targets()?)? })
}

fn run_with(options: &Options) -> Outcome {
    let Some(nightly) = Nightly::find() else { return Ok(()) };
    let compiler = std::env::var("CXX").unwrap_or_else(|_| "c++".into());
    if output_of(Command::new(&compiler).arg("--version").stderr(Stdio::null())).is_err() {
        println!("not run: libFuzzer needs a C++ compiler, and '{compiler}' is not installed");
        return Ok(());
    }
    let build =
        ["build", "-q", "-p", "stoop-fuzz", "--features", "libfuzzer", "--bin", "all", "--profile", "fuzz"];
    let (flags, directory) = match options.address {
        true => (format!("{FLAGS} {ADDRESS}"), format!("{DIRECTORY}/address")),
        false => (FLAGS.to_owned(), DIRECTORY.to_owned()),
    };
    succeed(&mut nightly.cargo(&build, &flags, &directory))?;
    let program = PathBuf::from(directory).join(&nightly.host).join("fuzz/all");
    settle("fuzz", run_all(&program, options)?)
}

/// The name of every target: that of its corpus.
fn targets() -> Result<Vec<String>, String> {
    let entries =
        std::fs::read_dir(tree::root().join("fuzz/corpus")).map_err(|e| format!("fuzz/corpus: {e}"))?;
    let mut names: Vec<_> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

/// What to run.
#[derive(Debug, PartialEq)]
struct Options {
    /// How long each target runs.
    seconds: u32,
    /// Whether to use AddressSanitizer.
    address: bool,
    /// Whether to use only fixed inputs, from the corpora of the repository.
    repeatable: bool,
    targets: Vec<String>,
}

/// `[--seconds N] [--address] [TARGET…]`
fn arguments(args: &[String], known: &[String]) -> Result<Options, String> {
    let mut options = Options { seconds: SECONDS, address: false, repeatable: false, targets: Vec::new() };
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if arg == "--seconds" {
            let number = args.next().and_then(|number| number.parse().ok()).filter(|number| *number > 0);
            options.seconds = number.ok_or("--seconds takes a number from 1 on")?;
        } else if arg == "--address" {
            options.address = true;
        } else if known.contains(arg) {
            options.targets.push(arg.clone());
        } else {
            return Err(format!("no target '{arg}'; there are: {}", known.join(" ")));
        }
    }
    if options.targets.is_empty() {
        options.targets = known.to_vec();
    }
    Ok(options)
}

/// Runs the targets in parallel, one per processor, and returns the findings.
fn run_all(program: &Path, options: &Options) -> Result<Vec<String>, String> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let workers = std::thread::available_parallelism().map_or(1, |count| count.get());
    let work = || {
        while let Some(target) = options.targets.get(next.fetch_add(1, Ordering::Relaxed)) {
            let finding = run_one(program, options, target).err();
            found.lock().map_err(|_| "a worker panicked")?.extend(finding);
        }
        Ok::<(), &str>(())
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().unwrap_or(Err("a worker panicked")))
    })?;
    found.into_inner().map_err(|_| "a worker panicked".into())
}

/// Runs one target; the error describes an input that broke it.
fn run_one(program: &Path, options: &Options, target: &str) -> Outcome {
    let place = if options.repeatable { "check" } else { "corpus" };
    let (kept, crashes) = (format!("{DIRECTORY}/{place}/{target}"), format!("{DIRECTORY}/crashes/{target}-"));
    if options.repeatable {
        let _ = std::fs::remove_dir_all(tree::root().join(&kept));
    }
    for directory in [&kept, &format!("{DIRECTORY}/crashes")] {
        std::fs::create_dir_all(tree::root().join(directory)).map_err(|e| format!("{directory}: {e}"))?;
    }
    let mut command = Command::new(tree::root().join(program));
    command.current_dir(tree::root()).env("FUZZ_TARGET", target).args(LIMITS);
    command.args(REPEATABLE.iter().filter(|_| options.repeatable));
    command.arg(format!("-max_total_time={}", options.seconds)).arg(format!("-artifact_prefix={crashes}"));
    command.args([kept, format!("fuzz/corpus/{target}")]);
    let output = command.output().map_err(|e| format!("cannot run {}: {e}", program.display()))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        println!("{target}: {}", text.lines().last().unwrap_or("done"));
        return Ok(());
    }
    Err(finding(program, target, &text))
}

/// Describes the failure, how to reproduce it, and what to do with the input.
fn finding(program: &Path, target: &str, text: &str) -> String {
    const SHOWN_LINES: usize = 40;
    let lines: Vec<&str> = text.lines().collect();
    let end = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n");
    let input = lines.iter().find_map(|line| line.split_once("Test unit written to ")).map(|(_, path)| path);
    let next = input.map_or_else(String::new, |input| {
        format!(
            "\nagain: FUZZ_TARGET={target} {} {input}\nthen:  mend it, and mv {input} fuzz/corpus/{target}/NAME",
            program.display()
        )
    });
    format!("{end}\n{target} is broken by an input{next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn targets_and_their_time_are_read() {
        let known = strings(&["a", "b"]);
        let options =
            |seconds, address, targets| Ok(Options { seconds, address, repeatable: false, targets });
        assert_eq!(arguments(&[], &known), options(SECONDS, false, known.clone()));
        let some = strings(&["--seconds", "60", "b", "--address"]);
        assert_eq!(arguments(&some, &known), options(60, true, strings(&["b"])));
        for wrong in [&["c"][..], &["--seconds"], &["--seconds", "0"], &["--seconds", "x"]] {
            assert!(arguments(&strings(wrong), &known).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_finding_names_the_command_to_reproduce_it_and_the_corpus() {
        let text = "panicked at x\nartifact_prefix='p'; Test unit written to target/fuzz/crashes/a-crash-1\nBase64: eA==";
        let finding = finding(Path::new("target/fuzz/all"), "a", text);
        assert!(
            finding.contains("again: FUZZ_TARGET=a target/fuzz/all target/fuzz/crashes/a-crash-1\n"),
            "{finding}"
        );
        assert!(finding.ends_with("mv target/fuzz/crashes/a-crash-1 fuzz/corpus/a/NAME"), "{finding}");
    }
}
