//! Operations on a thread or a process instead of a socket: umask, network namespace, signals,
//! fork.

use std::ffi::c_int;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::mpsc;
use std::thread;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stoop_testkit::eventually;

use crate::{Errno, Result, SOON, STREAM, checked, owned, raw, socket};

/// Runs `work` on a thread with a umask of its own; the rest of the process keeps its own.
pub fn with_umask<T: Send>(mask: u32, work: impl FnOnce() -> T + Send) -> T {
    on_a_thread(|| {
        unshare(libc::CLONE_FS).expect("unshare the umask");
        set_umask(mask);
        work()
    })
}

/// Returns the umask of the calling thread.
pub fn process_umask() -> u32 {
    let status = std::fs::read_to_string("/proc/thread-self/status").expect("read the thread's status");
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:")).expect("a line with the umask");
    u32::from_str_radix(line.trim(), 8).expect("an octal number")
}

/// Runs `work` on a thread in a new network namespace; `None` if this process may not create one.
pub fn in_new_network<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    on_a_thread(|| match unshare(libc::CLONE_NEWNET) {
        Ok(()) => Some(work()),
        Err(Errno::PERM) => None,
        Err(error) => panic!("cannot make a network namespace: {error}"),
    })
}

/// Runs `work` on a thread with a private copy of the descriptor table: files that it opens and
/// closes do not affect other threads.
pub fn with_own_descriptors<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    on_a_thread(|| {
        unshare(libc::CLONE_FILES).expect("leave the table of descriptors");
        work()
    })
}

/// Makes this system call fail in the calling thread from now on, as a sandbox would (seccomp(2)).
/// Requires root.
pub fn forbid_call(number: i64, errno: Errno) {
    answer_call(number, errno.raw_os_error() as u32);
}

/// Makes this system call fail in the calling thread from now on, and has the kernel log each such
/// call (Linux 4.14). Requires root.
pub fn forbid_and_log_call(number: i64, errno: Errno) {
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_LOG);
    // SAFETY: as in `answer_call`.
    let set = with_filter(number, libc::SECCOMP_RET_ERRNO | errno.raw_os_error() as u32, |program| unsafe {
        libc::syscall(libc::SYS_seccomp, mode, flags, program) as c_int
    });
    checked(set as isize).expect("set a filter for system calls");
}

/// Makes this system call return 0 in the calling thread from now on without doing anything, as a
/// sandbox may (seccomp(2)). For this the thread sets no_new_privs.
pub fn fake_call(number: i64) {
    rustix::thread::set_no_new_privs(true).expect("give up new privileges");
    answer_call(number, 0);
}

fn answer_call(number: i64, errno: u32) {
    // SAFETY: the program lives through the call, which copies it; a system call that fails breaks no
    // rule.
    let set = with_filter(number, libc::SECCOMP_RET_ERRNO | errno, |program| unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, program)
    });
    checked(set as isize).expect("set a filter for system calls");
}

