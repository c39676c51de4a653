//! The workloads on which transports are compared.

use serde::{Deserialize, Serialize};

/// What the two processes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Workload {
    /// Round trips: one message in each direction.
    PingPong,
    /// Messages in one direction, as fast as possible.
    OneWay,
    /// Many connections to one process, with one round trip in flight on each.
    FanIn,
    /// Connect, one round trip, close.
    Connect,
    /// Messages in one direction, each with a file descriptor.
    Descriptors,
    /// Messages in one direction, each with the sender's credentials.
    Credentials,
}

impl Workload {
    /// Every workload, in the order of the report.
    pub(crate) const ALL: [Workload; 6] = [
        Workload::PingPong,
        Workload::OneWay,
        Workload::FanIn,
        Workload::Connect,
        Workload::Descriptors,
        Workload::Credentials,
    ];

    /// Returns its name on the command line and in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Workload::PingPong => "ping-pong",
            Workload::OneWay => "one-way",
            Workload::FanIn => "fan-in",
            Workload::Connect => "connect",
            Workload::Descriptors => "descriptors",
            Workload::Credentials => "credentials",
        }
    }

    /// Returns what it shows, as a heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Workload::PingPong => "Latency: round trips (ping-pong)",
            Workload::OneWay => "One-way throughput",
            Workload::FanIn => "Many clients: one round trip in flight on each",
            Workload::Connect => "Connections: connect, one round trip, close",
            Workload::Descriptors => "File descriptors: one passed with each message",
            Workload::Credentials => "Credentials: those of the sender with each message",
        }
    }

    /// Parses the name.
    pub(crate) fn parse(text: &str) -> Result<Workload, String> {
        Workload::ALL.into_iter().find(|work| work.name() == text).ok_or_else(|| {
            format!("unknown workload; possible values: {}", Workload::ALL.map(Workload::name).join(", "))
        })
    }

    /// Returns whether it is measured for each message size, or only for the first.
    pub(crate) const fn has_sizes(self) -> bool {
        matches!(self, Workload::PingPong | Workload::OneWay)
    }

    /// Returns whether each message is answered, so that latency is measured.
    pub(crate) const fn is_answered(self) -> bool {
        matches!(self, Workload::PingPong | Workload::FanIn | Workload::Connect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed() {
        for work in Workload::ALL {
            assert_eq!(Workload::parse(work.name()), Ok(work));
        }
        assert!(Workload::parse("idling").is_err());
    }
}
