//! What an attempt leaves behind: nothing. What it comes to is held against the kernel in `model`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use stoop::{Address, Bind, Kind};
use stoop_inspect::why::{Facts, Operation, Outcome, Question, Who, facts, why};
use stoop_inspect::{Attempt, Delivery, attempt};
use stoop_testkit::{NOBODY, Role, deadline, eventually, is_root, public_tempdir, role, skip};

const LIMIT: Duration = Duration::from_secs(10);

fn facts(operation: Operation, kind: Kind, path: &std::path::Path, subject: Who) -> Facts {
    let address = Address::path(path).unwrap();
    facts::gather(&Question { operation, kind: Some(kind), address, subject }).unwrap()
}

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

/// What the whole process has and a thread must not change.
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
        (Who::User(NOBODY.to_string()), Attempt::Failed(Errno::ACCESS)),
        (Who::User("root".into()), Attempt::Succeeded),
        (Who::Ourselves, Attempt::Succeeded),
        (Who::Process(std::process::id()), Attempt::Succeeded),
    ] {
        let facts = facts(Operation::Connect, Kind::Stream, &path, subject.clone());
        assert_eq!(attempt(&facts, Delivery::Withheld), expected, "{subject:?}");
        assert_eq!(state(), before, "{subject:?}");
    }
}

#[test]
fn a_bind_is_undone() {
    let dir = public_tempdir();
    let path = dir.path().join("s");
    for kind in Kind::ALL {
        let free = facts(Operation::Bind, kind, &path, Who::Ourselves);
        assert_eq!(attempt(&free, Delivery::Withheld), Attempt::Succeeded);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "the file is gone");
    }
    fs::write(&path, "mine").unwrap();
    let taken = facts(Operation::Bind, Kind::Stream, &path, Who::Ourselves);
    assert_eq!(attempt(&taken, Delivery::Withheld), Attempt::Failed(Errno::ADDRINUSE));
    assert_eq!(fs::read(&path).unwrap(), b"mine", "what was there stays");
}

/// A link in a shared directory may be on the way, where `fs.protected_symlinks` is against it at
/// the end only.
#[test]
fn a_bind_through_somebody_elses_link_is_undone() {
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
    assert_eq!(attempt(&facts, Delivery::Withheld), Attempt::Succeeded);
    assert_eq!(fs::read_dir(&target).unwrap().count(), 0);
}

#[test]
fn nothing_is_sent_unless_that_is_allowed() {
    let dir = public_tempdir();
    let path = dir.path().join("s");
    let receiver = Bind::new(&path).datagram().unwrap();
    receiver.set_nonblocking(true).unwrap();
    let facts = facts(Operation::Send { len_bytes: 3 }, Kind::Datagram, &path, Who::Ourselves);
    assert!(matches!(attempt(&facts, Delivery::Withheld), Attempt::NotMade(_)));
    let mut buffer = [1; 8];
    assert!(receiver.recv(&mut buffer).unwrap_err().is_would_block());
    assert_eq!(attempt(&facts, Delivery::Allowed), Attempt::Succeeded);
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 3);
    assert_eq!(buffer[..3], [0, 0, 0]);
}

#[test]
fn what_cannot_be_done_is_said() {
    let dir = public_tempdir();
    let path = dir.path().join("s");
    let nobody = facts(Operation::Connect, Kind::Stream, &path, Who::User("no-such-user-anywhere".into()));
    assert!(
        matches!(attempt(&nobody, Delivery::Withheld), Attempt::NotMade(why) if why.contains("no such user"))
    );
    let long = dir.path().join("x".repeat(150));
    let long = facts(Operation::Connect, Kind::Stream, &long, Who::Ourselves);
    assert!(
        matches!(attempt(&long, Delivery::Withheld), Attempt::NotMade(why) if why.contains("cannot hold"))
    );
}

/// A number may be another process's by the time of the attempt: it is never made in that one's
/// place.
#[test]
fn nothing_is_tried_as_a_process_that_has_its_number_by_now() {
    let dir = public_tempdir();
    let path = dir.path().join("s");
    let _listener = Bind::new(&path).listen().unwrap();
    let mut command = std::process::Command::new("sleep");
    let mut child = stoop_testkit::KillOnDrop(stoop_testkit::spawn(command.arg("60")).unwrap());
    let same = facts(Operation::Connect, Kind::Stream, &path, Who::Process(child.0.id()));
    assert_eq!(attempt(&same, Delivery::Withheld), Attempt::Succeeded);
    let mut earlier = same.clone();
    earlier.subject.as_mut().unwrap().began = Some(1);
    let not_made = |facts: &Facts| matches!(attempt(facts, Delivery::Withheld), Attempt::NotMade(why) if why.contains("has ended"));
    assert!(not_made(&earlier));
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    assert!(not_made(&same));
}

/// A call that would wait is told from one that hangs: `EAGAIN`, as it is predicted, and no thread
/// is left behind.
#[test]
fn where_a_call_would_wait_the_attempt_ends() {
    if role().is_none() {
        return Role::new("where_a_call_would_wait_the_attempt_ends", "alone").run();
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
        let facts = facts(operation, kind, path, Who::Ourselves);
        let verdict = why(&facts);
        let made = deadline(LIMIT, move || attempt(&facts, Delivery::Allowed));
        assert_eq!(made, Attempt::Failed(Errno::AGAIN), "{operation:?}");
        assert_eq!(verdict.outcome, Outcome::Waits, "{verdict:?}");
        eventually(LIMIT, || threads() == before);
    }
}
