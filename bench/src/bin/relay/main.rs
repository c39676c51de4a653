//! What does a relay cost, compared with a direct connection and with other programs' relays?
//!
//! ```text
//! cargo xtask bench relay [--reps 5] [--megabytes 1024] [--rounds 20000] [--connections 2000]
//! [--idle 500]
//!     [--pin S,C] [--only NAME] [--json]
//! ```
//!
//! A server process, the relay's process, and this one as the client. `stoop` is the engine of
//! `stoop relay` in a process of its own. A relay that is not installed is left out.

mod peers;
mod report;
mod work;

use std::path::Path;
use std::process::ExitCode;

use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::stats::order;
use stoop_bench::{Report, pin};

use peers::Peer;
use report::Samples;
use work::Workload;

const PROGRAM: Program = Program {
    name: "relay",
    about: "What does a relay cost, compared with a direct connection and with other relays?",
    reps: 5,
    flags: &[
        Flag {
            name: "--megabytes",
            value: Some("N"),
            help: "bytes of a bulk transfer, in MiB (default 1024)",
        },
        Flag { name: "--rounds", value: Some("N"), help: "round trips of 64 bytes (default 20000)" },
        Flag { name: "--connections", value: Some("N"), help: "connections made one by one (default 2000)" },
        Flag { name: "--idle", value: Some("N"), help: "idle connections (default 500)" },
        pin::FLAG,
        Flag { name: "--only", value: Some("NAME"), help: "only this relay or workload; may be repeated" },
    ],
};

/// What was asked for.
pub struct Options {
    bytes: u64,
    rounds: u32,
    connections: u32,
    idle: u32,
    pin: Option<(usize, usize)>,
    only: Vec<String>,
}

impl Options {
    fn wants(&self, peer: Peer, workload: Workload) -> bool {
        let given = |names: &[&str]| self.only.iter().any(|only| names.contains(&only.as_str()));
        let peers = Peer::ALL.map(Peer::name);
        let workloads = Workload::ALL.map(Workload::name);
        let peer_is_wanted = !given(&peers) || peer == Peer::Direct || given(&[peer.name()]);
        let workload_is_wanted = !given(&workloads) || given(&[workload.name()]);
        peer_is_wanted && workload_is_wanted && !(peer == Peer::Direct && workload == Workload::Idle)
    }
}

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> Result<Options, String> {
    let only: Vec<String> = given.all("--only").map(str::to_owned).collect();
    let known = |name: &String| {
        Peer::ALL.iter().any(|peer| peer.name() == name) || Workload::ALL.iter().any(|it| it.name() == name)
    };
    if let Some(unknown) = only.iter().find(|name| !known(name)) {
        return Err(format!("--only: neither a relay nor a workload: '{unknown}'"));
    }
    Ok(Options {
        bytes: given.number("--megabytes", 1024)? << 20,
        rounds: given.number("--rounds", 20_000)?,
        connections: given.number("--connections", 2000)?,
        idle: given.number("--idle", 500)?,
        pin: pin::given(given)?,
        only,
    })
}

fn run_role(args: &[&str]) -> Option<stoop_bench::Result> {
    match *args {
        ["serve", address] => Some(work::serve(address).map_err(Into::into)),
        ["relay", front, server, mode] => Some(peers::relay(Path::new(front), server, mode == "descriptors")),
        _ => None,
    }
}

fn measure(options: &Options, reps: usize) -> stoop_bench::Result<Report> {
    stoop_bench::limits::open_files(0)?;
    let peers: Vec<Peer> = Peer::ALL.into_iter().filter(|peer| peer.is_installed()).collect();
    let mut samples = Vec::new();
    let mut failures = Vec::new();
    for workload in Workload::ALL {
        for &peer in peers.iter().filter(|peer| options.wants(**peer, workload)) {
            samples.push(Samples { workload, peer, values: Vec::new() });
        }
    }
    for rep in 0..reps {
        for index in order(rep, samples.len()) {
            let Samples { workload, peer, values } = &mut samples[index];
            match work::run(options, *workload, *peer) {
                Ok(value) => values.push(value),
                Err(error) => {
                    failures.push(format!("{} through {}: {error}", workload.name(), peer.name()));
                    values.push(f64::NAN);
                }
            }
        }
        stoop_bench::progress(rep + 1, reps);
    }
    Ok(report::of(options, &samples, failures))
}
