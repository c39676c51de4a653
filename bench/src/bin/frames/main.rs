//! What do messages on a stream cost, and how does the framing compare with one written in C?
//!
//! ```text
//! cargo xtask bench frames [--reps 9] [--scale 1] [--only 64] [--read] [--pin 0,1] [--json]
//! ```
//!
//! One-way messages between two processes, of 64 B, 1 KiB, 64 KiB and 1 MiB. The baseline is C with
//! a four-byte length: 256 small messages per write, and one `writev` per large message with the
//! socket's default buffers. It is compared with `stoop::frame` in its own framing and with a u32
//! length, with a larger send buffer as its documentation recommends, and in its own framing with
//! the default one. Every message carries its number and is checked with its length; with `--read`
//! the receiver adds up every byte of it. The clock stops when the receiver has confirmed the last
//! message.
//!
//! Every repetition runs all peers, in another order each time; ratios are taken within a
//! repetition. By default the processes have a CPU each.
//!
//! This file parses the arguments and runs the repetitions; `peers.rs` starts the processes,
//! `work.rs` has the workload, `report.rs` prints the results.

mod peers;
mod report;
mod work;

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use peers::{Peer, Processes};
use report::Samples;
use stoop_bench::machine::Machine;
use stoop_bench::pin;
use stoop_bench::stats::order;
use work::{Plan, SIZES};

const USAGE: &str = "usage: frames [--reps N] [--scale X] [--only BYTES] [--read] [--pin S,C|none] [--json]

  --reps N      repetitions, each with every peer and size (default 9)
  --scale X     multiplies the number of messages (default 1)
  --only BYTES  only messages of this size: 64, 1024, 65536 or 1048576
  --read        the receiver reads every byte of every message
  --pin S,C     run the receiver on CPU S and the sender on CPU C (default: the first two)
  --pin none    let the scheduler choose
  --json        print JSON instead of a table";

fn main() -> ExitCode {
    stoop_bench::command(USAGE, peers::run_role, Options::parse, measure)
}

/// The options of the command line.
#[derive(Debug, PartialEq)]
struct Options {
    reps: usize,
    scale: f64,
    only: Option<usize>,
    reads_all: bool,
    pin: Option<(usize, usize)>,
    json: bool,
}

impl Options {
    /// `None` for anything that does not match the usage.
    fn parse(args: &[String]) -> Option<Self> {
        let mut options =
            Self { reps: 9, scale: 1.0, only: None, reads_all: false, pin: pin::two_cpus(), json: false };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--reps" => options.reps = args.next()?.parse().ok().filter(|n| *n > 0)?,
                "--scale" => options.scale = args.next()?.parse().ok().filter(|x| *x > 0.0)?,
                "--only" => options.only = Some(args.next()?.parse().ok().filter(|n| SIZES.contains(n))?),
                "--read" => options.reads_all = true,
                "--pin" => options.pin = pin::parse(args.next()?)?,
                "--json" => options.json = true,
                _ => return None,
            }
        }
        Some(options)
    }

    fn sizes(&self) -> Vec<usize> {
        SIZES.into_iter().filter(|size| self.only.is_none_or(|only| only == *size)).collect()
    }
}

/// Runs every repetition and prints the report.
fn measure(options: &Options) -> io::Result<()> {
    let processes = Processes::prepare(options.pin)?;
    let mut results = Samples::all(&options.sizes());
    for rep in 0..options.reps {
        for message_bytes in options.sizes() {
            let plan = Plan::new(message_bytes, options.scale, options.reads_all);
            for index in order(rep, Peer::ALL.len()) {
                let peer = Peer::ALL[index];
                let timing = processes.run(peer, &plan)?;
                let samples = results.iter_mut().find(|s| s.peer == peer && s.message_bytes == message_bytes);
                samples.expect("every pair has its samples").push(&timing, plan.messages);
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
        assert_eq!(parse("").unwrap().sizes(), SIZES);
        let options = parse("--json --pin 0,1 --reps 3 --scale 0.5 --read --only 1024").unwrap();
        assert_eq!((options.reps, options.scale, options.reads_all, options.json), (3, 0.5, true, true));
        assert_eq!((options.sizes(), options.pin), (vec![1024], Some((0, 1))));
        assert_eq!(parse("--pin none").unwrap().pin, None);
    }

    #[test]
    fn unknown_and_invalid_options_are_refused() {
        for line in
            ["--reps", "--reps 0", "--scale 0", "--scale x", "--only 63", "--pin 1", "--pin 0,b", "fast"]
        {
            assert_eq!(parse(line), None, "{line}");
        }
    }
}
