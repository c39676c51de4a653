//! The results, as a Markdown table or as JSON with the same values.

use serde_json::{Value, json};
use stoop_bench::stats::{Summary, ratios};
use stoop_bench::{Report, pin};

use crate::Options;
use crate::peers::Peer;
use crate::work::Workload;

/// The values of one relay for one workload, one for each repetition; not a number, if it failed.
pub struct Samples {
    pub workload: Workload,
    pub peer: Peer,
    pub values: Vec<f64>,
}

/// What the relay of stoop is to reach: the workload, the relay, what it is compared with, and
/// the ratio, or without a peer the value.
const TARGETS: [(Workload, Peer, Option<Peer>, f64); 6] = [
    (Workload::Bulk, Peer::StoopPlain, Some(Peer::Direct), 1.0),
    (Workload::Bulk, Peer::Stoop, Some(Peer::Direct), 0.6),
    (Workload::RoundTrip, Peer::Stoop, Some(Peer::Direct), 1.0),
    (Workload::ToTcp, Peer::Stoop, Some(Peer::Direct), 0.75),
    (Workload::Connections, Peer::Stoop, Some(Peer::Socat), 2.0),
    (Workload::Idle, Peer::Stoop, None, 40.0),
];

/// Returns the report of all samples.
pub fn of(options: &Options, samples: &[Samples], failures: Vec<String>) -> Report {
    let Options { bytes, rounds, connections, idle, .. } = options;
    Report {
        title: "Relays",
        text: format!(
            "Bulk transfers of {} MiB, {rounds} round trips of 64 B, {connections} connections one by one, \
             {idle} idle connections; {}, the relay wherever the scheduler puts it. Every byte is compared by the server. `× direct` is the value compared with that of a \
             direct connection in the same repetition (`to-tcp`: of TCP to TCP). The memory is that of the \
             relay's processes and the machine's slab, which includes the sockets of client and server.{}",
            bytes >> 20,
            pin::described(options.pin, "the server", "the client"),
            without_rows(samples),
        ),
        tables: format!("{}\n{}", table(samples), targets(samples)),
        json: to_json(options, samples),
        failures,
    }
}

/// Says which relays have no row, because they failed in some repetition.
fn without_rows(samples: &[Samples]) -> String {
    let failed = samples.iter().filter(|row| Summary::of(&row.values).is_none());
    let names: Vec<String> =
        failed.map(|row| format!("{} through {}", row.workload.name(), row.peer.name())).collect();
    if names.is_empty() { String::new() } else { format!(" Failed, so without a row: {}.", names.join(", ")) }
}

fn ratio(of: &Samples, to: Peer, all: &[Samples]) -> Option<Summary> {
    let base = all.iter().find(|other| other.workload == of.workload && other.peer == to)?;
    Summary::of(&ratios(&of.values, &base.values))
}

fn table(samples: &[Samples]) -> String {
    let mut text =
        String::from("| workload | relay | | unit | × direct |\n| --- | --- | ---: | --- | ---: |\n");
    for row in samples {
        let Some(value) = Summary::of(&row.values) else { continue };
        let ratio = ratio(row, Peer::Direct, samples).map_or("–".into(), |ratio| ratio.shown(2));
        let (workload, peer, unit) = (row.workload.name(), row.peer.name(), row.workload.unit());
        text.push_str(&format!("| {workload} | {peer} | {} | {unit} | {ratio} |\n", value.shown(2)));
    }
    text
}

fn targets(samples: &[Samples]) -> String {
    let mut text = String::from("| target | wanted | measured |\n| --- | ---: | ---: |\n");
    for (workload, peer, base, wanted) in TARGETS {
        let Some(row) = samples.iter().find(|row| row.workload == workload && row.peer == peer) else {
            continue;
        };
        let measured = match base {
            Some(base) => ratio(row, base, samples),
            None => Summary::of(&row.values),
        };
        let Some(measured) = measured else { continue };
        let at_most = matches!(workload, Workload::RoundTrip | Workload::Idle);
        let (sign, unit) = (if at_most { '≤' } else { '≥' }, base.map_or(workload.unit().into(), against));
        let name = format!("{}, {}", workload.name(), peer.name());
        text.push_str(&format!("| {name} | {sign} {wanted} {unit} | {} |\n", measured.shown(2)));
    }
    text
}

fn against(base: Peer) -> String {
    format!("× {}", base.name())
}

fn to_json(options: &Options, samples: &[Samples]) -> Value {
    let rows: Vec<Value> = samples
        .iter()
        .filter_map(|row| {
            Some(json!({
                "workload": row.workload.name(),
                "relay": row.peer.name(),
                "unit": row.workload.unit(),
                "value": Summary::of(&row.values)?.to_json(),
                "ratio_to_direct": ratio(row, Peer::Direct, samples).map(|ratio| ratio.to_json()),
            }))
        })
        .collect();
    json!({
        "bytes": options.bytes,
        "rounds": options.rounds,
        "connections": options.connections,
        "idle": options.idle,
        "results": rows,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples() -> Vec<Samples> {
        vec![
            Samples { workload: Workload::Bulk, peer: Peer::Direct, values: vec![2.0, 4.0] },
            Samples { workload: Workload::Bulk, peer: Peer::Stoop, values: vec![1.0, 3.0] },
            Samples { workload: Workload::Bulk, peer: Peer::Nginx, values: vec![1.0, f64::NAN] },
        ]
    }

    #[test]
    fn ratios_are_within_a_repetition_and_a_failure_makes_no_row() {
        let table = table(&samples());
        assert!(table.contains("| bulk | stoop | 2.00 [1.00–3.00] | GiB/s | 0.62 [0.50–0.75] |"), "{table}");
        assert!(!table.contains("nginx"), "{table}");
    }

    #[test]
    fn what_failed_is_named() {
        assert_eq!(without_rows(&samples()), " Failed, so without a row: bulk through nginx.");
        assert_eq!(without_rows(&samples()[..2]), "");
    }

    #[test]
    fn targets_that_were_measured_are_shown() {
        let text = targets(&samples());
        assert!(text.contains("| bulk, stoop | ≥ 0.6 × direct | 0.62 [0.50–0.75] |"), "{text}");
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
