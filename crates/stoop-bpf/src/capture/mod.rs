//! Capturing what Unix sockets transfer: the programs, their buffers, and reading these.

mod buffer;
mod builder;
mod event;
mod files;
mod filter;
mod layout;
mod losses;
mod programs;
mod rings;
mod sieve;

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;
use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::time::{ClockId, clock_gettime};

pub use event::{BufferKey, End, Event, HEADER_BYTES, Message, PassedFile, Received, SocketKind, What};

use crate::attached::Attached;
use crate::hook::Hook;
use crate::loader;
use crate::record::NameKey;
use crate::support::{Missing, Unavailable, failed};
use crate::sys::{Map, MapKind, Ring, Shared};
use crate::target::Target;
use buffer::PerfRecord;
use builder::{Code, Setting};
use filter::{CGROUP, EXCLUDE, PROCESS, USER, WANT};
use layout::CaptureLayout;
use losses::Losses;

/// How many keys can be wanted or excluded.
const KEYS_MAX: u32 = 16_384;
/// The longest beginning of a message that fits into a record, with its header.
const PAYLOAD_MAX: u32 = 65_000;

/// What to capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CaptureOptions {
    /// Whether to capture all sockets; otherwise those of [`Capture::want`]. The default is
    /// `false`.
    pub all: bool,
    /// How many bytes of each message to capture, at most 65,000. The default is the maximum.
    pub payload_max: u32,
    /// The size of the buffer of each processor: a power of two. The default is 4 MiB. It is halved
    /// while the kernel refuses to lock as much memory.
    pub buffer_bytes: usize,
    /// A thread of this process whose events are captured, by its id. The default is `None`: those
    /// of this process are dropped.
    pub own_thread: Option<u32>,
}

impl Default for CaptureOptions {
    fn default() -> CaptureOptions {
        CaptureOptions { all: false, payload_max: PAYLOAD_MAX, buffer_bytes: 4 << 20, own_thread: None }
    }
}

/// Selects the sockets whose events are captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Key {
    /// The socket with this cookie, and what its peer sends to it.
    Cookie(u64),
    /// The sockets with this name: a listener with all that were or will be accepted from it.
    Name(NameKey),
    /// What this process receives, and its connects. What it has sent to others since it was seen
    /// sending, too.
    Process(u32),
    /// Connections with an end that this user created or accepted.
    User(u32),
    /// Connections with an end in this cgroup, by its id: the inode of its directory in the unified
    /// hierarchy. Its children are others. Of a server in it that speaks first, the first message
    /// may be missing.
    Cgroup(u64),
}

/// What [`Capture::read_each`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured<'b> {
    /// An event, with the captured bytes of the message if it is [`What::Copied`].
    Event(Event, &'b [u8]),
    /// That many events of this processor were lost here, because its buffer was full.
    Lost(u64),
    /// The kernel skipped programs: events may be missing.
    Skipped(Skipped),
}

/// Programs that the kernel did not run, because they were running already on the same processor,
/// interrupted. What they would have reported is unknown: perhaps nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// It happened after this time, as in [`Event::time_ns`], and before the call that reports it.
    pub since_ns: u64,
    /// How often: at most that many events are missing.
    pub count: u64,
}

/// Loaded programs that capture messages as they are received. Dropping the value unloads them.
///
/// The programs run when a message is received: unread data is not reported. Receiving with
/// `splice(2)` is not seen. A full buffer never delays the captured processes; the events are lost,
/// and counted.
#[derive(Debug)]
pub struct Capture {
    wanted: Map<u64>,
    shared: Shared,
    rings: Vec<(u32, Ring)>,
    /// Closing this map would take the buffers out of it.
    buffers: Map<u32>,
    options: CaptureOptions,
    programs: Vec<Attached>,
    /// What reports connects, once there can be some: it would run for every message.
    connects: OnceLock<Vec<Attached>>,
    layout: CaptureLayout,
    losses: Losses,
    /// When skipped programs were counted last.
    counted_ns: u64,
    buffer: Vec<u8>,
    sees_receives: bool,
}

impl Capture {
    /// Assembles the programs for the running kernel, loads and starts them. Requires Linux 5.8
    /// with BTF.
    ///
    /// Events of this process are not captured, except those of [`CaptureOptions::own_thread`].
    ///
    /// # Errors
    /// Returns an error that names what is missing, or why that could not be determined.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_bpf::{Capture, CaptureOptions, Unavailable};
    ///
    /// match Capture::load(CaptureOptions::default()) {
    ///     Ok(_capture) => {}
    ///     Err(Unavailable::No(missing)) => eprintln!("cannot capture: {missing}"),
    ///     Err(unknown) => eprintln!("cannot capture, perhaps only this time: {unknown}"),
    /// }
    /// ```
    pub fn load(options: CaptureOptions) -> Result<Capture, Unavailable> {
        let types = loader::prepare()?;
        Capture::start(options, &CaptureLayout::of(&types).map_err(Missing::Type)?)
    }

