//! The results, as the section of `BENCHMARKS.md`. Pure.

use std::fmt::Write;
use std::time::Duration;

use serde_json::{Value, json};
use stoop_bench::Report;
use stoop_bench::stats::{Summary, ratios};

/// The goal: how fast stoop is at least, relative to what it is compared with.
const TARGET: f64 = 1.0;

/// The explanations of goals that were missed, by the measurement.
const REASONS: &[(&str, &str)] = &[(
    "HTTP connections/s",
    "Of the 105 µs that a connection took while both processes were traced (`perf record` of system calls and wake-ups, \
     `chrt --fifo 1`, 14,000 connections), stoop's client runs 16.7 µs of its own code (hyper's: 16.3 µs) and its server 18.4 µs \
     (16.4 µs): for limits, the drain, idle time, the caller, and the bytes that explain an error. It saves a `shutdown` on each \
     side, a `getsockopt` and an `epoll_wait`. A wake-up of the other process costs its caller 15 µs in this virtual machine. \
     The server is woken when its response is read, and again when the next client connects, if it sleeps again by \
     then: by 36 % of stoop's clients and 14 % of hyper's, which connect 0.6 µs sooner. That is 3 µs on average, more \
     than all other differences.",
)];

/// The results of one measurement.
pub struct Row {
    what: &'static str,
    alone: Summary,
    /// The speed of stoop's server, relative to the other library alone.
    served: Summary,
    /// The speed of stoop's client and server.
    both: Summary,
}

impl Row {
    /// Returns the results from the rates of all sides.
    pub fn of(what: &'static str, [alone, served, both]: &[Vec<f64>; 3]) -> Option<Row> {
        let relative = |rates: &[f64]| Summary::of(&ratios(rates, alone));
        Some(Row { what, alone: Summary::of(alone)?, served: relative(served)?, both: relative(both)? })
    }

    fn verdict(&self) -> &'static str {
        // A difference of half a percent is not measured in this number of repetitions.
        if self.served.median >= TARGET - 0.005 { "met" } else { "**missed**" }
    }

    fn to_json(&self) -> Value {
        json!({
            "measurement": self.what,
            "alone_per_second": self.alone.to_json(),
            "server_ratio": self.served.to_json(),
            "both_ratio": self.both.to_json(),
        })
    }
}

/// Returns the section; `authority` is what its inspection costs, valid and rewritten.
pub fn report(calls: u64, rows: &[Row], (valid, rewritten): (Duration, Duration)) -> Report {
    Report {
        title: "gRPC and HTTP, tonic and hyper",
        text: format!(
            "{calls} calls of 64 B, each process a runtime of one thread on its own CPU. Two columns are speeds relative to \
             the first one, in which both processes use tonic or hyper alone. The target, {TARGET} × as fast, is that of \
             stoop's server with the same client. Inspecting `:authority` costs {valid:?} per connection if it is valid, and \
             {rewritten:?} per request if it has to be rewritten."
        ),
        tables: tables(rows),
        json: json!({
            "calls": calls,
            "authority_nanoseconds": {"valid": valid.as_nanos() as u64, "rewritten": rewritten.as_nanos() as u64},
            "results": rows.iter().map(Row::to_json).collect::<Vec<_>>(),
        }),
        failures: Vec::new(),
    }
}

fn tables(rows: &[Row]) -> String {
    let mut text = String::from(
        "| | tonic or hyper alone | server: stoop | both: stoop | |\n| --- | ---: | ---: | ---: | --- |\n",
    );
    for row in rows {
        let (alone, served, both) = (row.alone.shown(0), row.served.shown(3), row.both.shown(3));
        let _ = writeln!(text, "| {} | {alone} | {served} | {both} | {} |", row.what, row.verdict());
    }
    let is_slower = |row: &Row| row.served.median < TARGET || row.both.median < TARGET;
    for (what, reason) in
        REASONS.iter().filter(|(what, _)| rows.iter().any(|row| row.what == *what && is_slower(row)))
    {
        let _ = write!(text, "\n{what}: {reason}\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_that_of_the_server() {
        let row = |what, served, both| Row::of(what, &[vec![100.0, 200.0], served, both]).unwrap();
        let rows = [
            row("gRPC connections/s", vec![100.0, 201.0], vec![90.0, 180.0]),
            row("HTTP connections/s", vec![98.0, 196.0], vec![99.0, 198.0]),
        ];
        let text = tables(&rows);
        let line = |what: &str| text.lines().find(|line| line.starts_with(&format!("| {what}"))).unwrap();
        assert!(line("gRPC").ends_with("| 1.003 [1.000–1.005] | 0.900 [0.900–0.900] | met |"), "{text}");
        assert!(
            line("HTTP").ends_with("| 0.980 [0.980–0.980] | 0.990 [0.990–0.990] | **missed** |"),
            "{text}"
        );
        assert!(
            text.contains("\nHTTP connections/s: Of the") && !text.contains("gRPC connections/s: "),
            "{text}"
        );
    }
}
