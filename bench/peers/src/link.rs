//! The workloads, written once for all peers: [`Link`] is what a peer has to implement, [`play`]
//! runs a workload with it.
//!
//! All of it is async; a blocking peer simply never returns `Pending`.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::message::{Message, check};
use crate::part::{Part, Taken, Work};

/// The number of requests in flight.
const WINDOW: u64 = 64;

/// One end of a connection that carries messages of one length.
pub trait Link: Sized {
    /// The listener type.
    type Listener;

    /// Runs the whole role of a process.
    fn run<T>(work: impl Future<Output = T>) -> T {
        match pin!(work).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            // One that blocks says "later" only when it has nothing more to do.
            Poll::Pending => loop {
                std::thread::park();
            },
        }
    }

    async fn listen(part: &Part) -> Result<Self::Listener>;
    async fn accept(listener: &mut Self::Listener, part: &Part) -> Result<Self>;
    async fn connect(part: &Part) -> Result<Self>;

    /// Sends a message, or buffers it until [`Link::flush`].
    async fn send(&mut self, message: &[u8]) -> Result<()>;

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Waits for a message and lends it.
    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T>;

    /// Lends the next message if that takes no system call.
    fn receive_more<T>(&mut self, _look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        Ok(None)
    }
}

/// Runs a role to completion.
///
/// # Errors
/// Returns an error if anything fails, in particular if a message differs from what was sent.
pub fn play<L: Link>(part: &Part) -> Result<()> {
    L::run(async { if part.serves { serve::<L>(part).await } else { connect::<L>(part).await } })
}

async fn connect<L: Link>(part: &Part) -> Result<()> {
    let taken = match part.work {
        Work::PingPong => ask(&mut L::connect(part).await?, part).await,
        Work::Requests => ask_many(&mut L::connect(part).await?, part).await,
        Work::OneWay => give(&mut L::connect(part).await?, part).await,
        Work::Connections => come_and_go::<L>(part).await,
        Work::FanIn | Work::Idle => Err("this peer does not do that work".into()),
    };
    println!("{}", taken?.to_line());
    Ok(())
}

async fn serve<L: Link>(part: &Part) -> Result<()> {
    let mut listener = L::listen(part).await?;
    println!("ready");
    let mut only = None;
    let taken = match part.work {
        Work::PingPong | Work::Requests => {
            answer(only.insert(L::accept(&mut listener, part).await?), part).await
        }
        Work::OneWay => take(only.insert(L::accept(&mut listener, part).await?), part).await,
        Work::Connections => welcome::<L>(&mut listener, part).await,
        Work::FanIn | Work::Idle => Err("this peer does not do that work".into()),
    };
    println!("{}", taken?.to_line());
    // What it sent last may still be its own to deliver: it lives until it is killed.
    std::future::pending().await
}

/// A stopwatch that also measures the resources used by the process.
pub struct Watch {
    started: Instant,
    cpu: Duration,
    last: Instant,
    laps: Vec<u32>,
}

impl Watch {
    pub fn start(laps: usize) -> Self {
        let now = Instant::now();
        Self { started: now, cpu: cpu_time(), last: now, laps: Vec::with_capacity(laps) }
    }

    #[inline]
    fn lap(&mut self) {
        let now = Instant::now();
        self.laps.push((now - self.last).as_nanos() as u32);
        self.last = now;
    }

    pub fn stop(mut self) -> Taken {
        let (wall, cpu) = (self.started.elapsed(), cpu_time() - self.cpu);
        self.laps.sort_unstable();
        let of = |hundredth: usize| self.laps.get(self.laps.len() * hundredth / 100).copied().unwrap_or(0);
        let [p50, p99] = [50, 99].map(|hundredth| Duration::from_nanos(of(hundredth).into()));
        Taken { wall, cpu, p50, p99 }
    }
}

pub fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

async fn answer<L: Link>(link: &mut L, part: &Part) -> Result<Taken> {
    let mut message = Message::new(part.message_bytes);
    let (mut n, mut watch) = (0, Watch::start(0));
    while n < part.end() {
        if n <= part.warmup {
            watch = Watch::start(0);
        }
        link.receive(|got| check(got, n, part)).await??;
        loop {
            link.send(message.number(n)).await?;
            n += 1;
            let Some(checked) = link.receive_more(|got| check(got, n, part))? else { break };
            checked?;
        }
        link.flush().await?;
    }
    Ok(watch.stop())
}

async fn ask<L: Link>(link: &mut L, part: &Part) -> Result<Taken> {
    let mut message = Message::new(part.message_bytes);
    let mut watch = Watch::start(part.messages as usize);
    for n in 0..part.end() {
        if n == part.warmup {
            watch = Watch::start(part.messages as usize);
        }
        link.send(message.number(n)).await?;
        link.flush().await?;
        link.receive(|got| check(got, n, part)).await??;
        watch.lap();
    }
    Ok(watch.stop())
}

