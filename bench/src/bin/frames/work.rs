//! The workload of the two processes of a measurement: the counterpart of `bench/c/frames.c`.
//!
//! Message `n` begins with `n` and ends with its complement; the bytes between are all the same. A
//! number and its complement add up to −1, so the sum of a message's words does not depend on `n`.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use stoop::frame::{Codec, FrameReader, FrameWriter};
use stoop::internal::PageBuffer;
use stoop::{SocketExt, Stream};

/// The measured sizes, in bytes.
pub const SIZES: [usize; 4] = [64, 1024, 64 << 10, 1 << 20];

/// The bytes between the two numbers.
const FILL: u8 = 0x5a;

/// The confirmation of a message.
pub const RECEIPT: u8 = b'!';

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub message_bytes: usize,
    pub messages: u64,
    /// Untimed messages before the timed ones.
    pub warmup: u64,
    /// Whether the receiver reads every byte.
    pub reads_all: bool,
}

impl Plan {
    /// Creates a plan whose messages take a large part of a second, multiplied by `scale`.
    pub fn new(message_bytes: usize, scale: f64, reads_all: bool) -> Self {
        let usual = match message_bytes {
            ..1024 => 8_000_000,
            1024..65_536 => 800_000,
            65_536..1_048_576 => 20_000,
            _ => 1_500,
        };
        let messages = ((usual as f64 * scale) as u64).max(1);
        Self { message_bytes, messages, warmup: messages.div_ceil(10), reads_all }
    }

    /// Formats the plan as arguments; [`Plan::parse`] is the inverse.
    pub fn to_args(&self) -> [String; 4] {
        let reads = if self.reads_all { "read" } else { "skip" };
        [self.message_bytes.to_string(), self.messages.to_string(), self.warmup.to_string(), reads.to_owned()]
    }

    pub fn parse([bytes, messages, warmup, reads]: [&str; 4]) -> Option<Self> {
        Some(Self {
            message_bytes: bytes.parse().ok().filter(|bytes| *bytes >= 16)?,
            messages: messages.parse().ok()?,
            warmup: warmup.parse().ok()?,
            reads_all: reads == "read",
        })
    }

    /// Returns the number of all messages.
    pub fn end(&self) -> u64 {
        self.warmup + self.messages
    }
}

/// The time of a process for the timed messages.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    pub wall: Duration,
    pub cpu: Duration,
}

impl Timing {
    /// Formats the final line of a process; [`Timing::parse`] is the inverse.
    pub fn to_line(self) -> String {
        format!("{} {}", self.wall.as_nanos(), self.cpu.as_nanos())
    }

    pub fn parse(line: &str) -> Option<Self> {
        let (wall, cpu) = line.split_once(' ')?;
        Some(Self {
            wall: Duration::from_nanos(wall.parse().ok()?),
            cpu: Duration::from_nanos(cpu.parse().ok()?),
        })
    }
}

/// A running measurement of both times.
pub struct Watch {
    start: Instant,
    start_cpu: Duration,
}

impl Watch {
    pub fn start() -> Self {
        Self { start: Instant::now(), start_cpu: Self::cpu() }
    }

    pub fn stop(self) -> Timing {
        Timing { wall: self.start.elapsed(), cpu: Self::cpu() - self.start_cpu }
    }

    fn cpu() -> Duration {
        Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
    }
}

/// Runs a process's role for the untimed messages, and then for the timed ones.
fn both(plan: &Plan, mut phase: impl FnMut(u64, u64) -> io::Result<()>) -> io::Result<Timing> {
    phase(0, plan.warmup)?;
    let watch = Watch::start();
    phase(plan.warmup, plan.end())?;
    Ok(watch.stop())
}

/// Runs the receiver.
pub fn serve(stream: &Stream, codec: impl Codec, plan: &Plan) -> io::Result<Timing> {
    let mut reader = FrameReader::new(stream, codec);
    both(plan, |from, to| {
        for n in from..to {
            let message = reader.next()?.ok_or(io::ErrorKind::UnexpectedEof)?;
            check(message, n, plan)?;
        }
        (&mut &*stream).write_all(&[RECEIPT])
    })
}

