//! The exchange between the two processes of a measurement, over anything that reads and writes.
//!
//! The counterpart of `bench/c/blocking.c`: change both together. Message `n` is 64 bytes that
//! begin with `n` and end with its complement, so that a lost, doubled, torn or shifted message is
//! detected. Both workloads begin with an unmeasured ping-pong.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

/// The length of a message in bytes.
const MESSAGE: usize = 64;
/// The maximum number of bytes that the receiver of one-way messages reads in one call.
const CHUNK: usize = 65_536;
/// Unmeasured round trips before either workload.
const WARMUP: u64 = 500;
/// One-way messages for each round trip, since they are that much faster.
const ONE_WAY_FACTOR: u64 = 10;

/// The measured workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Round trips, one at a time.
    PingPong,
    /// One-way messages, one write each; the clock stops when the receiver has confirmed the last.
    OneWay,
}

impl Workload {
    pub const ALL: [Self; 2] = [Self::PingPong, Self::OneWay];

    /// Returns the name in arguments, also for the C program.
    pub fn name(self) -> &'static str {
        match self {
            Self::PingPong => "pingpong",
            Self::OneWay => "oneway",
        }
    }
}

/// One measurement: the workload, and the numbers of timed and of preceding untimed messages (or
/// round trips).
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub workload: Workload,
    pub messages: u64,
    pub warmup: u64,
}

impl Plan {
    /// Creates a plan for about as much work as `rounds` round trips.
    pub fn new(workload: Workload, rounds: u64) -> Self {
        let messages = match workload {
            Workload::PingPong => rounds,
            Workload::OneWay => rounds * ONE_WAY_FACTOR,
        };
        Self { workload, messages, warmup: WARMUP }
    }

    /// Formats the plan as arguments; [`Plan::parse`] is the inverse.
    pub fn to_args(&self) -> [String; 3] {
        [self.workload.name().to_owned(), self.messages.to_string(), self.warmup.to_string()]
    }

    pub fn parse([workload, messages, warmup]: [&str; 3]) -> Option<Self> {
        let workload = Workload::ALL.into_iter().find(|w| w.name() == workload)?;
        Some(Self { workload, messages: messages.parse().ok()?, warmup: warmup.parse().ok()? })
    }

    fn end(&self) -> u64 {
        self.warmup + self.messages
    }
}

/// Runs the server.
pub fn serve(mut stream: impl Read + Write, plan: &Plan) -> io::Result<()> {
    let mut message = [0; MESSAGE];
    let answered = match plan.workload {
        Workload::PingPong => plan.end(),
        Workload::OneWay => plan.warmup,
    };
    for n in 0..answered {
        receive(&mut stream, &mut message, n)?;
        send(&mut stream, &mut message, n)?;
    }
    if plan.workload == Workload::OneWay {
        receive_all(&mut stream, plan.warmup, plan.end())?;
        send(&mut stream, &mut message, plan.end())?;
    }
    Ok(())
}

/// Runs the client; returns the time for the messages of the plan.
pub fn connect(mut stream: impl Read + Write, plan: &Plan) -> io::Result<Duration> {
    let mut message = [0; MESSAGE];
    let mut pingpong = |stream: &mut _, from, to| {
        for n in from..to {
            send(stream, &mut message, n)?;
            receive(stream, &mut message, n)?;
        }
        io::Result::Ok(())
    };
    pingpong(&mut stream, 0, plan.warmup)?;
    let start = Instant::now();
    match plan.workload {
        Workload::PingPong => pingpong(&mut stream, plan.warmup, plan.end())?,
        Workload::OneWay => {
            for n in plan.warmup..plan.end() {
                send(&mut stream, &mut message, n)?;
            }
            receive(&mut stream, &mut message, plan.end())?;
        }
    }
    Ok(start.elapsed())
}

fn send(stream: &mut impl Write, message: &mut [u8; MESSAGE], n: u64) -> io::Result<()> {
    message[..8].copy_from_slice(&n.to_ne_bytes());
    message[MESSAGE - 8..].copy_from_slice(&(!n).to_ne_bytes());
    stream.write_all(message)
}

fn receive(stream: &mut impl Read, message: &mut [u8; MESSAGE], n: u64) -> io::Result<()> {
    stream.read_exact(message)?;
    check(message, n)
}

/// Reads all available bytes, up to a chunk at a time, and checks each whole message.
fn receive_all(stream: &mut impl Read, from: u64, to: u64) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let (mut filled, mut next) = (0, from);
    while next < to {
        match stream.read(&mut chunk[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        let whole = filled - filled % MESSAGE;
        for message in chunk[..whole].chunks_exact(MESSAGE) {
            check(message, next)?;
            next += 1;
        }
        chunk.copy_within(whole..filled, 0);
        filled -= whole;
    }
    Ok(())
}

fn check(message: &[u8], n: u64) -> io::Result<()> {
    let number = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    let (head, tail) = (number(&message[..8]), number(&message[MESSAGE - 8..]));
    if head == n && tail == !n {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::InvalidData,
        format!("message {n} arrived as {head}, ending in {tail:#x}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn small(workload: Workload) -> Plan {
        Plan { workload, messages: 3_000, warmup: 3 }
    }

    #[test]
    fn both_roles_fit_together() {
        for workload in Workload::ALL {
            let (client, server) = UnixStream::pair().unwrap();
            let plan = small(workload);
            let server = std::thread::spawn({
                let plan = plan.clone();
                move || serve(server, &plan)
            });
            assert!(connect(client, &plan).unwrap() > Duration::ZERO);
            server.join().unwrap().unwrap();
        }
    }

    #[test]
    fn a_plan_can_be_parsed_again() {
        let plan = Plan::new(Workload::OneWay, 7);
        assert_eq!(plan.messages, 70);
        assert_eq!(Plan::parse(plan.to_args().each_ref().map(String::as_str)), Some(plan));
        assert_eq!(Plan::parse(["sideways", "1", "1"]), None);
    }

    /// A message after `n` others, `bytes` of which were lost on the way.
    fn arriving(n: u64, lost: usize) -> io::Result<()> {
        let (mut bytes, mut message) = (Vec::new(), [0; MESSAGE]);
        for n in 0..=n {
            send(&mut bytes, &mut message, n)?;
        }
        receive_all(&mut &bytes[lost..], 0, n + 1)
    }

    #[test]
    fn lost_and_shifted_messages_are_detected() {
        assert!(arriving(3, 0).is_ok());
        assert_eq!(arriving(3, MESSAGE).unwrap_err().kind(), io::ErrorKind::InvalidData, "one lost");
        assert_eq!(arriving(3, 8).unwrap_err().kind(), io::ErrorKind::InvalidData, "shifted");
        assert!(receive(&mut &[0; 63][..], &mut [0; MESSAGE], 0).is_err(), "truncated");
    }
}
