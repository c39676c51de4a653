//! The system calls of the seccomp notifier: the only `unsafe` of the injector.

use std::io;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::calls;

/// A page that a child shares with its parent from the fork to the exec, in which the child writes
/// the number of its listener.
///
/// The child has no other way to pass it on: any call that could send it would already wait for the
/// listener's owner.
#[derive(Debug)]
pub(super) struct SharedNumber(*mut AtomicI32);

// SAFETY: the page is mapped until the last owner drops it, and what is in it is only ever used as
// an atomic.
#[expect(unsafe_code, reason = "a page that two processes share")]
unsafe impl Send for SharedNumber {}
// SAFETY: as above.
#[expect(unsafe_code, reason = "a page that two processes share")]
unsafe impl Sync for SharedNumber {}

#[expect(unsafe_code, reason = "rustix is built without mm")]
impl SharedNumber {
    pub(super) fn new() -> io::Result<SharedNumber> {
        let (length, protection) = (mem::size_of::<AtomicI32>(), libc::PROT_READ | libc::PROT_WRITE);
        let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory that is in use.
        let page = unsafe { libc::mmap(ptr::null_mut(), length, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let number = SharedNumber(page.cast());
        number.atomic().store(-1, Ordering::Release);
        Ok(number)
    }

    fn atomic(&self) -> &AtomicI32 {
        // SAFETY: the page is aligned, was zeroed by the kernel, and stays mapped as long as `self` lives.
        unsafe { &*self.0 }
    }

    /// The number, once the child has written it.
    pub(super) fn get(&self) -> Option<i32> {
        Some(self.atomic().load(Ordering::Acquire)).filter(|&number| number >= 0)
    }
}

#[expect(unsafe_code, reason = "rustix is built without mm")]
impl Drop for SharedNumber {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the page any more: `atomic` lends it for as long as `self` lives only.
        unsafe { libc::munmap(self.0.cast(), mem::size_of::<AtomicI32>()) };
    }
}

/// Filters the command's process from just before its exec on. It writes its pid to `pid`, the
/// number of its listener to `number`, and waits in the exec for the listener's new owner. The exec
/// closes its own copy of the listener (K-NOTIF-3).
#[expect(unsafe_code, reason = "a filter is set by the process that it is for")]
pub(super) fn filter(command: &mut Command, pid: OwnedFd, number: Arc<SharedNumber>) {
    let filter = program();
    // SAFETY: the closure makes system calls alone: it neither allocates nor locks, and what it
    // captured is only read.
    unsafe {
        command.pre_exec(move || {
            let own = libc::getpid().to_ne_bytes();
            if libc::write(pid.as_raw_fd(), own.as_ptr().cast(), own.len()) != own.len() as isize {
                return Err(io::Error::last_os_error());
            }
            let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
            let listener = match install(&program) {
                Err(error) if error.raw_os_error() == Some(libc::EACCES) => {
                    // Without root, a process has to give up the privileges of programs that it
                    // executes later.
                    libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                    install(&program)
                }
                installed => installed,
            }?;
            number.atomic().store(listener, Ordering::Release);
            Ok(())
        });
    }
}

#[expect(unsafe_code, reason = "rustix has no seccomp")]
fn install(program: &libc::sock_fprog) -> io::Result<i32> {
    // Once received, a call is not restarted by a signal, and so not counted twice (K-NOTIF-2).
    let flags = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    // SAFETY: the program and its filter live through the call, which copies them.
    let listener = unsafe {
        libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, ptr::from_ref(program))
    };
    if listener < 0 { Err(io::Error::last_os_error()) } else { Ok(listener as i32) }
}

