//! The results, as a Markdown table or as JSON with the same values.

use std::time::Duration;

use serde_json::{Value, json};
use stoop_bench::stats::{Summary, ratios};
use stoop_bench::{Report, pin};

use crate::Options;
use crate::peers::Peer;
use crate::work::Timing;

/// The times of one peer for one size: nanoseconds per message, one value per repetition.
#[derive(Clone)]
pub struct Samples {
    pub peer: Peer,
    pub message_bytes: usize,
    nanoseconds: Vec<f64>,
    /// CPU time of both processes together.
    cpu_nanoseconds: Vec<f64>,
}

impl Samples {
    /// Creates an empty record for every peer and size.
    pub fn all(sizes: &[usize]) -> Vec<Self> {
        let pairs = sizes.iter().flat_map(|&size| Peer::ALL.iter().map(move |&peer| (peer, size)));
        let (nanoseconds, cpu_nanoseconds) = (Vec::new(), Vec::new());
        let empty = Self { peer: Peer::C, message_bytes: 0, nanoseconds, cpu_nanoseconds };
        pairs.map(|(peer, message_bytes)| Self { peer, message_bytes, ..empty.clone() }).collect()
    }

    /// Adds a repetition.
    pub fn push(&mut self, timing: &Timing, messages: u64) {
        let a_message = |time: Duration| time.as_nanos() as f64 / messages as f64;
        self.nanoseconds.push(a_message(timing.wall));
        self.cpu_nanoseconds.push(a_message(timing.cpu));
    }
}

/// A line of the report.
struct Row {
    message_bytes: usize,
    peer: Peer,
    messages_per_second: Summary,
    /// The speed relative to `c` in each repetition.
    speed: Summary,
    cpu_nanoseconds: Summary,
}

/// Returns the report of all samples.
pub fn of(options: &Options, samples: &[Samples]) -> Report {
    let rows: Vec<Row> = samples.iter().filter_map(|s| row(s, samples)).collect();
    Report {
        title: "Framing and C",
        text: format!(
            "One-way throughput, {}; the receiver {}. `× c` is the speed relative to C's; CPU is that of both processes.",
            pin::described(options.pin, "receiver", "sender"),
            if options.reads_all { "reads every byte" } else { "checks number and length" }
        ),
        tables: table(&rows),
        json: to_json(options, &rows),
        failures: Vec::new(),
    }
}

fn row(samples: &Samples, all: &[Samples]) -> Option<Row> {
    let base = all.iter().find(|s| s.message_bytes == samples.message_bytes && s.peer == Peer::C)?;
    let rates: Vec<f64> = samples.nanoseconds.iter().map(|ns| 1e9 / ns).collect();
    Some(Row {
        message_bytes: samples.message_bytes,
        peer: samples.peer,
        messages_per_second: Summary::of(&rates)?,
        speed: Summary::of(&ratios(&base.nanoseconds, &samples.nanoseconds))?,
        cpu_nanoseconds: Summary::of(&samples.cpu_nanoseconds)?,
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| bytes | peer | thousand messages/s | GiB/s | × c | CPU ns per message |\n\
         | ---: | --- | ---: | ---: | ---: | ---: |\n",
    );
    for Row { message_bytes, peer, messages_per_second: rate, speed, cpu_nanoseconds: cpu } in rows {
        text.push_str(&format!(
            "| {message_bytes} | {} | {:.1} [{:.1}–{:.1}] | {:.2} | {:.2} [{:.2}–{:.2}] | {:.0} [{:.0}–{:.0}] |\n",
            peer.name(),
            rate.median / 1e3,
            rate.min / 1e3,
            rate.max / 1e3,
            rate.median * *message_bytes as f64 / f64::from(1 << 30),
            speed.median,
            speed.min,
            speed.max,
            cpu.median,
            cpu.min,
            cpu.max,
        ));
    }
    text
}

fn to_json(options: &Options, rows: &[Row]) -> Value {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "message_bytes": row.message_bytes,
                "peer": row.peer.name(),
                "messages_per_second": row.messages_per_second.to_json(),
                "speed_to_c": row.speed.to_json(),
                "cpu_nanoseconds": row.cpu_nanoseconds.to_json(),
            })
        })
        .collect();
    json!({
        "reads_every_byte": options.reads_all,
        "pin": options.pin.map(|(server, client)| [server, client]),
        "results": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options = Options { scale: 1.0, only: None, reads_all: true, pin: Some((0, 1)) };

    fn rows() -> Vec<Row> {
        let mut samples = Samples::all(&[1 << 20]);
        for s in &mut samples {
            let factor = if s.peer == Peer::Native { 0.5 } else { 1.0 };
            for nanoseconds in [1e6, 3e6] {
                let wall = Duration::from_nanos((nanoseconds * factor) as u64);
                s.push(&Timing { wall, cpu: 2 * wall }, 1);
            }
        }
        samples.iter().filter_map(|s| row(s, &samples)).collect()
    }

    #[test]
    fn half_the_time_is_twice_as_fast() {
        for row in rows() {
            assert_eq!(row.speed.median, if row.peer == Peer::Native { 2.0 } else { 1.0 });
        }
    }

    #[test]
    fn table_and_json_have_the_same_values() {
        let table = table(&rows());
        assert!(
            table.contains(
                "| 1048576 | native | 1.3 [0.7–2.0] | 1.30 | 2.00 [2.00–2.00] | 2000000 [1000000–3000000] |\n"
            ),
            "{table}"
        );
        let json = to_json(&OPTIONS, &rows());
        assert_eq!((&json["results"][1]["peer"], &json["pin"]), (&json!("native"), &json!([0, 1])));
        assert_eq!(json["results"][1]["speed_to_c"], json!({"median": 2.0, "min": 2.0, "max": 2.0}));
    }

    #[test]
    fn no_samples_make_no_row() {
        let samples = Samples::all(&[64]);
        assert!(row(&samples[0], &samples).is_none());
    }
}
