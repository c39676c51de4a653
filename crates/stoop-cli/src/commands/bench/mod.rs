//! `stoop bench`: measures what local transports cost on this machine, and recommends which to use
//! for what.
//!
//! | what | file |
//! |---|---|
//! | its flags | `args.rs` |
//! | transports and workloads, and which combine | `transport.rs`, `workload.rs` |
//! | the order and duration of measurements | `plan.rs` |
//! | the processors used | `placement.rs` |
//! | the two processes and their control channel | `control.rs`, `peer.rs` |
//! | setting up, sending and receiving for each transport | `wire/` |
//! | what both processes do | `workloads/` |
//! | messages and their verification | `message.rs` |
//! | time, processor time, percentiles | `measure.rs` |
//! | recommendations | `advice.rs` |
//! | table, JSON lines, plots, page | `render/` |
//!
//! Buffers are bounded, nothing leaves the machine, and there is no unsafe code here: what needs it
//! is a crate of its own (`stoop-memory`).

mod advice;
pub(crate) mod args;
mod control;
mod error;
mod machine;
mod measure;
mod message;
mod peer;
mod placement;
mod plan;
mod progress;
mod render;
mod report;
mod run;
mod transport;
mod wire;
mod workload;
mod workloads;

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use stoop::escaped;

use crate::args::Bench;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::print;
use machine::Machine;
use plan::Plan;
use report::{Report, Rows};

pub(crate) use message::MESSAGE_BYTES;
pub(crate) use placement::Pin;
pub(crate) use transport::Transport;
pub(crate) use workload::Workload;

/// Measures, and prints the report. Returns [`Exit::Partial`] if something failed that should have
/// worked.
pub(crate) fn run(flags: &Bench) -> Outcome {
    if flags.peer {
        return peer::run();
    }
    let plan = Plan::new(flags);
    if plan.cells.is_empty() {
        return Err(Failure::usage("none of these transports does any of these works"));
    }
    let report = measured(flags, &plan)?;
    match flags.json {
        true => print(render::json::lines(&report).as_bytes())?,
        false => print(render::table::text(&report).as_bytes())?,
    }
    for (path, make) in
        [(&flags.svg, render::svg::document as fn(&Report) -> String), (&flags.html, render::html::page)]
    {
        if let Some(path) = path {
            write(path, &make(&report))?;
        }
    }
    let failed = report.rows.iter().any(|row| matches!(row.outcome, report::CellOutcome::Failed(_)));
    Ok(if failed { Exit::Partial } else { Exit::Done })
}

fn measured(flags: &Bench, plan: &Plan) -> Result<Report, Failure> {
    let directory = tempfile::Builder::new().prefix("stoop-bench-").tempdir();
    let directory = directory.map_err(|error| Failure::io("make a temporary directory", &error))?;
    // This must precede pinning this process, which would then see only that one processor.
    let pin = placement::place(flags.pin);
    let machine = Machine::here(pin);
    if let Some((ours, _)) = pin {
        peer::stay_on(ours).map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    }
    let rows = run::run(flags, plan, pin, directory.path())?;
    let advice = advice::advise(Rows(&rows));
    Ok(Report { machine, rows, rate: flags.rate, clients: flags.clients, advice })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let name = escaped(path.as_os_str().as_bytes());
    std::fs::write(path, text).map_err(|error| Failure::io(format!("write '{name}'"), &error))
}
