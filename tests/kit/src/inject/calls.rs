//! The system calls that are watched: those through which a program acts on files, sockets,
//! processes and time.
//!
//! Memory, locks and scheduling (`mmap`, `brk`, `futex`, `sched_yield`) are not among them: how
//! often they are called differs from run to run, and nothing outside the process depends on them.

/// A table of system calls by their names.
macro_rules! named {
    ($($name:ident)*) => { &[$((libc::$name, stringify!($name))),*] };
}

/// The calls that exist on every architecture.
const COMMON: &[(libc::c_long, &str)] = named! {
    SYS_openat SYS_fstat SYS_newfstatat SYS_statx SYS_faccessat SYS_mkdirat SYS_renameat2 SYS_unlinkat SYS_linkat SYS_symlinkat
    SYS_readlinkat SYS_fchmod SYS_fchmodat SYS_fchown SYS_fchownat SYS_flock SYS_ftruncate SYS_fallocate SYS_getdents64 SYS_utimensat
    SYS_fsync SYS_socket SYS_socketpair SYS_bind SYS_listen SYS_accept4 SYS_connect SYS_sendto SYS_sendmsg SYS_sendmmsg SYS_recvfrom
    SYS_recvmsg SYS_recvmmsg SYS_shutdown SYS_getsockopt SYS_setsockopt SYS_getsockname SYS_getpeername SYS_read SYS_write
    SYS_readv SYS_writev SYS_pread64 SYS_pwrite64 SYS_close SYS_dup SYS_dup3 SYS_fcntl SYS_ioctl SYS_ppoll SYS_epoll_create1
    SYS_epoll_ctl SYS_epoll_pwait SYS_eventfd2 SYS_timerfd_create SYS_timerfd_settime SYS_signalfd4 SYS_rt_sigaction SYS_pipe2
    SYS_memfd_create SYS_pidfd_open SYS_pidfd_getfd SYS_pidfd_send_signal SYS_kill SYS_clone SYS_clone3 SYS_getrandom
    SYS_clock_nanosleep SYS_nanosleep SYS_prctl SYS_execve SYS_exit_group
};

/// Older forms of the same, which newer architectures no longer have.
#[cfg(target_arch = "x86_64")]
const OLDER: &[(libc::c_long, &str)] = named! {
    SYS_open SYS_stat SYS_lstat SYS_mkdir SYS_rename SYS_renameat SYS_unlink SYS_rmdir SYS_link SYS_symlink SYS_readlink SYS_chmod
    SYS_chown SYS_lchown SYS_poll SYS_epoll_wait SYS_pipe SYS_dup2 SYS_accept SYS_select SYS_pselect6 SYS_vfork
};
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[(libc::c_long, &str)] = named! { SYS_renameat SYS_accept SYS_pselect6 };

/// Every call that is watched, with its number.
pub(super) fn watched() -> impl Iterator<Item = (libc::c_long, &'static str)> {
    let short = |&(number, name): &(libc::c_long, &'static str)| (number, name.trim_start_matches("SYS_"));
    COMMON.iter().chain(OLDER).map(short)
}

/// The name of a watched call.
pub(super) fn name(number: libc::c_long) -> &'static str {
    watched().find(|(watched, _)| *watched == number).map_or("unknown", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_is_listed_once() {
        let mut numbers: Vec<_> = watched().map(|(number, _)| number).collect();
        let before = numbers.len();
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), before);
        // The jumps of the filter are a byte wide.
        assert!(before < 250);
        assert_eq!(name(libc::SYS_openat), "openat");
    }
}
