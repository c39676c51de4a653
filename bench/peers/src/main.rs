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
use std::process::ExitCode;
use std::time::Duration;

use processes::{Processes, Sample};
use report::Results;
use role::Role;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::{Report, pin};
use workloads::{Measurement, WORKLOADS};

type Error = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Error>;

/// Longer than anything that a single process does.
const TOO_LONG: Duration = Duration::from_secs(20);

const PROGRAM: Program = Program {
    name: "peers",
    about: "How does stoop compare with other local transports, on the same workloads?",
    reps: 7,
    flags: &[
        Flag { name: "--quick", value: None, help: "short measurements, of 70 ms instead of 250" },
        Flag {
            name: "--only",
            value: Some("WORD"),
            help: "only workloads or peers with this in their name; may be repeated",
        },
    ],
};

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, run_role, Options::read, measure)
}

fn run_role(args: &[&str]) -> Option<Result<()>> {
    let (peer, role) = args.split_first()?;
    end_after(TOO_LONG);
    if let Err(error) = peers::run_as(peer, &Role::parse(role)?) {
        return Some(Err(error));
    }
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
#[derive(Debug, Default)]
struct Options {
    quick: bool,
    only: Vec<String>,
}

impl Options {
    fn read(given: &Given) -> std::result::Result<Self, String> {
        let options =
            Self { quick: given.has("--quick"), only: given.all("--only").map(str::to_owned).collect() };
        let unmatched = options.only.iter().find(|word| {
            let matches = |name: &str| name.contains(word.as_str());
            !WORKLOADS.iter().any(|one| matches(one.key) || one.peers.iter().any(|peer| matches(peer)))
        });
        unmatched.map_or(Ok(()), |word| {
            Err(format!("--only: no workload and no peer has '{word}' in its name"))
        })?;
        Ok(options)
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

/// Runs every repetition.
fn measure(options: &Options, reps: usize) -> Result<Report> {
    let cpus = pin::two_cpus().ok_or("two CPUs are needed")?;
    let processes = Processes::prepare(cpus)?;
    let mut results = Results::default();
    let mut counts = HashMap::new();
    for rep in 0..=reps {
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
        stoop_bench::progress(rep, reps);
    }
    Ok(report::of(options, &results))
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
    use stoop_bench::options::Request;

    use super::*;

    #[test]
    fn options_are_read() {
        let read = |line: &str| {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            match PROGRAM.parse(&args)? {
                Request::Measure(given) => Options::read(&given),
                Request::Help => Err("help".into()),
            }
        };
        assert!(read("--quick").unwrap().quick);
        assert_eq!(read("--only fanin --only tokio").unwrap().only, ["fanin", "tokio"]);
        for line in ["--reps 0", "--only", "--only nothing", "--fast"] {
            assert!(read(line).is_err(), "{line}");
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
