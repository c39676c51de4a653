//! The workloads, written once for all peers: [`Link`] is what a peer has to implement, and
//! [`run_role`] runs a workload with it.
//!
//! All of it is async; a blocking peer simply never returns `Pending`.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::Result;
use crate::message::{Message, check};
use crate::role::{Role, Timing, Workload};

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
            // A blocking peer returns `Pending` only when it is done.
            Poll::Pending => loop {
                std::thread::park();
            },
        }
    }

    async fn listen(role: &Role) -> Result<Self::Listener>;
    async fn accept(listener: &mut Self::Listener, role: &Role) -> Result<Self>;
    async fn connect(role: &Role) -> Result<Self>;

    /// Sends a message, or buffers it until [`Link::flush`].
    async fn send(&mut self, message: &[u8]) -> Result<()>;

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Waits for a message and passes it to `look`.
    async fn receive<T>(&mut self, look: impl FnOnce(&[u8]) -> T) -> Result<T>;

    /// Passes the next message to `look` if that takes no system call.
    fn receive_more<T>(&mut self, _look: impl FnOnce(&[u8]) -> T) -> Result<Option<T>> {
        Ok(None)
    }
}

/// Runs a role to completion.
///
/// # Errors
/// Returns an error if anything fails, in particular if a message differs from what was sent.
pub fn run_role<L: Link>(role: &Role) -> Result<()> {
    L::run(async { if role.serves { serve::<L>(role).await } else { connect::<L>(role).await } })
}

async fn connect<L: Link>(role: &Role) -> Result<()> {
    let timing = match role.workload {
        Workload::PingPong => request(&mut L::connect(role).await?, role).await,
        Workload::Requests => request_many(&mut L::connect(role).await?, role).await,
        Workload::OneWay => send_all(&mut L::connect(role).await?, role).await,
        Workload::Connections => reconnect::<L>(role).await,
        Workload::FanIn | Workload::Idle => Err("this peer does not have that workload".into()),
    };
    println!("{}", timing?.to_line());
    Ok(())
}

async fn serve<L: Link>(role: &Role) -> Result<()> {
    let mut listener = L::listen(role).await?;
    println!("ready");
    let mut only = None;
    let timing = match role.workload {
        Workload::PingPong | Workload::Requests => {
            answer(only.insert(L::accept(&mut listener, role).await?), role).await
        }
        Workload::OneWay => receive_all(only.insert(L::accept(&mut listener, role).await?), role).await,
        Workload::Connections => accept_all::<L>(&mut listener, role).await,
        Workload::FanIn | Workload::Idle => Err("this peer does not have that workload".into()),
    };
    println!("{}", timing?.to_line());
    // Its last message may not have been delivered yet: it runs until it is killed.
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

    pub fn stop(mut self) -> Timing {
        let (wall, cpu) = (self.started.elapsed(), cpu_time() - self.cpu);
        self.laps.sort_unstable();
        let of = |hundredth: usize| self.laps.get(self.laps.len() * hundredth / 100).copied().unwrap_or(0);
        let [p50, p99] = [50, 99].map(|hundredth| Duration::from_nanos(of(hundredth).into()));
        Timing { wall, cpu, p50, p99 }
    }
}

pub fn cpu_time() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default()
}

async fn answer<L: Link>(link: &mut L, role: &Role) -> Result<Timing> {
    let mut message = Message::new(role.message_bytes);
    let (mut n, mut watch) = (0, Watch::start(0));
    while n < role.end() {
        if n <= role.warmup {
            watch = Watch::start(0);
        }
        link.receive(|got| check(got, n, role)).await??;
        loop {
            link.send(message.number(n)).await?;
            n += 1;
            let Some(checked) = link.receive_more(|got| check(got, n, role))? else { break };
            checked?;
        }
        link.flush().await?;
    }
    Ok(watch.stop())
}

async fn request<L: Link>(link: &mut L, role: &Role) -> Result<Timing> {
    let mut message = Message::new(role.message_bytes);
    let mut watch = Watch::start(role.messages as usize);
    for n in 0..role.end() {
        if n == role.warmup {
            watch = Watch::start(role.messages as usize);
        }
        link.send(message.number(n)).await?;
        link.flush().await?;
        link.receive(|got| check(got, n, role)).await??;
        watch.lap();
    }
    Ok(watch.stop())
}