async fn ask_many<L: Link>(link: &mut L, part: &Part) -> Result<Taken> {
    let mut message = Message::new(part.message_bytes);
    let (mut sent, mut n, mut watch) = (0, 0, Watch::start(0));
    while n < part.end() {
        if n <= part.warmup {
            watch = Watch::start(0);
        }
        while sent < part.end().min(n + WINDOW) {
            link.send(message.number(sent)).await?;
            sent += 1;
            if sent % (WINDOW / 2) == 0 {
                // So that one half is answered while the other is asked.
                link.flush().await?;
            }
        }
        link.flush().await?;
        link.receive(|got| check(got, n, part)).await??;
        n += 1;
        while let Some(checked) = link.receive_more(|got| check(got, n, part))? {
            checked?;
            n += 1;
        }
    }
    Ok(watch.stop())
}

/// Sends the timed messages after the untimed ones; each phase ends with a receipt.
async fn take<L: Link>(link: &mut L, part: &Part) -> Result<Taken> {
    let mut message = Message::new(part.message_bytes);
    let mut watch = Watch::start(0);
    for (from, to) in [(0, part.warmup), (part.warmup, part.end())] {
        watch = Watch::start(0);
        for n in from..to {
            link.receive(|got| check(got, n, part)).await??;
        }
        link.send(message.number(to)).await?;
        link.flush().await?;
    }
    Ok(watch.stop())
}

async fn give<L: Link>(link: &mut L, part: &Part) -> Result<Taken> {
    let mut message = Message::new(part.message_bytes);
    let mut watch = Watch::start(0);
    for (from, to) in [(0, part.warmup), (part.warmup, part.end())] {
        watch = Watch::start(0);
        for n in from..to {
            link.send(message.number(n)).await?;
        }
        link.flush().await?;
        link.receive(|got| check(got, to, part)).await??;
    }
    Ok(watch.stop())
}

async fn welcome<L: Link>(listener: &mut L::Listener, part: &Part) -> Result<Taken> {
    let mut message = Message::new(part.message_bytes);
    let mut watch = Watch::start(0);
    for n in 0..part.end() {
        if n == part.warmup {
            watch = Watch::start(0);
        }
        let mut link = L::accept(listener, part).await?;
        link.receive(|got| check(got, n, part)).await??;
        link.send(message.number(n)).await?;
        link.flush().await?;
    }
    Ok(watch.stop())
}

async fn come_and_go<L: Link>(part: &Part) -> Result<Taken> {
    let mut message = Message::new(part.message_bytes);
    let mut watch = Watch::start(part.messages as usize);
    for n in 0..part.end() {
        if n == part.warmup {
            watch = Watch::start(part.messages as usize);
        }
        let mut link = L::connect(part).await?;
        link.send(message.number(n)).await?;
        link.flush().await?;
        link.receive(|got| check(got, n, part)).await??;
        drop(link);
        watch.lap();
    }
    Ok(watch.stop())
}

/// The buffer of a plain byte stream until a message is complete. A message that fills it is read
/// separately.
pub struct Chunk {
    bytes: stoop::frame::PageBuffer,
    start: usize,
    end: usize,
    message_bytes: usize,
}

impl Chunk {
    /// Creates a buffer for messages of this length: several short ones, or one long one.
    pub fn new(part: &Part) -> Self {
        let len_bytes = match (part.work, part.message_bytes) {
            (Work::OneWay, ..4096) => 64 << 10,
            // More than a message, so that a read says whether there may be more to come.
            (Work::PingPong, ..4096) => 4096,
            (_, message_bytes) => message_bytes,
        };
        let bytes = stoop::frame::PageBuffer::new(len_bytes);
        Self { bytes, start: 0, end: 0, message_bytes: part.message_bytes }
    }

    /// Returns the space to read into.
    #[inline]
    pub fn room(&mut self) -> &mut [u8] {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        &mut self.bytes[self.end..]
    }

    /// Records the number of bytes read.
    ///
    /// # Errors
    /// Returns an error if it is zero.
    #[inline]
    pub fn filled(&mut self, len_bytes: usize) -> Result<()> {
        self.end += len_bytes;
        if len_bytes == 0 { Err("the stream ended too early".into()) } else { Ok(()) }
    }

    /// Returns the next complete message.
    #[inline]
    pub fn next(&mut self) -> Option<&[u8]> {
        let end = self.start + self.message_bytes;
        if end > self.end {
            return None;
        }
        let message = &self.bytes[self.start..end];
        self.start = end;
        Some(message)
    }
}
