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
use std::process::ExitCode;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::stats::order;
use stoop_bench::{Report, pin};
use work::{Plan, Workload};

const PROGRAM: Program = Program {
    name: "blocking",
    about: "What do stoop's blocking types cost compared with raw system calls in C?",
    reps: 9,
    flags: &[
        Flag {
            name: "--rounds",
            value: Some("N"),
            help: "round trips per measurement, and ten times as many one-way messages (default 20000)",
        },
        pin::FLAG,
    ],
};

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, peers::run_role, Options::read, measure)
}

/// The options of the command line.
#[derive(Debug, PartialEq)]
struct Options {
    rounds: u64,
    pin: Option<(usize, usize)>,
}

impl Options {
    fn read(given: &Given) -> Result<Self, String> {
        Ok(Self { rounds: given.number("--rounds", 20_000)?, pin: pin::given(given)? })
    }
}

/// Runs every repetition.
fn measure(options: &Options, reps: usize) -> stoop_bench::Result<Report> {
    let processes = Processes::prepare(options.pin)?;
    let mut results = report::Samples::all();
    for rep in 0..reps {
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
        stoop_bench::progress(rep + 1, reps);
    }
    Ok(report::of(options, &results))
}
