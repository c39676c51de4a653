//! Starting a process that is traced, and the calls of ptrace. The only `unsafe` of this crate.

#![expect(unsafe_code, reason = "system calls that no well-kept crate wraps for every target")]

use std::ffi::{CString, c_int, c_void};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::filter::Instruction;

/// A thread, by its number.
pub(crate) type Tid = i32;

/// What a traced thread reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It has exited with this code.
    Exited(u8),
    /// This signal has ended it.
    Killed(i32),
    /// It is about to make a call that the filter selects.
    Call,
    /// Such a call has returned.
    Returned,
    /// It runs another program.
    Executed,
    /// It is stopped by this signal, as a shell stops a job.
    Job,
    /// Nothing that matters: it has only to be continued.
    Event,
    /// It is about to get this signal.
    Signal(i32),
}

/// A system call, at its beginning or at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Begins { number: u64, arguments: [u64; 6] },
    Ends { result: i64 },
}

/// At which step a process could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Creating it.
    Fork,
    /// Becoming its tracer.
    Trace,
    /// Setting the filter of system calls.
    Filter,
    /// Running the program.
    Execute,
}

const OPTIONS: c_int = libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACESECCOMP
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEEXEC
    // Without its tracer, the filter would make its calls fail.
    | libc::PTRACE_O_EXITKILL;

const FAILED_FILTER: u8 = 1;
const FAILED_EXECUTE: u8 = 2;

/// Starts a process that is traced by this thread, stopped before it runs its program. The second
/// value has the error if that fails later.
pub(crate) fn start(
    program: &[CString],
    filter: &[Instruction],
) -> Result<(Tid, Failures), (Step, io::Error)> {
    let failed = |step| move |error| (step, error);
    let (reader, writer) = io::pipe().map_err(failed(Step::Fork))?;
    let mut arguments: Vec<_> = program.iter().map(|word| word.as_ptr()).collect();
    arguments.push(std::ptr::null());
    // SAFETY: the child calls only functions that are safe between fork and exec, on memory that was
    // prepared before.
    let pid = match unsafe { libc::fork() } {
        -1 => return Err((Step::Fork, io::Error::last_os_error())),
        // SAFETY: as above.
        0 => unsafe { run(&arguments, filter, writer.as_raw_fd()) },
        pid => pid,
    };
    drop(writer);
    let mut status = 0;
    // SAFETY: `status` is a number to be written to.
    let waited = unsafe { libc::waitpid(pid, &mut status, libc::WUNTRACED) };
    if waited != pid || !libc::WIFSTOPPED(status) {
        return Err((Step::Fork, io::Error::other("the process ended at once")));
    }
    let seized = request(libc::PTRACE_SEIZE, pid, 0, OPTIONS as usize);
    // SAFETY: this signals our own child, which was not waited for.
    let signal = |number| unsafe { libc::kill(pid, number) };
    if let Err(error) = seized {
        signal(libc::SIGKILL);
        // SAFETY: as above.
        unsafe { libc::waitpid(pid, &mut status, 0) };
        return Err((Step::Trace, error));
    }
    signal(libc::SIGCONT);
    Ok((pid, Failures(OwnedFd::from(reader).into())))
}

/// The child: sets the filter and runs the program.
///
/// # Safety
/// Must be called between fork and exec, with pointers to strings that end with null, the last one
/// null.
#[expect(clippy::disallowed_methods, reason = "Rust ignores SIGPIPE, and the program is not to inherit that")]
unsafe fn run(arguments: &[*const libc::c_char], filter: &[Instruction], errors: RawFd) -> ! {
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_ptr().cast::<libc::sock_filter>().cast_mut(),
    };
    // SAFETY: plain system calls. The instructions have the layout that the kernel expects.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        libc::raise(libc::SIGSTOP);
        let set = || libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program);
        // Whoever may set a filter without it keeps the programs that change their user.
        let is_set = set() == 0 || libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && set() == 0;
        if is_set {
            libc::execvp(arguments[0], arguments.as_ptr());
        }
        let step = if is_set { FAILED_EXECUTE } else { FAILED_FILTER };
        let [a, b, c, d] = (*libc::__errno_location()).to_ne_bytes();
        let message = [step, a, b, c, d];
        libc::write(errors, message.as_ptr().cast::<c_void>(), message.len());
        libc::_exit(127)
    }
}

/// The pipe on which the process reports why it does not run its program.
#[derive(Debug)]
pub(crate) struct Failures(File);