async fn request_many<L: Link>(link: &mut L, role: &Role) -> Result<Timing> {
    let mut message = Message::new(role.message_bytes);
    let (mut sent, mut n, mut watch) = (0, 0, Watch::start(0));
    while n < role.end() {
        if n <= role.warmup {
            watch = Watch::start(0);
        }
        while sent < role.end().min(n + WINDOW) {
            link.send(message.number(sent)).await?;
            sent += 1;
            if sent % (WINDOW / 2) == 0 {
                // One half is answered while the other is being sent.
                link.flush().await?;
            }
        }
        link.flush().await?;
        link.receive(|got| check(got, n, role)).await??;
        n += 1;
        while let Some(checked) = link.receive_more(|got| check(got, n, role))? {
            checked?;
            n += 1;
        }
    }
    Ok(watch.stop())
}

/// Receives the untimed and the timed messages, and confirms each of these phases.
async fn receive_all<L: Link>(link: &mut L, role: &Role) -> Result<Timing> {
    let mut message = Message::new(role.message_bytes);
    let mut watch = Watch::start(0);
    for (from, to) in [(0, role.warmup), (role.warmup, role.end())] {
        watch = Watch::start(0);
        for n in from..to {
            link.receive(|got| check(got, n, role)).await??;
        }
        link.send(message.number(to)).await?;
        link.flush().await?;
    }
    Ok(watch.stop())
}

async fn send_all<L: Link>(link: &mut L, role: &Role) -> Result<Timing> {
    let mut message = Message::new(role.message_bytes);
    let mut watch = Watch::start(0);
    for (from, to) in [(0, role.warmup), (role.warmup, role.end())] {
        watch = Watch::start(0);
        for n in from..to {
            link.send(message.number(n)).await?;
        }
        link.flush().await?;
        link.receive(|got| check(got, to, role)).await??;
    }
    Ok(watch.stop())
}

async fn accept_all<L: Link>(listener: &mut L::Listener, role: &Role) -> Result<Timing> {
    let mut message = Message::new(role.message_bytes);
    let mut watch = Watch::start(0);
    for n in 0..role.end() {
        if n == role.warmup {
            watch = Watch::start(0);
        }
        let mut link = L::accept(listener, role).await?;
        link.receive(|got| check(got, n, role)).await??;
        link.send(message.number(n)).await?;
        link.flush().await?;
    }
    Ok(watch.stop())
}

async fn reconnect<L: Link>(role: &Role) -> Result<Timing> {
    let mut message = Message::new(role.message_bytes);
    let mut watch = Watch::start(role.messages as usize);
    for n in 0..role.end() {
        if n == role.warmup {
            watch = Watch::start(role.messages as usize);
        }
        let mut link = L::connect(role).await?;
        link.send(message.number(n)).await?;
        link.flush().await?;
        link.receive(|got| check(got, n, role)).await??;
        drop(link);
        watch.lap();
    }
    Ok(watch.stop())
}

/// The buffer of a plain byte stream until a message is complete. A message that fills it is read
/// separately.
pub struct Chunk {
    bytes: stoop::internal::PageBuffer,
    start: usize,
    end: usize,
    message_bytes: usize,
}

impl Chunk {
    /// Creates a buffer for messages of this length: several short ones, or one long one.
    pub fn new(role: &Role) -> Self {
        let len_bytes = match (role.workload, role.message_bytes) {
            (Workload::OneWay, ..4096) => 64 << 10,
            // Longer than a message, so that a full read means that there may be more.
            (Workload::PingPong, ..4096) => 4096,
            (_, message_bytes) => message_bytes,
        };
        let bytes = stoop::internal::PageBuffer::new(len_bytes);
        Self { bytes, start: 0, end: 0, message_bytes: role.message_bytes }
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
        if len_bytes == 0 { Err("the stream was closed too early".into()) } else { Ok(()) }
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
