//! What do the counters of `stoop top` cost the processes whose sockets are counted, and a look?
//!
//! ```text
//! cargo xtask bench top [--reps 15] [--messages 200000] [--connections 5000] [--json]
//! ```
//!
//! Two pinned processes exchange messages of 64 bytes over a stream, without and with counters, in
//! changing order. Then the counters of idle connections are read. Root is required.

use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::json;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::process::Process;
use stoop_bench::stats::{Summary, order, ratios};
use stoop_bench::{Report, Result, limits, pin};
use stoop_tap::{Counters, SocketCounts};

const PROGRAM: Program = Program {
    name: "top",
    about: "What do the counters of stoop top cost, and a look at them?",
    reps: 15,
    flags: &[
        Flag { name: "--messages", value: Some("N"), help: "messages of each run (default 200000)" },
        Flag { name: "--connections", value: Some("N"), help: "connections of the look (default 5000)" },
        pin::FLAG,
    ],
};

const SERVE: &str = "serve";
const CONNECT: &str = "connect";
const LEN: usize = 64;
/// The throughput that counting may leave.
const TARGET: f64 = 0.97;
/// How the messages are sent: as fast as both ends can, back and forth, or so many a second.
const WORKLOADS: [(&str, &str); 3] =
    [("one way", "one-way"), ("ping-pong", "ping-pong"), ("one way, 100,000 a second", "paced")];
const PACE_NS: u64 = 10_000;

struct Options {
    messages: usize,
    connections: usize,
    pin: Option<(usize, usize)>,
}

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> std::result::Result<Options, String> {
    Ok(Options {
        messages: given.number("--messages", 200_000)?,
        connections: given.number("--connections", 5_000)?,
        pin: pin::given(given)?,
    })
}

fn run_role(args: &[&str]) -> Option<Result> {
    match *args {
        [SERVE, path, workload] => Some(serve(Path::new(path), workload)),
        [CONNECT, path, workload, messages] => {
            Some(connect(Path::new(path), workload, messages.parse().ok()?))
        }
        _ => None,
    }
}

/// Receives messages until the end, and sends them back in a ping-pong.
fn serve(path: &Path, workload: &str) -> Result {
    let listener = UnixListener::bind(path)?;
    println!("listening");
    let (mut stream, _) = listener.accept()?;
    let mut message = [0; LEN];
    while stream.read_exact(&mut message).is_ok() {
        if workload == "ping-pong" {
            stream.write_all(&message)?;
        }
    }
    Ok(())
}

/// Sends messages, and prints the nanoseconds for each. If paced, those of the processor.
fn connect(path: &Path, workload: &str, messages: u64) -> Result {
    let mut stream = UnixStream::connect(path)?;
    let mut message = [7; LEN];
    let start = Instant::now();
    let mut busy_ns = 0;
    for number in 0..messages {
        if workload == "paced" {
            while (start.elapsed().as_nanos() as u64) < number * PACE_NS {}
        }
        let begun = Instant::now();
        stream.write_all(&message)?;
        if workload == "ping-pong" {
            stream.read_exact(&mut message)?;
        }
        busy_ns += begun.elapsed().as_nanos() as u64;
    }
    stream.shutdown(std::net::Shutdown::Write)?;
    // The server has received everything when it closes.
    stream.read_to_end(&mut Vec::new())?;
    let total = if workload == "paced" { busy_ns } else { start.elapsed().as_nanos() as u64 };
    println!("{}", total as f64 / messages as f64);
    Ok(())
}

fn measure(options: &Options, reps: usize) -> Result<Report> {
    let mut tables = String::from(HEADING);
    let (mut results, mut failures) = (Vec::new(), Vec::new());
    for (title, workload) in WORKLOADS {
        let (mut without, mut with) = (Vec::new(), Vec::new());
        for rep in 0..reps {
            for index in order(rep, 2) {
                let counters = if index == 1 { Some(Counters::load()?) } else { None };
                let ns = exchange(options, workload)?;
                if counters.is_some() { with.push(ns) } else { without.push(ns) }
            }
            stoop_bench::progress(rep + 1, reps);
        }
        let summary = |all: &[f64]| Summary::of(all).ok_or("nothing was measured");
        let ratio = summary(&ratios(&without, &with))?;
        let added: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with - without).collect();
        let (without, with, added) = (summary(&without)?, summary(&with)?, summary(&added)?);
        let verdict = if ratio.median >= TARGET { "met" } else { "**missed**" };
        tables.push_str(&format!(
            "| {title} | {} | {} | {} | {} | ≥ {TARGET}: {verdict} |\n",
            without.shown(0),
            with.shown(0),
            added.shown(0),
            ratio.shown(2)
        ));
        if ratio.median < TARGET {
            failures.push(format!("{title}: {} of the speed without counters", ratio.shown(2)));
        }
        results.push(json!({"workload": workload, "ratio": ratio.to_json(), "added_ns": added.to_json()}));
    }
    let look = look(options.connections, reps)?;
    tables.push_str(&format!(
        "\nReading the counters of {} connections: {} ms.\n",
        options.connections,
        look.shown(1)
    ));
    Ok(Report {
        title: "Counting in the kernel",
        text: format!(
            "Messages of {LEN} bytes over a stream, {}; nanoseconds a message. Of the paced messages, those that the \
             sender's call takes.",
            pin::described(options.pin, "the receiver", "the sender")
        ),
        tables,
        json: json!({"results": results, "look_milliseconds": look.to_json()}),
        failures,
    })
}

/// Runs two processes, and returns the nanoseconds a message.
fn exchange(options: &Options, workload: &str) -> Result<f64> {
    let scratch = tempfile::tempdir()?;
    let path = scratch.path().join("bench.sock");
    let path = path.to_str().ok_or("a path that is text")?;
    let (server_cpu, client_cpu) = options.pin.unzip();
    let mut server = Process::start(&mut stoop_bench::role(&[SERVE, path, workload])?, server_cpu)?;
    server.line()?;
    let messages = options.messages.to_string();
    let mut client =
        Process::start(&mut stoop_bench::role(&[CONNECT, path, workload, &messages])?, client_cpu)?;
    let ns = client.line()?.parse()?;
    client.finish()?;
    server.finish()?;
    Ok(ns)
}

/// Returns the milliseconds that it takes to read the counters of so many connections.
fn look(connections: usize, reps: usize) -> Result<Summary> {
    limits::open_files(2 * connections + 64)?;
    let mut counters = Counters::load()?;
    let mut pairs = (0..connections).map(|_| UnixStream::pair()).collect::<io::Result<Vec<_>>>()?;
    for (one, other) in &mut pairs {
        one.write_all(b"question")?;
        other.read_exact(&mut [0; 8])?;
    }
    let mut millis = Vec::new();
    for _ in 0..reps {
        let begun = Instant::now();
        let mut sockets: Vec<SocketCounts> = Vec::new();
        counters.read(&mut sockets)?;
        millis.push(begun.elapsed().as_secs_f64() * 1e3);
        if sockets.len() < 2 * connections {
            return Err(format!("only {} of {} sockets were counted", sockets.len(), 2 * connections).into());
        }
    }
    Summary::of(&millis).ok_or_else(|| "nothing was measured".into())
}

const HEADING: &str = "| workload | without | with counters | added | speed with counters | target |\n| --- | ---: | ---: | ---: | ---: | --- |\n";