impl Failures {
    /// Returns the error of a process that has exited, or runs its program.
    pub(crate) fn read(&mut self) -> Option<(Step, io::Error)> {
        let mut message = [0; 5];
        self.0.read_exact(&mut message).ok()?;
        let [step, error @ ..] = message;
        let step = if step == FAILED_FILTER { Step::Filter } else { Step::Execute };
        Some((step, io::Error::from_raw_os_error(i32::from_ne_bytes(error))))
    }
}

/// Waits for the next stop of any traced thread. `None` if there are no more.
pub(crate) fn wait() -> io::Result<Option<(Tid, Stop)>> {
    loop {
        let mut status = 0;
        // SAFETY: `status` is a number to be written to.
        let tid = unsafe { libc::waitpid(-1, &mut status, libc::__WALL) };
        if tid > 0 {
            return Ok(Some((tid, stop(status))));
        }
        match io::Error::last_os_error() {
            error if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            error if error.kind() == io::ErrorKind::Interrupted => {}
            error => return Err(error),
        }
    }
}

fn stop(status: c_int) -> Stop {
    if libc::WIFEXITED(status) {
        return Stop::Exited(libc::WEXITSTATUS(status) as u8);
    }
    if libc::WIFSIGNALED(status) {
        return Stop::Killed(libc::WTERMSIG(status));
    }
    let signal = libc::WSTOPSIG(status);
    match (status >> 16, signal) {
        (0, number) if number == libc::SIGTRAP | 0x80 => Stop::Returned,
        (0, number) => Stop::Signal(number),
        (libc::PTRACE_EVENT_SECCOMP, _) => Stop::Call,
        (libc::PTRACE_EVENT_EXEC, _) => Stop::Executed,
        (libc::PTRACE_EVENT_STOP, libc::SIGTRAP) => Stop::Event,
        (libc::PTRACE_EVENT_STOP, _) => Stop::Job,
        _ => Stop::Event,
    }
}

/// Lets a thread go on, with a signal or 0.
pub(crate) fn go_on(tid: Tid, signal: i32) {
    let _ = request(libc::PTRACE_CONT, tid, 0, signal as usize);
}

/// Lets a thread go on until its call returns.
pub(crate) fn go_on_to_return(tid: Tid) {
    let _ = request(libc::PTRACE_SYSCALL, tid, 0, 0);
}

/// Leaves a thread stopped, until a signal continues it.
pub(crate) fn leave_stopped(tid: Tid) {
    let _ = request(libc::PTRACE_LISTEN, tid, 0, 0);
}

/// `struct ptrace_syscall_info`, with the longest of its variants.
#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Info {
    op: u8,
    padding: [u8; 3],
    architecture: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    words: [u64; 8],
}

const GET_SYSCALL_INFO: libc::c_uint = 0x420e;

/// Returns the call at which a thread is stopped. Requires Linux 5.3.
pub(crate) fn call(tid: Tid) -> Option<Call> {
    let mut info = Info::default();
    let (size, place) = (size_of::<Info>(), (&raw mut info) as usize);
    request(GET_SYSCALL_INFO as _, tid, size, place).ok()?;
    let [first, arguments @ .., _] = info.words;
    match info.op {
        1 | 3 => Some(Call::Begins { number: first, arguments }),
        2 => Some(Call::Ends { result: first as i64 }),
        _ => None,
    }
}

#[cfg(target_env = "musl")]
type Request = c_int;
#[cfg(not(target_env = "musl"))]
type Request = libc::c_uint;

fn request(request: Request, tid: Tid, address: usize, data: usize) -> io::Result<()> {
    // SAFETY: of the requests made here, only one writes memory: as much as `address` says, to `data`.
    let result = unsafe { libc::ptrace(request, tid, address as *mut c_void, data as *mut c_void) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads memory of a traced process. Returns what could be read.
pub(crate) fn memory(tid: Tid, address: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0u8; len];
    let local = libc::iovec { iov_base: bytes.as_mut_ptr().cast::<c_void>(), iov_len: len };
    let remote = libc::iovec { iov_base: address as *mut c_void, iov_len: len };
    // SAFETY: the kernel writes at most `len` bytes to `bytes`, and checks the remote address.
    let read = unsafe { libc::process_vm_readv(tid, &raw const local, 1, &raw const remote, 1, 0) };
    bytes.truncate(usize::try_from(read).unwrap_or(0));
    bytes
}
