//! What do gRPC and HTTP on a `stoop` listener cost compared with tonic and hyper on tokio's
//! `UnixListener`, and what does the inspection of `:authority` cost?
//!
//! ```text
//! cargo xtask bench grpc [--reps 11] [--calls 20000] [--json]
//! ```
//!
//! Two processes, each a runtime of one thread with a CPU of its own; messages of 64 bytes, each
//! checked. Every repetition runs all sides in another order. Ratios are taken within a repetition,
//! and their median is the result. `server` has tonic's (hyper's) client on both sides of the
//! ratio, `both` has each library's own.

mod echo;
mod plain;
mod report;

use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use echo::Echo;
use hyper_util::rt::TokioIo;
use report::Row;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::process::Process;
use stoop_bench::stats::order;
use stoop_bench::{Report, Result, pin};
use stoop_grpc::authority::AuthorityRewriter;
use tokio::net::{UnixListener, UnixStream};
use tonic::client::Grpc;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};

const PROGRAM: Program = Program {
    name: "grpc",
    about: "What do gRPC and HTTP cost compared with tonic and hyper on tokio's `UnixListener`?",
    reps: 11,
    flags: &[Flag {
        name: "--calls",
        value: Some("N"),
        help: "calls per measurement, at least 64 (default 20000)",
    }],
};

/// Calls in flight at once.
const AT_ONCE: u64 = 64;

/// Server and client.
type Sides = [(&'static str, &'static str); 3];

const CALLS: Sides = [("tonic", "tonic"), ("stoop", "tonic"), ("stoop", "stoop")];

/// The same for HTTP/1.1.
const REQUESTS: Sides = [("hyper", "hyper"), ("stoop-http", "hyper"), ("stoop-http", "stoop-http")];

/// The measurements: their unit, what is compared, and the role of the client.
const MEASUREMENTS: [(&str, Sides, Task); 6] = [
    ("gRPC calls/s, 1 in flight", CALLS, Task::Calls { at_once: 1 }),
    ("gRPC calls/s, 64 in flight", CALLS, Task::Calls { at_once: AT_ONCE }),
    ("gRPC connections/s", CALLS, Task::Connections),
    ("HTTP requests/s, 1 in flight", REQUESTS, Task::Calls { at_once: 1 }),
    ("HTTP requests/s, 64 in flight", REQUESTS, Task::Calls { at_once: AT_ONCE }),
    ("HTTP connections/s", REQUESTS, Task::Connections),
];

/// What a client does.
#[derive(Clone, Copy)]
enum Task {
    Calls {
        at_once: u64,
    },
    /// One call on each connection.
    Connections,
}

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> std::result::Result<u64, String> {
    // Fewer would leave some of the calls at once without one.
    let calls = |text: &str| text.parse().ok().filter(|calls: &u64| *calls >= AT_ONCE);
    given.value("--calls", 20_000, calls)
}

fn run_role(args: &[&str]) -> Option<Result> {
    match *args {
        ["serve", library, path] => Some(on_tokio(serve(library, path))),
        ["call", library, path, at_once, calls] => {
            Some(on_tokio(call(library, path, at_once.parse().ok()?, calls.parse().ok()?)))
        }
        ["connect", library, path, count] => Some(on_tokio(connect(library, path, count.parse().ok()?))),
        _ => None,
    }
}

fn on_tokio(work: impl Future<Output = Result>) -> Result {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn measure(calls: &u64, reps: usize) -> Result<Report> {
    let (server, client) = pin::two_cpus().ok_or("needs two CPUs")?;
    let mut rows = Vec::new();
    for (index, (what, sides, task)) in MEASUREMENTS.into_iter().enumerate() {
        let mut samples = [const { Vec::new() }; CALLS.len()];
        for rep in 0..reps {
            for side in order(rep, sides.len()) {
                samples[side].push(run(sides[side], task, *calls, server, client)?);
            }
            stoop_bench::progress(index * reps + rep + 1, MEASUREMENTS.len() * reps);
        }
        rows.push(Row::of(what, &samples).ok_or("a rate is not a number")?);
    }
    Ok(report::report(*calls, &rows, authorities()))
}

/// Runs both processes and returns the rate that the client measured.
fn run((server, client): (&str, &str), task: Task, calls: u64, on: usize, from: usize) -> Result<f64> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("socket");
    let path = path.to_str().ok_or("the temporary directory is not UTF-8")?;
    // Its standard input is closed when the parent waits for its exit.
    let mut serving =
        Process::start(stoop_bench::role(&["serve", server, path])?.stdin(Stdio::piped()), Some(on))?;
    if serving.line()? != "ready" {
        return Err(format!("the server of {server} did not start").into());
    }
    let mut command = match task {
        Task::Calls { at_once } => {
            let calls = if at_once == 1 { calls / 4 } else { calls };
            stoop_bench::role(&["call", client, path, &at_once.to_string(), &calls.to_string()])?
        }
        Task::Connections => stoop_bench::role(&["connect", client, path, &(calls / 10).to_string()])?,
    };
    let mut calling = Process::start(&mut command, Some(from))?;
    let rate = calling.line()?;
    calling.finish()?;
    serving.finish()?;
    Ok(rate.parse()?)
}

