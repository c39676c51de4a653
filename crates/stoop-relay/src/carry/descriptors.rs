//! Bytes of a Unix stream with the file descriptors among them, each at the byte it came with.
//!
//! One read returns plain bytes and those with file descriptors that follow them ([K-FD-5]), so a
//! read has to end before the first byte that carries some, or begin with it. Two ways tell which:
//!
//! - the kernel's count of file descriptors in the queue ([K-PROC-4]): if it is 0 after the number
//!   of bytes was asked for, that many bytes carry none;
//! - else a look at the messages in the queue ([`front`]), which copies them once more.
//!
//! [K-FD-5]: stoop::kernel_facts#K-FD-5
//! [K-PROC-4]: stoop::kernel_facts#K-PROC-4

use std::fs::File;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use rustix::io::Errno;
use stoop::internal::{QueueFront, front};
use stoop::{Allow, DESCRIPTORS_MAX, ErrorKind, Outgoing, SocketExt, Stream};

use super::outcome::{Drained, EndKind, Filled, drained, errno_of, filled};
use super::tools::{PIECE_BYTES, Tools};
use crate::counters::Counters;
use crate::end::{BULK_BYTES, enlarge_send_buffer};

/// Up to this many bytes a look at them costs less than the count.
const LOOK_BYTES: usize = 4096;

/// What is held of one direction.
#[derive(Debug, Default)]
pub(crate) struct Descriptors {
    /// Whether the sink's send buffer was enlarged.
    is_enlarged: bool,
    held: Vec<u8>,
    written: usize,
    /// They go with the next byte that is written.
    fds: Vec<OwnedFd>,
    reader: Reader,
}

/// Reads bytes of a stream so that file descriptors come with the first byte of a read.
#[derive(Debug, Default)]
pub(super) struct Reader {
    counter: Counter,
}

/// The kernel's count of file descriptors in the source's queue.
#[derive(Debug, Default)]
enum Counter {
    #[default]
    Unopened,
    Open(File),
    /// `/proc` is not mounted, or the kernel does not count.
    Missing,
}

impl Descriptors {
    pub(super) fn is_holding(&self) -> bool {
        self.written < self.held.len()
    }

    pub(super) fn fill(
        &mut self,
        source: &Stream,
        sink: &Stream,
        tools: &mut Tools,
        counters: &Counters,
    ) -> (Filled, Drained) {
        let buffer = &mut tools.buffer[..PIECE_BYTES];
        let (len, fds) = match self.reader.read(source, buffer, &mut tools.spare_counters) {
            Ok(read) => read,
            Err(came) => return (came, Drained::All),
        };
        self.fds = fds;
        if len >= BULK_BYTES && !self.is_enlarged {
            self.is_enlarged = true;
            enlarge_send_buffer(sink);
        }
        let (written, outcome) = write(sink, &buffer[..len], &mut self.fds, counters);
        if outcome != Drained::All {
            self.held = buffer[written..len].to_vec();
            self.written = 0;
        }
        (Filled::Some(len), outcome)
    }

    pub(super) fn drain(&mut self, sink: &Stream, counters: &Counters) -> Drained {
        let held = std::mem::take(&mut self.held);
        let (written, outcome) = write(sink, &held[self.written..], &mut self.fds, counters);
        if outcome == Drained::All {
            self.written = 0;
        } else {
            (self.held, self.written) = (held, self.written + written);
        }
        outcome
    }
}

impl Descriptors {
    /// Gives back what the worker lent.
    pub(super) fn end(self, tools: &mut Tools) {
        self.reader.end(&mut tools.spare_counters);
    }
}

