//! The transports, and the workloads that each supports. No I/O.

use serde::{Deserialize, Serialize};

use super::workload::Workload;

/// A transport between two processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Transport {
    /// A stream socket bound to a path.
    Stream,
    /// The same, but both sides spin briefly before they sleep.
    Spin,
    /// The same as `Stream`, with the library's framing, which batches small messages.
    Framed,
    /// A stream socket with an abstract name.
    Abstract,
    /// A pair of stream sockets.
    Pair,
    /// A seqpacket socket.
    SeqPacket,
    /// Two datagram sockets connected to each other.
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
    /// A file in the temporary directory, with a pipe for notification.
    File,
    /// Two ring buffers in shared memory. The waiting side spins briefly, then sleeps on a futex.
    SharedFutex,
    /// Two ring buffers in shared memory. The waiting side spins.
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

    /// Returns its name on the command line and in JSON.
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

    /// Parses the name.
    pub(crate) fn parse(text: &str) -> Result<Transport, String> {
        Transport::ALL.into_iter().find(|transport| transport.name() == text).ok_or_else(|| {
            format!("unknown transport; possible values: {}", Transport::ALL.map(Transport::name).join(", "))
        })
    }

    /// Returns whether it is a Unix socket, which supports file descriptors and credentials.
    pub(crate) const fn is_local_socket(self) -> bool {
        use Transport::*;
        matches!(self, Stream | Spin | Framed | Abstract | Pair | SeqPacket | Datagram)
    }

    /// Returns whether a message may be lost without an error.
    pub(crate) const fn is_lossy(self) -> bool {
        matches!(self, Transport::Udp)
    }

    /// Returns why this transport does not support this workload, if that is known beforehand.
    pub(crate) fn cannot(self, work: Workload) -> Option<&'static str> {
        use Transport::*;
        match (self, work) {
            (File, Workload::OneWay) => Some("a file has no flow control"),
            _ => None,
        }
    }

    /// Returns whether the combination makes sense: a pipe, for example, cannot be connected to.
    /// Transports that differ from `Stream` in nothing that the workload measures are left out as
    /// well.
    pub(crate) const fn does(self, work: Workload) -> bool {
        use Transport::*;
        match work {
            Workload::PingPong | Workload::OneWay => true,
            Workload::FanIn => {
                matches!(self, Stream | Abstract | Pair | SeqPacket | Datagram | Pipe | Fifo | Tcp | Udp)
            }
            Workload::Connect => matches!(self, Stream | Spin | Abstract | SeqPacket | Tcp),
            Workload::Descriptors | Workload::Credentials => {
                matches!(self, Stream | Pair | SeqPacket | Datagram)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transport_names_are_parsed() {
        for transport in Transport::ALL {
            assert_eq!(Transport::parse(transport.name()), Ok(transport));
        }
        assert!(Transport::parse("morse").unwrap_err().contains("seqpacket"));
    }

    #[test]
    fn only_unix_sockets_support_ancillary_data() {
        for transport in Transport::ALL.into_iter().filter(|transport| !transport.is_local_socket()) {
            assert!(!transport.does(Workload::Descriptors) && !transport.does(Workload::Credentials));
        }
    }
}
