//! How long does `stoop who` take for a server with ten thousand clients?
//!
//! ```text
//! cargo xtask bench who [--reps 15] [--connections 10000] [--stoop PATH] [--json]
//! ```
//!
//! A process listens and accepts, and another one holds the clients, so that the machine has twice
//! as many sockets as connections. `stoop who` is asked for the server's address, and for all
//! sockets of its process: as text, which shows twenty and their number, as all text, and as JSON.
//! Every repetition runs all of them, in another order each time, with their output read.

use std::io::{self, Read};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use serde_json::json;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::process::Process;
use stoop_bench::stats::{Summary, order};
use stoop_bench::{Report, Result, limits, tool};

const PROGRAM: Program = Program {
    name: "who",
    about: "How long does stoop who take for a server with ten thousand clients?",
    reps: 15,
    flags: &[
        Flag { name: "--connections", value: Some("N"), help: "connections of the server (default 10000)" },
        tool::STOOP,
    ],
};

/// The roles of the processes: the server, and its clients.
const SERVE: &str = "serve";
const CONNECT: &str = "connect";

/// The most that a page for people may take, in milliseconds.
const TARGET_MILLIS: f64 = 500.0;

struct Options {
    connections: usize,
    stoop: Option<String>,
}

/// A way to ask, and whether the target applies to it.
struct Question {
    name: &'static str,
    args: Vec<String>,
    has_target: bool,
}

/// Milliseconds, and those of the processor, in each repetition.
#[derive(Clone, Default)]
struct Sample {
    millis: Vec<f64>,
    cpu_millis: Vec<f64>,
}

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> std::result::Result<Options, String> {
    Ok(Options { connections: given.number("--connections", 10_000)?, stoop: tool::given(given) })
}

fn run_role(args: &[&str]) -> Option<Result> {
    match *args {
        [SERVE, path, count] => Some(serve(Path::new(path), count.parse().ok()?)),
        [CONNECT, path, count] => Some(connect(Path::new(path), count.parse().ok()?)),
        _ => None,
    }
}

/// Accepts this many clients, and keeps them until stdin is closed.
fn serve(path: &Path, count: usize) -> Result {
    limits::open_files(count + 64)?;
    let listener = UnixListener::bind(path)?;
    println!("listening");
    let _clients = (0..count).map(|_| Ok(listener.accept()?.0)).collect::<io::Result<Vec<_>>>()?;
    println!("accepted");
    wait_for_end()
}

/// Connects this many clients, and keeps them until stdin is closed.
fn connect(path: &Path, count: usize) -> Result {
    limits::open_files(count + 64)?;
    let _clients = (0..count).map(|_| UnixStream::connect(path)).collect::<io::Result<Vec<_>>>()?;
    println!("connected");
    wait_for_end()
}

fn wait_for_end() -> Result {
    io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

fn measure(options: &Options, reps: usize) -> Result<Report> {
    let stoop = tool::stoop(options.stoop.as_deref())?;
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("app.sock");
    let path = path.to_str().ok_or("a path that is text")?;
    let count = options.connections.to_string();
    let start = |role: &str| -> Result<Process> {
        let mut command = stoop_bench::role(&[role, path, &count])?;
        Ok(Process::start(command.stdin(Stdio::piped()), None)?)
    };
    let mut server = start(SERVE)?;
    server.line()?;
    let mut clients = start(CONNECT)?;
    if clients.line()? != "connected" {
        return Err("the clients did not connect".into());
    }
    let questions = questions(path, server.id());
    let mut samples = vec![Sample::default(); questions.len()];
    // The first run is not counted, since it starts with cold caches.
    for rep in 0..=reps {
        for index in order(rep, questions.len()) {
            let run = ask(&stoop, &questions[index])?;
            if rep > 0 {
                samples[index].millis.push(run.millis);
                samples[index].cpu_millis.push(run.cpu_millis);
            }
        }
        stoop_bench::progress(rep, reps);
    }
    Ok(report(options.connections, &questions, &samples))
}

fn questions(path: &str, server: u32) -> Vec<Question> {
    let process = format!("pid:{server}");
    let question = |name, args: &[&str], has_target| Question {
        name,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        has_target,
    };
    vec![
        question("who ADDRESS", &[path], true),
        question("who pid:SERVER", &[&process], true),
        question("who pid:SERVER --all", &[&process, "--all"], false),
        question("who pid:SERVER --json", &[&process, "--json"], false),
    ]
}

/// Runs the command to completion.
fn ask(stoop: &str, question: &Question) -> Result<tool::Run> {
    let run = tool::run(Command::new(stoop).arg("who").args(&question.args))?;
    if !run.output.status.success() || run.output.stdout.is_empty() {
        let said = String::from_utf8_lossy(&run.output.stderr);
        return Err(format!("{} failed ({}): {said}", question.name, run.output.status).into());
    }
    Ok(run)
}

fn report(connections: usize, questions: &[Question], samples: &[Sample]) -> Report {
    let (mut tables, mut results) = (String::from(HEADING), Vec::new());
    for (question, sample) in questions.iter().zip(samples) {
        let (Some(millis), Some(cpu)) = (Summary::of(&sample.millis), Summary::of(&sample.cpu_millis)) else {
            continue;
        };
        let target = match question.has_target {
            false => "",
            true if millis.median <= TARGET_MILLIS => "≤ 500: met",
            true => "≤ 500: **missed**",
        };
        tables.push_str(&format!(
            "| {} | {:.0} [{:.0}–{:.0}] | {:.0} | {target} |\n",
            question.name, millis.median, millis.min, millis.max, cpu.median
        ));
        let (name, millis, cpu) = (question.name, millis.to_json(), cpu.to_json());
        results.push(json!({"question": name, "milliseconds": millis, "cpu_milliseconds": cpu}));
    }
    Report {
        title: "A server with many clients",
        text: format!(
            "{connections} connections between two processes. Text shows twenty sockets and how many more there are; \
             `--all` and JSON have a page or a line for each."
        ),
        tables,
        json: json!({"connections": connections, "results": results}),
        failures: Vec::new(),
    }
}

const HEADING: &str = "| command | ms | CPU ms | target |\n| --- | ---: | ---: | --- |\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_for_pages_that_are_read() {
        let questions = questions("/x", 7);
        let slow = Sample { millis: vec![700.0, 800.0, 900.0], cpu_millis: vec![1.0; 3] };
        let text = report(9, &questions, &vec![slow; questions.len()]).tables;
        assert!(text.contains("| who ADDRESS | 800 [700–900] | 1 | ≤ 500: **missed** |"), "{text}");
        assert!(text.contains("| who pid:SERVER --json | 800 [700–900] | 1 |  |"), "{text}");
    }
}
