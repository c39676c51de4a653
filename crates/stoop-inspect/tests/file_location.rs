//! Locating the file of a socket: after renames, links and unlinks, and in views of the files that
//! other processes have.

use std::fs;
use std::io::BufRead;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use stoop::Address;
use stoop_inspect::internal::{
    Action, Cause, FileLocation, FileLocator, FileSearch, NameTarget, Verdict, ViewDifference, gather, why,
};
use stoop_inspect::why::{Operation, Outcome, Question, Who};
use stoop_inspect::{Inspector, Options, Snapshot, SocketId};
use stoop_testkit::{KillOnDrop, Role, close, has_program, is_root, role, skip, tempdir};

const SOON: Duration = Duration::from_secs(20);

fn snapshot() -> Snapshot {
    Inspector::new(Options::default()).snapshot()
}

fn location(listener: &UnixListener) -> FileLocation {
    let snapshot = snapshot();
    let id = snapshot.socket_of(listener).expect("it is listed");
    FileLocator::new().locate(&snapshot, id).expect("it is bound to a file")
}

fn predict(path: &Path) -> Verdict {
    let address = Address::path(path).unwrap();
    let subject = Who::CurrentProcess;
    why(&gather(&Question { operation: Operation::Connect, kind: None, address, subject }).unwrap())
}

/// A listener bound at `name` in a directory.
fn served(dir: &Path, name: &str) -> (UnixListener, PathBuf) {
    let path = dir.join(name);
    (UnixListener::bind(&path).unwrap(), path)
}

#[test]
fn a_file_is_where_its_name_leads() {
    let dir = tempdir();
    fs::create_dir(dir.path().join("real")).unwrap();
    symlink("real", dir.path().join("link")).unwrap();
    let (listener, path) = served(&dir.path().join("link"), "app");
    let found = location(&listener);
    assert_eq!((found.name, found.here.as_deref()), (NameTarget::SameFile, Some(path.as_path())));
    assert_eq!((found.view, found.is_removed), (None, Some(false)));
}

#[test]
fn a_moved_file_is_found() {
    let dir = tempdir();
    let (listener, path) = served(dir.path(), "app");
    let now = dir.path().join("old");
    fs::rename(&path, &now).unwrap();
    let found = location(&listener);
    assert_eq!((found.name, found.here), (NameTarget::Nothing, Some(now.clone())));
    let verdict = predict(&path);
    assert_eq!(verdict.cause, Cause::Moved, "{verdict:?}");
    // Another server at the name is told about nothing but the move.
    let other = UnixListener::bind(&path).unwrap();
    assert_eq!(location(&listener).name, NameTarget::OtherFile { is_socket: true });
    assert_eq!(predict(&path).outcome, Outcome::Succeeds);
    // A stale file at the name hides it from its clients.
    close(other);
    let verdict = predict(&path);
    let [Action::Connect { at, .. }, ..] = &verdict.advice[..] else { panic!("{verdict:?}") };
    assert_eq!((verdict.cause, at.address.as_pathname()), (Cause::Stale, Some(now.as_path())));
    UnixStream::connect(&now).unwrap();
}

#[test]
fn a_file_in_a_moved_directory_is_found() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    fs::create_dir(dir.path().join("one")).unwrap();
    let (listener, path) = served(&dir.path().join("one"), "app");
    fs::rename(dir.path().join("one"), dir.path().join("two")).unwrap();
    let found = location(&listener);
    assert_eq!((found.name, found.here), (NameTarget::Nothing, Some(dir.path().join("two/app"))));
    assert_eq!(predict(&path).cause, Cause::Moved);
}

#[test]
fn a_hard_link_is_the_file() {
    let dir = tempdir();
    let (listener, path) = served(dir.path(), "app.123");
    let link = dir.path().join("app");
    fs::hard_link(&path, &link).unwrap();
    fs::remove_file(&path).unwrap();
    let found = location(&listener);
    assert_eq!((found.here.as_deref(), found.is_removed), (Some(link.as_path()), Some(false)));
    let snapshot = snapshot();
    let id = snapshot.socket_of(&listener).unwrap();
    assert!(FileLocator::new().leads_to(&link, &snapshot[id]));
    assert!(!FileLocator::new().leads_to(&path, &snapshot[id]));
}

#[test]
fn a_removed_file_is_removed_only_if_that_is_known() {
    let dir = tempdir();
    let (listener, path) = served(dir.path(), "app");
    fs::remove_file(&path).unwrap();
    let found = location(&listener);
    assert_eq!((found.name, found.here), (NameTarget::Nothing, None));
    // The kernel tells it to root only.
    assert_eq!(found.is_removed, is_root().then_some(true));
    assert_eq!(predict(&path).cause, Cause::Unlinked);
}

