//! Capturing what Unix sockets transfer: the programs, their buffers, and reading these.

mod buffer;
mod event;
mod layout;
mod programs;

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

pub use event::{BufferKey, End, Event, HEADER_BYTES, Message, Received, SocketKind, What};

use crate::asm::Instruction;
use crate::btf::BtfError;
use crate::loader;
use crate::record::NameKey;
use crate::support::{Missing, Unavailable, Undetermined, refusal};
use crate::sys::{self, Map, MapKind, Ring, Target};
use buffer::PerfRecord;
use layout::CaptureLayout;
use programs::{EXCLUDE, PROCESS, Setting, WANT};

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
}

impl Default for CaptureOptions {
    fn default() -> CaptureOptions {
        CaptureOptions { all: false, payload_max: PAYLOAD_MAX, buffer_bytes: 4 << 20 }
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
    /// What this process receives, and its connects.
    Process(u32),
}

/// What [`Capture::read_each`] reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Captured<'b> {
    /// An event, with the captured bytes of the message if it is [`What::Copied`].
    Event(Event, &'b [u8]),
    /// That many events were lost here, because the buffer was full.
    Lost(u64),
}

/// Loaded programs that capture messages as they are received. Dropping the value unloads them.
///
/// The programs run when a message is received: unread data is not reported. Receiving with
/// `splice(2)` is not seen. A full buffer never delays the captured processes; the events are lost,
/// and counted.
#[derive(Debug)]
pub struct Capture {
    wanted: Map<u64>,
    rings: Vec<(u32, Ring)>,
    /// Closing this map would take the buffers out of it.
    _buffers: Map<u32>,
    /// Holds the programs' connections to their tracepoints.
    _links: Vec<OwnedFd>,
    buffer: Vec<u8>,
    sees_receives: bool,
}

impl Capture {
    /// Assembles the programs for the running kernel, loads and starts them. Requires Linux 5.8
    /// with BTF.
    ///
    /// Events of this process are not captured.
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
        let layout = CaptureLayout::of(&types).map_err(Missing::Type)?;
        let rings = rings(options.buffer_bytes)?;
        let wanted = Map::create(MapKind::Hash, KEYS_MAX).map_err(failed("creating a map"))?;
        let buffers = buffers(&rings)?;
        let setting = Setting {
            layout: &layout,
            wanted: wanted.as_fd(),
            buffers: buffers.as_fd(),
            all: options.all,
            payload_max: options.payload_max.min(PAYLOAD_MAX),
            own_pid: std::process::id(),
        };
        let links = attach_all(setting)?;
        let sees_receives = layout.receive.is_some();
        Ok(Capture { wanted, rings, _buffers: buffers, _links: links, buffer: Vec::new(), sees_receives })
    }

    /// Returns whether [`What::Received`] is reported (since Linux 6.3). Without it, a message that
    /// is peeked at cannot be distinguished from a new one.
    pub fn sees_receives(&self) -> bool {
        self.sees_receives
    }

    /// Captures the sockets with this key from now on, too.
    ///
    /// # Errors
    /// Returns an error if there are more than 16,384 keys.
    pub fn want(&self, key: Key) -> io::Result<()> {
        self.wanted.set(key.number(), WANT)
    }

    /// Captures nothing that has this key, whatever else is wanted.
    ///
    /// # Errors
    /// Returns an error if there are more than 16,384 keys.
    pub fn exclude(&self, key: Key) -> io::Result<()> {
        self.wanted.set(key.number(), EXCLUDE)
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
    /// The order is that of each processor, one processor after the other. [`Event::time_ns`]
    /// orders them all.
    pub fn read_each(&mut self, mut each: impl FnMut(u32, Captured<'_>)) {
        for (processor, ring) in &mut self.rings {
            self.buffer.clear();
            ring.drain(&mut self.buffer);
            for record in buffer::records(&self.buffer) {
                match record {
                    PerfRecord::Sample(bytes) => {
                        if let Some((event, message)) = Event::parse(bytes) {
                            each(*processor, Captured::Event(event, message));
                        }
                    }
                    PerfRecord::Lost(count) => each(*processor, Captured::Lost(count)),
                }
            }
        }
    }
}

impl Key {
    fn number(self) -> u64 {
        match self {
            Key::Cookie(cookie) => cookie,
            Key::Name(NameKey(address)) => address,
            Key::Process(pid) => PROCESS | u64::from(pid),
        }
    }
}

fn attach_all(setting: Setting<'_>) -> Result<Vec<OwnedFd>, Unavailable> {
    let layout = setting.layout;
    let mut links = Vec::new();
    if let Some(send) = layout.send {
        links.push(attach(programs::send(setting), send.0)?);
    }
    if let Some(receive) = layout.receive {
        links.push(attach(programs::receive(setting), receive.0)?);
    }
    if let Some(ready) = layout.ready {
        links.push(attach(programs::connect(setting), ready.0)?);
    }
    // Last: what it reports, the others explain.
    links.push(attach(programs::copy(setting), layout.copy.0)?);
    Ok(links)
}

fn attach(code: Result<Vec<Instruction>, BtfError>, tracepoint: u32) -> Result<OwnedFd, Unavailable> {
    let program = loader::load(&code.map_err(Missing::Type)?, Target::tracepoint(tracepoint))?;
    sys::attach(program.as_fd()).map_err(failed("attaching a program"))
}

/// Opens a buffer for each processor that is online.
fn rings(mut data_bytes: usize) -> Result<Vec<(u32, Ring)>, Unavailable> {
    let page_bytes = rustix::param::page_size();
    let processors = processors().map_err(failed("listing the processors"))?;
    data_bytes = data_bytes.next_power_of_two().max(page_bytes);
    loop {
        let open = |&processor: &u32| Ok((processor, Ring::open(processor, data_bytes, page_bytes)?));
        match processors.iter().map(open).collect::<io::Result<Vec<_>>>() {
            Ok(rings) => return Ok(rings),
            // More than this user may lock.
            Err(error) if error.kind() == ErrorKind::PermissionDenied && data_bytes > page_bytes => {
                data_bytes /= 2;
            }
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => return Err(refusal(error)),
            Err(error) => return Err(Undetermined::new("opening a perf buffer", error).into()),
        }
    }
}

/// Creates the map from a processor to its buffer.
fn buffers(rings: &[(u32, Ring)]) -> Result<Map<u32>, Unavailable> {
    use std::os::fd::AsRawFd;
    let len = rings.iter().map(|(processor, _)| processor + 1).max().unwrap_or(1);
    let map = Map::create(MapKind::PerfEvents, len).map_err(failed("creating a map"))?;
    for (processor, ring) in rings {
        let fd = ring.as_fd().as_raw_fd() as u32;
        map.set(*processor, fd).map_err(failed("setting a perf buffer"))?;
    }
    Ok(map)
}

/// Returns the processors that are online.
fn processors() -> io::Result<Vec<u32>> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online")?;
    parse_list(text.trim()).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, text))
}

/// Parses `0-3,8`.
fn parse_list(text: &str) -> Option<Vec<u32>> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        numbers.extend(first.parse::<u32>().ok()?..=last.parse().ok()?);
    }
    Some(numbers)
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> Unavailable {
    move |error| match error.raw_os_error() {
        Some(libc::EPERM) => refusal(error),
        _ => Undetermined::new(step, error).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_read() {
        assert_eq!(parse_list("0-1"), Some(vec![0, 1]));
        assert_eq!(parse_list("0,2-4,9"), Some(vec![0, 2, 3, 4, 9]));
        assert_eq!((parse_list(""), parse_list("0-x")), (None, None));
    }
}
