//! Events of a server as lines on standard output, which may not be read: a server does not wait
//! for that. What is not taken at once waits, up to a limit; what exceeds it is lost, and counted.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::event::Event;
use super::json;
use super::streams::{status, write_out};
use crate::failure::Failure;

/// How many bytes of lines wait.
const WAITING_BYTES: usize = 16 << 20;
/// What a pipe takes without blocking, if it takes anything ([K-PIPE-1]).
///
/// [K-PIPE-1]: stoop::kernel_facts#K-PIPE-1
const AT_ONCE_BYTES: usize = 4096;
/// How long a process waits at its end for a reader that reads nothing.
const PATIENCE: Duration = Duration::from_secs(1);

static LINES: Mutex<Lines> = Mutex::new(Lines::new(WAITING_BYTES));
static WRITTEN: Condvar = Condvar::new();

/// The lines that wait.
#[derive(Debug)]
struct Lines {
    waiting: VecDeque<Vec<u8>>,
    bytes: usize,
    max_bytes: usize,
    /// Lines that were lost, and not reported yet.
    lost: u64,
    /// Whether a thread writes them.
    is_writing: bool,
}

impl Lines {
    const fn new(max_bytes: usize) -> Lines {
        Lines { waiting: VecDeque::new(), bytes: 0, max_bytes, lost: 0, is_writing: false }
    }

    /// Adds a line. Returns whether it is the first one that was lost.
    fn push(&mut self, line: Vec<u8>) -> bool {
        if self.bytes + line.len() > self.max_bytes {
            self.lost += 1;
            return self.lost == 1;
        }
        self.bytes += line.len();
        self.waiting.push_back(line);
        false
    }

    /// Takes the next line: after the others the one that says how many were lost.
    fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(line) = self.waiting.pop_front() {
            self.bytes -= line.len();
            return Some(line);
        }
        let count = std::mem::take(&mut self.lost);
        let error = "events were lost, because standard output was not read".to_owned();
        (count > 0).then(|| json::line(&Event::Error { from: None, error, count }).into_bytes())
    }
}

/// Writes a line, now or when it is taken.
pub(super) fn write_line(line: Vec<u8>) -> Result<(), Failure> {
    let mut lines = lines();
    if !lines.is_writing {
        if takes_at_once(&line) {
            return write_out(&line);
        }
        if thread::Builder::new().name("events".into()).spawn(write_lines).is_err() {
            return write_out(&line);
        }
        lines.is_writing = true;
    }
    let is_first_loss = lines.push(line);
    drop(lines);
    if is_first_loss {
        status("stoop: standard output is not read: events are lost from here on\n");
    }
    Ok(())
}

/// Waits until all lines are written.
pub(super) fn settle() {
    let lines = lines();
    drop(WRITTEN.wait_while(lines, |lines| lines.is_writing));
}

/// Waits until all lines are written, or none is taken any more.
pub(crate) fn flush() {
    let mut lines = lines();
    while lines.is_writing {
        let before = lines.waiting.len();
        let waited = WRITTEN.wait_timeout_while(lines, PATIENCE, |lines| lines.is_writing);
        lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        if lines.is_writing && lines.waiting.len() == before {
            let count = lines.lost + lines.waiting.len() as u64 + 1;
            return status(&format!("stoop: lost {count} events, because standard output was not read\n"));
        }
    }
}

fn lines() -> MutexGuard<'static, Lines> {
    LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns whether a line can be written without waiting for a reader.
fn takes_at_once(line: &[u8]) -> bool {
    let out = io::stdout();
    let mut entries = [PollFd::from_borrowed_fd(out.as_fd(), PollFlags::OUT)];
    let is_ready = poll(&mut entries, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
    is_ready && line.len() <= AT_ONCE_BYTES
}

/// Writes the lines until there are no more.
fn write_lines() {
    loop {
        let mut lines = lines();
        let Some(line) = lines.next() else {
            lines.is_writing = false;
            return WRITTEN.notify_all();
        };
        drop(lines);
        // A reader that has closed, or a full disk: the other lines meet the same.
        let _ = write_out(&line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_limit_is_lost_and_counted_in_its_place() {
        let mut lines = Lines::new(6);
        let losses = [b"aaa", b"bbb", b"ccc", b"ddd"].map(|line| lines.push(line.to_vec()));
        assert_eq!(losses, [false, false, true, false]);
        let written: Vec<Vec<u8>> = std::iter::from_fn(|| lines.next()).collect();
        assert_eq!(written[..2], [b"aaa", b"bbb"]);
        let last: serde_json::Value = serde_json::from_slice(&written[2]).unwrap();
        assert_eq!((&last["event"], &last["count"]), (&"trouble".into(), &2.into()));
        assert_eq!((written.len(), lines.bytes), (3, 0));
        assert!(!lines.push(b"eeeeee".to_vec()), "there is room again");
    }
}
