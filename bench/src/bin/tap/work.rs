//! The two processes that are watched.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::net::sockopt::socket_cookie;
use stoop_bench::{Result, pin};

use crate::Setup;
use crate::watch::Watcher;

const MESSAGE_BYTES: usize = 64;
/// The messages of a batch: short enough to be undisturbed now and then.
const BATCH: u64 = 200;

/// How fast to send.
pub struct Pace {
    /// What it is called.
    pub name: &'static str,
    /// Messages in a second; `None` for as fast as it goes.
    pub rate: Option<u64>,
    /// Whether one thread does both, and the fastest batch counts: what else runs on the machine
    /// then matters least.
    pub is_alone: bool,
}

/// All of them.
pub const PACES: [Pace; 4] = [
    Pace { name: "One thread that sends and receives, the fastest batch", rate: None, is_alone: true },
    Pace { name: "As fast as they go", rate: None, is_alone: false },
    Pace { name: "100,000 messages a second", rate: Some(100_000), is_alone: false },
    Pace { name: "300,000 messages a second", rate: Some(300_000), is_alone: false },
];

/// One measurement.
pub struct Run {
    /// Messages in a second.
    pub rate: f64,
    /// The parts of the messages that were seen, and counted as lost.
    pub watched: Option<(f64, f64)>,
}

/// Transfers all messages while they are watched.
///
/// # Errors
/// Returns an error if a process cannot be started, or fails.
pub fn run(setup: &Setup, pace: &Pace, watcher: &Watcher) -> Result<Run> {
    // At a pace, for half a second.
    let messages = pace.rate.map_or(setup.messages, |rate| rate / 2);
    let messages = if watcher.is_slow { messages / 30 } else { messages };
    let (sender_cpu, rate) = (setup.pin.map_or(-1, |pin| pin.1 as i64), pace.rate.unwrap_or(0));
    let args = [messages.to_string(), rate.to_string(), sender_cpu.to_string()];
    let mut command = match pace.is_alone {
        true => stoop_bench::role(&["alone", &args[0]])?,
        false => stoop_bench::role(&["receive", &args[0], &args[1], &args[2]])?,
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut receiver = Receiver(pin::spawn(&mut command, setup.pin.map(|pin| pin.0))?);
    let mut lines = BufReader::new(receiver.0.stdout.take().ok_or("no stdout")?).lines();
    let mut line = || lines.next().ok_or("the receiver failed")?.map_err(|error| error.to_string());
    let cookie: u64 = line()?.parse()?;
    let watching = watcher.start(receiver.0.id(), cookie)?;
    writeln!(receiver.0.stdin.as_mut().ok_or("no stdin")?, "go")?;
    let seconds: f64 = line()?.parse()?;
    let part = |count: u64| count as f64 / messages as f64;
    let watched = watching.finish()?.map(|(seen, lost)| (part(seen), part(lost)));
    Ok(Run { rate: messages as f64 / seconds, watched })
}

/// Killed on drop.
struct Receiver(std::process::Child);

impl Drop for Receiver {
    fn drop(&mut self) {
        // Both fail if it has already exited.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn run_role(args: &[&str]) -> Option<Result> {
    match *args {
        ["receive", messages, rate, cpu] => Some(receive(messages.parse().ok()?, rate, cpu.parse().ok()?)),
        ["alone", messages] => Some(alone(messages.parse().ok()?)),
        ["send", messages, rate] => Some(send(messages.parse().ok()?, rate.parse().ok()?)),
        _ => None,
    }
}

/// Sends and receives; prints the seconds that all messages take if each batch is as fast as the
/// fastest.
fn alone(messages: u64) -> Result {
    let (mut own, mut other) = UnixStream::pair()?;
    println!("{}", socket_cookie(&own)?);
    std::io::stdin().read_line(&mut String::new())?;
    let mut buffer = [0; MESSAGE_BYTES];
    let mut fastest = Duration::MAX;
    for _ in 0..messages / BATCH {
        let started = Instant::now();
        for _ in 0..BATCH {
            other.write_all(&buffer)?;
            own.read_exact(&mut buffer)?;
        }
        fastest = fastest.min(started.elapsed());
    }
    println!("{}", fastest.as_secs_f64() / BATCH as f64 * messages as f64);
    Ok(())
}

/// Receives until the sender ends; prints the seconds between the first message and the last.
fn receive(messages: u64, rate: &str, sender_cpu: i64) -> Result {
    let (mut own, other) = UnixStream::pair()?;
    println!("{}", socket_cookie(&own)?);
    std::io::stdin().read_line(&mut String::new())?;
    let mut command = stoop_bench::role(&["send", &messages.to_string(), rate])?;
    command.stdin(Stdio::from(OwnedFd::from(other)));
    let mut sender = pin::spawn(&mut command, usize::try_from(sender_cpu).ok())?;
    drop(command);
    let mut buffer = [0; MESSAGE_BYTES];
    own.read_exact(&mut buffer)?;
    let started = Instant::now();
    for number in 1..messages {
        own.read_exact(&mut buffer)?;
        if buffer[..8] != number.to_le_bytes() {
            return Err(format!("message {number} is another").into());
        }
    }
    println!("{}", started.elapsed().as_secs_f64());
    match sender.wait()?.success() {
        true => Ok(()),
        false => Err("the sender failed".into()),
    }
}

/// Sends numbered messages to its standard input.
fn send(messages: u64, rate: u64) -> Result {
    let stdin = std::io::stdin();
    let mut buffer = [0; MESSAGE_BYTES];
    let started = Instant::now();
    for number in 0..messages {
        // Without a rate, as fast as it goes.
        if let Some(due_ns) = (number * 1_000_000_000).checked_div(rate) {
            let due = Duration::from_nanos(due_ns);
            while started.elapsed() < due {
                std::hint::spin_loop();
            }
        }
        buffer[..8].copy_from_slice(&number.to_le_bytes());
        if rustix::io::write(&stdin, &buffer)? != MESSAGE_BYTES {
            return Err("a message was cut".into());
        }
    }
    Ok(())
}
