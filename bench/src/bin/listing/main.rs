//! How long does it take to list every Unix socket of a machine, with its owners?
//!
//! ```text
//! cargo xtask bench listing [-- --reps 15 --processes 200 --sockets 50 --networks 4]
//! ```
//!
//! Builds a machine of many processes (`machine.rs`), and inspects it with `stoop ls` with its BPF
//! program and without, with `ss -xap`, with `lsof -U`, and with a C program that only reads the
//! links of file descriptors. All run to completion, with their output read and discarded. Every
//! repetition runs all of them, in another order each time, and ratios are taken within a
//! repetition. The sockets that each shows are counted: a tool that shows fewer is marked in the
//! table. Requires root. `stoop ls` then also inspects machines of a tenth and of five times the
//! sockets (`growth.rs`).
//!
//! The result is written into its section of `BENCHMARKS.md` (`report.rs`).

mod growth;
mod machine;
mod report;

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use machine::{Processes, Size};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use stoop_bench::process::compile;
use stoop_bench::section;
use stoop_bench::stats::order;

const USAGE: &str = "usage: listing [--reps N] [--processes N] [--sockets N] [--networks N] [--out FILE]

  --reps N        repetitions, each with every program (default 15)
  --processes N   processes of the machine (default 200)
  --sockets N     sockets of each (default 50)
  --networks N    additional network namespaces, each with a twentieth of the processes (default 4)
  --out FILE      the file whose section is written (default: BENCHMARKS.md of the repository)";

fn main() -> ExitCode {
    let run_role = |args: &[String]| growth::run_role(args).or_else(|| machine::run_role(args));
    stoop_bench::command(USAGE, run_role, Options::parse, measure)
}

/// The options of the command line.
#[derive(Clone, Debug, PartialEq)]
struct Options {
    reps: usize,
    size: Size,
    out: PathBuf,
}

impl Options {
    /// `None` for anything that does not match the usage.
    fn parse(args: &[String]) -> Option<Self> {
        let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../BENCHMARKS.md");
        let size = Size { processes: 200, sockets: 50, networks: 4 };
        let mut options = Options { reps: 15, size, out };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let value = args.next()?;
            let count = || value.parse().ok().filter(|n: &usize| *n > 0);
            match arg.as_str() {
                "--reps" => options.reps = count()?,
                "--processes" => options.size.processes = count()?,
                "--sockets" => options.size.sockets = count()?,
                "--networks" => options.size.networks = value.parse().ok()?,
                "--out" => options.out = value.into(),
                _ => return None,
            }
        }
        (options.size.networks < 20).then_some(options)
    }
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

fn measure(options: &Options) -> io::Result<()> {
    let scratch = tempfile::tempdir()?;
    let tools = tools(scratch.path())?;
    let mut results = vec![Sample::default(); tools.len()];
    let processes = Processes::start(options.size, scratch.path())?;
    // The first run is not counted, since it starts with cold caches.
    for rep in 0..=options.reps {
        for index in order(rep, tools.len()) {
            let before = cpu_millis()?;
            let (millis, shown) = run(&tools[index])?;
            if rep > 0 {
                results[index].millis.push(millis);
                results[index].cpu_millis.push(cpu_millis()? - before);
                let least = results[index].shown.map_or(shown, |least| least.min(shown));
                results[index].shown = Some(least);
            }
        }
    }
    drop(processes);
    let grown = growth::measure(options, &tools[0], scratch.path())?;
    let text = report::markdown(options, &tools, &results) + &growth::markdown(tools[0].name, &grown);
    println!("{text}");
    let file = std::fs::read_to_string(&options.out).unwrap_or_default();
    std::fs::write(&options.out, section::put(&file, "listing", &text))
}

/// Returns the resource usage of all exited children.
fn cpu_millis() -> io::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let millis = |time: TimeVal| time.num_microseconds() as f64 / 1e3;
    Ok(millis(usage.user_time()) + millis(usage.system_time()))
}

/// Runs a program to completion: returns milliseconds, and what it showed.
fn run(tool: &Tool) -> io::Result<(f64, usize)> {
    let (program, args) = tool.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(program);
    let begun = Instant::now();
    let output = command.args(args).stdin(Stdio::null()).stderr(Stdio::null()).output()?;
    let millis = begun.elapsed().as_secs_f64() * 1e3;
    Ok((millis, (tool.shows)(&String::from_utf8_lossy(&output.stdout))))
}

fn tools(scratch: &Path) -> io::Result<Vec<Tool>> {
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
    }
    let walk = scratch.join("walk");
    match compile("walk.c", &walk) {
        Ok(()) => tools.push(Tool {
            name: "C, readlink only",
            command: vec![walk.display().to_string()],
            shows: |text| text.trim().parse().unwrap_or(0),
        }),
        Err(error) => eprintln!("listing: no C program: {error}"),
    }
    Ok(tools)
}

/// Returns the command in its release build.
fn build_stoop() -> io::Result<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(["build", "-q", "--release", "-p", "stoop-cli"]).status()?;
    if !status.success() {
        return Err(io::Error::other("cannot build the command"));
    }
    let here = std::env::current_exe()?;
    Ok(here.with_file_name("stoop").display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_read() {
        let parse = |text: &str| Options::parse(&text.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(
            parse("--reps 3 --sockets 7").map(|options| (options.reps, options.size.sockets)),
            Some((3, 7))
        );
        for bad in ["--reps", "--reps 0", "--what 1", "--networks 20"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
