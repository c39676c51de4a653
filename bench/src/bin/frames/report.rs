//! The results, as a Markdown table or as JSON with the same values.

use std::time::Duration;

use serde_json::{Value, json};
use stoop_bench::machine::Machine;
use stoop_bench::stats::{Summary, ratios};

use crate::Options;
use crate::peers::Peer;
use crate::work::Timing;

/// The version of this program's JSON.
const SCHEMA: u32 = 1;

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
        let pairs = sizes.iter().flat_map(|&size| Peer::ALL.map(|peer| (peer, size)));
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

/// Prints the report on stdout.
pub fn print(machine: &Machine, options: &Options, samples: &[Samples]) {
    let rows: Vec<Row> = samples.iter().filter_map(|s| row(s, samples)).collect();
    if options.json {
        println!("{:#}", to_json(machine, options, &rows));
    } else {
        print!("{}", table(machine, options, &rows));
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

fn table(machine: &Machine, options: &Options, rows: &[Row]) -> String {
    let mut text = format!(
        "Linux {}, {} CPUs, {}; {} repetitions, {}; the receiver {}.\n\
         Medians [minimum–maximum]; × c is the speed relative to c, the median of the ratios within a repetition; CPU is that of both processes.\n\n\
         | bytes   | peer                   | thousand messages/s | GiB/s | × c | CPU ns per message |\n\
         | ------: | ---------------------- | ------------------: | ----: | --: | -----------------: |\n",
        machine.kernel,
        machine.cpus,
        machine.model,
        options.reps,
        options.pin.map_or("not pinned".to_owned(), |(server, client)| format!(
            "receiver on CPU {server}, sender on CPU {client}"
        )),
        if options.reads_all { "reads every byte" } else { "checks number and length" },
    );
    for Row { message_bytes, peer, messages_per_second: rate, speed, cpu_nanoseconds: cpu } in rows {
        text.push_str(&format!(
            "| {message_bytes:>7} | {:<22} | {:.1} [{:.1}–{:.1}] | {:.2} | {:.2} [{:.2}–{:.2}] | {:.0} [{:.0}–{:.0}] |\n",
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

fn to_json(machine: &Machine, options: &Options, rows: &[Row]) -> Value {
    let summary = |s: &Summary| json!({"median": s.median, "min": s.min, "max": s.max});
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "message_bytes": row.message_bytes,
                "peer": row.peer.name(),
                "messages_per_second": summary(&row.messages_per_second),
                "speed_to_c": summary(&row.speed),
                "cpu_nanoseconds": summary(&row.cpu_nanoseconds),
            })
        })
        .collect();
    json!({
        "schema": SCHEMA,
        "machine": {"kernel": machine.kernel, "cpus": machine.cpus, "model": machine.model},
        "repetitions": options.reps,
        "reads_every_byte": options.reads_all,
        "pin": options.pin.map(|(server, client)| [server, client]),
        "results": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: Options =
        Options { reps: 2, scale: 1.0, only: None, reads_all: true, pin: Some((0, 1)), json: false };

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
        let machine = Machine { kernel: "6.18".into(), cpus: 2, model: "Some CPU".into() };
        let table = table(&machine, &OPTIONS, &rows());
        assert!(
            table.contains("| 1048576 | native                 | 1.3 [0.7–2.0] | 1.30 | 2.00 [2.00–2.00] | 2000000 [1000000–3000000] |\n"),
            "{table}"
        );
        assert!(
            table.contains("receiver on CPU 0, sender on CPU 1; the receiver reads every byte"),
            "{table}"
        );
        let json = to_json(&machine, &OPTIONS, &rows());
        assert_eq!((&json["results"][1]["peer"], &json["schema"]), (&json!("native"), &json!(1)));
        assert_eq!(json["results"][1]["speed_to_c"], json!({"median": 2.0, "min": 2.0, "max": 2.0}));
    }

    #[test]
    fn no_samples_make_no_row() {
        let samples = Samples::all(&[64]);
        assert!(row(&samples[0], &samples).is_none());
    }
}
