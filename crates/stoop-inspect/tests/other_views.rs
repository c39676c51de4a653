//! Socket files that several paths lead to, under an inode each: layers of an overlay, and the
//! directory behind a FUSE mount. A server bound by one of them is found from the others, and is
//! never taken for gone.

use std::ffi::CString;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use stoop::Address;
use stoop_inspect::internal::facts::OtherServer;
use stoop_inspect::internal::{Action, Cause, Verdict, gather, why};
use stoop_inspect::why::{Errno, Operation, Outcome, Question, Who};
use stoop_kernel_facts::{SOON, kernel_at_least, mount_fuse};
use stoop_testkit::{
    KillOnDrop, Role, TempDir, close, eventually, has_program, is_root, public_tempdir, record_skip, role,
    skip, spawn, tempdir,
};

/// Runs the rest of a test in a mount namespace of its own. Returns whether this is that run.
fn has_own_mounts(test: &str) -> bool {
    if role().is_some() {
        return true;
    }
    if !is_root() {
        record_skip(test, "lacks root");
        return false;
    }
    Role::new(test, "mounted").within("unshare", &["--mount"]).run();
    false
}

fn explained(operation: Operation, path: &Path, subject: Who) -> Verdict {
    let question = Question { operation, kind: None, address: Address::path(path).unwrap(), subject };
    why(&gather(&question).unwrap())
}

fn ask(operation: Operation, path: &Path, subject: Who) -> Verdict {
    let question = Question { operation, kind: None, address: Address::path(path).unwrap(), subject };
    let facts = gather(&question).unwrap();
    assert_ne!(facts.other_server, OtherServer::Unexamined, "{facts:?}");
    why(&facts)
}

/// The server is named from a path that does not reach it, and the advice does.
fn assert_is_found(asked: &Path, bound: &Path) {
    assert_eq!(UnixStream::connect(asked).unwrap_err().kind(), ErrorKind::ConnectionRefused);
    let verdict = ask(Operation::Connect, asked, Who::CurrentProcess);
    assert_eq!(
        (verdict.outcome, verdict.cause),
        (Outcome::Fails(Errno::CONNREFUSED), Cause::ServedElsewhere),
        "{verdict:?}"
    );
    let own = format!("process {} ", std::process::id());
    assert!(verdict.seen.iter().any(|line| line.contains(bound.to_str().unwrap())), "{verdict:?}");
    assert!(verdict.seen.iter().any(|line| line.starts_with(&own)), "{verdict:?}");
    let [Action::Connect { at, .. }] = &verdict.advice[..] else { panic!("{verdict:?}") };
    assert_eq!(at.address.as_pathname(), Some(bound));
    UnixStream::connect(at.address.as_pathname().unwrap()).unwrap();
    let verdict = ask(Operation::Bind, asked, Who::CurrentProcess);
    assert_eq!(
        (verdict.outcome, verdict.cause),
        (Outcome::Fails(Errno::ADDRINUSE), Cause::TakenLive),
        "{verdict:?}"
    );
    let takes = |it: &Action| matches!(it, Action::ReplaceStale(_) | Action::RemoveFile { .. });
    assert!(!verdict.advice.iter().any(takes), "{verdict:?}");
}

fn assert_is_stale(asked: &Path) {
    let verdict = ask(Operation::Connect, asked, Who::CurrentProcess);
    assert_eq!(verdict.cause, Cause::Stale, "{}: {verdict:?}", asked.display());
}

/// An overlay on a file system of its own. `None` if this kernel has none.
struct Overlay(TempDir);

const LAYERS: [&str; 3] = ["lower", "upper", "work"];

impl Overlay {
    fn new() -> Overlay {
        let dir = tempdir();
        mount("none", dir.path(), "tmpfs", MountFlags::empty(), None).unwrap();
        for name in LAYERS.into_iter().chain(["merged"]) {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Overlay(dir)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name).join("app.sock")
    }

    fn options(&self) -> String {
        LAYERS.map(|name| format!("{name}dir={}", self.0.path().join(name).display())).join(",")
    }

    fn mount(&self) -> bool {
        let options = CString::new(self.options()).unwrap();
        mount("overlay", self.0.path().join("merged"), "overlay", MountFlags::empty(), &*options).is_ok()
    }

    /// Mounts it at a point, with options that are relative to its directory.
    fn mount_relative(&self, options: &str, point: &Path) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-t", "overlay", "overlay", "-o", options]).arg(point).current_dir(self.0.path());
        mount.status().is_ok_and(|status| status.success())
    }
}

impl Drop for Overlay {
    fn drop(&mut self) {
        let _ = unmount(self.0.path().join("merged"), UnmountFlags::DETACH);
        let _ = unmount(self.0.path(), UnmountFlags::DETACH);
    }
}

