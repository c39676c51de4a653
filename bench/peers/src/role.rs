//! The role of one process of a measurement, and its results: two lines of text, the same for every
//! peer.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;

/// The measured workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Round trips, one after the other.
    PingPong,
    /// One-way messages, confirmed at the end.
    OneWay,
    /// 64 requests in flight, each answered.
    Requests,
    /// A connection for each message: sent, echoed, closed.
    Connections,
    /// A thousand clients, each waiting for its response.
    FanIn,
    /// Waiting for data that does not arrive.
    Idle,
}

impl Workload {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::PingPong, "pingpong"),
        (Self::OneWay, "oneway"),
        (Self::Requests, "requests"),
        (Self::Connections, "connections"),
        (Self::FanIn, "fanin"),
        (Self::Idle, "idle"),
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(workload, _)| *workload == self).map_or("", |(_, name)| name)
    }

    fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(workload, _)| *workload)
    }
}

/// The role of one process in a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    pub serves: bool,
    pub workload: Workload,
    /// The address.
    pub path: PathBuf,
    pub message_bytes: usize,
    pub messages: u64,
    /// Untimed messages before the timed ones.
    pub warmup: u64,
    /// Whether the receiver reads every byte, or only both ends.
    pub reads_all: bool,
}

impl Role {
    /// Returns the arguments of the process, with this name of the workload.
    pub fn to_args(&self, workload: &str) -> [String; 7] {
        [
            if self.serves { "serve" } else { "connect" }.to_owned(),
            workload.to_owned(),
            self.path.to_string_lossy().into_owned(),
            self.message_bytes.to_string(),
            self.messages.to_string(),
            self.warmup.to_string(),
            if self.reads_all { "read" } else { "skip" }.to_owned(),
        ]
    }

    pub fn parse(args: &[&str]) -> Option<Self> {
        let &[role, workload, path, bytes, messages, warmup, reads] = args else { return None };
        Some(Self {
            serves: role == "serve",
            workload: Workload::of(workload)?,
            path: path.into(),
            message_bytes: bytes.parse().ok().filter(|bytes| *bytes >= 16)?,
            messages: messages.parse().ok().filter(|messages| *messages > 0)?,
            warmup: warmup.parse().ok()?,
            reads_all: reads == "read",
        })
    }

    pub fn end(&self) -> u64 {
        self.warmup + self.messages
    }
}

/// The time that a process took for the timed messages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    pub wall: Duration,
    pub cpu: Duration,
    /// The round-trip times, if there were round trips.
    pub p50: Duration,
    pub p99: Duration,
}

impl Timing {
    /// Formats the final line of a process; [`Timing::parse`] is the inverse.
    pub fn to_line(self) -> String {
        [self.wall, self.cpu, self.p50, self.p99].map(|time| time.as_nanos().to_string()).join(" ")
    }

    pub fn parse(line: &str) -> Result<Self> {
        if line.is_empty() {
            return Err("it exited without a result".into());
        }
        let mut times = line.split(' ').map(|nanos| nanos.parse().map(Duration::from_nanos));
        let mut required = || times.next().ok_or("the peer printed no CPU time")?.map_err(crate::Error::from);
        let (wall, cpu) = (required()?, required()?);
        let mut rest = times.map(|time| time.unwrap_or_default());
        Ok(Self { wall, cpu, p50: rest.next().unwrap_or_default(), p99: rest.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_timings_can_be_parsed_again() {
        let role = Role {
            serves: true,
            workload: Workload::OneWay,
            path: "/tmp/x".into(),
            message_bytes: 64,
            messages: 10,
            warmup: 1,
            reads_all: true,
        };
        let parsed = |workload| Role::parse(&role.to_args(workload).each_ref().map(String::as_str));
        assert_eq!(parsed("oneway"), Some(role.clone()));
        assert_eq!(parsed("flying"), None);
        let [wall, cpu, p50, p99] = [4, 3, 2, 1].map(Duration::from_nanos);
        let timing = Timing { wall, cpu, p50, p99 };
        assert_eq!(Timing::parse(&timing.to_line()).unwrap(), timing);
        assert_eq!(Timing::parse("4 3").unwrap().wall, wall, "percentiles are optional");
        assert!(Timing::parse("").is_err());
    }
}