    fn start(options: CaptureOptions, layout: &CaptureLayout) -> Result<Capture, Unavailable> {
        let rings = rings::open(options.buffer_bytes)?;
        let buffers = rings::map(&rings)?;
        let mut capture = Capture {
            wanted: Map::create(MapKind::Hash, KEYS_MAX).map_err(failed("creating a map"))?,
            shared: Shared::create(sieve::LEN_BYTES).map_err(failed("creating a map"))?,
            rings,
            buffers,
            options,
            programs: Vec::new(),
            connects: OnceLock::new(),
            layout: layout.clone(),
            losses: Losses::default(),
            counted_ns: now_ns(),
            buffer: Vec::new(),
            sees_receives: false,
        };
        if options.all {
            capture.report_connects()?;
        }
        let setting = capture.setting();
        let send = where_possible(&layout.send, |hook| programs::send(setting, hook))?;
        let receive = where_possible(&layout.receive, |hook| programs::receive(setting, hook))?;
        // Last: what it reports, the others explain.
        let copy = Attached::new(programs::copy(setting), Target::tracepoint(layout.copy.0))?;
        capture.sees_receives = !receive.is_empty();
        capture.programs = send.into_iter().chain(receive).chain([copy]).collect();
        Ok(capture)
    }

    /// Returns what programs are generated for.
    fn setting(&self) -> Setting<'_> {
        Setting {
            layout: &self.layout,
            wanted: self.wanted.as_fd(),
            shared: self.shared.as_fd(),
            buffers: self.buffers.as_fd(),
            all: self.options.all,
            payload_max: self.options.payload_max.min(PAYLOAD_MAX),
            own_pid: std::process::id(),
            own_thread: self.options.own_thread,
        }
    }

    /// Starts to report connects, unless it does.
    fn report_connects(&self) -> Result<(), Unavailable> {
        if self.connects.get().is_none() {
            let setting = self.setting();
            let programs = where_possible(&self.layout.ready, |hook| programs::connect(setting, hook))?;
            // If two threads load it at once, one of them unloads it again.
            let _ = self.connects.set(programs);
        }
        Ok(())
    }

    /// Returns whether [`What::Received`] is reported: since Linux 6.3, and before it if programs
    /// can run at functions (on x86-64, unless the kernel forbids it). Without it, a message that
    /// is peeked at cannot be distinguished from a new one.
    pub fn sees_receives(&self) -> bool {
        self.sees_receives
    }

    /// Captures the sockets with this key from now on, too.
    ///
    /// # Errors
    /// Returns an error if there are more than 16,384 keys, or if the kernel refuses the program
    /// that reports connects.
    pub fn want(&self, key: Key) -> io::Result<()> {
        self.set(key, WANT)
    }

    /// Captures nothing that has this key, whatever else is wanted.
    ///
    /// # Errors
    /// Returns an error if there are more than 16,384 keys.
    pub fn exclude(&self, key: Key) -> io::Result<()> {
        self.set(key, EXCLUDE)
    }

    fn set(&self, key: Key, value: u32) -> io::Result<()> {
        if value == WANT && !matches!(key, Key::Cookie(_)) {
            self.report_connects().map_err(io::Error::other)?;
        }
        self.wanted.set(key.number(), value)?;
        if matches!(key, Key::Process(_) | Key::User(_) | Key::Cgroup(_)) {
            self.shared.byte(sieve::TAGGED_AT).store(1, Ordering::Relaxed);
        }
        self.shared.byte(sieve::position(key.number())).store(1, Ordering::Release);
        self.shared.byte(sieve::ANY_AT).store(1, Ordering::Release);
        Ok(())
    }

    /// Forgets a key. It need not be known.
    ///
    /// # Errors
    /// Returns an error if the kernel refuses it.
    pub fn forget(&self, key: Key) -> io::Result<()> {
        match self.wanted.remove(key.number()) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Waits until a buffer has been filled in part, or for this long, and returns which.
    ///
    /// Few events do not wake the caller: it should read after a while in any case.
    ///
    /// # Errors
    /// Returns an error if polling fails. `EINTR` counts as the timeout.
    pub fn wait(&self, timeout: Duration) -> io::Result<bool> {
        let mut fds: Vec<_> = self.rings.iter().map(|(_, ring)| PollFd::new(ring, PollFlags::IN)).collect();
        let timeout = Timespec::try_from(timeout).map_err(|_| ErrorKind::InvalidInput)?;
        match poll(&mut fds, Some(&timeout)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Calls `each` with the processor for everything captured since the last call. Does not block.
    ///
    /// First come the programs that the kernel skipped, if any, with processor 0. The order of the
    /// rest is that of each processor, one processor after the other. [`Event::time_ns`] orders
    /// them all.
    pub fn read_each(&mut self, mut each: impl FnMut(u32, Captured<'_>)) {
        if let Some(skipped) = self.skipped() {
            each(0, Captured::Skipped(skipped));
        }
        for (processor, ring) in &mut self.rings {
            let slot = sieve::lost_position(*processor);
            // Before reading: all of these were lost in front of a record that is read now, or
            // behind the last one.
            let total = self.shared.word(slot).load(Ordering::Acquire);
            self.buffer.clear();
            ring.drain(&mut self.buffer);
            for record in buffer::records(&self.buffer) {
                match record {
                    PerfRecord::Sample(bytes) => {
                        if let Some((event, message)) = Event::parse(bytes) {
                            each(*processor, Captured::Event(event, message));
                        }
                    }
                    PerfRecord::Lost(count) => {
                        let new = self.losses.recorded(slot, count);
                        if let Some(count) = new {
                            each(*processor, Captured::Lost(count));
                        }
                    }
                }
            }
            let rest = self.losses.counted(slot, total);
            if let Some(count) = rest {
                each(*processor, Captured::Lost(count));
            }
        }
    }

    /// Counts the programs that were skipped since the last call.
    fn skipped(&mut self) -> Option<Skipped> {
        let since_ns = std::mem::replace(&mut self.counted_ns, now_ns());
        let programs = self.programs.iter_mut().chain(self.connects.get_mut().into_iter().flatten());
        let count = programs.map(Attached::skipped).sum();
        (count > 0).then_some(Skipped { since_ns, count })
    }
}

impl Key {
    fn number(self) -> u64 {
        match self {
            Key::Cookie(cookie) => cookie,
            Key::Name(NameKey(address)) => address,
            Key::Process(pid) => PROCESS | u64::from(pid),
            Key::User(uid) => USER | u64::from(uid),
            Key::Cgroup(id) => CGROUP | id,
        }
    }
}

/// Attaches a program at each of the places, or at none if the kernel lets none run at functions:
/// messages alone are worth reporting.
fn where_possible(hooks: &[Hook], code: impl Fn(Hook) -> Code) -> Result<Vec<Attached>, Unavailable> {
    match Attached::at_all(hooks, code) {
        Err(_) if hooks.iter().any(|hook| hook.target.is_function()) => Ok(Vec::new()),
        result => result,
    }
}

/// Returns the clock of the events.
fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btf::{Btf, Kind};
    use crate::hook;
    use stoop_testkit::skip;

    const MESSAGE: &[(Kind, &str)] = &[(Kind::STRUCT, "sk_buff")];

    fn start(layout: &CaptureLayout) -> Capture {
        let options = CaptureOptions { buffer_bytes: 1, all: true, ..CaptureOptions::default() };
        Capture::start(options, layout).unwrap_or_else(|unavailable| panic!("{layout:?}: {unavailable}"))
    }

    /// [K-TAP-8]
    ///
    /// [K-TAP-8]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-TAP-8
    #[test]
    fn every_way_of_reading_is_accepted() {
        let types = match loader::prepare() {
            Ok(types) => types,
            Err(unavailable) => skip!("lacks the capture programs: {unavailable}"),
        };
        let layout = CaptureLayout::of(&types).unwrap();
        for cast in [None, layout.cast] {
            start(&CaptureLayout { cast, ..layout.clone() });
        }
        // What older kernels need, any verifier accepts.
        let memory = Btf::scan(&types, MESSAGE).unwrap().field("sk_buff", "head").unwrap();
        start(&CaptureLayout { grows: Some(memory), ..layout });
    }

    /// [K-TAP-12]
    ///
    /// [K-TAP-12]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-TAP-12
    #[test]
    fn programs_at_functions_are_accepted() {
        let types = match loader::prepare() {
            Ok(types) => types,
            Err(unavailable) => skip!("lacks the capture programs: {unavailable}"),
        };
        let [send, receive, ready] = hook::functions(&types);
        let layout = CaptureLayout { send, receive, ready, ..CaptureLayout::of(&types).unwrap() };
        let capture = start(&layout);
        let one = |hook| programs::receive(capture.setting(), hook);
        match Attached::at_all(&layout.receive, one) {
            Err(Unavailable::No(Missing::Functions(reason))) => {
                skip!("lacks programs at functions: {reason}")
            }
            attached => drop(attached.unwrap()),
        }
        assert!(capture.sees_receives());
        assert_eq!(capture.programs.len(), layout.send.len() + layout.receive.len() + 1);
        assert_eq!(capture.connects.get().map(Vec::len), Some(1));
    }
}
