//! Faults in a running server, one after another: the errnos that each system call may fail with,
//! and the checks of the server after each.

use std::collections::BTreeMap;
use std::time::Duration;

use rustix::io::Errno as E;

use super::{Call, Injector};

/// The errnos that each call may fail with, according to its manual page.
///
/// Errors that only a faulty program gets are left out (EBADF, EFAULT, ENOTSOCK, EINVAL of a wrong
/// argument). If the page does not list a security module's refusal, it is added: such a module may
/// refuse any of these calls with EACCES or EPERM.
pub const FAULTS: &[(&str, &[E])] = &[
    ("accept", ACCEPT),
    ("accept4", ACCEPT),
    ("bind", &[E::ACCESS, E::ADDRINUSE, E::LOOP, E::NOENT, E::NOMEM, E::NOTDIR, E::ROFS, E::PERM]),
    ("chmod", &[E::ACCESS, E::IO, E::NOENT, E::NOMEM, E::PERM, E::ROFS]),
    ("clone", SPAWN),
    ("clone3", SPAWN),
    ("connect", &[E::ACCESS, E::AGAIN, E::CONNREFUSED, E::INTR, E::NOENT, E::PERM, E::TIMEDOUT]),
    ("dup", &[E::BUSY, E::INTR, E::MFILE]),
    ("epoll_create1", &[E::MFILE, E::NFILE, E::NOMEM]),
    ("epoll_ctl", &[E::NOMEM, E::NOSPC]),
    ("epoll_pwait", &[E::INTR]),
    ("epoll_wait", &[E::INTR]),
    ("eventfd2", &[E::MFILE, E::NFILE, E::NODEV, E::NOMEM]),
    ("fchmod", &[E::IO, E::PERM, E::ROFS]),
    ("fchmodat", &[E::ACCESS, E::IO, E::NOENT, E::PERM, E::ROFS]),
    ("fchown", &[E::IO, E::PERM, E::ROFS]),
    ("fchownat", &[E::IO, E::NOENT, E::PERM, E::ROFS]),
    ("fcntl", &[E::MFILE]),
    ("flock", &[E::INTR, E::NOLCK, E::AGAIN]),
    ("fstat", STAT),
    ("getdents64", &[E::NOENT, E::IO]),
    ("getpeername", &[E::NOBUFS, E::NOTCONN]),
    ("getrandom", &[E::INTR, E::NOSYS]),
    ("getsockname", &[E::NOBUFS]),
    ("getsockopt", &[E::NOPROTOOPT, E::ACCESS, E::PERM]),
    ("ioctl", &[E::NOTTY, E::PERM]),
    ("listen", &[E::ADDRINUSE, E::OPNOTSUPP, E::ACCESS]),
    ("mkdirat", &[E::ACCESS, E::DQUOT, E::EXIST, E::MLINK, E::NOENT, E::NOMEM, E::NOSPC, E::PERM, E::ROFS]),
    ("newfstatat", STAT),
    (
        "openat",
        &[E::ACCESS, E::INTR, E::LOOP, E::MFILE, E::NFILE, E::NOENT, E::NOMEM, E::NOSPC, E::PERM, E::ROFS],
    ),
    ("pidfd_getfd", &[E::MFILE, E::PERM, E::SRCH]),
    ("pidfd_open", &[E::MFILE, E::NFILE, E::NODEV, E::NOMEM, E::SRCH]),
    ("pipe2", &[E::MFILE, E::NFILE]),
    ("poll", POLL),
    ("ppoll", POLL),
    ("pread64", READ),
    ("read", READ),
    ("readlinkat", &[E::ACCESS, E::IO, E::NOENT, E::NOMEM]),
    ("readv", READ),
    ("recvfrom", RECEIVE),
    ("recvmmsg", RECEIVE),
    ("recvmsg", RECEIVE),
    (
        "renameat2",
        &[E::ACCESS, E::BUSY, E::DQUOT, E::EXIST, E::INVAL, E::NOENT, E::NOMEM, E::NOSPC, E::PERM, E::ROFS],
    ),
    ("sendmmsg", SEND),
    ("sendmsg", SEND),
    ("sendto", SEND),
    ("setsockopt", &[E::NOPROTOOPT, E::NOMEM, E::PERM]),
    ("shutdown", &[E::NOTCONN, E::PERM]),
    ("socket", &[E::ACCESS, E::AFNOSUPPORT, E::MFILE, E::NFILE, E::NOBUFS, E::NOMEM]),
    ("socketpair", &[E::AFNOSUPPORT, E::MFILE, E::NFILE]),
    ("statx", STAT),
    ("timerfd_create", &[E::MFILE, E::NFILE, E::NOMEM]),
    ("unlinkat", &[E::ACCESS, E::BUSY, E::IO, E::NOENT, E::NOMEM, E::PERM, E::ROFS]),
    ("write", WRITE),
    ("writev", WRITE),
];

const ACCEPT: &[E] = &[
    E::AGAIN,
    E::CONNABORTED,
    E::INTR,
    E::MFILE,
    E::NFILE,
    E::NOBUFS,
    E::NOMEM,
    E::PERM,
    E::PROTO,
    E::ACCESS,
    E::IO,
];
const POLL: &[E] = &[E::INTR, E::NOMEM, E::AGAIN];
const READ: &[E] = &[E::AGAIN, E::INTR, E::IO];
const RECEIVE: &[E] = &[E::AGAIN, E::CONNREFUSED, E::CONNRESET, E::INTR, E::NOMEM, E::ACCESS];
const SEND: &[E] = &[E::ACCESS, E::AGAIN, E::CONNRESET, E::INTR, E::MSGSIZE, E::NOBUFS, E::NOMEM, E::PIPE];
const SPAWN: &[E] = &[E::AGAIN, E::NOMEM, E::PERM];
const STAT: &[E] = &[E::ACCESS, E::LOOP, E::NOENT, E::NOMEM];
const WRITE: &[E] = &[E::AGAIN, E::INTR, E::IO, E::NOSPC, E::PIPE];