/// Makes the next calls with this number in the calling thread, and in its children, fail with
/// these errors, one after the other; later ones are executed (seccomp(2) with a notifier, Linux
/// 5.5). For this the thread sets no_new_privs.
pub fn fail_next_calls(number: i64, errnos: &[Errno]) {
    let errnos: Vec<i32> = errnos.iter().map(|errno| errno.raw_os_error()).collect();
    // Started before the filter is installed, so it is not subject to it.
    let (give, notifier) = mpsc::channel();
    thread::spawn(move || answer_notifications(&notifier.recv().expect("the notifier"), &errnos));
    rustix::thread::set_no_new_privs(true).expect("give up new privileges");
    let (mode, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: as in `answer_call`.
    let notifier = with_filter(number, libc::SECCOMP_RET_USER_NOTIF, |program| unsafe {
        libc::syscall(libc::SYS_seccomp, mode, flags, program) as c_int
    });
    give.send(owned(notifier).expect("set a filter with a notifier")).expect("a thread that answers");
}

/// Answers until no thread is left that could make the call.
fn answer_notifications(notifier: &OwnedFd, errnos: &[i32]) {
    const RECEIVE: libc::Ioctl = 0xc050_2100;
    const SEND: libc::Ioctl = 0xc018_2101;
    let mut errnos = errnos.iter();
    loop {
        let mut call = [0_u64; 10];
        // SAFETY: `seccomp_notif` has 80 bytes, which have to be zero and live through the call.
        if unsafe { libc::ioctl(raw(notifier), RECEIVE, call.as_mut_ptr()) } == -1 {
            let error = std::io::Error::last_os_error().raw_os_error();
            // A signal that interrupts the call takes it back before it is received (ENOENT).
            if matches!(error, Some(libc::ENOENT | libc::EINTR)) && !is_abandoned(notifier) {
                continue;
            }
            return;
        }
        let (error, flags) = errnos.next().map_or((0, 1_u32), |errno| (-errno, 0));
        let mut answer = [call[0], 0, u64::from(error as u32) | u64::from(flags) << 32];
        // SAFETY: `seccomp_notif_resp` has 24 bytes, which live through the call. The asking process may have exited,
        // which is an error.
        unsafe { libc::ioctl(raw(notifier), SEND, answer.as_mut_ptr()) };
    }
}

/// Returns whether no thread is left that could make the call.
fn is_abandoned(notifier: &OwnedFd) -> bool {
    let mut entry = [PollFd::new(notifier, PollFlags::IN)];
    poll(&mut entry, Some(&Timespec::default())).is_ok() && entry[0].revents().contains(PollFlags::HUP)
}

fn with_filter(number: i64, answer: u32, set: impl FnOnce(*const libc::sock_fprog) -> c_int) -> c_int {
    let step = |code, jf, k| libc::sock_filter { code, jt: 0, jf, k };
    // Load the number; if it is this one, return the answer, else allow the call.
    let mut filter = [
        step(0x20, 0, 0),
        step(0x15, 1, number as u32),
        step(0x06, 0, answer),
        step(0x06, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    set(&raw const program)
}

/// Exits the calling thread immediately, even if it is the first of its process; the other threads
/// continue.
pub fn end_this_thread() -> ! {
    loop {
        // SAFETY: takes a number; nothing of this thread runs after it, and its stack stays until the
        // process ends.
        unsafe { libc::syscall(libc::SYS_exit, 0) };
    }
}

fn on_a_thread<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(work).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

/// Calls unshare(2). It affects the calling thread, which should have been created for this.
pub fn unshare(what: c_int) -> Result<()> {
    // SAFETY: takes numbers only; leaving a shared table keeps copies of all its file descriptors.
    checked(unsafe { libc::unshare(what) } as isize).map(drop)
}

#[expect(clippy::disallowed_methods, reason = "the calling thread shares its umask with no other")]
fn set_umask(mask: u32) {
    // SAFETY: takes and returns numbers only.
    unsafe { libc::umask(mask) };
}

/// Runs `work` on a thread that Landlock denies access to abstract sockets created outside it;
/// `None` if the kernel has no Landlock, or one without this feature.
pub fn without_outer_abstract_sockets<T: Send>(work: impl FnOnce() -> T + Send) -> Option<T> {
    // struct landlock_ruleset_attr: no file system and no network rights,
    // LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET.
    let attributes = [0_u64, 0, 1];
    let size = size_of_val(&attributes);
    // SAFETY: `attributes` lives through the call and its size is given.
    let ruleset = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, attributes.as_ptr(), size, 0) };
    let ruleset = owned(ruleset as c_int).ok()?;
    Some(on_a_thread(|| {
        rustix::thread::set_no_new_privs(true).expect("give up new privileges");
        // SAFETY: takes numbers only, and concerns the calling thread, which was made for this.
        let done = unsafe { libc::syscall(libc::SYS_landlock_restrict_self, raw(&ruleset), 0) };
        checked(done as isize).expect("restrict the thread");
        work()
    }))
}

/// Sets a handler for `SIGUSR1` that does nothing, with these `sa_flags`. Only for a dedicated
/// process.
pub fn on_interrupt(flags: c_int) {
    extern "C" fn nothing(_: c_int) {}
    // SAFETY: zeros are a valid sigaction (empty mask, no flags); the handler is a function that
    // touches nothing.
    let done = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(c_int) as usize;
        action.sa_flags = flags;
        libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut())
    };
    checked(done as isize).expect("set a signal handler");
}

/// A thread that sleeps in a system call.
#[derive(Debug)]
pub struct Blocked<T> {
    thread: i32,
    call: i64,
    answer: mpsc::Receiver<T>,
}

/// Runs `work` on a thread of its own and returns once it sleeps in the system call with number
/// `call`.
pub fn blocked<T: Send + 'static>(call: i64, work: impl FnOnce() -> T + Send + 'static) -> Blocked<T> {
    let (tell, thread) = mpsc::channel();
    let (done, answer) = mpsc::channel();
    thread::spawn(move || {
        tell.send(rustix::thread::gettid().as_raw_nonzero().get()).expect("tell the thread's number");
        // The receiver is dropped if the test has failed already.
        let _ = done.send(work());
    });
    let blocked = Blocked { thread: thread.recv().expect("the thread's number"), call, answer };
    blocked.wait();
    blocked
}

