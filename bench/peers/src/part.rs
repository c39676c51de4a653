//! The role of one process of a measurement, and its results: two lines of text, the same for every
//! peer.

use std::path::PathBuf;
use std::time::Duration;

use crate::Result;

/// The measured workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
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

impl Work {
    const NAMES: [(Self, &'static str); 6] = [
        (Self::PingPong, "pingpong"),
        (Self::OneWay, "oneway"),
        (Self::Requests, "requests"),
        (Self::Connections, "connections"),
        (Self::FanIn, "fanin"),
        (Self::Idle, "idle"),
    ];

    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(work, _)| *work == self).map_or("", |(_, name)| name)
    }

    fn of(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(_, known)| *known == name).map(|(work, _)| *work)
    }
}

/// The role of one process in a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    pub serves: bool,
    pub work: Work,
    /// The address.
    pub path: PathBuf,
    pub message_bytes: usize,
    pub messages: u64,
    /// Untimed messages before the timed ones.
    pub warmup: u64,
    /// Whether the receiver reads every byte, or only both ends.
    pub reads_all: bool,
}

impl Part {
    /// Returns the arguments of the process, with the peer's name for `work`.
    pub fn to_args(&self, work: &str) -> [String; 7] {
        [
            if self.serves { "serve" } else { "connect" }.to_owned(),
            work.to_owned(),
            self.path.to_string_lossy().into_owned(),
            self.message_bytes.to_string(),
            self.messages.to_string(),
            self.warmup.to_string(),
            if self.reads_all { "read" } else { "skip" }.to_owned(),
        ]
    }

    pub fn parse(args: &[String]) -> Option<Self> {
        let [role, work, path, bytes, messages, warmup, reads] = args else { return None };
        Some(Self {
            serves: role == "serve",
            work: Work::of(work)?,
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

/// The time of a process for the timed messages.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Taken {
    pub wall: Duration,
    pub cpu: Duration,
    /// The round-trip times, if there were round trips.
    pub p50: Duration,
    pub p99: Duration,
}

impl Taken {
    /// Formats the final line of a process; [`Taken::parse`] is the inverse.
    pub fn to_line(self) -> String {
        [self.wall, self.cpu, self.p50, self.p99].map(|time| time.as_nanos().to_string()).join(" ")
    }

    pub fn parse(line: &str) -> Result<Self> {
        if line.is_empty() {
            return Err("it ended without an answer".into());
        }
        let mut times = line.split(' ').map(|nanos| nanos.parse().map(Duration::from_nanos));
        let mut required =
            || times.next().ok_or("the peer does not say what it took")?.map_err(crate::Error::from);
        let (wall, cpu) = (required()?, required()?);
        let mut rest = times.map(|time| time.unwrap_or_default());
        Ok(Self { wall, cpu, p50: rest.next().unwrap_or_default(), p99: rest.next().unwrap_or_default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_and_answers_survive_their_lines() {
        let part = Part {
            serves: true,
            work: Work::OneWay,
            path: "/tmp/x".into(),
            message_bytes: 64,
            messages: 10,
            warmup: 1,
            reads_all: true,
        };
        assert_eq!(Part::parse(&part.to_args("oneway")), Some(part.clone()));
        assert_eq!(Part::parse(&part.to_args("flying")), None);
        let [wall, cpu, p50, p99] = [4, 3, 2, 1].map(Duration::from_nanos);
        let taken = Taken { wall, cpu, p50, p99 };
        assert_eq!(Taken::parse(&taken.to_line()).unwrap(), taken);
        assert_eq!(Taken::parse("4 3").unwrap().wall, wall, "who knows no percentiles says none");
        assert!(Taken::parse("").is_err());
    }
}
