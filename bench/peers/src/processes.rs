//! How a measurement's two processes are started, read and observed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use stoop_bench::process::{Process, compile};
use tempfile::TempDir;

use crate::Result;
use crate::role::{Role, Timing, Workload};
use crate::workloads::Measurement;

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
pub struct Processes {
    dir: TempDir,
    cpus: (usize, usize),
}

impl Processes {
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
    pub fn run(&self, measurement: &Measurement, peer: &str, messages: u64) -> Result<Sample> {
        let path = self.dir.path().join("socket");
        let _ = fs::remove_file(&path);
        let serves = Role {
            serves: true,
            workload: measurement.workload,
            path,
            message_bytes: measurement.message_bytes,
            messages,
            warmup: (messages / 10).max(1),
            reads_all: measurement.reads_all,
        };
        let mut server = self.start(peer, &serves, self.cpus.0)?;
        if serves.workload == Workload::Idle {
            let timing = Timing::parse(&server.line()?)?;
            let [nanos, cpu_nanos] = [timing.wall, timing.cpu].map(nanos);
            return Ok(Sample { nanos, cpu_nanos, ..Sample::default() });
        }
        if server.line()? != "ready" {
            return Err("the server did not start".into());
        }
        let before = Usage::of(server.id())?;
        let client_cpu = if measurement.same_core { self.cpus.0 } else { self.cpus.1 };
        let client_peer = if serves.workload == Workload::FanIn { "C, epoll" } else { peer };
        let mut client = self.start(client_peer, &Role { serves: false, ..serves.clone() }, client_cpu)?;
        let ours = Timing::parse(&client.line()?)?;
        let after = Usage::of(server.id())?;
        let endless = serves.workload == Workload::FanIn || ["ttrpc", "tonic"].contains(&peer);
        let theirs_nanos = if endless {
            // It includes the untimed messages.
            (after.cpu_nanos - before.cpu_nanos) * messages as f64 / serves.end() as f64
        } else {
            let theirs = Timing::parse(&server.line()?)?;
            client.finish()?;
            nanos(theirs.cpu)
        };
        let each = |total: f64| total / messages as f64;
        Ok(Sample {
            nanos: if serves.workload == Workload::PingPong {
                nanos(ours.p50)
            } else {
                each(nanos(ours.wall))
            },
            p99_nanos: nanos(ours.p99),
            cpu_nanos: each(nanos(ours.cpu) + theirs_nanos),
            memory_bytes: (after.memory_bytes - before.memory_bytes) / CLIENTS,
        })
    }

    fn start(&self, peer: &str, role: &Role, cpu: usize) -> Result<Process> {
        let (program, workload) = match (peer, role.workload) {
            ("C, 256 messages per write", _) => (self.dir.path().join("frames-c"), "gathered"),
            ("C, one call per message", Workload::OneWay) => (self.dir.path().join("frames-c"), "single"),
            ("C, spin then block", _) => (self.dir.path().join("peers-c"), "adaptive"),
            _ if peer.starts_with('C') => (self.dir.path().join("peers-c"), role.workload.name()),
            _ => (PathBuf::new(), role.workload.name()),
        };
        let mut command = match peer.starts_with('C') {
            true => Command::new(program),
            false => stoop_bench::role(&[peer])?,
        };
        command.args(role.to_args(workload));
        Ok(Process::start(&mut command, Some(cpu))?)
    }
}

fn nanos(time: Duration) -> f64 {
    time.as_nanos() as f64
}

/// A process observed from outside.
struct Usage {
    cpu_nanos: f64,
    memory_bytes: f64,
}

impl Usage {
    fn of(pid: u32) -> Result<Self> {
        // It may have exited already, and then the result is not used.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
        let ticks: f64 = times.filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = anonymous.and_then(|rest| rest.trim().strip_suffix(" kB")?.trim().parse::<f64>().ok());
        Ok(Self { cpu_nanos: ticks / TICKS * 1e9, memory_bytes: kib.unwrap_or(0.0) * 1024.0 })
    }
}
