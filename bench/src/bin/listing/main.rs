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

use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use machine::{Processes, Size};
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::process::compile;
use stoop_bench::stats::order;
use stoop_bench::{Report, Result, tool};

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
        tool::STOOP,
    ],
};

struct Options {
    size: Size,
    stoop: Option<String>,
}

fn main() -> ExitCode {
    let run_role = |args: &[&str]| growth::run_role(args).or_else(|| machine::run_role(args));
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> std::result::Result<Options, String> {
    let size = Size {
        processes: given.number("--processes", 200)?,
        sockets: given.number("--sockets", 50)?,
        networks: given.value("--networks", 4, |text| text.parse().ok().filter(|n| *n < 20))?,
    };
    Ok(Options { size, stoop: tool::given(given) })
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

fn measure(options: &Options, reps: usize) -> Result<Report> {
    let (size, scratch) = (&options.size, tempfile::tempdir()?);
    let tools = tools(&tool::stoop(options.stoop.as_deref())?, scratch.path())?;
    let mut results = vec![Sample::default(); tools.len()];
    let processes = Processes::start(*size, scratch.path())?;
    // The first run is not counted, since it starts with cold caches.
    for rep in 0..=reps {
        for index in order(rep, tools.len()) {
            let (run, shown) = run(&tools[index], *size)?;
            if rep > 0 {
                results[index].millis.push(run.millis);
                results[index].cpu_millis.push(run.cpu_millis);
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

/// Runs a program to completion. Returns its cost, and what it showed.
fn run(tool: &Tool, size: Size) -> Result<(tool::Run, usize)> {
    let (program, args) = tool.command.split_first().ok_or("a tool without a command")?;
    let run = tool::run(Command::new(program).args(args))?;
    let output = &run.output;
    let shown = (tool.shows)(&String::from_utf8_lossy(&output.stdout));
    // A line may be two sockets, and most tools show only those of one namespace.
    let visible = size.sockets_in_all() - size.sockets_elsewhere();
    if shown < visible / 2 {
        return Err(format!("{} shows {shown} of {visible} sockets ({})", tool.name, output.status).into());
    }
    Ok((run, shown))
}

fn tools(stoop: &str, scratch: &Path) -> Result<Vec<Tool>> {
    let stoop = |flags: &[&str]| [&[stoop, "ls"], flags].concat().iter().map(|s| s.to_string()).collect();
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
        let size = read("--networks 0 --sockets 7").map(|options| options.size);
        assert_eq!(size.map(|size| (size.networks, size.sockets)), Some((0, 7)));
        assert_eq!(read("--stoop /x").and_then(|options| options.stoop).as_deref(), Some("/x"));
        for wrong in ["--processes 0", "--sockets x", "--networks 20", "--what 1", "--stoop"] {
            assert!(read(wrong).is_none(), "{wrong}");
        }
    }
}
