//! Giving a socket file up: it goes with its server, from wherever its directory is by then, and
//! only if it is still ours.

use std::fs::{self, Permissions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use stoop::internal::Operation;
use stoop::{Bind, Datagram, ErrorKind, Stream};
use stoop_kernel_facts::{SOON, become_user};
use stoop_testkit::{NOBODY, Role, close, closing, deadline, is_root, public_tempdir, role, skip, tempdir};

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[test]
fn it_goes_with_its_server() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let bind = Bind::new(&path);
    drop(bind.listen().unwrap());
    assert!(!path.exists());
    bind.listen_seqpacket().unwrap().close().unwrap();
    assert!(!path.exists());
    bind.datagram().unwrap().close().unwrap();
    assert!(!path.exists());
    drop(Datagram::bind(&path).unwrap());
    assert!(is_empty(dir.path()));
}

#[test]
fn a_released_listener_listens_on() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let mut listener = Bind::new(&path).listen().unwrap();
        let _early = Stream::connect(&path).unwrap();
        listener.release().unwrap();
        assert!(listener.file().is_none() && !path.exists());
        listener.release().expect("once more is no error");
        let next = Bind::new(&path).listen().unwrap();
        listener.accept().unwrap();
        drop(listener);
        assert!(next.file().unwrap().is_in_place());
    });
}

#[test]
fn a_directory_that_moved_is_followed() {
    let dir = tempdir();
    let [before, after] = ["before", "after"].map(|name| dir.path().join(name));
    fs::create_dir(&before).unwrap();
    let server = Bind::new(before.join("socket")).listen().unwrap();
    fs::rename(&before, &after).unwrap();
    // Somebody else's socket is where ours was.
    fs::create_dir(&before).unwrap();
    let other = Bind::new(before.join("socket")).listen().unwrap();
    server.close().unwrap();
    assert!(is_empty(&after));
    assert!(other.file().unwrap().is_in_place());
}

#[test]
fn a_file_that_is_not_ours_any_more_stays() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let server = Bind::new(&path).listen().unwrap();
    fs::rename(&path, dir.path().join("elsewhere")).unwrap();
    server.close().unwrap();
    assert!(dir.path().join("elsewhere").exists(), "whoever moved it has plans for it");

    let server = Bind::new(&path).listen().unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "a file").unwrap();
    assert!(!server.file().unwrap().is_in_place());
    server.close().unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a file");
    fs::remove_file(&path).unwrap();

    let server = Bind::new(&path).listen().unwrap();
    fs::remove_file(&path).unwrap();
    server.close().expect("gone already is no error");

    let server = Bind::new(&path).listen().unwrap();
    fs::remove_dir_all(dir.path()).unwrap();
    server.close().expect("gone with its directory is no error");
}

/// The number of an inode is used again at once on many file systems; it must not be taken for
/// ours.
#[test]
fn a_successor_with_the_same_inode_number_is_safe() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    for _ in 0..50 {
        let first = Bind::new(&path).listen().unwrap();
        fs::remove_file(&path).unwrap();
        let second = Bind::new(&path).listen().unwrap();
        assert!(!first.file().unwrap().is_in_place());
        drop(first);
        assert!(second.file().unwrap().is_in_place());
    }
}

#[test]
fn given_away_it_stays() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let fd = OwnedFd::from(Bind::new(&path).listen().unwrap());
    assert!(path.exists());
    let std = std::os::unix::net::UnixListener::from(fd);
    Stream::connect(&path).unwrap();
    std.accept().unwrap();
    drop(std);
    assert!(path.exists());
    Bind::new(&path).listen().expect("the next one replaces what was left");
    let datagram = std::os::unix::net::UnixDatagram::from(Datagram::bind(&path).unwrap());
    assert!(path.exists());
    drop(datagram);
}

