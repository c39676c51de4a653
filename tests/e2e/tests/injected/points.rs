//! Runs a scenario once for each system call at which its victim is killed, or for each errno with
//! which one fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use stoop_testkit::Injector;
use stoop_testkit::inject::{self, Call};

/// Longer than anything here takes.
pub const SOON: Duration = Duration::from_secs(30);

/// The number of points tested in parallel. Most of the time is spent waiting for processes.
const AT_ONCE: usize = 3;

/// Runs differ by a call or two.
const MORE: usize = 3;

/// The first `FIRST` calls are all tested, and `NEAR` around the last one that changes a name; of
/// the others, one in `SELDOM`.
const FIRST: usize = 150;
const NEAR: usize = 30;
const SELDOM: usize = 16;

/// The result of a point: what failed, with the contents of the directory.
pub type Outcome = Result<(), String>;

/// Runs `scenario` with an injector that only counts, then once for each counted call with one that
/// kills there: before each call, except those before which nothing has changed since the previous
/// point.
///
/// Panics with all failed points, or if there were fewer than `at_least` points.
#[track_caller]
pub fn every_point(name: &str, at_least: usize, scenario: impl Fn(&Injector) -> Outcome + Sync) {
    let undisturbed = Injector::new();
    if let Err(wrong) = scenario(&undisturbed) {
        panic!("{name}, undisturbed: {wrong}");
    }
    let calls = undisturbed.calls();
    // After a call that only asked, everything outside the process is as it was before it.
    let differs = |index: &usize| *index == 0 || calls.get(index - 1).is_none_or(|call| !only_asks(call));
    // A server that is refused reads all of /proc, to say who has the name: hundreds of calls, all
    // alike.
    let last = calls.iter().rposition(changes_names).unwrap_or(0);
    let near = |index: &usize| {
        *index < FIRST
            || (last.saturating_sub(NEAR)..=last + NEAR).contains(index)
            || index.is_multiple_of(SELDOM)
    };
    let points: Vec<usize> = (0..calls.len() + MORE).filter(differs).filter(near).collect();
    every(name, at_least, &points, |&index, injector| {
        injector.kill_at(index);
        scenario(injector)
    });
}

fn changes_names(call: &Call) -> bool {
    ["listen", "mkdirat", "renameat2", "unlinkat", "sendmsg"].contains(&call.name)
}

/// Calls that change nothing visible to another process.
fn only_asks(call: &Call) -> bool {
    const ASKING: [&str; 16] = [
        "fstat",
        "newfstatat",
        "statx",
        "readlinkat",
        "getdents64",
        "pread64",
        "getsockopt",
        "getsockname",
        "getpeername",
        "dup",
        "fcntl",
        "getrandom",
        "eventfd2",
        "rt_sigaction",
        "pidfd_open",
        "epoll_create1",
    ];
    const CREATE: u64 = rustix::fs::OFlags::CREATE.bits() as u64;
    let opens = call.name == "openat" && call.arguments[2] & CREATE == 0;
    opens || ASKING.contains(&call.name)
}

/// Tests all points, several in parallel. Each has an injector of its own.
#[track_caller]
pub fn every<P: Sync>(
    name: &str,
    at_least: usize,
    points: &[P],
    scenario: impl Fn(&P, &Injector) -> Outcome + Sync,
) {
    let (next, hits, wrong) = (AtomicUsize::new(0), AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(point) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let injector = Injector::new();
                    // A panic is an outcome like another: the other points are still tried.
                    let outcome = catch_unwind(AssertUnwindSafe(|| scenario(point, &injector)));
                    let outcome = outcome.unwrap_or_else(|_| Err("the test itself panicked".into()));
                    injector.check();
                    hits.fetch_add(usize::from(injector.hit().is_some()), Ordering::Relaxed);
                    if let Err(what) = outcome {
                        let call = injector.hit().map_or("no call".to_owned(), |call| call.to_string());
                        wrong.lock().unwrap().push(format!("{name}, at {call}: {what}"));
                    }
                }
            });
        }
    });
    let (hits, wrong) = (hits.into_inner(), wrong.into_inner().unwrap());
    eprintln!("{name}: {hits} points");
    assert!(wrong.is_empty(), "{} of {hits} points are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(hits >= at_least, "{name} has only {hits} points");
}

/// Returns why no points can be enumerated here.
pub fn lacking() -> Option<&'static str> {
    inject::lacking()
}