#[test]
fn the_server_of_a_layer_is_found_through_the_overlay() {
    if !has_own_mounts("the_server_of_a_layer_is_found_through_the_overlay") {
        return;
    }
    let overlay = Overlay::new();
    let [lower, merged, upper] = ["lower", "merged", "upper"].map(|name| overlay.path(name));
    let below = UnixListener::bind(&lower).unwrap();
    if !overlay.mount() {
        skip!("lacks overlayfs");
    }
    assert_is_found(&merged, &lower);
    // A change makes a copy in the upper layer, which hides the server's file.
    fs::set_permissions(&merged, fs::Permissions::from_mode(0o777)).unwrap();
    assert_is_stale(&merged);
    assert_is_stale(&upper);
    close(below);
    assert_is_stale(&merged);
    assert_is_stale(&lower);
    fs::remove_file(&merged).unwrap();
    let above = UnixListener::bind(&merged).unwrap();
    assert_is_found(&upper, &merged);
    close(above);
    assert_is_stale(&upper);
}

/// The layers of an overlay may be named relative to the directory of who mounted it.
#[test]
fn the_server_of_a_relative_layer_is_found_through_the_overlay() {
    if !has_own_mounts("the_server_of_a_relative_layer_is_found_through_the_overlay") {
        return;
    }
    let overlay = Overlay::new();
    let [lower, merged] = ["lower", "merged"].map(|name| overlay.path(name));
    let below = UnixListener::bind(&lower).unwrap();
    if !overlay.mount_relative("lowerdir=lower,upperdir=./upper,workdir=work", Path::new("merged")) {
        skip!("lacks overlayfs");
    }
    assert_is_found(&merged, &lower);
    close(below);
    assert_is_stale(&merged);
    assert_is_stale(&lower);
    fs::remove_file(&merged).unwrap();
    let above = UnixListener::bind(&merged).unwrap();
    assert_is_found(&overlay.path("upper"), &merged);
    close(above);
}

/// It may have been mounted from any directory: then a file is not called stale.
#[test]
fn a_file_of_a_layer_that_is_not_found_is_not_stale() {
    if !has_own_mounts("a_file_of_a_layer_that_is_not_found_is_not_stale") {
        return;
    }
    let overlay = Overlay::new();
    let lower = overlay.path("lower");
    let server = UnixListener::bind(&lower).unwrap();
    let elsewhere = tempdir();
    if !overlay.mount_relative("lowerdir=lower,upperdir=upper,workdir=work", elsewhere.path()) {
        skip!("lacks overlayfs");
    }
    let merged = elsewhere.path().join("app.sock");
    let verdict = ask(Operation::Connect, &merged, Who::CurrentProcess);
    assert_eq!(verdict.cause, Cause::ServedElsewhere, "{verdict:?}");
    assert!(verdict.seen.iter().any(|line| line.contains("relative layer")), "{verdict:?}");
    let verdict = ask(Operation::Bind, &merged, Who::CurrentProcess);
    assert_eq!(verdict.cause, Cause::TakenBySocket, "{verdict:?}");
    let refused = stoop::Bind::new(&merged).listen().unwrap_err();
    assert_eq!(refused.kind(), stoop::ErrorKind::LivenessUnknown);
    assert!(fs::symlink_metadata(&merged).is_ok() && UnixStream::connect(&lower).is_ok());
    drop(server);
    unmount(elsewhere.path(), UnmountFlags::DETACH).unwrap();
}

#[test]
fn a_process_with_mounts_of_its_own_has_its_own_overlay() {
    if !has_own_mounts("a_process_with_mounts_of_its_own_has_its_own_overlay") {
        return;
    }
    let overlay = Overlay::new();
    let [lower, merged] = ["lower", "merged"].map(|name| overlay.path(name));
    let _below = UnixListener::bind(&lower).unwrap();
    let directory = overlay.0.path().join("merged");
    let script = format!(
        "mount -t overlay overlay -o {} {} && exec sleep 1000",
        overlay.options(),
        directory.display()
    );
    let child = KillOnDrop(spawn(Command::new("unshare").args(["--mount", "sh", "-c", &script])).unwrap());
    let pid = child.0.id();
    let theirs = PathBuf::from(format!("/proc/{pid}/root")).join(merged.strip_prefix("/").unwrap());
    let has_started = || fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "sleep\n");
    let mut child = child;
    eventually(SOON, || has_started() || child.0.try_wait().unwrap().is_some());
    if !has_started() {
        skip!("lacks overlayfs");
    }
    assert!(fs::symlink_metadata(&theirs).is_ok() && fs::symlink_metadata(&merged).is_err());
    let verdict = ask(Operation::Connect, &merged, Who::Process(pid));
    assert_eq!(verdict.cause, Cause::ServedElsewhere, "{verdict:?}");
    let [Action::Connect { at, .. }] = &verdict.advice[..] else { panic!("{verdict:?}") };
    UnixStream::connect(at.address.as_pathname().unwrap()).unwrap();
}

