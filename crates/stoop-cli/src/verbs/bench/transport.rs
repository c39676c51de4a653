//! The transports that are compared, and the works that each can do. Opens nothing.

use serde::{Deserialize, Serialize};

use super::work::Work;

/// A way from one process to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Transport {
    /// Stream socket with a path.
    Stream,
    /// The same, and both sides try a little before they sleep.
    Spin,
    /// The same as `Stream`, with the library's framing, which gathers small messages.
    Framed,
    /// Stream socket with an abstract name.
    Abstract,
    /// A pair of stream sockets.
    Pair,
    /// Seqpacket socket.
    SeqPacket,
    /// Two datagram sockets that are connected to each other.
    Datagram,
    /// Two pipes.
    Pipe,
    /// Two FIFOs.
    Fifo,
    /// TCP over the loopback interface.
    Tcp,
    /// UDP over the loopback interface.
    Udp,
    /// Two POSIX message queues.
    PosixQueue,
    /// Two System V message queues.
    SysVQueue,
    /// A file in the temporary directory, with a pipe as the bell.
    File,
    /// Two rings in shared memory; the waiting side looks for a moment, then sleeps on a futex.
    SharedFutex,
    /// Two rings in shared memory, the waiting side looking all the time.
    SharedSpin,
}

impl Transport {
    /// Every transport, in the order of the report.
    pub(crate) const ALL: [Transport; 16] = [
        Transport::Stream,
        Transport::Spin,
        Transport::Framed,
        Transport::Abstract,
        Transport::Pair,
        Transport::SeqPacket,
        Transport::Datagram,
        Transport::Pipe,
        Transport::Fifo,
        Transport::Tcp,
        Transport::Udp,
        Transport::PosixQueue,
        Transport::SysVQueue,
        Transport::File,
        Transport::SharedFutex,
        Transport::SharedSpin,
    ];

    /// The word for it on the command line and in JSON.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Transport::Stream => "stream",
            Transport::Spin => "stream+spin",
            Transport::Framed => "stream+frames",
            Transport::Abstract => "abstract",
            Transport::Pair => "socketpair",
            Transport::SeqPacket => "seqpacket",
            Transport::Datagram => "dgram",
            Transport::Pipe => "pipe",
            Transport::Fifo => "fifo",
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
            Transport::PosixQueue => "posix-mq",
            Transport::SysVQueue => "sysv",
            Transport::File => "file",
            Transport::SharedFutex => "memory-futex",
            Transport::SharedSpin => "memory-spin",
        }
    }

    /// Reads the word.
    pub(crate) fn parse(text: &str) -> Result<Transport, String> {
        Transport::ALL.into_iter().find(|transport| transport.name() == text).ok_or_else(|| {
            format!("no such transport; there are {}", Transport::ALL.map(Transport::name).join(", "))
        })
    }

    /// Whether it is a socket of the local family: those carry descriptors and credentials.
    pub(crate) const fn is_local_socket(self) -> bool {
        use Transport::*;
        matches!(self, Stream | Spin | Framed | Abstract | Pair | SeqPacket | Datagram)
    }

    /// Whether a message may be lost although nothing fails.
    pub(crate) const fn is_lossy(self) -> bool {
        matches!(self, Transport::Udp)
    }

    /// Why this transport cannot do this work at all, where that is known beforehand.
    pub(crate) fn cannot(self, work: Work) -> Option<&'static str> {
        use Transport::*;
        match (self, work) {
            (File, Work::OneWay) => Some("a file does not hold its writer back"),
            _ => None,
        }
    }

    /// Whether the question makes sense: a pipe, for instance, is not connected to. Pairs that
    /// differ from `Stream` in nothing that the work is about are left out as well.
    pub(crate) const fn does(self, work: Work) -> bool {
        use Transport::*;
        match work {
            Work::PingPong | Work::OneWay => true,
            Work::FanIn => {
                matches!(self, Stream | Abstract | Pair | SeqPacket | Datagram | Pipe | Fifo | Tcp | Udp)
            }
            Work::Connect => matches!(self, Stream | Spin | Abstract | SeqPacket | Tcp),
            Work::Descriptors | Work::Credentials => matches!(self, Stream | Pair | SeqPacket | Datagram),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_differ() {
        for transport in Transport::ALL {
            assert_eq!(Transport::parse(transport.name()), Ok(transport));
        }
        assert!(Transport::parse("morse").unwrap_err().contains("seqpacket"));
    }

    #[test]
    fn only_local_sockets_carry_more_than_bytes() {
        for transport in Transport::ALL.into_iter().filter(|transport| !transport.is_local_socket()) {
            assert!(!transport.does(Work::Descriptors) && !transport.does(Work::Credentials));
        }
    }
}
