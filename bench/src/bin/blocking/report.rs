//! The results, as a Markdown table or as JSON with the same values.

use crate::Options;
use crate::peers::Peer;
use crate::work::Workload;
use serde_json::{Value, json};
use stoop_bench::stats::{Summary, ratios};
use stoop_bench::{Report, pin};

/// The times of one peer for one workload: nanoseconds per round trip or message, one value per
/// repetition.
pub struct Samples {
    pub peer: Peer,
    pub workload: Workload,
    pub nanoseconds: Vec<f64>,
}

impl Samples {
    /// Creates an empty record for every peer and workload.
    pub fn all() -> Vec<Self> {
        let pairs = Workload::ALL.into_iter().flat_map(|w| Peer::ALL.map(|p| (p, w)));
        pairs.map(|(peer, workload)| Self { peer, workload, nanoseconds: Vec::new() }).collect()
    }
}

/// A line of the report.
struct Row {
    workload: Workload,
    peer: Peer,
    nanoseconds: Summary,
    /// The ratio to `c` in each repetition.
    ratio: Summary,
}

/// Returns the report of all samples.
pub fn of(options: &Options, samples: &[Samples]) -> Report {
    let rows: Vec<Row> = samples.iter().filter_map(|s| row(s, samples)).collect();
    Report {
        title: "Blocking streams and C",
        text: format!(
            "{} round trips of 64 B, and ten times as many one-way messages, {}. `× c` is the time compared with that of C.",
            options.rounds,
            pin::described(options.pin, "server", "client")
        ),
        tables: table(&rows),
        json: to_json(options, &rows),
        failures: Vec::new(),
    }
}

fn row(samples: &Samples, all: &[Samples]) -> Option<Row> {
    let base = all.iter().find(|s| s.workload == samples.workload && s.peer == Peer::C)?;
    Some(Row {
        workload: samples.workload,
        peer: samples.peer,
        nanoseconds: Summary::of(&samples.nanoseconds)?,
        ratio: Summary::of(&ratios(&samples.nanoseconds, &base.nanoseconds))?,
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| workload | peer | µs per message or round trip | × c |\n| --- | --- | ---: | ---: |\n",
    );
    for Row { workload, peer, nanoseconds: ns, ratio } in rows {
        text.push_str(&format!(
            "| {} | {} | {:.3} [{:.3}–{:.3}] | {:.3} [{:.3}–{:.3}] |\n",
            workload.name(),
            peer.name(),
            ns.median / 1e3,
            ns.min / 1e3,
            ns.max / 1e3,
            ratio.median,
            ratio.min,
            ratio.max,
        ));
    }
    text
}

fn to_json(options: &Options, rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "workload": row.workload.name(),
                "peer": row.peer.name(),
                "nanoseconds": row.nanoseconds.to_json(),
                "ratio_to_c": row.ratio.to_json(),
            })
        })
        .collect();
    json!({
        "rounds": options.rounds,
        "pin": options.pin.map(|(server, client)| [server, client]),
        "results": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let mut samples = Samples::all();
        for s in &mut samples {
            let factor = if s.peer == Peer::Stoop { 1.5 } else { 1.0 };
            s.nanoseconds = vec![1000.0 * factor, 3000.0 * factor];
        }
        samples.iter().filter_map(|s| row(s, &samples)).collect()
    }

    const OPTIONS: Options = Options { rounds: 10, pin: Some((0, 1)) };

    #[test]
    fn ratios_are_to_c_in_the_same_workload() {
        for row in rows() {
            assert_eq!(row.ratio.median, if row.peer == Peer::Stoop { 1.5 } else { 1.0 });
        }
    }

    #[test]
    fn table_and_json_have_the_same_values() {
        let table = table(&rows());
        assert!(
            table.contains("| pingpong | stoop | 3.000 [1.500–4.500] | 1.500 [1.500–1.500] |\n"),
            "{table}"
        );
        let json = to_json(&OPTIONS, &rows());
        let stoop = &json["results"][1];
        assert_eq!((&stoop["peer"], &stoop["workload"]), (&json!("stoop"), &json!("pingpong")));
        assert_eq!(stoop["nanoseconds"], json!({"median": 3000.0, "min": 1500.0, "max": 4500.0}));
        assert_eq!(json["pin"], json!([0, 1]));
    }

    #[test]
    fn no_samples_make_no_row() {
        let samples = Samples::all();
        assert!(row(&samples[0], &samples).is_none());
    }
}