impl<T> Blocked<T> {
    /// Waits until the thread sleeps in its system call (again).
    pub fn wait(&self) {
        let file = format!("/proc/self/task/{}/syscall", self.thread);
        let call = format!("{} ", self.call);
        eventually(SOON, || std::fs::read_to_string(&file).is_ok_and(|now| now.starts_with(&call)));
    }

    /// Sends the thread `SIGUSR1`. Set a handler with [`on_interrupt`] before.
    pub fn interrupt(&self) {
        let process = std::process::id() as i32;
        // SAFETY: takes numbers only; a thread that has exited meanwhile is an error, not a fault.
        let done = unsafe { libc::syscall(libc::SYS_tgkill, process, self.thread, libc::SIGUSR1) };
        checked(done as isize).expect("send a signal to the thread");
    }

    /// Returns the result of the thread's work; panics if it does not end, or panicked.
    pub fn join(self) -> T {
        self.answer.recv_timeout(SOON).expect("the blocked thread continues")
    }
}

/// Gives `SIGPIPE` its default action; Rust programs start with it ignored. Only for a dedicated
/// process.
pub fn die_of_sigpipe() {
    // SAFETY: zeros are a valid sigaction: SIG_DFL, empty mask, no flags.
    let done = unsafe {
        let action: libc::sigaction = std::mem::zeroed();
        libc::sigaction(libc::SIGPIPE, &action, std::ptr::null_mut())
    };
    checked(done as isize).expect("reset a signal");
}

/// Gives up root permanently: every thread becomes this user and group. Only for a dedicated
/// process.
pub fn become_user(uid: u32, gid: u32) {
    // SAFETY: both take numbers only; glibc changes all threads.
    unsafe {
        checked(libc::setresgid(gid, gid, gid) as isize).expect("change the group");
        checked(libc::setresuid(uid, uid, uid) as isize).expect("change the user");
    }
}

/// Lowers the limit on file descriptors so that `free` more can be opened. Only for a dedicated
/// process.
pub fn leave_room_for(free: usize) {
    let probes: Vec<_> = (0..free).map(|_| socket(STREAM)).collect();
    let highest = probes.iter().map(raw).max().expect("at least one");
    let limit = Rlimit { current: Some(highest as u64 + 1), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).expect("lower the limit on descriptors");
}

/// Calls fork(2): runs `work` in a copy of this process and returns its pid and exit status; `work`
/// returns the exit code.
///
/// Other threads do not exist in the copy and may have held locks: `work` makes plain system calls
/// only.
pub fn in_child(work: impl FnOnce() -> c_int) -> (c_int, ExitStatus) {
    use std::os::unix::process::ExitStatusExt;
    // SAFETY: the child runs `work`, which takes no locks and allocates nothing, and ends with _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = work();
        // SAFETY: ends the process without running anything of the parent's.
        unsafe { libc::_exit(code) };
    }
    let pid = checked(pid as isize).expect("fork") as c_int;
    let mut status = 0;
    // SAFETY: `status` lives through the call, and the child is ours.
    checked(unsafe { libc::waitpid(pid, &mut status, 0) } as isize).expect("wait for the child");
    (pid, ExitStatus::from_raw(status))
}

/// Returns whether the running kernel is this version or a later one. For facts that cannot be
/// probed for.
pub fn kernel_at_least(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("read the kernel's release");
    let mut numbers = release.split(['.', '-']).map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= (major, minor)
}

/// Creates an io_uring with which this file is registered: it keeps the file open without a file
/// descriptor. `None` if there is no io_uring, or it is not permitted.
pub fn ring_of(file: &impl AsFd) -> Option<OwnedFd> {
    const REGISTER_FILES: libc::c_long = 2;
    let mut parameters = [0_u8; 120];
    // SAFETY: `io_uring_params` has 120 bytes, which live through the call.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, parameters.as_mut_ptr()) };
    let ring = owned(ring as c_int).ok()?;
    let number = raw(file);
    // SAFETY: an array of one descriptor, which lives through the call.
    let done = unsafe {
        libc::syscall(libc::SYS_io_uring_register, raw(&ring), REGISTER_FILES, &raw const number, 1)
    };
    checked(done as isize).expect("register a file");
    Some(ring)
}
