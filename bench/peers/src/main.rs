//! Compares stoop with other transports on one machine, on the same workloads, in one interleaved
//! run: `cargo xtask bench peers`.
//!
//! Every repetition runs every peer of every workload, in another order each time, in two processes
//! with a core each. Ratios are taken within a repetition, and their median is the result. Every
//! message carries its number and is checked.
//!
//! This file parses the arguments and runs the repetitions. `workloads.rs` lists the measurements
//! and the goals, `link.rs` has the workloads, `peers/` the implementations, `processes.rs` starts
//! the processes, `report.rs` prints the results.

mod link;
mod message;
mod peers;
mod processes;
mod report;
mod role;
mod workloads;

use std::collections::HashMap;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use processes::{Processes, Sample};
use report::Results;
use role::Role;
use stoop_bench::machine::Machine;
use stoop_bench::pin;
use workloads::{Measurement, WORKLOADS};

type Error = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Error>;

/// The first argument of a child process.
const ROLE: &str = "--role";

/// Longer than anything that a single process does.
const TOO_LONG: Duration = Duration::from_secs(20);

const USAGE: &str = "usage: cargo xtask bench peers [--quick] [--reps N] [--only WORD]… [--out FILE]

  --quick      three short repetitions instead of seven
  --reps N     the number of repetitions
  --only WORD  only workloads or peers with this in their name; nothing is written unless --out is given
  --out FILE   where to write the tables (default: BENCHMARKS.md of the repository)";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.first().map(String::as_str) {
        Some(ROLE) => play(&args[1..]),
        Some("--help" | "-h") => {
            println!("{USAGE}");
            Ok(())
        }
        _ => match Options::parse(&args) {
            Some(options) => measure(&options),
            None => Err(USAGE.into()),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("peers: {error}");
            ExitCode::FAILURE
        }
    }
}

fn play(args: &[String]) -> Result<()> {
    let (peer, role) = args.split_first().ok_or("invalid role")?;
    end_after(TOO_LONG);
    let role = Role::parse(role).ok_or("invalid role")?;
    peers::run_as(peer, &role)?;
    // Some libraries leave threads running.
    std::process::exit(0)
}

/// Kills this process if it has not finished by then. A thread could do the same, but it would make
/// every system call of a single-threaded process more expensive.
#[expect(unsafe_code, reason = "the standard library has no timer without a thread")]
fn end_after(time: Duration) {
    // SAFETY: it takes a number and touches no memory; the signal is not handled here.
    unsafe { libc::alarm(time.as_secs() as u32) };
}

/// The options of the command line.
#[derive(Debug)]
struct Options {
    quick: bool,
    reps: usize,
    only: Vec<String>,
    out: Option<String>,
}

impl Options {
    /// `None` for anything that does not match the usage.
    fn parse(args: &[String]) -> Option<Self> {
        let mut options = Self { quick: false, reps: 0, only: Vec::new(), out: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--quick" => options.quick = true,
                "--reps" => options.reps = args.next()?.parse().ok().filter(|reps| *reps > 0)?,
                "--only" => options.only.push(args.next()?.clone()),
                "--out" => options.out = Some(args.next()?.clone()),
                _ => return None,
            }
        }
        if options.reps == 0 {
            options.reps = if options.quick { 3 } else { 7 };
        }
        Some(options)
    }

    /// How long a measurement should last.
    fn time(&self) -> Duration {
        Duration::from_millis(if self.quick { 70 } else { 250 })
    }

    /// The selected peers of this workload.
    fn peers(&self, measurement: &Measurement) -> Vec<&'static str> {
        let matches = |name: &str| self.only.iter().any(|word| name.contains(word.as_str()));
        let names_workload = WORKLOADS.iter().any(|one| matches(one.key));
        let wanted = self.only.is_empty() || !names_workload || matches(measurement.key);
        let by_name =
            self.only.iter().any(|word| !WORKLOADS.iter().any(|one| one.key.contains(word.as_str())));
        let peers = measurement.peers.iter().enumerate();
        let peers = peers.filter(|(index, peer)| wanted && (!by_name || *index == 0 || matches(peer)));
        peers.map(|(_, peer)| *peer).collect()
    }
}

/// Runs every repetition and writes the report.
fn measure(options: &Options) -> Result<()> {
    let cpus = pin::two_cpus().ok_or("two CPUs are needed")?;
    let processes = Processes::prepare(cpus)?;
    let mut results = Results::default();
    let mut counts = HashMap::new();
    for rep in 0..=options.reps {
        for measurement in WORKLOADS {
            for peer in shuffled(options.peers(measurement), rep as u64) {
                let id = (measurement.key, peer);
                if results.has_failed(id) {
                    continue;
                }
                // A short run before the first repetition determines the number of messages.
                let messages = *counts.get(&id).unwrap_or(&probe_messages(measurement));
                match processes.run(measurement, peer, messages) {
                    Ok(sample) if rep == 0 => {
                        counts.insert(id, messages_for(options.time(), &sample));
                    }
                    Ok(sample) => results.push(id, sample),
                    // Not retried: a message that differs from what was sent is a bug.
                    Err(error) => {
                        eprintln!("{peer}, {}: {error}", measurement.key);
                        results.fail(id, &error.to_string());
                    }
                }
            }
        }
        if io::stderr().is_terminal() {
            eprint!("\rrepetition {rep} of {}\r", options.reps);
        }
    }
    let text = report::markdown(&Machine::here(), options, &results);
    let everything = options.only.is_empty();
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../BENCHMARKS.md");
    match options.out.as_deref().or(everything.then_some(default)) {
        // Keeps the sections of other programs.
        Some(path) => {
            let old = std::fs::read_to_string(path).unwrap_or_default();
            std::fs::write(path, stoop_bench::section::keep(&old, &text, &["listing"]))?;
        }
        None => print!("{text}"),
    }
    Ok(())
}

fn probe_messages(measurement: &Measurement) -> u64 {
    match measurement.message_bytes {
        ..65_536 => 2000,
        65_536..1_048_576 => 200,
        _ => 30,
    }
}

fn messages_for(time: Duration, sample: &Sample) -> u64 {
    // The first run is slow, so the number of messages of fast peers is limited.
    (time.as_nanos() as f64 / sample.nanos.max(15.0)).max(20.0) as u64
}

/// A different order for each repetition, and the same in each run of the program.
fn shuffled(mut peers: Vec<&'static str>, seed: u64) -> Vec<&'static str> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for end in (1..peers.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        peers.swap(end, (state >> 33) as usize % (end + 1));
    }
    peers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read() {
        let parse =
            |line: &str| Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("--quick").unwrap().reps, 3);
        assert_eq!(parse("--only fanin --reps 2").unwrap().only, ["fanin"]);
        for line in ["--reps 0", "--only", "fast"] {
            assert!(parse(line).is_none(), "{line}");
        }
    }

    #[test]
    fn a_shuffle_keeps_all_peers() {
        let peers = WORKLOADS[0].peers.to_vec();
        let mut mixed = shuffled(peers.clone(), 3);
        assert_ne!(mixed, shuffled(peers.clone(), 4));
        let mut all = peers;
        all.sort_unstable();
        mixed.sort_unstable();
        assert_eq!(mixed, all);
    }
}
