//! Capturing and following, on the running kernel.

use std::io;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use stoop_bpf::{Capture, CaptureOptions, Key, NameKey, TaskFiles, Unavailable};

use crate::follow::{Flow, FlowId, Follow, Piece, What};
use crate::open_files;
use crate::passed::Passed;
use crate::reorder::Reorder;

/// How long an event may take from its time stamp to the buffer, in nanoseconds.
const WINDOW_NS: u64 = 2_000_000;
/// How long to wait for a buffer to fill before reading what is there.
const POLL: Duration = Duration::from_millis(10);

/// How many processes are searched for files, each time events are read: it must keep up.
const SEARCHES_MAX: usize = 64;

/// A running capture. Dropping the value ends it.
#[derive(Debug)]
pub struct Tap {
    capture: Capture,
    reorder: Reorder,
    follow: Follow,
    clock: Clock,
}

/// From the clock of the events to that of the day.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Duration);

impl Clock {
    /// Compares both clocks now.
    pub(crate) fn now() -> Clock {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Clock(since_1970.saturating_sub(Duration::from_nanos(now_ns())))
    }

    pub(crate) fn wall_time(self, time_ns: u64) -> SystemTime {
        UNIX_EPOCH + self.0 + Duration::from_nanos(time_ns)
    }
}

impl Tap {
    /// Starts to capture.
    ///
    /// # Errors
    /// Returns an error that names what is missing, or why that could not be determined.
    pub fn start(options: CaptureOptions) -> Result<Tap, Unavailable> {
        let capture = Capture::load(options)?;
        let follow = Follow::new(options.all).looks_with(options.own_thread);
        Ok(Tap { capture, reorder: Reorder::default(), follow, clock: Clock::now() })
    }

    /// Returns the time of day of a [`Piece::time_ns`], by the clock as it was at the start.
    pub fn wall_time(&self, time_ns: u64) -> SystemTime {
        self.clock.wall_time(time_ns)
    }

    /// Captures the sockets with this key from now on, too.
    ///
    /// # Errors
    /// Returns an error if there are too many keys.
    pub fn want(&self, key: Key) -> io::Result<()> {
        self.capture.want(key)
    }

    /// Captures nothing that has this key.
    ///
    /// # Errors
    /// Returns an error if there are too many keys.
    pub fn exclude(&self, key: Key) -> io::Result<()> {
        self.capture.exclude(key)
    }

    /// Returns whether data that is peeked at and the ends of streams are recognized: since Linux
    /// 6.3, and before it on x86-64, unless the kernel forbids programs at functions.
    pub fn sees_receives(&self) -> bool {
        self.capture.sees_receives()
    }

    /// Returns what happened, in order; nothing if nothing happened within this time.
    ///
    /// # Errors
    /// Returns an error if waiting fails.
    pub fn next(&mut self, timeout: Duration) -> io::Result<Vec<Piece>> {
        let end_ns = now_ns().saturating_add(timeout.as_nanos() as u64);
        loop {
            let pieces = self.read(WINDOW_NS);
            let now = now_ns();
            if !pieces.is_empty() || now >= end_ns {
                return Ok(pieces);
            }
            self.capture.wait(POLL.min(Duration::from_nanos(end_ns - now)))?;
        }
    }

    /// Returns everything that was captured so far.
    pub fn flush(&mut self) -> Vec<Piece> {
        let mut pieces = self.read(0);
        pieces.extend(self.follow.give_up(u64::MAX));
        pieces
    }

    /// Returns a connection.
    pub fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.follow.flow(id)
    }

    fn read(&mut self, window_ns: u64) -> Vec<Piece> {
        // What is stamped from now on may be missing in the buffers that are read first.
        let until_ns = now_ns().saturating_sub(window_ns);
        let reorder = &mut self.reorder;
        self.capture.read_each(|processor, captured| reorder.push(processor, captured));
        let mut pieces = Vec::new();
        for entry in reorder.release(until_ns) {
            pieces.extend(self.follow.next(entry));
        }
        pieces.extend(self.follow.give_up(until_ns));
        self.name_files(&mut pieces);
        pieces
    }

    /// Looks up the paths of files that were passed, while a process has them open.
    fn name_files(&self, pieces: &mut [Piece]) {
        let mut searches = SEARCHES_MAX;
        for piece in pieces {
            let What::Data(data) = &mut piece.what else { continue };
            let Some(flow) = self.follow.flow(piece.flow) else { continue };
            let ends = [piece.from.other(), piece.from].map(|side| &flow.ends[side.index()]);
            for pid in ends.into_iter().filter_map(|end| end.process.as_ref().map(|(pid, _)| *pid)) {
                if searches > 0 && data.files.iter().any(Passed::is_partial) {
                    searches -= 1;
                    open_files::name(pid, &mut data.files);
                }
            }
        }
    }
}

/// Returns the keys of the names that these sockets have: an accepted socket has that of its
/// listener. Requires Linux 5.16; before, there are none.
///
/// # Errors
/// Returns an error if the file descriptors of all processes cannot be listed.
pub fn names_of(inodes: &[u32]) -> io::Result<Vec<NameKey>> {
    let files = TaskFiles::load().map_err(io::Error::other)?;
    let mut names = Vec::new();
    files.read_each(|record| {
        names.extend(record.name.filter(|_| inodes.contains(&record.inode)));
    })?;
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Returns the clock of the events.
pub(crate) fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
