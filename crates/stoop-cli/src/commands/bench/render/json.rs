//! Formats the report as JSON lines, a stable interface, under the schema number of all `--json`
//! output.
//!
//! One `bench_machine`, one `bench_result` for each measurement, one `bench_advice` for each
//! recommendation.

use serde::Serialize;

use crate::commands::bench::machine::Machine;
use crate::commands::bench::measure::Figures;
use crate::commands::bench::results::{Advice, CellOutcome, Results, Row};
use crate::output::SCHEMA;

#[derive(Serialize)]
struct Line<T> {
    schema: u32,
    event: &'static str,
    #[serde(flatten)]
    what: T,
}

#[derive(Serialize)]
struct Settings<'a> {
    #[serde(flatten)]
    machine: &'a Machine,
    /// Round trips per second, if they were sent at fixed times.
    rate: Option<u32>,
    clients: u16,
}

#[derive(Serialize)]
struct Measurement<'a> {
    transport: &'static str,
    work: &'static str,
    size: usize,
    #[serde(flatten)]
    outcome: Status<'a>,
}

#[derive(Serialize)]
#[serde(tag = "status", rename_all = "snake_case")]
enum Status<'a> {
    Measured(&'a Figures),
    NotMeasured { why: &'a str },
    Failed { why: &'a str },
}

impl<'a> From<&'a Row> for Measurement<'a> {
    fn from(row: &'a Row) -> Measurement<'a> {
        let outcome = match &row.outcome {
            CellOutcome::Measured(figures) => Status::Measured(figures),
            CellOutcome::NotMeasured(why) => Status::NotMeasured { why },
            CellOutcome::Failed(why) => Status::Failed { why },
        };
        let (transport, work) = (row.cell.transport.name(), row.cell.work.name());
        Measurement { transport, work, size: row.cell.size, outcome }
    }
}

/// Returns all lines.
pub(in crate::commands::bench) fn lines(report: &Results) -> String {
    let machine = Settings { machine: &report.machine, rate: report.rate, clients: report.clients };
    let results = report.rows.iter().map(|row| line("bench_result", Measurement::from(row)));
    let advice = report.advice.iter().map(|advice: &Advice| line("bench_advice", advice));
    std::iter::once(line("bench_machine", machine)).chain(results).chain(advice).collect()
}

fn line(event: &'static str, what: impl Serialize) -> String {
    let mut line = serde_json::to_string(&Line { schema: SCHEMA, event, what }).unwrap_or_default();
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn json_lines_match_the_documentation() {
        let text = lines(&sample::results());
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().all(|line| line["schema"] == 1));
        assert_eq!(lines[0]["event"], "bench_machine");
        assert_eq!(lines[0]["is_virtual"], true);
        let stream = r#"{"schema":1,"event":"bench_result","transport":"stream","work":"ping-pong","size":64,"status":"measured","messages":1000,"per_second":15000.0,"cpu_us":50.0,"latency":{"p50_us":66.0,"p90_us":80.0,"p99_us":170.0,"p999_us":400.0,"max_us":900.0}}"#;
        assert_eq!(text.lines().nth(1), Some(stream));
        let missing = lines.iter().find(|line| line["status"] == "not_measured").unwrap();
        assert!(missing["why"].as_str().unwrap().contains("msgmax"));
        let advice = lines.iter().find(|line| line["event"] == "bench_advice").unwrap();
        assert_eq!(advice["use"][0], "stream+spin");
    }
}
