//! How much memory does an idle connection take in a server, and in the kernel?
//!
//! ```text
//! cargo xtask bench idle_connections [--reps 3] [--connections 10000] [--json]
//! ```
//!
//! A server process with `stoop::serve`, one with tokio's own `UnixListener` and a task for each
//! connection, and one that only accepts with raw calls and holds the file descriptors: the result
//! is their growth, divided by the number of connections. The kernel's memory is measured as the
//! machine's slab, so nothing else should run; it includes both ends of a connection.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, ExitCode, Stdio};

use serde_json::json;
use stoop_bench::Report;
use stoop_bench::options::{Flag, Given, Program};
use stoop_bench::stats::{Summary, order};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const PROGRAM: Program = Program {
    name: "idle_connections",
    about: "How much memory does an idle connection take in a server, and in the kernel?",
    reps: 3,
    flags: &[Flag { name: "--connections", value: Some("N"), help: "idle connections (default 10000)" }],
};

const SERVERS: [&str; 3] = ["raw", "tokio", "stoop"];

fn main() -> ExitCode {
    stoop_bench::command(&PROGRAM, run_role, read, measure)
}

fn read(given: &Given) -> Result<usize, String> {
    given.number("--connections", 10_000)
}

fn run_role(args: &[&str]) -> Option<stoop_bench::Result> {
    match *args {
        ["serve", server, path] => Some(serve(server, path).map_err(Into::into)),
        _ => None,
    }
}

fn measure(connections: &usize, reps: usize) -> stoop_bench::Result<Report> {
    stoop_bench::limits::open_files(*connections + 64)?;
    let mut samples = [const { [Vec::new(), Vec::new()] }; SERVERS.len()];
    for rep in 0..reps {
        for index in order(rep, SERVERS.len()) {
            let bytes = run(SERVERS[index], *connections)?;
            (0..2).for_each(|at| samples[index][at].push(bytes[at]));
        }
        stoop_bench::progress(rep + 1, reps);
    }
    let mut tables = String::from("| server | user memory | kernel, both ends |\n| --- | ---: | ---: |\n");
    let mut results = Vec::new();
    for (server, [user, kernel]) in SERVERS.into_iter().zip(&samples) {
        let [user, kernel] = [user, kernel].map(|all| Summary::of(all).ok_or("nothing was measured"));
        let (user, kernel) = (user?, kernel?);
        tables.push_str(&format!("| {server} | {} | {} |\n", user.shown(0), kernel.shown(0)));
        results
            .push(json!({"server": server, "user_bytes": user.to_json(), "kernel_bytes": kernel.to_json()}));
    }
    Ok(Report {
        title: "Memory of an idle connection",
        text: format!(
            "{connections} connections, bytes per connection. The kernel's share is the same for every server: that is \
             what is seen from outside, as available memory."
        ),
        tables,
        json: json!({"connections": connections, "results": results}),
        failures: Vec::new(),
    })
}

/// A server; killed on drop.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail if it has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Returns the growth of the server and of the kernel per connection, in bytes.
fn run(server: &str, connections: usize) -> stoop_bench::Result<[f64; 2]> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("socket");
    let text = path.to_str().ok_or("the temporary directory is not UTF-8")?;
    let mut command = stoop_bench::role(&["serve", server, text])?;
    let mut child = Server(command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?);
    let mut line = String::new();
    io::BufReader::new(child.0.stdout.take().ok_or("no stdout")?).read_line(&mut line)?;
    if line.trim() != "ready" {
        return Err(format!("the server '{server}' did not start").into());
    }
    let pid = child.0.id();
    // The first few include allocations that all of them share.
    let _first = talk(&path, 100)?;
    let before = [resident_bytes(pid)?, slab_bytes()?];
    let clients = talk(&path, connections)?;
    let after = [resident_bytes(pid)?, slab_bytes()?];
    drop(clients);
    Ok([0, 1].map(|at| (after[at] as f64 - before[at] as f64) / connections as f64))
}

/// Opens connections, each of which makes one request and is then idle.
fn talk(path: &Path, count: usize) -> io::Result<Vec<UnixStream>> {
    let one = |_| {
        let mut client = UnixStream::connect(path)?;
        let mut answer = [0];
        client.write_all(b"?")?;
        client.read_exact(&mut answer)?;
        if answer == *b"?" { Ok(client) } else { Err(io::Error::other("another byte came back")) }
    };
    (0..count).map(one).collect()
}

fn resident_bytes(pid: u32) -> io::Result<u64> {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn slab_bytes() -> io::Result<u64> {
    field("/proc/meminfo", "Slab:")
}

/// Parses a field given in kB.
fn field(file: &str, name: &str) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok());
    value.map(|kilobytes| kilobytes * 1024).ok_or_else(|| io::Error::other(format!("no {name} in {file}")))
}

fn serve(server: &str, path: &str) -> io::Result<()> {
    if server == "raw" {
        return serve_raw(path);
    }
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        if server == "stoop" {
            let server = stoop::serve::Server::new(stoop::Bind::new(path).listen_async().await?);
            println!("ready");
            server.run(|stream, _| answer(stream), std::future::pending::<()>()).await?;
            return Ok(());
        }
        let listener = tokio::net::UnixListener::bind(path)?;
        println!("ready");
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream));
        }
    })
}

fn serve_raw(path: &str) -> io::Result<()> {
    let listener = UnixListener::bind(path)?;
    println!("ready");
    let (mut held, mut byte) = (Vec::new(), [0]);
    for stream in listener.incoming() {
        let mut stream = stream?;
        stream.read_exact(&mut byte)?;
        stream.write_all(&byte)?;
        held.push(stream);
    }
    Ok(())
}

/// Echoes single bytes until the client closes.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut byte = [0];
    while let Ok(1) = stream.read(&mut byte).await {
        if stream.write_all(&byte).await.is_err() {
            return;
        }
    }
}
