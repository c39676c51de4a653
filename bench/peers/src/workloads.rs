//! The measurements, their peers, and stoop's goals: two tables.

use crate::role::Workload;

/// One measurement: a table of the report.
pub struct Measurement {
    pub title: &'static str,
    /// Its name on the command line.
    pub key: &'static str,
    pub workload: Workload,
    pub message_bytes: usize,
    pub reads_all: bool,
    pub same_core: bool,
    /// The peers; the others are compared with the first.
    pub peers: &'static [&'static str],
}

const ONE_WAY: Measurement = Measurement {
    title: "",
    key: "",
    workload: Workload::OneWay,
    message_bytes: 64,
    reads_all: false,
    same_core: false,
    peers: &[],
};

/// The peers that send long messages, over sockets.
const SOCKETS: &[&str] =
    &["std", "tokio", "tokio LengthDelimited", "interprocess", "compio", "ipc-channel", "zeromq", "nng"];
const LONG: &[&str] = &[
    "C, one call per message",
    "stoop frames",
    "stoop frames, adaptive",
    "std",
    "tokio",
    "tokio LengthDelimited",
    "interprocess",
    "compio",
    "ipc-channel",
    "zeromq",
    "nng",
    "shmipc",
    "iceoryx2, polling",
];

pub const WORKLOADS: &[Measurement] = &[
    Measurement {
        title: "64 B ping-pong, one core per process",
        key: "pingpong",
        workload: Workload::PingPong,
        peers: &[
            "C",
            "C, spin then block",
            "stoop",
            "stoop, adaptive",
            "stoop tokio",
            "stoop tokio, adaptive",
            "std",
            "tokio",
            "tokio LengthDelimited",
            "interprocess",
            "compio",
            "ipc-channel",
            "zeromq",
            "nng",
            "shmipc",
            "iceoryx2, polling",
        ],
        ..ONE_WAY
    },
    Measurement {
        title: "64 B ping-pong, both processes on one core",
        key: "pingpong-same-core",
        workload: Workload::PingPong,
        same_core: true,
        peers: &[
            "C",
            "C, spin then block",
            "stoop",
            "stoop, adaptive",
            "stoop tokio",
            "stoop tokio, adaptive",
            "tokio",
        ],
        ..ONE_WAY
    },
    Measurement {
        title: "64 B one-way throughput",
        key: "oneway-64",
        peers: &[
            "C, 256 messages per write",
            "C, one call per message",
            "stoop frames",
            "stoop frames, adaptive",
            "std",
            "tokio",
            "tokio LengthDelimited",
            "interprocess",
            "ipc-channel",
            "zeromq",
            "nng",
            "shmipc",
            "iceoryx2, polling",
        ],
        ..ONE_WAY
    },
    Measurement {
        title: "1 KiB one-way throughput",
        key: "oneway-1k",
        message_bytes: 1 << 10,
        peers: &[
            "C, 256 messages per write",
            "C, one call per message",
            "stoop frames",
            "std",
            "tokio LengthDelimited",
            "zeromq",
            "iceoryx2, polling",
        ],
        ..ONE_WAY
    },
    Measurement {
        title: "64 KiB one-way throughput",
        key: "oneway-64k",
        message_bytes: 64 << 10,
        peers: LONG,
        ..ONE_WAY
    },
    Measurement {
        title: "64 KiB one-way throughput, the receiver reads every byte",
        key: "oneway-64k-read",
        message_bytes: 64 << 10,
        reads_all: true,
        peers: LONG,
        ..ONE_WAY
    },
    Measurement {
        title: "1 MiB one-way throughput",
        key: "oneway-1m",
        message_bytes: 1 << 20,
        peers: LONG,
        ..ONE_WAY
    },
    Measurement {
        title: "1 MiB one-way throughput, the receiver reads every byte",
        key: "oneway-1m-read",
        message_bytes: 1 << 20,
        reads_all: true,
        peers: LONG,
        ..ONE_WAY
    },
    Measurement {
        title: "64 requests of 64 B in flight on one connection",
        key: "requests",
        workload: Workload::Requests,
        peers: &[
            "C, one call per message",
            "stoop frames",
            "stoop frames, adaptive",
            "tokio LengthDelimited",
            "ttrpc",
            "tonic",
        ],
        ..ONE_WAY
    },
    Measurement {
        title: "connect, 64 B round trip, close",
        key: "connections",
        workload: Workload::Connections,
        peers: &["C", "stoop", "stoop, adaptive", "stoop tokio", "std", "tokio", "interprocess"],
        ..ONE_WAY
    },
    Measurement {
        title: "1,000 clients, each with a 64 B request in flight",
        key: "fanin",
        workload: Workload::FanIn,
        peers: &["C, epoll", "stoop serve", "tokio", "io_uring"],
        ..ONE_WAY
    },
    Measurement {
        title: "one second of idle waiting",
        key: "idle",
        workload: Workload::Idle,
        peers: &["stoop, adaptive", "stoop tokio, adaptive"],
        ..ONE_WAY
    },
];