#[test]
fn a_file_below_a_mount_is_covered() {
    if !is_root() || !has_program("mount") {
        skip!("lacks root or mount");
    }
    let dir = tempdir();
    let (listener, path) = served(dir.path(), "app");
    let _mounted = Mounted::over(dir.path());
    let found = location(&listener);
    assert_eq!((found.here, found.view, found.is_removed), (None, None, Some(false)));
    assert_eq!(found.covered.as_deref(), Some(path.as_path()));
    let verdict = predict(&path);
    assert!(verdict.why.contains("a mount covers its socket file"), "{verdict:?}");
    // Another file may be there.
    fs::write(&path, "").unwrap();
    assert_eq!(location(&listener).covered, Some(path));
}

#[test]
fn a_file_whose_first_name_was_removed_is_not_covered() {
    let dir = tempdir();
    let (listener, path) = served(dir.path(), "app");
    let elsewhere = dir.path().join("other");
    fs::create_dir(&elsewhere).unwrap();
    fs::hard_link(&path, elsewhere.join("app")).unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(location(&listener).covered, None);
}

/// A link in another directory is found by no lookup, and by the inode.
#[test]
fn a_link_elsewhere_is_searched_for_by_its_inode() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    for name in ["a", "b"] {
        fs::create_dir(dir.path().join(name)).unwrap();
    }
    let (listener, path) = served(&dir.path().join("a"), "app");
    let link = dir.path().join("b/app");
    fs::hard_link(&path, &link).unwrap();
    fs::remove_file(&path).unwrap();
    let FileSearch::OnMount { point, inode } = location(&listener).search else { panic!("not to be found") };
    assert!(link.starts_with(&point), "{point:?}");
    assert_eq!(inode, fs::metadata(&link).unwrap().ino());
    let verdict = predict(&path);
    assert!(matches!(verdict.advice[..], [Action::FindFile { .. }]), "{verdict:?}");
}

#[test]
fn a_file_on_an_unmounted_file_system_is_not_moved() {
    if !is_root() || !has_program("mount") {
        skip!("lacks root or mount");
    }
    let dir = tempdir();
    let mounted = Mounted::over(dir.path());
    let (listener, path) = served(dir.path(), "app");
    drop(mounted);
    assert_eq!(location(&listener).search, FileSearch::Unmounted);
    assert_eq!(predict(&path).cause, Cause::Unmounted);
}

/// An empty file system over a directory.
struct Mounted(PathBuf);

impl Mounted {
    fn over(path: &Path) -> Mounted {
        let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "none"]).arg(path).status();
        assert!(mount.unwrap().success());
        Mounted(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmount = std::process::Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(unmount.is_ok_and(|status| status.success()));
    }
}

#[test]
fn a_long_path_is_found_through_the_kernel() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    let long = dir.path().join("x".repeat(120));
    fs::create_dir(&long).unwrap();
    let directory = fs::File::open(&long).unwrap();
    let name = format!("/proc/self/fd/{}/app", std::os::fd::AsRawFd::as_raw_fd(&directory));
    let listener = UnixListener::bind(name).unwrap();
    drop(directory);
    let found = location(&listener);
    assert_eq!((found.name, found.here), (NameTarget::Unknown, Some(long.join("app"))));
}

/// The views that a child has, the script that creates each, and what is expected of it.
const VIEWS: &[(&str, &str, Option<ViewDifference>, bool)] = &[
    // Both file systems number their files alike.
    ("covered", "mount -t tmpfs none covered", Some(ViewDifference::Mounts), false),
    ("elsewhere", "mkdir shared && mount --bind shared elsewhere", Some(ViewDifference::Mounts), true),
];

