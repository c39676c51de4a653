//! Tests that a probe leaves nothing behind. Its results are compared with the kernel in `model`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use stoop::{Address, Bind, Kind};
use stoop_inspect::internal::facts::Facts;
use stoop_inspect::internal::{Delivery, Probe, probe};
use stoop_inspect::internal::{gather, why};
use stoop_inspect::why::{Operation, Outcome, Question, Who};
use stoop_testkit::{NOBODY, Role, deadline, eventually, is_root, public_tempdir, role, skip};

const LIMIT: Duration = Duration::from_secs(10);

fn facts(operation: Operation, kind: Kind, path: &std::path::Path, subject: Who) -> Facts {
    let address = Address::path(path).unwrap();
    gather(&Question { operation, kind: Some(kind), address, subject }).unwrap()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// Returns the state of the whole process, which a probe's thread must not change.
fn state() -> (u32, u32, Vec<u32>, String, std::path::PathBuf, bool, usize, usize) {
    let groups = rustix::process::getgroups().unwrap().into_iter().map(|group| group.as_raw()).collect();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let capabilities = status.lines().filter(|line| line.starts_with("Cap")).collect();
    let dumpable = dumpable_behavior().unwrap() == DumpableBehavior::Dumpable;
    (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
        groups,
        capabilities,
        std::env::current_dir().unwrap(),
        dumpable,
        threads(),
        stoop_testkit::open_descriptors(),
    )
}

#[test]
fn acting_as_another_changes_nothing_here() {
    if !is_root() {
        skip!("lacks root");
    }
    if role().is_none() {
        return Role::new("acting_as_another_changes_nothing_here", "alone").run();
    }
    let dir = public_tempdir();
    let path = dir.path().join("s");
    let _listener = Bind::new(&path).mode(0o600).listen().unwrap();
    set_dumpable_behavior(DumpableBehavior::Dumpable).unwrap();
    let before = state();
    for (subject, expected) in [
        (Who::User(NOBODY.to_string()), Probe::Failed(Errno::ACCESS)),
        (Who::User("root".into()), Probe::Succeeded),
        (Who::CurrentProcess, Probe::Succeeded),
        (Who::Process(std::process::id()), Probe::Succeeded),
    ] {
        let facts = facts(Operation::Connect, Kind::Stream, &path, subject.clone());
        assert_eq!(probe(&facts, Delivery::Withheld), expected, "{subject:?}");
        assert_eq!(state(), before, "{subject:?}");
    }
}

#[test]
fn a_bind_is_undone() {
    let dir = public_tempdir();
    let path = dir.path().join("s");
    for kind in Kind::ALL {
        let free = facts(Operation::Bind, kind, &path, Who::CurrentProcess);
        assert_eq!(probe(&free, Delivery::Withheld), Probe::Succeeded);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the file was removed");
    }
    fs::write(&path, "mine").unwrap();
    let taken = facts(Operation::Bind, Kind::Stream, &path, Who::CurrentProcess);
    assert_eq!(probe(&taken, Delivery::Withheld), Probe::Failed(Errno::ADDRINUSE));
    assert_eq!(fs::read(&path).unwrap(), b"mine", "what was there stays");
}

/// A link in a shared directory may be an intermediate component. `fs.protected_symlinks` forbids
/// it only as the last one.
#[test]
fn a_bind_through_another_users_link_is_undone() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let (shared, target) = (dir.path().join("shared"), dir.path().join("target"));
    for (path, mode) in [(&shared, 0o1777), (&target, 0o777)] {
        fs::create_dir(path).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let link = shared.join("link");
    std::os::unix::fs::symlink(&target, &link).unwrap();
    std::os::unix::fs::lchown(&link, Some(1234), None).unwrap();
    let facts = facts(Operation::Bind, Kind::Stream, &link.join("s"), Who::User(NOBODY.to_string()));
    assert_eq!(probe(&facts, Delivery::Withheld), Probe::Succeeded);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn nothing_is_sent_unless_that_is_allowed() {
    let dir = public_tempdir();
    let path = dir.path().join("s");
    let receiver = Bind::new(&path).datagram().unwrap();
    receiver.set_nonblocking(true).unwrap();
    let facts = facts(Operation::Send { len_bytes: 3 }, Kind::Datagram, &path, Who::CurrentProcess);
    assert!(matches!(probe(&facts, Delivery::Withheld), Probe::NotMade(_)));
    let mut buffer = [1; 8];
    assert!(receiver.recv(&mut buffer).unwrap_err().is_would_block());
    assert_eq!(probe(&facts, Delivery::Allowed), Probe::Succeeded);
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 3);
    assert_eq!(buffer[..3], [0, 0, 0]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = public_tempdir();
    let path = dir.path().join("s");
    let nobody = facts(Operation::Connect, Kind::Stream, &path, Who::User("no-such-user-anywhere".into()));
    assert!(
        matches!(probe(&nobody, Delivery::Withheld), Probe::NotMade(why) if why.contains("no such user"))
    );
    let long = dir.path().join("x".repeat(150));
    let long = facts(Operation::Connect, Kind::Stream, &long, Who::CurrentProcess);
    assert!(matches!(probe(&long, Delivery::Withheld), Probe::NotMade(why) if why.contains("cannot hold")));
}

/// The pid may have been reused by the time of the probe. A probe never acts as another process.
#[test]
fn a_probe_never_acts_as_a_process_that_reuses_the_pid() {
    let dir = public_tempdir();
    let path = dir.path().join("s");
    let _listener = Bind::new(&path).listen().unwrap();
    let mut command = std::process::Command::new("sleep");
    let mut child = stoop_testkit::KillOnDrop(stoop_testkit::spawn(command.arg("60")).unwrap());
    let same = facts(Operation::Connect, Kind::Stream, &path, Who::Process(child.0.id()));
    assert_eq!(probe(&same, Delivery::Withheld), Probe::Succeeded);
    let mut earlier = same.clone();
    earlier.subject.as_mut().unwrap().began = Some(1);
    let not_made = |facts: &Facts| matches!(probe(facts, Delivery::Withheld), Probe::NotMade(why) if why.contains("has exited"));
    assert!(not_made(&earlier));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert!(not_made(&same));
}

/// A call that would wait fails with `EAGAIN`, as predicted, and leaves no thread behind. It does
/// not count as one that hangs.
#[test]
fn a_probe_of_a_call_that_would_wait_returns() {
    if role().is_none() {
        return Role::new("a_probe_of_a_call_that_would_wait_returns", "alone").run();
    }
    let dir = public_tempdir();
    let (stream, datagram) = (dir.path().join("s"), dir.path().join("d"));
    let _listener = Bind::new(&stream).backlog(0).listen().unwrap();
    let _waiting = UnixStream::connect(&stream).unwrap();
    let _receiver = UnixDatagram::bind(&datagram).unwrap();
    let sender = UnixDatagram::unbound().unwrap();
    sender.set_nonblocking(true).unwrap();
    while sender.send_to(b"x", &datagram).is_ok() {}
    let before = threads();
    for (operation, kind, path) in [
        (Operation::Connect, Kind::Stream, &stream),
        (Operation::Send { len_bytes: 1 }, Kind::Datagram, &datagram),
    ] {
        let facts = facts(operation, kind, path, Who::CurrentProcess);
        let verdict = why(&facts);
        let made = deadline(LIMIT, move || probe(&facts, Delivery::Allowed));
        assert_eq!(made, Probe::Failed(Errno::AGAIN), "{operation:?}");
        assert_eq!(verdict.outcome, Outcome::Waits, "{verdict:?}");
        eventually(LIMIT, || threads() == before);
    }
}
