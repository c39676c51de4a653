//! How much memory does an idle connection take in a server, and in the kernel?
//!
//! ```text
//! cargo run --release -p stoop-bench --features tokio --bin idle_connections [-- CONNECTIONS]
//! ```
//!
//! A server process with `stoop::serve`, one with tokio's own `UnixListener` and a task for each
//! connection, and one that only accepts with raw calls and holds the file descriptors: the result
//! is their growth, divided by the number of connections. The kernel's memory is measured as the
//! machine's slab, so nothing else should run; it includes both ends of a connection.

use std::io::{self, BufRead, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, ExitCode, Stdio};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

const SERVERS: [&str; 3] = ["raw", "tokio", "stoop"];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", server, path] => serve(server, path),
        [] => measure(10_000),
        [connections, ..] => measure(connections.parse().unwrap_or(10_000)),
    };
    stoop_bench::exit_code(done)
}

fn measure(connections: usize) -> io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })?;
    println!("{connections} idle connections, bytes per connection");
    println!("{:8}{:>14}{:>18}", "server", "user memory", "kernel, both ends");
    for server in SERVERS {
        let [own, kernel] = run(server, connections)?;
        println!("{server:8}{own:14.0}{kernel:18.0}");
    }
    Ok(())
}

/// Returns the growth of the server and of the kernel per connection, in bytes.
fn run(server: &str, connections: usize) -> io::Result<[f64; 2]> {
    let dir = tempfile::tempdir()?;
    let path = dir.path().join("socket");
    let mut command = Command::new("/proc/self/exe");
    command.args(["serve", server]).arg(&path).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut said = io::BufReader::new(child.stdout.take().expect("it is piped"));
    said.read_line(&mut String::new())?;
    // The first few include allocations that all of them share.
    let _first = talk(&path, 100)?;
    let before = [resident_bytes(child.id())?, slab_bytes()?];
    let clients = talk(&path, connections)?;
    let after = [resident_bytes(child.id())?, slab_bytes()?];
    drop(clients);
    child.kill()?;
    child.wait()?;
    Ok([0, 1].map(|at| (after[at] as f64 - before[at] as f64) / connections as f64))
}

/// Opens connections, each of which makes one request and is then idle.
fn talk(path: &std::path::Path, count: usize) -> io::Result<Vec<UnixStream>> {
    let one = |_| {
        let mut client = UnixStream::connect(path)?;
        client.write_all(b"?")?;
        client.read_exact(&mut [0])?;
        Ok(client)
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