#[test]
fn a_file_in_the_view_of_another_process() {
    if role().is_some() {
        return serve();
    }
    if !is_root() || !has_program("unshare") || !has_program("mount") {
        skip!("lacks root, unshare or mount");
    }
    for (place, script, difference, is_reachable) in VIEWS {
        let dir = tempdir();
        let at = dir.path().join(place);
        fs::create_dir(&at).unwrap();
        let mut server = start(dir.path(), script, &at.join("app"));
        server.line("ready", SOON);
        let (snapshot, id) = bound_to(&at.join("app"));
        let found = FileLocator::new().locate(&snapshot, id).unwrap();
        let view = found.view.as_ref().expect("another view");
        assert_eq!((found.name, Some(view.difference)), (NameTarget::SameFile, *difference), "{place}");
        assert_eq!(view.path, at.join("app"));
        let here = is_reachable.then(|| dir.path().join("shared/app"));
        assert_eq!((found.here, found.is_removed), (here, Some(false)), "{place}");
        let verdict = predict(&at.join("app"));
        assert_eq!(verdict.cause, Cause::ServersView, "{verdict:?}");
        // A server of ours is not affected.
        let ours = UnixListener::bind(at.join("app")).unwrap();
        let verdict = predict(&at.join("app"));
        assert_eq!((verdict.outcome, verdict.caveats.len()), (Outcome::Succeeds, 0), "{verdict:?}");
        // Nor is the other one advised to end, when ours has exited.
        close(ours);
        let verdict = predict(&at.join("app"));
        assert_eq!(verdict.cause, Cause::Stale);
        assert!(
            !verdict.advice.iter().any(|action| action.to_string().starts_with("restart")),
            "{verdict:?}"
        );
    }
}

#[test]
fn a_file_in_a_private_tmp_or_below_another_root() {
    if !is_root() || !has_program("unshare") || !has_program("mount") {
        skip!("lacks root, unshare or mount");
    }
    let private = "mkdir -p systemd-private-0-app/tmp && mount --bind systemd-private-0-app/tmp /var/tmp";
    let in_mounts = ["unshare", "-m", "--propagation", "private", "sh", "-c"];
    let cases = [
        (
            &in_mounts[..],
            private,
            "/var/tmp",
            "systemd-private-0-app/tmp",
            ViewDifference::PrivateTmp,
            "PrivateTmp=",
        ),
        (&["sh", "-c"][..], "mkdir jail && export JAIL=jail", "/", "jail", ViewDifference::Root, "(chroot)"),
    ];
    for (launcher, script, directory, here, difference, words) in cases {
        let dir = tempdir();
        let name = dir.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.');
        let at = Path::new(directory).join(name);
        let mut server = start_with(launcher, dir.path(), script, &at);
        server.line("ready", SOON);
        let (snapshot, id) = bound_to(&at);
        let found = FileLocator::new().locate(&snapshot, id).unwrap();
        assert_eq!(found.here, Some(dir.path().join(here).join(name)), "{words}");
        assert_eq!(found.view.map(|view| (view.path, view.difference)), Some((at.clone(), difference)));
        let verdict = predict(&at);
        assert_eq!(verdict.cause, Cause::ServersView, "{verdict:?}");
        assert!(verdict.why.contains(words), "{verdict:?}");
        // Renamed there, it is found by its new path, too.
        let (here, now) = (dir.path().join(here), at.with_extension("new"));
        fs::rename(here.join(name), here.join(now.file_name().unwrap())).unwrap();
        let verdict = predict(&now);
        assert_eq!(verdict.cause, Cause::ServersView, "{verdict:?}");
        assert!(verdict.why.contains(words), "{verdict:?}");
        // A path that leads to nothing there is claimed of no server.
        assert_eq!(predict(&at.with_extension("other")).cause, Cause::Missing);
    }
}

fn bound_to(path: &Path) -> (Snapshot, SocketId) {
    let snapshot = snapshot();
    let found = snapshot.iter().find(|(_, socket)| socket.name.as_pathname() == Some(path));
    let id = found.expect("it is listed").0;
    (snapshot, id)
}

fn start(dir: &Path, script: &str, path: &Path) -> KillOnDrop {
    start_with(&["unshare", "-m", "--propagation", "private", "sh", "-c"], dir, script, path)
}

/// Starts a server by a launcher whose last argument is a script.
fn start_with(launcher: &[&str], dir: &Path, script: &str, path: &Path) -> KillOnDrop {
    let script = format!("cd \"$DIR\" && {script} && exec \"$0\" \"$@\"");
    let role = Role::new("a_file_in_the_view_of_another_process", "server");
    let role = role.env("DIR", dir.to_str().unwrap()).env("AT", path.to_str().unwrap());
    let arguments: Vec<&str> = launcher[1..].iter().copied().chain([script.as_str()]).collect();
    role.within(launcher[0], &arguments).spawn()
}

/// Serves until standard input ends. Runs in the child.
fn serve() {
    if let Ok(root) = std::env::var("JAIL") {
        std::os::unix::fs::chroot(root).unwrap();
    }
    let _listener = UnixListener::bind(std::env::var("AT").unwrap()).unwrap();
    println!("ready");
    let _ = std::io::stdin().lock().lines().map_while(Result::ok).count();
}
