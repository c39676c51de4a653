//! What do gRPC and HTTP on a `stoop` listener cost compared with tonic and hyper on tokio's
//! `UnixListener`, and what does the inspection of `:authority` cost?
//!
//! ```text
//! cargo run --release -p stoop-bench --features grpc --bin grpc [-- REPETITIONS [CALLS]]
//! ```
//!
//! Two processes, each a runtime of one thread with a CPU of its own; messages of 64 bytes, each
//! checked. Every repetition runs all sides in another order. Ratios are taken within a repetition,
//! and their median is the result. `server` has tonic's (hyper's) client on both sides of the
//! ratio, `both` has each library's own.

mod echo;
mod plain;

use std::error::Error;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use echo::Echo;
use hyper_util::rt::TokioIo;
use stoop_bench::pin;
use stoop_bench::process::Process;
use stoop_bench::stats::{Summary, order, ratios};
use stoop_grpc::authority::AuthorityRewriter;
use tokio::net::{UnixListener, UnixStream};
use tonic::client::Grpc;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint, Server};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Server and client.
type Sides = [(&'static str, &'static str); 3];

const CALLS: Sides = [("tonic", "tonic"), ("stoop", "tonic"), ("stoop", "stoop")];

/// The same for HTTP/1.1.
const REQUESTS: Sides = [("hyper", "hyper"), ("stoop-http", "hyper"), ("stoop-http", "stoop-http")];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let number = |text: &str, otherwise: u64| text.parse().unwrap_or(otherwise);
    let done = match args[..] {
        ["serve", library, path] => on_tokio(serve(library, path)),
        ["ask", library, path, at_once, calls] => {
            on_tokio(ask(library, path, number(at_once, 1), number(calls, 1)))
        }
        ["open", library, path, count] => on_tokio(open(library, path, number(count, 1))),
        [] => measure(11, 20_000),
        [repetitions] => measure(number(repetitions, 11), 20_000),
        [repetitions, calls, ..] => measure(number(repetitions, 11), number(calls, 20_000)),
    };
    stoop_bench::exit_code(done)
}

fn on_tokio(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

fn measure(repetitions: u64, calls: u64) -> Outcome {
    let (server, client) = pin::two_cpus().ok_or("needs two processors")?;
    println!("median of {repetitions} repetitions [minimum–maximum]; ratios over tonic (hyper) alone");
    let (some, few) = ((calls / 4).to_string(), (calls / 10).to_string());
    let all = calls.to_string();
    for (what, sides, task) in [
        ("calls/s, 1 in flight", CALLS, &["ask", "1", &some][..]),
        ("calls/s, 64 in flight", CALLS, &["ask", "64", &all]),
        ("connections/s", CALLS, &["open", &few]),
        ("requests/s, 1 in flight", REQUESTS, &["ask", "1", &some]),
        ("requests/s, 64 in flight", REQUESTS, &["ask", "64", &all]),
        ("connections/s", REQUESTS, &["open", &few]),
    ] {
        let mut samples = [const { Vec::new() }; CALLS.len()];
        for repetition in 0..repetitions as usize {
            for index in order(repetition, sides.len()) {
                samples[index].push(run(sides[index], task, server, client)?);
            }
        }
        let ([alone, served, both], [(name, _), ..]) = (&samples, sides);
        println!(
            "{what:22} {name} {}  server {}  both {}",
            shown(alone, 0),
            shown(&ratios(served, alone), 3),
            shown(&ratios(both, alone), 3)
        );
    }
    authorities();
    Ok(())
}

fn shown(samples: &[f64], digits: usize) -> String {
    Summary::of(samples).map_or_else(String::new, |Summary { median, min, max }| {
        format!("{median:.digits$} [{min:.digits$}–{max:.digits$}]")
    })
}

/// The final output of one run.
fn run((server, client): (&str, &str), task: &[&str], on: usize, from: usize) -> Outcome<f64> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("socket");
    let mut command = Command::new("/proc/self/exe");
    // Its standard input is closed when the parent waits for its exit.
    command.args(["serve", server]).arg(&path).stdin(Stdio::piped());
    let mut serving = Process::start(&mut command, Some(on))?;
    serving.line()?;
    let mut command = Command::new("/proc/self/exe");
    command.args([task[0], client]).arg(&path).args(&task[1..]);
    let mut asking = Process::start(&mut command, Some(from))?;
    let answer = asking.line()?;
    asking.finish()?;
    serving.finish()?;
    Ok(answer.parse()?)
}

async fn serve(library: &str, path: &str) -> Outcome {
    let routes = Routes::new(Echo);
    // Until the parent closes the standard input.
    let end =
        async { drop(tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await) };
    match library {
        "tonic" => {
            let clients = tokio_stream::wrappers::UnixListenerStream::new(UnixListener::bind(path)?);
            println!("serving");
            Server::builder().add_routes(routes).serve_with_incoming_shutdown(clients, end).await?;
        }
        "hyper" | "stoop-http" => plain::serve(library, path, end).await?,
        _ => {
            let listener = stoop::Bind::new(path).listen_async().await?;
            println!("serving");
            stoop_grpc::Server::new(routes).serve(listener, end).await?;
        }
    }
    Ok(())
}

async fn tonic_channel(path: &str) -> Outcome<Channel> {
    let path = path.to_owned();
    let connect = tower::service_fn(move |_| {
        let path = path.clone();
        async move { Ok::<_, std::io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
    });
    Ok(Endpoint::from_static("http://localhost").connect_with_connector(connect).await?)
}

async fn ask(library: &str, path: &str, at_once: u64, calls: u64) -> Outcome {
    match library {
        "tonic" => ask_through(tonic_channel(path).await?, at_once, calls).await,
        "hyper" | "stoop-http" => plain::ask(library, path, at_once, calls).await,
        _ => ask_through(stoop_grpc::connect(path).await?, at_once, calls).await,
    }
}

async fn ask_through<C>(channel: C, at_once: u64, calls: u64) -> Outcome
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
            Ok::<_, Box<dyn Error>>(())
        }
    };
    let rate = async {
        work(each / 10 + 1).await?;
        let begun = Instant::now();
        work(each).await?;
        Ok::<_, Box<dyn Error>>((each * at_once) as f64 / begun.elapsed().as_secs_f64())
    };
    println!("{}", tokio::task::LocalSet::new().run_until(rate).await?);
    Ok(())
}

/// Opens connections, each with one call, one after the other.
async fn open(library: &str, path: &str, count: u64) -> Outcome {
    if matches!(library, "hyper" | "stoop-http") {
        return plain::open(library, path, count).await;
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

/// Measures the inspection of the first header block of a connection, and the cost of each later
/// one if it has to be rewritten.
fn authorities() {
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
    let fine = timed(&mut || {
        output.clear();
        AuthorityRewriter::new(16 * 1024).push(&first, &mut output);
    });
    let mut rewriter = AuthorityRewriter::new(16 * 1024);
    rewriter.push(&[opening, frame(1, 5, 1, &request("/run/app.sock"))].concat(), &mut output);
    let rewritten = timed(&mut || {
        output.clear();
        rewriter.push(&later, &mut output);
    });
    println!(
        "authority              {fine:?} per connection if it is valid; {rewritten:?} per request if it is rewritten"
    );
}