/// Builds the filter: it notifies of the watched calls, and allows all others. Calls of another
/// architecture have other numbers: no test makes any.
fn program() -> Vec<libc::sock_filter> {
    let step = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let watched: Vec<u32> = calls::watched().map(|(number, _)| number as u32).collect();
    // Load the number; compare it with each; if one is equal, jump to the last step.
    let mut steps = vec![step(0x20, 0, 0, 0)];
    let compare =
        |(position, number): (usize, &u32)| step(0x15, (watched.len() - position) as u8, 0, *number);
    steps.extend(watched.iter().enumerate().map(compare));
    steps.push(step(0x06, 0, 0, libc::SECCOMP_RET_ALLOW));
    steps.push(step(0x06, 0, 0, libc::SECCOMP_RET_USER_NOTIF));
    steps
}

/// Copies the listener of a process, by its number there.
pub(super) fn take_listener(pid: Pid, number: i32) -> io::Result<(OwnedFd, OwnedFd)> {
    let process = pidfd_open(pid, PidfdFlags::empty())?;
    let listener = pidfd_getfd(&process, number, PidfdGetfdFlags::empty())?;
    Ok((process, listener))
}

/// A call that waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Notification {
    pub(super) id: u64,
    pub(super) number: libc::c_long,
    pub(super) arguments: [u64; 6],
}

/// Receives the next notification. `None` if its process was killed in the meantime.
#[expect(unsafe_code, reason = "rustix has no seccomp")]
pub(super) fn receive(listener: impl AsFd) -> io::Result<Option<Notification>> {
    // SAFETY: a plain structure, for which zeros are valid; the kernel wants it zeroed.
    let mut taken: libc::seccomp_notif = unsafe { mem::zeroed() };
    // SAFETY: `taken` is of the size that the request's number gives, and lives through the call.
    let done =
        unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut taken) };
    if done == 0 {
        let (number, arguments) = (taken.data.nr.into(), taken.data.args);
        return Ok(Some(Notification { id: taken.id, number, arguments }));
    }
    match io::Error::last_os_error() {
        error if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::EINTR)) => Ok(None),
        error => Err(error),
    }
}

/// What happens to a call.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reply {
    /// The kernel executes it.
    Continue,
    /// It is not executed, and returns this: a negated errno, or 0.
    Return(i32),
}

/// Answers a notification. If its process was killed in the meantime, that is not an error.
#[expect(unsafe_code, reason = "rustix has no seccomp")]
pub(super) fn answer(listener: impl AsFd, id: u64, reply: Reply) -> io::Result<()> {
    let (error, flags) = match reply {
        Reply::Continue => (0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32),
        Reply::Return(error) => (error, 0),
    };
    let mut answer = libc::seccomp_notif_resp { id, val: 0, error, flags };
    // SAFETY: `answer` is of the size that the request's number gives, and lives through the call.
    let done =
        unsafe { libc::ioctl(listener.as_fd().as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) };
    match io::Error::last_os_error() {
        error if done != 0 && error.raw_os_error() != Some(libc::ENOENT) => Err(error),
        _ => Ok(()),
    }
}

/// Makes a call that only a supervisor recognizes: see [`super::mark`].
#[expect(unsafe_code, reason = "rustix has no call for this")]
pub(super) fn mark() -> bool {
    // SAFETY: an unknown option of prctl is refused by the kernel, and touches no memory.
    unsafe { libc::prctl(MARK as i32, 0, 0, 0, 0) == 0 }
}

/// The option of prctl that serves as the mark.
pub(super) const MARK: u64 = 0x5354_4F4F;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_comparison_jumps_to_the_notification() {
        let steps = program();
        for (position, step) in steps.iter().enumerate().filter(|(_, step)| step.code == 0x15) {
            assert_eq!(steps[position + 1 + usize::from(step.jt)].k, libc::SECCOMP_RET_USER_NOTIF);
        }
    }

    #[test]
    fn a_descriptor_that_is_no_listener_is_an_error() {
        let other = std::fs::File::open("/dev/null").unwrap();
        assert!(receive(&other).is_err());
        assert!(answer(&other, 1, Reply::Continue).is_err());
    }
}