/// Returns the errnos that this call may fail with; none, if it is not in the table.
pub fn errnos(name: &str) -> &'static [E] {
    FAULTS.iter().find(|(listed, _)| *listed == name).map_or(&[], |(_, errnos)| errnos)
}

/// A campaign of faults in a server that has announced itself.
#[derive(Debug)]
pub struct Campaign<'a> {
    injector: &'a Injector,
    pid: u32,
    occurrences: usize,
    /// Faults that are left out, and the reason.
    except: &'a [(&'a str, E)],
}

/// The result of a campaign.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of injected faults.
    pub faults: usize,
    /// The failures, each with the fault that preceded it.
    pub wrong: Vec<String>,
}

impl Report {
    /// Panics if anything failed, or if fewer faults than that were injected.
    #[track_caller]
    pub fn check(&self, at_least: usize) {
        assert!(
            self.wrong.is_empty(),
            "{} of {} faults:\n{}",
            self.wrong.len(),
            self.faults,
            self.wrong.join("\n")
        );
        assert!(self.faults >= at_least, "only {} faults happened", self.faults);
    }
}

/// How long a server is observed for calls that it makes without a client.
const QUIET: Duration = Duration::from_millis(3);

/// The limit on calls in that time: it may pause and retry, but not spin.
const QUIET_CALLS: usize = 60;

impl<'a> Campaign<'a> {
    /// Creates a campaign in the process `pid`, whose calls `injector` watches: the first three
    /// occurrences of each call in a round.
    pub fn new(injector: &'a Injector, pid: u32) -> Campaign<'a> {
        Campaign { injector, pid, occurrences: 3, except: &[] }
    }

    /// Sets how many occurrences of each call are failed.
    pub fn occurrences(mut self, count: usize) -> Campaign<'a> {
        self.occurrences = count;
        self
    }

    /// Leaves out these faults.
    pub fn except(mut self, faults: &'a [(&'a str, E)]) -> Campaign<'a> {
        self.except = faults;
        self
    }

    /// Fails each call that a `round` makes the server execute, with each errno of [`FAULTS`],
    /// once.
    ///
    /// `round` is one client that may be affected by the fault: it returns an error only for
    /// effects that even that client must not see. `resumed` is called after each fault: it checks
    /// whether other clients, existing and new ones, are served.
    pub fn run(
        &self,
        mut round: impl FnMut() -> Result<(), String>,
        mut resumed: impl FnMut() -> Result<(), String>,
    ) -> Report {
        let mut report = Report::default();
        let calls = self.survey(&mut round);
        let most = 2000 + 40 * calls.values().sum::<usize>();
        for (name, count) in calls {
            for &errno in errnos(name).iter().filter(|&&errno| !self.except.contains(&(name, errno))) {
                for skipped in 0..count.min(self.occurrences) {
                    self.injector.fail(name, skipped, errno);
                    let seen = round();
                    let (hit, made) = (self.injector.disarm(), self.injector.count());
                    let Some(hit) = hit else { continue };
                    report.faults += 1;
                    let after = seen.and_then(|()| resumed()).and_then(|()| self.is_calm(made, most));
                    if let Err(wrong) = after {
                        report.wrong.push(format!("{errno} at {hit}: {wrong}"));
                        if !self.is_alive() {
                            report.wrong.push("the server is dead".into());
                            return report;
                        }
                    }
                }
            }
        }
        self.injector.check();
        report
    }

    /// Returns the calls of a round, with their counts.
    fn survey(&self, round: &mut impl FnMut() -> Result<(), String>) -> BTreeMap<&'static str, usize> {
        let mut most = BTreeMap::new();
        for _ in 0..3 {
            self.injector.forget();
            round().expect("an undisturbed round");
            std::thread::sleep(QUIET);
            let mut counts = BTreeMap::new();
            let calls = self.injector.calls();
            calls.iter().for_each(|Call { name, .. }| *counts.entry(*name).or_insert(0) += 1);
            for (name, count) in counts {
                let largest = most.entry(name).or_insert(count);
                *largest = count.max(*largest);
            }
        }
        most
    }

    /// Checks that the server waits when there is nothing to do.
    fn is_calm(&self, made: usize, most: usize) -> Result<(), String> {
        self.injector.forget();
        std::thread::sleep(QUIET);
        let idle = self.injector.count();
        match made > most || idle > QUIET_CALLS {
            true => Err(format!("it spins: {made} calls in a round, {idle} in {QUIET:?} of nothing to do")),
            false => Ok(()),
        }
    }

    fn is_alive(&self) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_names_calls_that_are_watched() {
        assert!(FAULTS.is_sorted_by(|one, other| one.0 < other.0));
        let watched: Vec<_> = super::super::calls::watched().map(|(_, name)| name).collect();
        let unknown: Vec<_> = FAULTS.iter().filter(|(name, _)| !watched.contains(name)).collect();
        // Some of them are older forms that are not on every architecture.
        assert!(cfg!(not(target_arch = "x86_64")) || unknown.is_empty(), "{unknown:?}");
        assert_eq!(errnos("listen").len(), 3);
        assert_eq!(errnos("munmap"), &[]);
    }
}
