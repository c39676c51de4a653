//! How long does it take to list every Unix socket of a machine, with its owners?
//!
//! ```text
//! cargo xtask bench listing [--reps 15] [--processes 200] [--sockets 50] [--networks 4] [--json]
//! ```
//!
//! Builds a machine of many processes (`machine.rs`), and inspects it with `stoop ls` with its BPF
//! program and without, with `ss -xap`, with `lsof -U`, and with a C program that only reads the
//! links of file descriptors. All run to completion, with their output read and discarded. Every
//! repetition runs all of them, in another order each time, and ratios are taken within a
//! repetition. The sockets that each shows are counted: a tool that shows fewer is marked in the
//! table. Requires root. `stoop ls` then also inspects machines of a tenth and of five times the
//! sockets (`growth.rs`).

mod growth;
mod machine;
mod report;

use std::io;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use machine::{Processes, Size};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::process::{build_stoop, compile};
use stoop_bench::stats::order;
use stoop_bench::{Report, Result};

const PROGRAM: Program = Program {
    name: "listing",
    about: "How long does it take to list every Unix socket of a machine, with its owners? Requires root.",
    reps: 15,
    flags: &[
        Flag { name: "--processes", value: Some("N"), help: "processes of the machine (default 200)" },
        Flag { name: "--sockets", value: Some("N"), help: "sockets of each (default 50)" },
        Flag {
            name: "--networks",
            value: Some("N"),
            help: "additional network namespaces, each with a twentieth of the processes (default 4)",
        },
    ],
};

fn main() -> ExitCode {
    let run_role = |args: &[&str]| growth::run_role(args).or_else(|| machine::run_role(args));
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> std::result::Result<Size, String> {
    Ok(Size {
        processes: given.number("--processes", 200)?,
        sockets: given.number("--sockets", 50)?,
        networks: given.value("--networks", 4, |text| text.parse().ok().filter(|n| *n < 20))?,
    })
}

/// A program that inspects the machine.
pub struct Tool {
    /// Its name in the tables.
    pub name: &'static str,
    command: Vec<String>,
    /// Returns how much of the machine an output shows.
    pub shows: fn(&str) -> usize,
}

/// The cost of a program, and what it showed.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Milliseconds in each repetition.
    pub millis: Vec<f64>,
    /// Milliseconds of processor time.
    pub cpu_millis: Vec<f64>,
    /// The smallest output of all repetitions.
    pub shown: Option<usize>,
}

fn measure(size: &Size, reps: usize) -> Result<Report> {
    let scratch = tempfile::tempdir()?;
    let tools = tools(scratch.path())?;
    let mut results = vec![Sample::default(); tools.len()];
    let processes = Processes::start(*size, scratch.path())?;
    // The first run is not counted, since it starts with cold caches.
    for rep in 0..=reps {
        for index in order(rep, tools.len()) {
            let before = cpu_millis()?;
            let (millis, shown) = run(&tools[index], *size)?;
            if rep > 0 {
                results[index].millis.push(millis);
                results[index].cpu_millis.push(cpu_millis()? - before);
                let least = results[index].shown.map_or(shown, |least| least.min(shown));
                results[index].shown = Some(least);
            }
        }
        stoop_bench::progress(rep, reps);
    }
    drop(processes);
    let grown = growth::measure(*size, reps, &tools[0], scratch.path())?;
    Ok(Report {
        title: "Listing every Unix socket",
        text: report::text(*size),
        tables: report::tables(&tools, &results) + &growth::markdown(tools[0].name, &grown),
        json: report::to_json(*size, &tools, &results, &grown),
        failures: Vec::new(),
    })
}

/// Returns the resource usage of all exited children.
fn cpu_millis() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let millis = |time: TimeVal| time.num_microseconds() as f64 / 1e3;
    Ok(millis(usage.user_time()) + millis(usage.system_time()))
}

/// Runs a program to completion: returns milliseconds, and what it showed.
fn run(tool: &Tool, size: Size) -> Result<(f64, usize)> {
    let (program, args) = tool.command.split_first().ok_or("a tool without a command")?;
    let mut command = Command::new(program);
    let begun = Instant::now();
    let output = command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).output();
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    let output = output.map_err(|error| format!("cannot run {}: {error}", tool.name))?;
    let shown = (tool.shows)(&String::from_utf8_lossy(&output.stdout));
    // A line may be two sockets, and most tools show only those of one namespace.
    let visible = size.sockets_in_all() - size.sockets_elsewhere();
    if shown < visible / 2 {
        return Err(format!("{} shows {shown} of {visible} sockets ({})", tool.name, output.status).into());
    }
    Ok((millis, shown))
}

fn tools(scratch: &Path) -> Result<Vec<Tool>> {
    let stoop = build_stoop()?;
    let stoop =
        |flags: &[&str]| [&[stoop.as_str(), "ls"], flags].concat().iter().map(|s| s.to_string()).collect();
    let words = |command: &str| command.split(' ').map(str::to_owned).collect();
    let mut tools = vec![
        Tool { name: "stoop ls", command: stoop(&["--all", "--each"]), shows: report::lines },
        Tool {
            name: "stoop ls --no-bpf",
            command: stoop(&["--all", "--each", "--no-bpf"]),
            shows: report::lines,
        },
        Tool { name: "stoop ls --json", command: stoop(&["--json"]), shows: |text| text.lines().count() },
        Tool { name: "ss -xap", command: words("ss -xap"), shows: report::lines },
    ];
    if Command::new("lsof").arg("-v").stderr(Stdio::null()).status().is_ok() {
        tools.push(Tool { name: "lsof -U", command: words("lsof -nP -U"), shows: report::lines });
    } else {
        eprintln!("not measured: lsof is not installed");
    }
    let walk = scratch.join("walk");
    compile("walk.c", &walk)?;
    tools.push(Tool {
        name: "C, readlink only",
        command: vec![walk.display().to_string()],
        shows: |text| text.trim().parse().unwrap_or(0),
    });
    Ok(tools)
}

#[cfg(test)]
mod tests {
    use stoop_bench::options::Request;

    use super::*;

    #[test]
    fn arguments_are_read() {
        let read = |line: &str| match PROGRAM.parse(&line.split(' ').map(str::to_owned).collect::<Vec<_>>()) {
            Ok(Request::Measure(given)) => read(&given).ok(),
            _ => None,
        };
        assert_eq!(read("--networks 0 --sockets 7").map(|size| (size.networks, size.sockets)), Some((0, 7)));
        for wrong in ["--processes 0", "--sockets x", "--networks 20", "--what 1"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