impl Reader {
    /// Reads bytes, and the file descriptors that came with the first of them.
    pub(super) fn read(
        &mut self,
        source: &Stream,
        buffer: &mut [u8],
        spare_counters: &mut usize,
    ) -> Result<(usize, Vec<OwnedFd>), Filled> {
        let len = self.piece(source, buffer, spare_counters)?;
        match source
            .recv_with(&mut [IoSliceMut::new(&mut buffer[..len])], Allow::descriptors(DESCRIPTORS_MAX))
        {
            Ok(received) if received.len == 0 => Err(Filled::End(EndKind::Shutdown)),
            Ok(received) => Ok((received.len, received.descriptors)),
            Err(error) => Err(filled(errno_of(&error))),
        }
    }

    /// Gives back what the worker lent.
    pub(super) fn end(&self, spare_counters: &mut usize) {
        if let Counter::Open(_) = self.counter {
            *spare_counters += 1;
        }
    }

    /// Returns how much to read: what surely carries no descriptors, or exactly what carries some.
    /// The read itself finds an end and an empty queue, so it gets a length all the same.
    fn piece(&mut self, source: &Stream, buffer: &mut [u8], spare: &mut usize) -> Result<usize, Filled> {
        let queued = source.unread_bytes().unwrap_or(0).min(buffer.len());
        if queued <= 1 || (queued > LOOK_BYTES && self.counter.of(source.as_fd(), spare) == Some(0)) {
            return Ok(queued.max(1));
        }
        match front(source, queued, buffer) {
            Ok(QueueFront::Plain(len) | QueueFront::Descriptors(len)) => Ok(len),
            // Shown before anything is lost.
            Err(error) if error.kind() == ErrorKind::ControlTruncated => Err(Filled::Exhausted),
            Err(error) => Err(filled(errno_of(&error))),
        }
    }
}

/// Writes until the sink takes no more. The file descriptors go with the first byte. Returns how
/// much it took.
pub(super) fn write(
    sink: &Stream,
    bytes: &[u8],
    descriptors: &mut Vec<OwnedFd>,
    counters: &Counters,
) -> (usize, Drained) {
    let mut written = 0;
    while written < bytes.len() {
        let fds: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        match sink.send_with(&[IoSlice::new(&bytes[written..])], &Outgoing::new().descriptors(&fds)) {
            Ok(len) => {
                written += len;
                counters.descriptors(fds.len());
                descriptors.clear();
            }
            // The receiver refuses them: the bytes go on without.
            Err(error) if error.errno() == Some(Errno::PERM.raw_os_error()) && !fds.is_empty() => {
                counters.lost_descriptors(fds.len());
                descriptors.clear();
            }
            Err(error) => return (written, drained(errno_of(&error))),
        }
    }
    (written, Drained::All)
}

impl Counter {
    /// Returns the count. The file stays open as long as a worker has some to `spare`: it costs a
    /// file descriptor for each direction, and opening it anew costs a few microseconds.
    fn of(&mut self, socket: BorrowedFd<'_>, spare: &mut usize) -> Option<u64> {
        match self {
            Counter::Open(file) => count_in(file),
            Counter::Missing => None,
            Counter::Unopened => {
                let path = format!("/proc/thread-self/fdinfo/{}", socket.as_raw_fd());
                let file = File::open(path).ok();
                let count = file.as_ref().and_then(count_in);
                match (count, file) {
                    (Some(_), Some(file)) if *spare > 0 => {
                        *spare -= 1;
                        *self = Counter::Open(file);
                    }
                    (Some(_), _) => {}
                    (None, _) => *self = Counter::Missing,
                }
                count
            }
        }
    }
}

fn count_in(file: &File) -> Option<u64> {
    let mut text = [0; 256];
    let len = file.read_at(&mut text, 0).ok()?;
    parse_count(&text[..len])
}

/// Reads the line `scm_fds: N`.
fn parse_count(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    text.lines().find_map(|line| line.strip_prefix("scm_fds:"))?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_a_line_of_its_own() {
        assert_eq!(parse_count(b"pos:\t0\nflags:\t02\nino:\t7\nscm_fds: 3\n"), Some(3));
        assert_eq!(parse_count(b"pos:\t0\nflags:\t02\n"), None);
        assert_eq!(parse_count(b"scm_fds: many\n"), None);
    }
}
