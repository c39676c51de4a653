//! Measures, and writes the results.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use stoop::escaped;

use super::machine::Machine;
use super::plan::Plan;
use super::results::{CellOutcome, Results, Rows};
use super::{advice, peer, placement, render, runner};
use crate::args::Bench;
use crate::exit::Exit;
use crate::failure::{Failure, Outcome};
use crate::output::print;

/// Measures, and prints the report. Returns [`Exit::Partial`] if something failed that should have
/// worked.
pub(crate) fn run(flags: &Bench) -> Outcome {
    if flags.peer {
        return peer::run();
    }
    let ending = |path: &Path| path.extension().and_then(|ending| ending.to_str().map(str::to_owned));
    if let Some(path) =
        flags.output.iter().find(|path| !matches!(ending(path).as_deref(), Some("svg" | "html")))
    {
        let name = escaped(path.as_os_str().as_bytes());
        return Err(Failure::usage(
            format!("cannot write results to '{name}'"),
            "the ending of the name says what is written: .svg or .html",
        ));
    }
    let plan = Plan::new(flags);
    if plan.cells.is_empty() {
        return Err(Failure::usage(
            "there is nothing to measure",
            "none of these transports supports any of these workloads",
        ));
    }
    let report = measured(flags, &plan)?;
    match flags.json {
        true => print(render::json::lines(&report).as_bytes())?,
        false => print(render::table::text(&report).as_bytes())?,
    }
    let is_svg = |path: &&PathBuf| ending(path).as_deref() == Some("svg");
    let (drawings, pages): (Vec<_>, Vec<_>) = flags.output.iter().partition(is_svg);
    for path in drawings.into_iter().chain(&flags.svg) {
        write(path, &render::svg::document(&report))?;
    }
    for path in pages.into_iter().chain(&flags.html) {
        write(path, &render::html::page(&report))?;
    }
    let failed = report.rows.iter().any(|row| matches!(row.outcome, CellOutcome::Failed(_)));
    Ok(if failed { Exit::Partial } else { Exit::Done })
}

fn measured(flags: &Bench, plan: &Plan) -> Result<Results, Failure> {
    let directory = tempfile::Builder::new().prefix("stoop-bench-").tempdir();
    let directory = directory.map_err(|error| Failure::io("create a temporary directory", &error))?;
    // This must precede pinning this process, which would then see only that one processor.
    let pin = placement::place(flags.pin);
    let machine = Machine::here(pin);
    if let Some((ours, _)) = pin {
        peer::stay_on(ours).map_err(|error| {
            Failure::new(Exit::Failed, "cannot pin this process to a processor").why(error.to_string())
        })?;
    }
    let rows = runner::run(flags, plan, pin, directory.path())?;
    let advice = advice::advise(Rows(&rows));
    Ok(Results { machine, rows, rate: flags.rate, clients: flags.clients, advice })
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let name = escaped(path.as_os_str().as_bytes());
    std::fs::write(path, text).map_err(|error| Failure::io(format!("write '{name}'"), &error))
}