/// The compared quantity.
#[derive(Clone, Copy)]
pub enum Goal {
    /// The maximum ratio of times.
    Time(f64),
    /// The minimum speed-up.
    Speed(f64),
    /// The maximum user memory per connection, in bytes.
    Memory(f64),
    /// The maximum share of one CPU.
    Cpu(f64),
}

/// A goal of stoop.
pub struct Target {
    /// A [`Measurement::key`].
    pub key: &'static str,
    pub subject: &'static str,
    /// Compared with the best of these in each repetition.
    pub against: &'static [&'static str],
    pub goal: Goal,
}

const fn target(
    key: &'static str,
    subject: &'static str,
    against: &'static [&'static str],
    goal: Goal,
) -> Target {
    Target { key, subject, against, goal }
}

use Goal::{Cpu, Memory, Speed, Time};

pub const TARGETS: &[Target] = &[
    target("pingpong", "stoop, adaptive", &["C, spin then block"], Time(1.1)),
    target("pingpong", "stoop, adaptive", &["tokio"], Speed(10.0)),
    target("pingpong-same-core", "stoop, adaptive", &["C"], Time(1.05)),
    target("pingpong", "stoop tokio", &["tokio"], Time(1.0)),
    target("pingpong", "stoop tokio, adaptive", &["tokio"], Speed(5.0)),
    target("oneway-64", "stoop frames", &["C, 256 messages per write"], Speed(0.85)),
    target("oneway-64", "stoop frames, adaptive", &["tokio LengthDelimited"], Speed(3.0)),
    target("oneway-64", "stoop frames, adaptive", &["zeromq"], Speed(12.0)),
    target("oneway-64", "stoop frames, adaptive", &["iceoryx2, polling"], Speed(12.0)),
    target("oneway-1k", "stoop frames", &["C, 256 messages per write"], Speed(0.9)),
    target("oneway-64k", "stoop frames, adaptive", &["C, one call per message"], Speed(2.5)),
    target("oneway-64k", "stoop frames, adaptive", SOCKETS, Speed(1.0)),
    target("oneway-64k-read", "stoop frames, adaptive", SOCKETS, Speed(1.0)),
    target("oneway-1m", "stoop frames, adaptive", &["C, one call per message"], Speed(1.5)),
    target("oneway-1m", "stoop frames, adaptive", SOCKETS, Speed(1.0)),
    target("oneway-1m-read", "stoop frames, adaptive", SOCKETS, Speed(1.0)),
    target("requests", "stoop frames, adaptive", &["C, one call per message"], Speed(5.0)),
    target("requests", "stoop frames, adaptive", &["ttrpc"], Speed(30.0)),
    target("requests", "stoop frames, adaptive", &["tonic"], Speed(80.0)),
    target("connections", "stoop", &["C"], Speed(1.0)),
    target("connections", "stoop, adaptive", &["C"], Speed(3.0)),
    target("fanin", "stoop serve", &["C, epoll"], Speed(0.95)),
    target("fanin", "stoop serve", &[], Memory(1024.0)),
    target("idle", "stoop, adaptive", &[], Cpu(0.001)),
    target("idle", "stoop tokio, adaptive", &[], Cpu(0.001)),
];

