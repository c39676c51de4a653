//! What is measured: the two ends of a relayed connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use stoop_bench::process::Process;

use crate::Options;
use crate::peers::{self, Peer};

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Bytes from a Unix socket to one.
    Bulk,
    /// Round trips of 64 bytes between Unix sockets.
    RoundTrip,
    /// Bytes from a Unix socket to TCP; directly, from TCP to TCP.
    ToTcp,
    /// Connections, each with a byte that is answered.
    Connections,
    /// The memory of a connection that has moved something and is idle.
    Idle,
}

impl Workload {
    pub const ALL: [Workload; 5] =
        [Workload::Bulk, Workload::RoundTrip, Workload::ToTcp, Workload::Connections, Workload::Idle];

    pub fn name(self) -> &'static str {
        match self {
            Workload::Bulk => "bulk",
            Workload::RoundTrip => "round-trip",
            Workload::ToTcp => "to-tcp",
            Workload::Connections => "connections",
            Workload::Idle => "idle",
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Workload::Bulk | Workload::ToTcp => "GiB/s",
            Workload::RoundTrip => "µs",
            Workload::Connections => "per second",
            Workload::Idle => "KiB",
        }
    }
}

/// The length of a message of a round trip.
const MESSAGE_BYTES: usize = 64;
/// The bytes of a bulk transfer repeat after this many: a prime, so that a piece that is lost or
/// repeated is noticed wherever it is cut.
const PERIOD_BYTES: usize = 65_521;
/// How much is written, or read, at a time.
const PIECE_BYTES: usize = 256 << 10;

/// Any connection.
trait Both: Read + Write {
    fn end(&self) -> io::Result<()>;
}

impl Both for UnixStream {
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

impl Both for TcpStream {
    fn end(&self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }
}

/// Runs one measurement, and returns it in the unit of the workload.
pub fn run(options: &Options, workload: Workload, peer: Peer) -> stoop_bench::Result<f64> {
    let dir = tempfile::tempdir()?;
    let (server, front) = (dir.path().join("server"), dir.path().join("front"));
    let path = server.to_str().ok_or("the temporary directory is not UTF-8")?;
    let at = if workload == Workload::ToTcp { "tcp" } else { path };
    let (server_cpu, client_cpu) = options.pin.unzip();
    let mut serving = Process::start(stoop_bench::role(&["serve", at])?.stdin(Stdio::null()), server_cpu)?;
    let server = serving.line()?;
    let relay = match peer {
        Peer::Direct => None,
        _ => Some(peers::start(peer, dir.path(), &front, &server)?),
    };
    let connect = || match (&relay, server.strip_prefix("tcp:")) {
        (None, Some(address)) => tcp(address),
        (None, None) => unix(Path::new(&server)),
        (Some(_), _) => unix(&front),
    };
    let _pinned = client_cpu.map(Pinned::to).transpose()?;
    match workload {
        Workload::Bulk | Workload::ToTcp => {
            bulk(&mut *connect()?, options.bytes / 16)?;
            let start = Instant::now();
            bulk(&mut *connect()?, options.bytes)?;
            Ok(options.bytes as f64 / f64::from(1 << 30) / start.elapsed().as_secs_f64())
        }
        Workload::RoundTrip => {
            let mut connection = connect()?;
            connection.write_all(b"r")?;
            round_trips(&mut *connection, options.rounds / 16)?;
            let start = Instant::now();
            round_trips(&mut *connection, options.rounds)?;
            Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(options.rounds))
        }
        Workload::Connections => {
            let one = || ask(&mut *connect()?, b"c");
            (0..options.connections / 16).try_for_each(|_| one())?;
            let start = Instant::now();
            (0..options.connections).try_for_each(|_| one())?;
            Ok(f64::from(options.connections) / start.elapsed().as_secs_f64())
        }
        Workload::Idle => {
            let relay = relay.as_ref().ok_or("without a relay there is nothing to measure")?;
            let pid = relay.id();
            let first = idle(&connect, 20)?;
            let before = memory(pid)?;
            let held = idle(&connect, options.idle)?;
            // Some relays give memory back, or processes end, a moment later.
            std::thread::sleep(Duration::from_millis(300));
            let after = memory(pid)?;
            drop((first, held));
            Ok((after - before) / 1024.0 / f64::from(options.idle))
        }
    }
}

/// This thread on one CPU, until it is dropped: the children of the next measurement are not to
/// inherit it.
struct Pinned(CpuSet);

impl Pinned {
    fn to(cpu: usize) -> io::Result<Pinned> {
        let before = sched_getaffinity(None)?;
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one)?;
        Ok(Pinned(before))
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // It was allowed before.
        let _ = sched_setaffinity(None, &self.0);
    }
}

fn unix(path: &Path) -> io::Result<Box<dyn Both>> {
    // nginx and haproxy may need a moment, although their file is there.
    let limit = Instant::now() + Duration::from_secs(5);
    loop {
        match UnixStream::connect(path) {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) if Instant::now() > limit => return Err(error),
            Err(_) => std::thread::yield_now(),
        }
    }
}

fn tcp(address: &str) -> io::Result<Box<dyn Both>> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok(Box::new(stream))
}

