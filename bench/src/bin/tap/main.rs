//! What does a capture cost the processes that are watched, and does it keep up?
//!
//! ```text
//! cargo xtask bench tap [--reps 9] [--messages 300000] [--pin 0,1] [--json]
//! ```
//!
//! A sender and a receiver transfer messages of 64 bytes over a stream: in one thread, of which the
//! fastest batch counts, then in two processes as fast as they go, and at two rates. Meanwhile
//! nothing is selected, or another socket or user is captured, or this socket without contents or
//! with them, or the receiver is traced with strace. The capturing process, which may run on any
//! CPU, puts the events in order, follows the connection and formats a line for each message.

mod watch;
mod work;

use std::process::ExitCode;

use serde_json::json;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::stats::{Summary, order, ratios};
use stoop_bench::{Report, Result, pin};

use watch::{WATCHERS, Watcher};
use work::{PACES, Pace};

const PROGRAM: Program = Program {
    name: "tap",
    about: "What does a capture cost the processes that are watched, and does it keep up?",
    reps: 9,
    flags: &[
        Flag { name: "--messages", value: Some("N"), help: "messages of each measurement (default 300000)" },
        pin::FLAG,
    ],
};

/// What is measured with.
#[derive(Clone, Copy)]
pub struct Setup {
    messages: u64,
    pin: Option<(usize, usize)>,
}

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> std::result::Result<Setup, String> {
    Ok(Setup { messages: given.number("--messages", 300_000)?, pin: pin::given(given)? })
}

fn run_role(args: &[&str]) -> Option<Result> {
    work::run_role(args).or_else(|| watch::run_role(args))
}

/// The samples of one watcher at one pace.
#[derive(Default)]
struct Samples {
    /// Messages in a second.
    rates: Vec<f64>,
    /// The part of the messages that the watcher saw.
    seen: Vec<f64>,
    /// The part of them that it reported as lost.
    lost: Vec<f64>,
}

fn measure(setup: &Setup, reps: usize) -> Result<Report> {
    let mut all: Vec<Vec<Samples>> =
        PACES.iter().map(|_| WATCHERS.iter().map(|_| Samples::default()).collect()).collect();
    let mut failures = Vec::new();
    for rep in 0..reps {
        for (pace, samples) in PACES.iter().zip(&mut all) {
            for index in order(rep, WATCHERS.len()) {
                let watcher = &WATCHERS[index];
                if watcher.is_slow && pace.rate.is_some() {
                    continue;
                }
                match work::run(setup, pace, watcher) {
                    Ok(run) => samples[index].add(&run),
                    Err(error) if rep == 0 => failures.push(format!("{}: {error}", watcher.name)),
                    Err(_) => {}
                }
            }
        }
        stoop_bench::progress(rep + 1, reps);
    }
    let mut tables = String::new();
    let mut results = Vec::new();
    for (pace, samples) in PACES.iter().zip(&all) {
        table(pace, samples, &mut tables, &mut results);
    }
    tables.push_str(&targets(&all));
    Ok(Report {
        title: "Capturing",
        text: format!(
            "{} messages of 64 bytes; {}. Seen and lost are the parts of the messages that the capture reported \
             and counted.",
            setup.messages,
            pin::described(setup.pin, "receiver", "sender")
        ),
        tables,
        json: json!({"messages": setup.messages, "results": results}),
        failures,
    })
}

impl Samples {
    fn add(&mut self, run: &work::Run) {
        self.rates.push(run.rate);
        if let Some((seen, lost)) = run.watched {
            self.seen.push(seen);
            self.lost.push(lost);
        }
    }
}

/// What a capture may cost: the pace, the watcher, and the rate relative to not captured.
const TARGETS: [(usize, usize, f64); 2] = [(0, 2, 0.98), (2, 4, 0.9)];

fn targets(all: &[Vec<Samples>]) -> String {
    let mut text =
        String::from("\n| workload | captured | target | measured | |\n| --- | --- | ---: | ---: | --- |\n");
    for (pace, watcher, target) in TARGETS {
        let (own, nothing) = (&all[pace][watcher].rates, &all[pace][0].rates);
        let Some(ratio) = Summary::of(&ratios(own, nothing)).filter(|_| own.len() == nothing.len()) else {
            continue;
        };
        let verdict = if ratio.median >= target { "met" } else { "**missed**" };
        let (pace, watcher) = (PACES[pace].name, WATCHERS[watcher].name);
        text.push_str(&format!("| {pace} | {watcher} | ≥ {target} × | {} | {verdict} |\n", ratio.shown(3)));
    }
    text
}

fn table(pace: &Pace, samples: &[Samples], tables: &mut String, results: &mut Vec<serde_json::Value>) {
    tables.push_str(&format!(
        "\n{}:\n\n| captured | ns a message | rate relative to not captured | seen | lost |\n| --- | ---: | ---: | ---: | ---: |\n",
        pace.name
    ));
    for (Watcher { name, .. }, own) in WATCHERS.iter().zip(samples) {
        if own.rates.is_empty() || own.rates.len() != samples[0].rates.len() {
            continue;
        }
        let nanoseconds: Vec<f64> = own.rates.iter().map(|rate| 1e9 / rate).collect();
        let nanoseconds = Summary::of(&nanoseconds);
        let ratio = Summary::of(&ratios(&own.rates, &samples[0].rates));
        let (seen, lost) = (Summary::of(&own.seen), Summary::of(&own.lost));
        let shown =
            |summary: &Option<Summary>, digits| summary.map_or(String::new(), |all| all.shown(digits));
        tables.push_str(&format!(
            "| {name} | {} | {} | {} | {} |\n",
            shown(&nanoseconds, 0),
            shown(&ratio, 3),
            shown(&seen, 3),
            shown(&lost, 3),
        ));
        let value = |summary: Option<Summary>| summary.map(|all| all.to_json());
        results.push(json!({
            "pace": pace.name,
            "captured": name,
            "nanoseconds": value(nanoseconds),
            "ratio": value(ratio),
            "seen": value(seen),
            "lost": value(lost),
        }));
    }
}