/// Runs the sender.
pub fn connect(
    stream: &Stream,
    codec: impl Codec,
    send_buffer: Option<usize>,
    plan: &Plan,
) -> io::Result<Timing> {
    if let Some(bytes) = send_buffer {
        stream.set_send_buffer_bytes(bytes)?;
    }
    let mut writer = FrameWriter::new(stream, codec);
    let mut message = fill(plan);
    both(plan, |from, to| {
        for n in from..to {
            number(&mut message, n);
            writer.send(&message)?;
        }
        writer.flush()?;
        (&mut &*stream).read_exact(&mut [0])
    })
}

/// Returns a message, whose numbers are missing.
pub fn fill(plan: &Plan) -> PageBuffer {
    let mut message = PageBuffer::new(plan.message_bytes);
    message.fill(FILL);
    message
}

/// Writes the number of a message.
pub fn number(message: &mut [u8], n: u64) {
    let end = message.len() - 8;
    message[..8].copy_from_slice(&n.to_ne_bytes());
    message[end..].copy_from_slice(&(!n).to_ne_bytes());
}

/// Checks a received message.
pub fn check(message: &[u8], n: u64, plan: &Plan) -> io::Result<()> {
    let word = |bytes: &[u8]| u64::from_ne_bytes(bytes.try_into().expect("eight bytes"));
    let is_whole = message.len() == plan.message_bytes;
    if is_whole
        && word(&message[..8]) == n
        && word(&message[message.len() - 8..]) == !n
        && (!plan.reads_all || adds_up(message))
    {
        return Ok(());
    }
    let text = format!("message {n} did not arrive as it was sent, or has {} bytes", message.len());
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// Reads every byte.
fn adds_up(message: &[u8]) -> bool {
    let (words, _) = message.as_chunks::<8>();
    let sum = words.iter().fold(0u64, |sum, word| sum.wrapping_add(u64::from_ne_bytes(*word)));
    sum == u64::from_ne_bytes([FILL; 8]).wrapping_mul(words.len() as u64 - 2).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stoop::frame::{LengthDelimited, Native};

    fn run(codec: impl Codec + Copy + Send + 'static, plan: Plan) {
        let (client, server) = Stream::pair().unwrap();
        let theirs = plan.clone();
        let server = std::thread::spawn(move || serve(&server, codec, &theirs));
        let timing = connect(&client, codec, Some(1 << 20), &plan).unwrap();
        assert!(timing.wall > Duration::ZERO);
        assert_eq!(Timing::parse(&timing.to_line()), Some(timing));
        server.join().unwrap().unwrap();
    }

    #[test]
    fn both_roles_fit_together() {
        for message_bytes in SIZES {
            let plan = Plan { message_bytes, messages: 20, warmup: 3, reads_all: true };
            run(Native, plan.clone());
            run(LengthDelimited::LITTLE_ENDIAN, plan);
        }
    }

    #[test]
    fn a_plan_can_be_parsed_again() {
        let plan = Plan::new(1024, 0.5, true);
        assert_eq!(plan.messages, 400_000);
        assert_eq!(Plan::parse(plan.to_args().each_ref().map(String::as_str)), Some(plan));
        assert_eq!(Plan::parse(["15", "1", "1", "read"]), None);
    }

    #[test]
    fn a_changed_byte_is_detected() {
        let plan = Plan { message_bytes: 64, messages: 1, warmup: 0, reads_all: true };
        let mut message = [FILL; 64];
        number(&mut message, 7);
        assert!(check(&message, 7, &plan).is_ok());
        assert!(check(&message, 8, &plan).is_err(), "another number");
        assert!(check(&message[..56], 7, &plan).is_err(), "truncated");
        message[20] ^= 1;
        assert!(check(&message, 7, &plan).is_err(), "a bit");
        assert!(
            check(&message, 7, &Plan { reads_all: false, ..plan }).is_ok(),
            "these bytes are not checked"
        );
    }
}
