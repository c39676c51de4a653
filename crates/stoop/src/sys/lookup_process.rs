//! A lookup in a process of its own, which may never return.

use std::ffi::{CStr, c_int};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

/// A child process that looks up one name. No signal reports its end, so that the program's own
/// handling of its children is undisturbed.
#[derive(Debug)]
pub(crate) struct LookupProcess {
    /// Readable once the lookup has returned; at its end if the process has exited.
    report: OwnedFd,
    id: libc::pid_t,
}

/// What became of the lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LookupState {
    /// It has returned, whatever its result.
    Returned,
    /// The process was killed.
    Killed,
    /// It has not returned yet.
    Waiting,
}

impl LookupProcess {
    /// Starts a process that looks the name up in a directory, and asks the file system for the
    /// attributes of both.
    pub(crate) fn start(directory: BorrowedFd<'_>, name: &CStr) -> io::Result<LookupProcess> {
        let (report, told) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: with all arguments 0 this is a fork whose end is not signalled. The child only
        // calls `look_up`, which neither allocates nor locks and never returns.
        match unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: this is the child, which has one thread.
            0 => unsafe { look_up(directory.as_raw_fd(), told.as_raw_fd(), name) },
            id => Ok(LookupProcess { report, id: id as libc::pid_t }),
        }
    }

    /// Waits at most this long.
    pub(crate) fn wait(&self, patience: Duration) -> LookupState {
        let mut entry = [PollFd::from_borrowed_fd(self.report.as_fd(), PollFlags::IN)];
        let limit = Timespec::try_from(patience).unwrap_or_default();
        // An interrupted wait counts as waiting: the next check finds its result.
        if !poll(&mut entry, Some(&limit)).is_ok_and(|ready| ready > 0) {
            return LookupState::Waiting;
        }
        let mut byte = [0];
        match rustix::io::read(&self.report, &mut byte) {
            Ok(1) => LookupState::Returned,
            _ => LookupState::Killed,
        }
    }
}

impl Drop for LookupProcess {
    /// Reaps the process if it has exited. Otherwise it exits on its own when the lookup returns,
    /// at the latest: it is killed together with the thread that started it.
    fn drop(&mut self) {
        let flags = match self.wait(Duration::ZERO) {
            LookupState::Waiting => libc::WNOHANG,
            LookupState::Returned | LookupState::Killed => 0,
        };
        loop {
            // SAFETY: no status is written.
            let waited = unsafe { libc::waitpid(self.id, std::ptr::null_mut(), flags | libc::__WALL) };
            if waited != -1 || Errno::from_io_error(&io::Error::last_os_error()) != Some(Errno::INTR) {
                return;
            }
        }
    }
}

/// Looks the name up, says so, and exits.
///
/// # Safety
/// The process must have no other thread, and a memory of its own.
unsafe fn look_up(directory: c_int, told: c_int, name: &CStr) -> ! {
    // SAFETY: only system calls, with numbers, a string that ends in a NUL, and buffers of this
    // frame. Whatever they return, the next ones may be made.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        // A pipe that this process kept open would never end for its reader.
        let (low, high) = if directory < told { (directory, told) } else { (told, directory) };
        close_between(0, low - 1);
        close_between(low + 1, high - 1);
        close_between(high + 1, c_int::MAX);
        let flags = libc::O_PATH | libc::O_NOFOLLOW | libc::O_CLOEXEC;
        let file = libc::syscall(libc::SYS_openat, directory, name.as_ptr(), flags, 0) as c_int;
        for fd in [directory, file] {
            let mut attributes = [0_u64; 64];
            let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_FORCE_SYNC;
            let mask = libc::STATX_BASIC_STATS;
            libc::syscall(libc::SYS_statx, fd, c"".as_ptr(), flags, mask, attributes.as_mut_ptr());
        }
        libc::syscall(libc::SYS_write, told, b"x".as_ptr(), 1_usize);
        libc::_exit(0)
    }
}

/// Closes these file descriptors. Before Linux 5.9, those that a program usually has.
///
/// # Safety
/// Nothing may use them any more.
unsafe fn close_between(first: c_int, last: c_int) {
    const USUAL_MAX: c_int = 4096;
    // SAFETY: takes plain numbers; the caller's promise.
    if first <= last && unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == -1 {
        for fd in first..=last.min(USUAL_MAX) {
            // SAFETY: as above.
            unsafe { libc::syscall(libc::SYS_close, fd) };
        }
    }
}
