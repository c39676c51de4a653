//! Runs the tests of unsafe and concurrent code under Miri, AddressSanitizer and ThreadSanitizer,
//! as far as they are installed.
//!
//! Nothing is installed and no finding is suppressed. A tool that cannot run on this machine is
//! reported, with the reason.

use crate::nightly::Nightly;
use crate::{Outcome, settle, succeed};

/// The tests of system calls and raw memory, and of state shared by tasks or processes.
/// Documentation tests are left out: they are linked without a sanitizer's runtime.
const TESTS: &[&[&str]] = &[
    &["-p", "stoop", "--features", "stoop/tokio", "--lib", "--test", "aio", "--test", "aio_cancel"],
    &[
        "-p",
        "stoop",
        "--features",
        "stoop/tokio",
        "--test",
        "aio_contract",
        "--test",
        "descriptors",
        "--test",
        "batch",
    ],
    &["-p", "stoop-memory", "--lib", "--tests"],
];

/// Parsers, codecs and state machines without system calls, which Miri does not support.
const PURE: &[&str] = &[
    "address::tests",
    "control::",
    "diag::message",
    "bind::handover::message",
    "bind::handover::protocol",
    "frame::fd_queue",
    "frame::direct_write",
    "frame::buffer",
    "frame::decoder",
    "frame::encoder",
    "frame::native",
    "frame::delimited",
    "frame::lines",
];

/// A tool by its name, and the function that runs it.
type Tool = (&'static str, fn(&Nightly) -> Outcome);

const TOOLS: &[Tool] = &[("miri", miri), ("address", address), ("thread", thread)];

/// Runs the named tools, or all.
pub fn run(args: &[String]) -> Outcome {
    let names = || TOOLS.iter().map(|(name, _)| *name);
    if let Some(unknown) = args.iter().find(|arg| !names().any(|name| name == *arg)) {
        return Err(format!("no tool '{unknown}'; there are: {}", names().collect::<Vec<_>>().join(" ")));
    }
    let Some(nightly) = Nightly::find() else { return Ok(()) };
    let chosen = TOOLS.iter().filter(|(name, _)| args.is_empty() || args.iter().any(|arg| arg == name));
    let findings = chosen.filter_map(|(name, run)| run(&nightly).err().map(|why| format!("{name}: {why}")));
    settle("sanitize", findings.collect())
}

fn miri(nightly: &Nightly) -> Outcome {
    if !nightly.has("miri") {
        println!("not run: Miri is not installed (rustup component add --toolchain nightly miri rust-src)");
        return Ok(());
    }
    let mut command =
        nightly.cargo(&["miri", "test", "-q", "-p", "stoop", "--lib"], "", "target/sanitize/miri");
    // Property tests look for a regression file, and Miri is a hundred times slower than native
    // code.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "8");
    succeed(command.arg("--").args(PURE))
}

fn address(nightly: &Nightly) -> Outcome {
    tests(nightly, "-Zsanitizer=address", "target/sanitize/address", &[])
}

/// The standard library has to be rebuilt with it: if the sanitizer does not see a lock, it reports
/// what the lock protects as a race.
fn thread(nightly: &Nightly) -> Outcome {
    if !nightly.has_sources() {
        println!(
            "not run: ThreadSanitizer needs the sources of the standard library (rustup component add --toolchain nightly rust-src)"
        );
        return Ok(());
    }
    tests(nightly, "-Zsanitizer=thread", "target/sanitize/thread", &["-Zbuild-std"])
}

fn tests(nightly: &Nightly, flags: &str, directory: &str, options: &[&str]) -> Outcome {
    TESTS.iter().try_for_each(|selection| {
        let mut command = nightly.cargo(&["test", "-q"], flags, directory);
        succeed(command.args(options).args(*selection))
    })
}
