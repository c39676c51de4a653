//! What does `stoop::aio::Stream` cost compared with tokio's own `UnixStream`?
//!
//! ```text
//! cargo run --release -p stoop-bench --features tokio --bin tokio_stream [-- REPETITIONS [ROUNDS]]
//! ```
//!
//! A ping-pong of 64 bytes between two processes, each a runtime of one thread: once with one CPU
//! each, and once with both on one CPU. Every repetition runs both libraries, in another order each
//! time, at both placements. Ratios are taken within a repetition, and their median is the result.
//! Every message carries its number and is checked.

use std::io;
use std::process::{Command, ExitCode};
use std::time::Instant;

use stoop_bench::pin;
use stoop_bench::process::Process;
use stoop_bench::stats::{Summary, order, ratios};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const LIBRARIES: [&str; 2] = ["tokio", "stoop"];
const MESSAGE_BYTES: usize = 64;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str, otherwise: u64| text.parse().unwrap_or(otherwise);
    let done = match args[..] {
        ["serve", library, path] => serve(library, path),
        ["ask", library, path, rounds] => ask(library, path, number(rounds, 1)),
        [] => measure(11, 10_000),
        [repetitions] => measure(number(repetitions, 11), 10_000),
        [repetitions, rounds, ..] => measure(number(repetitions, 11), number(rounds, 10_000)),
    };
    stoop_bench::exit_code(done)
}

fn measure(repetitions: u64, rounds: u64) -> io::Result<()> {
    let Some((one, other)) = pin::two_cpus() else {
        return Err(io::Error::other("needs two processors"));
    };
    println!("{MESSAGE_BYTES} B ping-pong, median of {repetitions} repetitions [minimum–maximum]");
    for (place, server, client) in [("one CPU each", one, other), ("one CPU", one, one)] {
        let mut samples = [Vec::new(), Vec::new()];
        for repetition in 0..repetitions as usize {
            for index in order(repetition, LIBRARIES.len()) {
                samples[index].push(run(LIBRARIES[index], server, client, rounds)?);
            }
        }
        let ratios = ratios(&samples[1], &samples[0]);
        let [tokio, stoop, ratio] = [&samples[0], &samples[1], &ratios].map(|all| {
            let Summary { median, min, max } = Summary::of(all).expect("at least one repetition");
            format!("{median:.2} [{min:.2}–{max:.2}]")
        });
        println!("{place:10}  tokio {tokio} µs  stoop {stoop} µs  ratio {ratio}");
    }
    Ok(())
}

/// Returns the median of the round trips of one run, in microseconds.
fn run(library: &str, server: usize, client: usize, rounds: u64) -> io::Result<f64> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("socket");
    let command = |role: &str| {
        let mut command = Command::new("/proc/self/exe");
        command.args([role, library]).arg(&path);
        command
    };
    let mut serving = Process::start(&mut command("serve"), Some(server))?;
    serving.line()?;
    let mut asking = Process::start(command("ask").arg(rounds.to_string()), Some(client))?;
    let median = asking.line()?;
    asking.finish()?;
    serving.finish()?;
    median.parse().map_err(io::Error::other)
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn serve(library: &str, path: &str) -> io::Result<()> {
    runtime()?.block_on(async {
        if library == "stoop" {
            let listener = stoop::Bind::new(path).listen_async().await?;
            println!("ready");
            return echo(listener.accept().await?).await;
        }
        let listener = tokio::net::UnixListener::bind(path)?;
        println!("ready");
        echo(listener.accept().await?.0).await
    })
}

async fn echo(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            len => stream.write_all(&buffer[..len]).await?,
        }
    }
}

fn ask(library: &str, path: &str, rounds: u64) -> io::Result<()> {
    let median = runtime()?.block_on(async {
        match library {
            "stoop" => round_trips(stoop::aio::Stream::connect(path).await?, rounds).await,
            _ => round_trips(tokio::net::UnixStream::connect(path).await?, rounds).await,
        }
    })?;
    println!("{median}");
    Ok(())
}

async fn round_trips(mut stream: impl AsyncRead + AsyncWrite + Unpin, rounds: u64) -> io::Result<f64> {
    let warm_up = rounds / 10;
    let mut timing = Vec::new();
    let (mut message, mut answer) = ([0; MESSAGE_BYTES], [0; 4096]);
    for round in 0..warm_up + rounds {
        message[..8].copy_from_slice(&round.to_ne_bytes());
        let began = Instant::now();
        stream.write_all(&message).await?;
        let len = stream.read(&mut answer).await?;
        if round >= warm_up {
            timing.push(began.elapsed().as_nanos() as f64 / 1e3);
        }
        if answer[..len] != message {
            return Err(io::Error::other("another message came back"));
        }
    }
    Ok(Summary::of(&timing).expect("at least one round").median)
}