fn bulk(connection: &mut dyn Both, len: u64) -> io::Result<()> {
    connection.write_all(b"b")?;
    let pattern = pattern();
    let mut at = 0;
    while at < len {
        let piece = (len - at).min(PIECE_BYTES as u64) as usize;
        let from = (at % PERIOD_BYTES as u64) as usize;
        connection.write_all(&pattern[from..from + piece])?;
        at += piece as u64;
    }
    connection.end()?;
    let mut total = [0; 8];
    connection.read_exact(&mut total)?;
    if u64::from_le_bytes(total) == len { Ok(()) } else { Err(io::Error::other("bytes were lost")) }
}

fn round_trips(connection: &mut dyn Both, rounds: u32) -> io::Result<()> {
    let (mut message, mut answer) = ([7; MESSAGE_BYTES], [0; MESSAGE_BYTES]);
    for round in 0..rounds {
        message[..4].copy_from_slice(&round.to_le_bytes());
        connection.write_all(&message)?;
        connection.read_exact(&mut answer)?;
        if answer != message {
            return Err(io::Error::other("another message came back"));
        }
    }
    Ok(())
}

/// Sends a byte, which the server sends back.
fn ask(connection: &mut dyn Both, what: &[u8; 1]) -> io::Result<()> {
    let mut answer = [0];
    connection.write_all(what)?;
    connection.read_exact(&mut answer)?;
    if answer == *what { Ok(()) } else { Err(io::Error::other("another byte came back")) }
}

fn idle(connect: &impl Fn() -> io::Result<Box<dyn Both>>, count: u32) -> io::Result<Vec<Box<dyn Both>>> {
    let one = |_| {
        let mut connection = connect()?;
        ask(&mut *connection, b"i")?;
        Ok(connection)
    };
    (0..count).map(one).collect()
}

/// Returns the memory of a process and its descendants, and what the kernel holds for sockets,
/// pipes and processes, in bytes. The latter is the machine's slab: nothing else should run.
fn memory(pid: u32) -> io::Result<f64> {
    let own: u64 = descendants(pid).iter().filter_map(|pid| proportional(*pid)).sum();
    let text = std::fs::read_to_string("/proc/meminfo")?;
    let slab = field(&text, "Slab:").ok_or_else(|| io::Error::other("no Slab in /proc/meminfo"))?;
    Ok((own + slab) as f64)
}

fn proportional(pid: u32) -> Option<u64> {
    field(&std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?, "Pss:")
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut next = 0;
    while let Some(pid) = all.get(next) {
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        all.extend(children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        next += 1;
    }
    all
}

/// Parses a field given in kB.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value?.parse::<u64>().ok().map(|kilobytes| kilobytes * 1024)
}

/// Returns pseudo-random bytes that repeat after the period, enough for a piece from anywhere.
fn pattern() -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    let period: Vec<u8> = (0..PERIOD_BYTES).map(|_| next()).collect();
    period.iter().copied().cycle().take(PERIOD_BYTES + PIECE_BYTES).collect()
}

/// Serves one connection after the other, as its first byte says.
pub fn serve(address: &str) -> io::Result<()> {
    let mut held: Vec<Box<dyn Both>> = Vec::new();
    let pattern = pattern();
    let mut buffer = vec![0; PIECE_BYTES];
    if address == "tcp" {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        println!("tcp:{}", listener.local_addr()?);
        for stream in listener.incoming() {
            let stream = stream?;
            stream.set_nodelay(true)?;
            held.extend(answer(stream, &pattern, &mut buffer)?);
        }
    } else {
        let listener = UnixListener::bind(PathBuf::from(address))?;
        println!("{address}");
        for stream in listener.incoming() {
            held.extend(answer(stream?, &pattern, &mut buffer)?);
        }
    }
    Ok(())
}

/// Answers one connection. Returns it, if it is to be held.
fn answer(
    mut stream: impl Both + 'static,
    pattern: &[u8],
    buffer: &mut [u8],
) -> io::Result<Option<Box<dyn Both>>> {
    let mut first = [0];
    if stream.read(&mut first)? == 0 {
        return Ok(None);
    }
    match first {
        [b'b'] => {
            let total = check(&mut stream, pattern, buffer)?;
            stream.write_all(&total.to_le_bytes())?;
            Ok(None)
        }
        [b'r'] => {
            let mut message = [0; MESSAGE_BYTES];
            while stream.read_exact(&mut message).is_ok() {
                stream.write_all(&message)?;
            }
            Ok(None)
        }
        what => {
            stream.write_all(&what)?;
            Ok((what == *b"i").then(|| Box::new(stream) as Box<dyn Both>))
        }
    }
}

/// Reads to the end, and checks each byte. Returns how many were right.
fn check(stream: &mut impl Read, pattern: &[u8], buffer: &mut [u8]) -> io::Result<u64> {
    let mut total = 0;
    loop {
        let len = stream.read(buffer)?;
        let from = (total % PERIOD_BYTES as u64) as usize;
        if len == 0 || buffer[..len] != pattern[from..from + len] {
            return Ok(total);
        }
        total += len as u64;
    }
}