/// The file is found after the process has changed its working directory.
#[test]
fn the_process_may_go_elsewhere() {
    if role().is_none() {
        return Role::new("the_process_may_go_elsewhere", "wanderer").run();
    }
    let dir = tempdir();
    wander(dir.path());
    fs::create_dir("below").unwrap();
    let servers =
        [Bind::new(Path::new("below/socket")), Bind::new("./socket")].map(|bind| bind.listen().unwrap());
    wander(Path::new("/"));
    servers.into_iter().for_each(|server| server.close().unwrap());
    assert!(is_empty(&dir.path().join("below")));
}

#[expect(clippy::disallowed_methods, reason = "a process of its own, whose working directory is the point")]
fn wander(to: &Path) {
    std::env::set_current_dir(to).unwrap();
}

/// A server that gives up root removes its file where its new user may, and says it where not.
#[test]
fn privileges_may_be_dropped() {
    const TEST: &str = "privileges_may_be_dropped";
    if let Some(role) = role() {
        let dir = std::env::var("DIRECTORY").unwrap();
        let path = Path::new(&dir).join("socket");
        let server = Bind::new(&path).listen().unwrap();
        become_user(NOBODY, NOBODY);
        let outcome = server.close();
        if role == "may" {
            outcome.unwrap();
            assert!(!path.exists());
        } else {
            let error = outcome.unwrap_err();
            assert_eq!(
                (error.operation(), error.kind()),
                (Operation::Release, ErrorKind::PermissionDenied),
                "{error}"
            );
            assert_eq!(error.subject().unwrap().as_pathname(), Some(&*path));
            assert!(path.exists());
        }
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    for (role, mode) in [("may", 0o777), ("must not", 0o755)] {
        let dir = public_tempdir();
        fs::set_permissions(dir.path(), Permissions::from_mode(mode)).unwrap();
        Role::new(TEST, role).env("DIRECTORY", dir.path().to_str().unwrap()).run();
    }
}

/// A process of the same user that keeps holding the lock makes a release time out. The error names
/// the lock.
#[test]
fn a_lock_that_is_never_given_up_is_named() {
    use rustix::fs::{FlockOperation, flock};
    let dir = tempdir();
    let path = dir.path().join("socket");
    let server = Bind::new(&path).listen().unwrap();
    let staging = dir.path().join(".socket.stoop");
    fs::DirBuilder::new().mode(0o700).create(&staging).unwrap();
    let lock = fs::File::open(&staging).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    // A drop does not wait for long, and leaves the file to the next start.
    deadline(SOON, move || close(server));
    assert!(path.exists());
    let bind = Bind::new(&path);
    let error = deadline(SOON, move || bind.listen().unwrap_err());
    assert!(error.is_timed_out() && error.to_string().contains(".socket.stoop"), "{error}");
    drop(lock);
    Bind::new(&path).listen().unwrap();
    assert!(is_empty(dir.path()));
}

/// What has the name of our staging directory and is not one is left alone. In a directory of our
/// own the socket file is unlinked all the same.
#[test]
fn what_is_in_the_way_of_a_release_stays() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let staging = dir.path().join(".socket.stoop");
    let server = Bind::new(&path).listen().unwrap();
    fs::write(&staging, "precious").unwrap();
    server.close().unwrap();
    assert!(!path.exists());

    // In one that others may write to, the file is left to the next start rather than removed in two
    // steps.
    let server = Bind::new(&path).listen().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
    let error = closing(|| server.close()).unwrap_err();
    assert_eq!((error.operation(), error.kind()), (Operation::Release, ErrorKind::NotPermitted), "{error}");
    assert!(error.to_string().contains("it is a regular file"), "{error}");
    let error = Bind::new(&path).listen().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotPermitted, "{error}");
    assert!(error.to_string().contains(staging.to_str().unwrap()), "{error}");
    assert_eq!(fs::read_to_string(&staging).unwrap(), "precious");
    fs::remove_file(&staging).unwrap();
    Bind::new(&path).listen().unwrap();
}

/// The descriptor alone, in whatever hands, keeps no name.
#[test]
fn a_copy_does_not_hold_the_name() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let server = Bind::new(&path).listen().unwrap();
    let _copy = server.as_fd().try_clone_to_owned().unwrap();
    drop(server);
    assert!(!path.exists());
    Bind::new(&path).listen().unwrap();
}
