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
//! the default one. In tasks of tokio, with the larger send buffer, its own framing is compared
//! with `LengthDelimitedCodec` of tokio-util, which is not flushed after each message. Every
//! message carries its number and is checked with its length; with `--read` the receiver adds up
//! every byte of it. The clock stops when the receiver has confirmed the last message.
//!
//! Every repetition runs all peers, in another order each time; ratios are taken within a
//! repetition. By default the processes have a CPU each.
//!
//! This file parses the arguments and runs the repetitions; `peers.rs` starts the processes,
//! `work.rs` has the workload, `tasks.rs` the same in tasks, `report.rs` prints the results.

mod peers;
mod report;
#[cfg(feature = "tokio")]
mod tasks;
mod work;

use std::process::ExitCode;

use peers::{Peer, Processes};
use report::Samples;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::stats::order;
use stoop_bench::{Report, pin};
use work::{Plan, SIZES};

const PROGRAM: Program = Program {
    name: "frames",
    about: "What do messages on a stream cost, and how does the framing compare with one written in C?",
    reps: 9,
    flags: &[
        Flag { name: "--scale", value: Some("X"), help: "multiplies the number of messages (default 1)" },
        Flag {
            name: "--only",
            value: Some("BYTES"),
            help: "only messages of this size: 64, 1024, 65536 or 1048576",
        },
        Flag { name: "--read", value: None, help: "the receiver reads every byte of every message" },
        pin::FLAG,
    ],
};

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, peers::run_role, Options::read, measure)
}

/// The options of the command line.
#[derive(Debug, PartialEq)]
struct Options {
    scale: f64,
    only: Option<usize>,
    reads_all: bool,
    pin: Option<(usize, usize)>,
}

impl Options {
    fn read(given: &Given) -> Result<Self, String> {
        let scale = |text: &str| text.parse().ok().filter(|x: &f64| *x > 0.0 && x.is_finite());
        let size = |text: &str| Some(Some(text.parse().ok().filter(|bytes| SIZES.contains(bytes))?));
        Ok(Self {
            scale: given.value("--scale", 1.0, scale)?,
            only: given.value("--only", None, size)?,
            reads_all: given.has("--read"),
            pin: pin::given(given)?,
        })
    }

    fn sizes(&self) -> Vec<usize> {
        SIZES.into_iter().filter(|size| self.only.is_none_or(|only| only == *size)).collect()
    }
}

/// Runs every repetition.
fn measure(options: &Options, reps: usize) -> stoop_bench::Result<Report> {
    let processes = Processes::prepare(options.pin)?;
    let mut results = Samples::all(&options.sizes());
    for rep in 0..reps {
        for message_bytes in options.sizes() {
            let plan = Plan::new(message_bytes, options.scale, options.reads_all);
            for index in order(rep, Peer::ALL.len()) {
                let peer = Peer::ALL[index];
                let timing = processes.run(peer, &plan)?;
                let samples = results.iter_mut().find(|s| s.peer == peer && s.message_bytes == message_bytes);
                samples.expect("every pair has its samples").push(&timing, plan.messages);
            }
        }
        stoop_bench::progress(rep + 1, reps);
    }
    Ok(report::of(options, &results))
}

#[cfg(test)]
mod tests {
    use stoop_bench::options::Request;

    use super::*;

    fn read(line: &str) -> Result<Options, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        match PROGRAM.parse(&args)? {
            Request::Measure(given) => Options::read(&given),
            Request::Help => Err("help".into()),
        }
    }

    #[test]
    fn options_are_read() {
        assert_eq!(read("").unwrap().sizes(), SIZES);
        let options = read("--pin 0,1 --scale 0.5 --read --only 1024").unwrap();
        assert_eq!((options.scale, options.reads_all), (0.5, true));
        assert_eq!((options.sizes(), options.pin), (vec![1024], Some((0, 1))));
        assert_eq!(read("--pin none").unwrap().pin, None);
    }

    #[test]
    fn invalid_values_are_refused() {
        for line in ["--scale 0", "--scale x", "--scale inf", "--only 63", "--pin 1", "--pin 0,b"] {
            assert!(read(line).is_err(), "{line}");
        }
    }
}