async fn serve(library: &str, path: &str) -> Result {
    let routes = Routes::new(Echo);
    // Until the parent closes the standard input.
    let end =
        async { drop(tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await) };
    match library {
        "tonic" => {
            let clients = tokio_stream::wrappers::UnixListenerStream::new(UnixListener::bind(path)?);
            println!("ready");
            Server::builder().add_routes(routes).serve_with_incoming_shutdown(clients, end).await?;
        }
        "hyper" | "stoop-http" => plain::serve(library, path, end).await?,
        _ => {
            let listener = stoop::Bind::new(path).listen_async().await?;
            println!("ready");
            stoop_grpc::Server::new(routes).serve(listener, end).await?;
        }
    }
    Ok(())
}

async fn tonic_channel(path: &str) -> Result<Channel> {
    let path = path.to_owned();
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    Ok(Endpoint::from_static("http://localhost").connect_with_connector(connect).await?)
}

async fn call(library: &str, path: &str, at_once: u64, calls: u64) -> Result {
    match library {
        "tonic" => call_through(tonic_channel(path).await?, at_once, calls).await,
        "hyper" | "stoop-http" => plain::call(library, path, at_once, calls).await,
        _ => call_through(stoop_grpc::connect(path).await?, at_once, calls).await,
    }
}

async fn call_through<C>(channel: C, at_once: u64, calls: u64) -> Result
where
    C: tonic::client::GrpcService<tonic::body::Body, Future: Send> + Clone + Send + 'static,
    C::ResponseBody: tonic::codegen::Body<Data = tonic::codegen::Bytes, Error: Into<tonic::codegen::StdError>>
        + Send
        + 'static,
{
    let each = calls / at_once;
    let work = |rounds: u64| {
        let tasks: Vec<_> = (0..at_once)
            .map(|_| {
                let mut client = Grpc::new(channel.clone());
                tokio::task::spawn_local(async move {
                    for number in 0..rounds {
                        echo::call(&mut client, number).await?;
                    }
                    Ok::<_, tonic::Status>(())
                })
            })
            .collect();
        async {
            for task in tasks {
                task.await??;
            }
            Result::Ok(())
        }
    };
    let rate = async {
        work(each / 10 + 1).await?;
        let begun = Instant::now();
        work(each).await?;
        Result::Ok((each * at_once) as f64 / begun.elapsed().as_secs_f64())
    };
    println!("{}", tokio::task::LocalSet::new().run_until(rate).await?);
    Ok(())
}

/// Opens connections, each with one call, one after the other.
async fn connect(library: &str, path: &str, count: u64) -> Result {
    if matches!(library, "hyper" | "stoop-http") {
        return plain::connect(library, path, count).await;
    }
    let begun = Instant::now();
    for number in 0..count {
        match library {
            "tonic" => echo::call(&mut Grpc::new(tonic_channel(path).await?), number).await?,
            _ => echo::call(&mut Grpc::new(stoop_grpc::connect(path).await?), number).await?,
        }
    }
    println!("{}", count as f64 / begun.elapsed().as_secs_f64());
    Ok(())
}

/// Returns the time to inspect the first header block of a connection, and the time for each later
/// one if it has to be rewritten.
fn authorities() -> (Duration, Duration) {
    const ROUNDS: u32 = 100_000;
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        [&[0, 0, payload.len() as u8, kind, flags, 0, 0, 0, stream][..], payload].concat()
    };
    let request = |authority: &str| {
        let authority = [&[0x41, authority.len() as u8], authority.as_bytes()].concat();
        let path = [&[0x44, 22][..], b"/stoop.bench.Echo/Back"].concat();
        [&[0x83, 0x86][..], &path, &authority, b"\x40\x02te\x08trailers"].concat()
    };
    let opening = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &frame(4, 0, 0, b"")[..]].concat();
    let later = frame(1, 5, 3, &[0x83, 0x86, 0xc0, 0xbf, 0xbe]);
    let timed = |work: &mut dyn FnMut()| {
        let begun = Instant::now();
        (0..ROUNDS).for_each(|_| work());
        begun.elapsed() / ROUNDS
    };
    let mut output = Vec::new();
    let first = [opening.clone(), frame(1, 5, 1, &request("localhost"))].concat();
    let valid = timed(&mut || {
        output.clear();
        AuthorityRewriter::new(16 * 1024).push(&first, &mut output);
    });
    let mut rewriter = AuthorityRewriter::new(16 * 1024);
    rewriter.push(&[opening, frame(1, 5, 1, &request("/run/app.sock"))].concat(), &mut output);
    let rewritten = timed(&mut || {
        output.clear();
        rewriter.push(&later, &mut output);
    });
    (valid, rewritten)
}
