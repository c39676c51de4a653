//! What do stoop's blocking types cost compared with raw system calls in C?
//!
//! ```text
//! cargo xtask bench blocking [--reps 9] [--rounds 20000] [--pin 0,1] [--json]
//! ```
//!
//! Two workloads between two processes over a stream socket, 64 bytes per message: a ping-pong, and
//! one-way throughput with one write per message. Three peers do both: `c` (raw read and write,
//! compiled by this program), `stoop` and `std`. Every repetition runs all peers, in another order
//! each time. Ratios are taken within a repetition, and their median is the result. Every message
//! carries its number and is checked.
//!
//! By default the processes have a CPU each: left to the scheduler, both may share one, and a round
//! trip then takes a tenth of the time. That choice would hide every other difference.
//!
//! This file parses the arguments and runs the repetitions; `peers.rs` starts the processes,
//! `work.rs` has the workloads, `report.rs` prints the results.

mod peers;
mod report;
mod work;

use peers::{Peer, Processes};
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use stoop_bench::machine::Machine;
use stoop_bench::pin;
use stoop_bench::stats::order;
use work::{Plan, Workload};

const USAGE: &str = "usage: blocking [--reps N] [--rounds N] [--pin S,C|none] [--json]

  --reps N     repetitions, each with every peer and workload (default 9)
  --rounds N   round trips per measurement; ten times as many one-way messages (default 20000)
  --pin S,C    run the server on CPU S and the client on CPU C (default: the first two)
  --pin none   let the scheduler choose
  --json       print JSON instead of a table";

fn main() -> ExitCode {
    stoop_bench::command(USAGE, peers::run_role, Options::parse, measure)
}

/// The options of the command line.
#[derive(Debug, PartialEq)]
struct Options {
    reps: usize,
    rounds: u64,
    pin: Option<(usize, usize)>,
    json: bool,
}

impl Options {
    /// `None` for anything that does not match the usage.
    fn parse(args: &[String]) -> Option<Self> {
        let mut options = Self { reps: 9, rounds: 20_000, pin: pin::two_cpus(), json: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--reps" => options.reps = args.next()?.parse().ok().filter(|n| *n > 0)?,
                "--rounds" => options.rounds = args.next()?.parse().ok().filter(|n| *n > 0)?,
                "--pin" => options.pin = pin::parse(args.next()?)?,
                "--json" => options.json = true,
                _ => return None,
            }
        }
        Some(options)
    }
}

/// Runs every repetition and prints the report.
fn measure(options: &Options) -> io::Result<()> {
    let processes = Processes::prepare(options.pin)?;
    let mut results = report::Samples::all();
    for rep in 0..options.reps {
        for workload in Workload::ALL {
            let plan = Plan::new(workload, options.rounds);
            for index in order(rep, Peer::ALL.len()) {
                let peer = Peer::ALL[index];
                let timing = processes.run(peer, &plan)?;
                let samples = results.iter_mut().find(|s| s.peer == peer && s.workload == workload);
                let nanoseconds = timing.as_nanos() as f64 / plan.messages as f64;
                samples.expect("every pair has its samples").nanoseconds.push(nanoseconds);
            }
        }
        if io::stderr().is_terminal() {
            eprint!("\rrepetition {} of {}\r", rep + 1, options.reps);
        }
    }
    report::print(&Machine::here(), options, &results);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Option<Options> {
        Options::parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_read() {
        assert_eq!(parse(""), Some(Options { reps: 9, rounds: 20_000, pin: pin::two_cpus(), json: false }));
        assert_eq!(parse("--pin none").unwrap().pin, None);
        assert_eq!(
            parse("--json --pin 0,1 --reps 3 --rounds 5"),
            Some(Options { reps: 3, rounds: 5, pin: Some((0, 1)), json: true })
        );
    }

    #[test]
    fn unknown_and_invalid_options_are_refused() {
        for line in ["--reps", "--reps 0", "--reps x", "--pin 1", "--pin 0,b", "--rounds -1", "fast"] {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
