//! What does `stoop::aio::Stream` cost compared with tokio's own `UnixStream`?
//!
//! ```text
//! cargo xtask bench tokio_stream [--reps 11] [--rounds 10000] [--json]
//! ```
//!
//! A ping-pong of 64 bytes between two processes, each a runtime of one thread: once with one CPU
//! each, and once with both on one CPU. Every repetition runs both libraries, in another order each
//! time, at both placements. Ratios are taken within a repetition, and their median is the result.
//! Every message carries its number and is checked.
//!
//! tokio reads with `recv`, stoop with `recvmsg`, which alone reports that a read has stopped at
//! ancillary data. What that costs is measured too (`calls.rs`).

mod calls;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use serde_json::{Value, json};
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::process::Process;
use stoop_bench::stats::{Summary, order, ratios};
use stoop_bench::{Report, pin};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const PROGRAM: Program = Program {
    name: "tokio_stream",
    about: "What does `stoop::aio::Stream` cost compared with tokio's own `UnixStream`?",
    reps: 11,
    flags: &[Flag {
        name: "--rounds",
        value: Some("N"),
        help: "round trips per measurement (default 10000)",
    }],
};

const LIBRARIES: [&str; 2] = ["tokio", "stoop"];
const MESSAGE_BYTES: usize = 64;

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> Result<u64, String> {
    given.number("--rounds", 10_000)
}

fn run_role(args: &[&str]) -> Option<stoop_bench::Result> {
    let done = match *args {
        ["serve", library, path] => serve(library, path),
        ["connect", library, path, rounds] => connect(library, path, rounds.parse().ok()?),
        _ => return None,
    };
    Some(done.map_err(Into::into))
}

fn measure(rounds: &u64, reps: usize) -> stoop_bench::Result<Report> {
    let (one, other) = pin::two_cpus().ok_or("needs two CPUs")?;
    let mut tables = String::from(
        "| CPUs | tokio, µs | stoop, µs | time relative to tokio |\n| --- | ---: | ---: | ---: |\n",
    );
    let mut results = Vec::new();
    for (place, server, client) in [("one each", one, other), ("one for both", one, one)] {
        let mut samples = [Vec::new(), Vec::new()];
        for rep in 0..reps {
            for index in order(rep, LIBRARIES.len()) {
                samples[index].push(run(LIBRARIES[index], server, client, *rounds)?);
            }
            stoop_bench::progress(rep + 1, reps);
        }
        let (row, result) = summarized(place, &samples)?;
        tables.push_str(&row);
        results.push(result);
    }
    let [recv, recvmsg] = calls::nanoseconds(reps)?;
    Ok(Report {
        title: "Asynchronous streams and tokio",
        text: format!(
            "{rounds} round trips of {MESSAGE_BYTES} B, each process a runtime of one thread. Both libraries make the \
             same system calls, except that tokio reads with `recv` and stoop with `recvmsg`: only that reports that a \
             read has stopped at ancillary data, behind which more may be queued that no event announces. A message \
             sent and received in one thread takes {} ns with `recv` and {} ns with `recvmsg`; a round trip has two.",
            recv.shown(0),
            recvmsg.shown(0)
        ),
        tables,
        json: json!({
            "rounds": rounds,
            "recv_nanoseconds": recv.to_json(),
            "recvmsg_nanoseconds": recvmsg.to_json(),
            "results": results,
        }),
        failures: Vec::new(),
    })
}

/// Returns a row of the table, and the same values as JSON.
fn summarized(place: &str, [tokio, stoop]: &[Vec<f64>; 2]) -> stoop_bench::Result<(String, Value)> {
    let summary = |samples: &[f64]| Summary::of(samples).ok_or("a time is not a number");
    let (ratio, tokio, stoop) = (summary(&ratios(stoop, tokio))?, summary(tokio)?, summary(stoop)?);
    let row = format!("| {place} | {} | {} | {} |\n", tokio.shown(2), stoop.shown(2), ratio.shown(3));
    let json = json!({
        "cpus": place,
        "tokio_microseconds": tokio.to_json(),
        "stoop_microseconds": stoop.to_json(),
        "ratio_to_tokio": ratio.to_json(),
    });
    Ok((row, json))
}

/// Returns the median of the round trips of one run, in microseconds.
fn run(library: &str, server: usize, client: usize, rounds: u64) -> stoop_bench::Result<f64> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("socket");
    let path = path.to_str().ok_or("the temporary directory is not UTF-8")?;
    let mut serving = Process::start(&mut stoop_bench::role(&["serve", library, path])?, Some(server))?;
    if serving.line()? != "ready" {
        return Err(format!("the server of {library} did not start").into());
    }
    let mut command = stoop_bench::role(&["connect", library, path, &rounds.to_string()])?;
    let mut connecting = Process::start(&mut command, Some(client))?;
    let median = connecting.line()?;
    connecting.finish()?;
    serving.finish()?;
    Ok(median.parse()?)
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn serve(library: &str, path: &str) -> io::Result<()> {
    runtime()?.block_on(async {
        if library == "stoop" {
            let listener = stoop::Bind::new(path).listen_async().await?;
            println!("ready");
            return echo(listener.accept().await?.0).await;
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

fn connect(library: &str, path: &str, rounds: u64) -> io::Result<()> {
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
        let mut len = 0;
        while len < MESSAGE_BYTES {
            len += match stream.read(&mut answer[len..]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => read,
            };
        }
        if round >= warm_up {
            timing.push(began.elapsed().as_nanos() as f64 / 1e3);
        }
        if answer[..len] != message {
            return Err(io::Error::other("another message came back"));
        }
    }
    Ok(Summary::of(&timing).expect("at least one round").median)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_and_json_have_the_same_values() {
        let (row, json) = summarized("one each", &[vec![2.0, 4.0], vec![1.0, 6.0]]).unwrap();
        assert_eq!(row, "| one each | 3.00 [2.00–4.00] | 3.50 [1.00–6.00] | 1.000 [0.500–1.500] |\n");
        assert_eq!(json["ratio_to_tokio"], json!({"median": 1.0, "min": 0.5, "max": 1.5}));
    }
}
