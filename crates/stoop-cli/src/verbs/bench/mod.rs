//! `stoop bench`: what local transports cost on this machine, and which to use for what.
//!
//! | what | where |
//! |---|---|
//! | transports and works, and which goes with which | `transport.rs`, `work.rs` |
//! | what is measured in which order, and for how long | `plan.rs` |
//! | on which processors | `placement.rs` |
//! | two processes and what they tell each other | `control.rs`, `peer.rs` |
//! | how each transport is set up, sent on and received from | `wire/` |
//! | what both processes do | `play/` |
//! | messages and how they are checked | `message.rs` |
//! | time, processor time, percentiles | `measure.rs` |
//! | what the figures say | `advice.rs` |
//! | table, JSON lines, plots, page | `render/` |
//!
//! Buffers are bounded, nothing leaves the machine, and there is no unsafe code: what needs it is a
//! crate of its own (`stoop-memory`).

mod advice;
mod control;
mod machine;
mod measure;
mod message;
mod peer;
mod placement;
mod plan;
mod play;
mod progress;
mod render;
mod report;
mod run;
mod transport;
mod trouble;
mod wire;
mod work;

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
pub(crate) use work::Work;

/// Measures, and says what came of it. Ends with [`Exit::Partial`] where something failed that
/// should have worked.
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
    let failed = report.rows.iter().any(|row| matches!(row.outcome, report::Outcome::Failed(_)));
    Ok(if failed { Exit::Partial } else { Exit::Done })
}

fn measured(flags: &Bench, plan: &Plan) -> Result<Report, Failure> {
    let directory = tempfile::Builder::new().prefix("stoop-bench-").tempdir();
    let directory = directory.map_err(|error| Failure::io("make a temporary directory", &error))?;
    // Before this process stays on one processor, or that would be all that it sees.
    let pin = placement::place(flags.pin);
    let machine = Machine::here(pin);
    if let Some((ours, _)) = pin {
        peer::stay_on(ours).map_err(|trouble| Failure::new(Exit::Failed, trouble.to_string()))?;
    }
    let rows = run::run(flags, plan, pin, directory.path())?;
    let advice = advice::advise(Rows(&rows));
    Ok(Report { machine, rows, rate: flags.rate, clients: flags.clients, advice })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let name = escaped(path.as_os_str().as_bytes());
    std::fs::write(path, text).map_err(|error| Failure::io(format!("write '{name}'"), &error))
}
