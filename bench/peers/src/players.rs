//! How a measurement's two processes are started, read and observed.

use std::fs;
use std::process::Command;
use std::time::Duration;

use stoop_bench::player::{Player, compile};
use tempfile::TempDir;

use crate::part::{Part, Taken, Work};
use crate::works::Measured;
use crate::{PLAY, Result};

/// The result of one measurement of one peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sample {
    /// Time per message, request or connection; for a ping-pong the median round trip.
    pub nanos: f64,
    /// The 99th percentile, if each is timed.
    pub p99_nanos: f64,
    /// CPU time per message, of both processes together.
    pub cpu_nanos: f64,
    /// User memory per connection, if there are many.
    pub memory_bytes: f64,
}

/// The number of clients in a fan-in; `c/peers.c` has the same number.
const CLIENTS: f64 = 1000.0;

/// The resolution of the CPU time of another process, in ticks per second.
const TICKS: f64 = 100.0;

/// The context of a measurement: the compiled C peers, a directory for sockets, two CPUs.
pub struct Players {
    dir: TempDir,
    cpus: (usize, usize),
}

impl Players {
    /// Compiles the C peers.
    ///
    /// # Errors
    /// Returns an error if there is no C compiler.
    pub fn prepare(cpus: (usize, usize)) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        compile(concat!(env!("CARGO_MANIFEST_DIR"), "/c/peers.c"), &dir.path().join("peers-c"))?;
        compile("frames.c", &dir.path().join("frames-c"))?;
        Ok(Self { dir, cpus })
    }

    /// Runs one measurement of this many messages.
    ///
    /// # Errors
    /// Returns an error if the peer fails.
    pub fn run(&self, measured: &Measured, peer: &str, messages: u64) -> Result<Sample> {
        let path = self.dir.path().join("socket");
        let _ = fs::remove_file(&path);
        let serves = Part {
            serves: true,
            work: measured.work,
            path,
            message_bytes: measured.message_bytes,
            messages,
            warmup: (messages / 10).max(1),
            reads_all: measured.reads_all,
        };
        let mut server = self.start(peer, &serves, self.cpus.0)?;
        if serves.work == Work::Idle {
            let taken = Taken::parse(&server.line()?)?;
            let [nanos, cpu_nanos] = [taken.wall, taken.cpu].map(nanos);
            return Ok(Sample { nanos, cpu_nanos, ..Sample::default() });
        }
        if server.line()? != "ready" {
            return Err("the server does not get ready".into());
        }
        let before = Look::at(server.id())?;
        let client_cpu = if measured.same_core { self.cpus.0 } else { self.cpus.1 };
        let client_peer = if serves.work == Work::FanIn { "C, epoll" } else { peer };
        let mut client = self.start(client_peer, &Part { serves: false, ..serves.clone() }, client_cpu)?;
        let ours = Taken::parse(&client.line()?)?;
        let after = Look::at(server.id())?;
        let endless = serves.work == Work::FanIn || ["ttrpc", "tonic"].contains(&peer);
        let theirs_nanos = if endless {
            // What came before the timed messages is in it.
            (after.cpu_nanos - before.cpu_nanos) * messages as f64 / serves.end() as f64
        } else {
            let theirs = Taken::parse(&server.line()?)?;
            client.finish()?;
            nanos(theirs.cpu)
        };
        let each = |total: f64| total / messages as f64;
        Ok(Sample {
            nanos: if serves.work == Work::PingPong { nanos(ours.p50) } else { each(nanos(ours.wall)) },
            p99_nanos: nanos(ours.p99),
            cpu_nanos: each(nanos(ours.cpu) + theirs_nanos),
            memory_bytes: (after.memory_bytes - before.memory_bytes) / CLIENTS,
        })
    }

    fn start(&self, peer: &str, part: &Part, cpu: usize) -> Result<Player> {
        let (program, word) = match (peer, part.work) {
            ("C, 256 in a write", _) => (self.dir.path().join("frames-c"), "gathered"),
            ("C, one call a message", Work::OneWay) => (self.dir.path().join("frames-c"), "single"),
            ("C, spin then park", _) => (self.dir.path().join("peers-c"), "adaptive"),
            _ if peer.starts_with('C') => (self.dir.path().join("peers-c"), part.work.name()),
            _ => (std::env::current_exe()?, part.work.name()),
        };
        let is_ours = !peer.starts_with('C');
        let mut command = Command::new(program);
        command.args(is_ours.then_some([PLAY, peer]).into_iter().flatten()).args(part.to_args(word));
        Ok(Player::start(&mut command, Some(cpu))?)
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// A process observed from outside.
struct Look {
    cpu_nanos: f64,
    memory_bytes: f64,
}

impl Look {
    fn at(pid: u32) -> Result<Self> {
        // It may have ended already, where nobody needs this.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks: f64 = times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = anonymous.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
        Ok(Self { cpu_nanos: ticks / TICKS * 1e9, memory_bytes: kib.unwrap_or(0.0) * 1024.0 })
    }
}
