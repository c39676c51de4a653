//! The works that transports are compared on.

use serde::{Deserialize, Serialize};

/// What the two processes do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Work {
    /// One message there, one back.
    PingPong,
    /// Messages there, as fast as they go.
    OneWay,
    /// Many connections to one process, one round trip in flight on each.
    FanIn,
    /// Connect, one round trip, close.
    Connect,
    /// Messages there, each with a descriptor.
    Descriptors,
    /// Messages there, each with who sent it.
    Credentials,
}

impl Work {
    /// Every work, in the order of the report.
    pub(crate) const ALL: [Work; 6] =
        [Work::PingPong, Work::OneWay, Work::FanIn, Work::Connect, Work::Descriptors, Work::Credentials];

    /// The word for it on the command line and in JSON.
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

    /// What it shows, as a heading.
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

    /// Reads the word.
    pub(crate) fn parse(text: &str) -> Result<Work, String> {
        Work::ALL
            .into_iter()
            .find(|work| work.name() == text)
            .ok_or_else(|| format!("no such work; there are {}", Work::ALL.map(Work::name).join(", ")))
    }

    /// Whether it is measured for each message size, or for the first only.
    pub(crate) const fn has_sizes(self) -> bool {
        matches!(self, Work::PingPong | Work::OneWay)
    }

    /// Whether each message is answered, so that there is a latency.
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
