//! The workloads on which transports are compared.

use serde::{Deserialize, Serialize};

/// What the two processes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Work {
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

impl Work {
    /// Every workload, in the order of the report.
    pub(crate) const ALL: [Work; 6] =
        [Work::PingPong, Work::OneWay, Work::FanIn, Work::Connect, Work::Descriptors, Work::Credentials];

    /// Returns its name on the command line and in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Work::PingPong => "ping-pong",
            Work::OneWay => "one-way",
            Work::FanIn => "fan-in",
            Work::Connect => "connect",
            Work::Descriptors => "descriptors",
            Work::Credentials => "credentials",
        }
    }

    /// Returns what it shows, as a heading.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Work::PingPong => "Latency: a message there and one back",
            Work::OneWay => "Throughput: messages one way",
            Work::FanIn => "Many clients: one round trip in flight on each",
            Work::Connect => "Connections: connect, one round trip, close",
            Work::Descriptors => "Descriptors: one passed with each message",
            Work::Credentials => "Credentials: the sender told with each message",
        }
    }

    /// Parses the name.
    pub(crate) fn parse(text: &str) -> Result<Work, String> {
        Work::ALL
            .into_iter()
            .find(|work| work.name() == text)
            .ok_or_else(|| format!("no such work; there are {}", Work::ALL.map(Work::name).join(", ")))
    }

    /// Returns whether it is measured for each message size, or only for the first.
    pub(crate) const fn has_sizes(self) -> bool {
        matches!(self, Work::PingPong | Work::OneWay)
    }

    /// Returns whether each message is answered, so that latency is measured.
    pub(crate) const fn is_answered(self) -> bool {
        matches!(self, Work::PingPong | Work::FanIn | Work::Connect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for work in Work::ALL {
            assert_eq!(Work::parse(work.name()), Ok(work));
        }
        assert!(Work::parse("idling").is_err());
    }
}