/// A mount that is for another user, and one whose server has exited.
#[test]
fn a_fuse_mount_that_lets_nobody_in_is_named() {
    if !has_own_mounts("a_fuse_mount_that_lets_nobody_in_is_named") {
        return;
    }
    if !Path::new("/dev/fuse").exists() {
        skip!("lacks FUSE");
    }
    let dir = public_tempdir();
    let path = dir.path().join("view/app.sock");
    let view = path.parent().unwrap();
    fs::create_dir(view).unwrap();
    let server = mount_fuse(view, 0o40777, "user_id=65534,group_id=65534").unwrap();
    for operation in [Operation::Connect, Operation::Bind] {
        let verdict = explained(operation, &path, Who::CurrentProcess);
        assert_eq!((verdict.outcome, verdict.cause), (Outcome::Fails(Errno::ACCESS), Cause::OtherUsersMount));
        let as_its_user = |action: &Action| matches!(action, Action::PredictAs { .. });
        assert!(verdict.advice.iter().any(as_its_user), "{verdict:?}");
        // What its user would see is not visible to root.
        assert_eq!(explained(operation, &path, Who::User("65534".into())).outcome, Outcome::Unknown);
    }
    assert_eq!(UnixStream::connect(&path).unwrap_err().kind(), ErrorKind::PermissionDenied);
    unmount(view, UnmountFlags::DETACH).unwrap();
    drop(server);
    drop(mount_fuse(view, 0o40777, "user_id=0,group_id=0,allow_other").unwrap());
    let verdict = explained(Operation::Connect, &path, Who::CurrentProcess);
    // [K-FUSE-2] The server has not answered the first request.
    let errno = if kernel_at_least(7, 2) { Errno::CONNREFUSED } else { Errno::NOTCONN };
    assert_eq!(Errno::from_io_error(&UnixStream::connect(&path).unwrap_err()), Some(errno));
    assert_eq!((verdict.outcome, verdict.cause), (Outcome::Fails(errno), Cause::FileSystemFails));
    unmount(view, UnmountFlags::DETACH).unwrap();
}

#[test]
fn the_server_behind_a_fuse_mount_is_found() {
    if !has_own_mounts("the_server_behind_a_fuse_mount_is_found") {
        return;
    }
    if !has_program("bindfs") {
        skip!("lacks bindfs");
    }
    let dir = tempdir();
    let [real, view] = ["real", "view"].map(|name| dir.path().join(name));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&view).unwrap();
    let _bindfs = KillOnDrop(spawn(Command::new("bindfs").arg("-f").args([&real, &view])).unwrap());
    let before = fs::metadata(dir.path()).unwrap();
    eventually(SOON, || fs::metadata(&view).is_ok_and(|now| now.dev() != before.dev()));
    let [real, view] = [real, view].map(|directory| directory.join("app.sock"));
    for (bound, other) in [(&real, &view), (&view, &real)] {
        let server = UnixListener::bind(bound).unwrap();
        assert_is_found(other, bound);
        close(server);
        assert_is_stale(other);
        fs::remove_file(&real).unwrap();
    }
    unmount(dir.path().join("view"), UnmountFlags::DETACH).unwrap();
}

/// A lookup in it would never return: it is not made by this process.
#[test]
fn a_fuse_mount_that_does_not_respond_is_named() {
    if !has_own_mounts("a_fuse_mount_that_does_not_respond_is_named") {
        return;
    }
    if !has_program("bindfs") {
        skip!("lacks bindfs");
    }
    let dir = tempdir();
    let [real, view] = ["real", "view"].map(|name| dir.path().join(name));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&view).unwrap();
    let bindfs = KillOnDrop(spawn(Command::new("bindfs").arg("-f").args([&real, &view])).unwrap());
    let before = fs::metadata(dir.path()).unwrap();
    eventually(SOON, || fs::metadata(&view).is_ok_and(|now| now.dev() != before.dev()));
    let path = view.join("app.sock");
    let server = UnixListener::bind(&path).unwrap();
    let signal = |signal| {
        rustix::process::kill_process(rustix::process::Pid::from_raw(bindfs.0.id() as i32).unwrap(), signal)
    };
    let question = Question {
        operation: Operation::Connect,
        kind: None,
        address: Address::path(&path).unwrap(),
        subject: Who::CurrentProcess,
    };
    signal(rustix::process::Signal::STOP).unwrap();
    let verdict = why(&gather(&question).unwrap());
    assert_eq!((verdict.outcome, verdict.cause), (Outcome::Unknown, Cause::NotResponding), "{verdict:?}");
    // Again without waiting, and without a word on the server's file.
    let snapshot = stoop_inspect::Inspector::new(stoop_inspect::Options::default()).snapshot();
    let id = snapshot.socket_of(&server).unwrap();
    let location = stoop_inspect::internal::FileLocator::new().locate(&snapshot, id).unwrap();
    assert_eq!((location.here, location.is_removed), (None, None));
    signal(rustix::process::Signal::CONT).unwrap();
    eventually(SOON, || why(&gather(&question).unwrap()).outcome == Outcome::Succeeds);
    unmount(&view, UnmountFlags::DETACH).unwrap();
}