/// The explanation of a missed goal.
pub struct Reason {
    /// A [`Measurement::key`].
    key: &'static str,
    pub subject: &'static str,
    /// The first of those compared with; empty for memory.
    pub compared: &'static str,
    pub why: &'static str,
}

impl Reason {
    /// Returns whether it explains why this goal is missed.
    pub fn is_of(&self, target: &Target) -> bool {
        let first = target.against.first().copied().unwrap_or_default();
        (self.key, self.subject, self.compared) == (target.key, target.subject, first)
    }
}

const fn reason(
    key: &'static str,
    subject: &'static str,
    compared: &'static str,
    why: &'static str,
) -> Reason {
    Reason { key, subject, compared, why }
}

/// Of the goals that compare spinning with waiting.
const CHEAP_WAKE_UPS: &str = "Spinning saves the wake-up of the other process, and the target was set on a processor on which that \
    takes several times as long: compare C's own two rows of the ping-pong.";

pub const MISSED_BECAUSE: &[Reason] = &[
    reason("pingpong", "stoop, adaptive", "tokio", CHEAP_WAKE_UPS),
    reason("pingpong", "stoop tokio, adaptive", "tokio", CHEAP_WAKE_UPS),
    reason("connections", "stoop, adaptive", "C", CHEAP_WAKE_UPS),
    reason(
        "pingpong",
        "stoop tokio",
        "tokio",
        "stoop reads with `recvmsg`, which detects ancillary data, and tokio with `recv`: about 50 ns per read. Otherwise both make \
         the same calls, and the scheduler's choices matter more.",
    ),
    reason(
        "pingpong-same-core",
        "stoop, adaptive",
        "C",
        "Both make the same system calls; once in thousands of waits stoop tests whether spinning pays off again.",
    ),
    reason(
        "oneway-64",
        "stoop frames, adaptive",
        "zeromq",
        "ZeroMQ batches small messages too, and gains more from fast cores than a plain stream does: the C baseline, with 256 \
         messages per write, is not further ahead of it than stoop.",
    ),
    reason(
        "oneway-1k",
        "stoop frames",
        "C, 256 messages per write",
        "By a profile, nine tenths of the time of both are spent in the kernel, half of them with copying, and 2 % of stoop's in its own \
         code. Larger reads made no difference.",
    ),
    reason(
        "oneway-64k",
        "stoop frames, adaptive",
        "C, one call per message",
        "The target was set on a processor whose copies are many times slower if source and destination are aligned differently. \
         On other processors the four bytes of header cost C little, and only the larger send buffer and spinning are left.",
    ),
    reason(
        "oneway-1m",
        "stoop frames, adaptive",
        "C, one call per message",
        "As for 64 KiB: what is left is the larger send buffer and spinning; both sides copy as fast as the memory allows.",
    ),
    reason(
        "requests",
        "stoop frames, adaptive",
        "ttrpc",
        "64 requests are two batches of 32, each of which costs four system calls and two moves of the buffer between cores; \
         ttrpc gains more from fast cores.",
    ),
    reason(
        "connections",
        "stoop",
        "C",
        "stoop makes the same five system calls as C: the difference is noise.",
    ),
    reason(
        "fanin",
        "stoop serve",
        "",
        "Most of it is tokio's task and registration (see tokio's own row); stoop's share is what `serve` records about each \
         connection, in a table that is half empty after it has grown.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_about_a_target() {
        for reason in MISSED_BECAUSE {
            assert!(TARGETS.iter().any(|target| reason.is_of(target)), "{}", reason.key);
        }
    }

    #[test]
    fn every_target_is_about_measured_peers() {
        for target in TARGETS {
            let measurement = WORKLOADS.iter().find(|one| one.key == target.key).expect(target.key);
            for peer in target.against.iter().chain([&target.subject]) {
                assert!(measurement.peers.contains(peer), "{peer} does not run {}", target.key);
            }
        }
    }
}
