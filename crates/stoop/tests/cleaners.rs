//! A program that cleans `/tmp` does not delete the socket of a live server.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use stoop::{Bind, Listener, Stream};
use stoop_testkit::{close, eventually, has_program, skip, slowness, spawn, tempdir};

/// Deletes everything in the directory that `systemd-tmpfiles` would delete some day.
fn clean(directory: &Path) {
    let config = directory.with_extension("conf");
    fs::write(&config, format!("e {} - - - 0\n", directory.display())).unwrap();
    let mut command = Command::new("systemd-tmpfiles");
    assert!(spawn(command.arg("--clean").arg(&config)).unwrap().wait().unwrap().success());
}

#[test]
fn the_socket_of_a_live_server_is_not_deleted() {
    if !has_program("systemd-tmpfiles") {
        skip!("lacks systemd-tmpfiles");
    }
    let dir = tempdir();
    let cleaned = dir.path().join("cleaned");
    fs::create_dir(&cleaned).unwrap();
    fs::set_permissions(&cleaned, Permissions::from_mode(0o755)).unwrap();
    let link = dir.path().join("link");
    symlink(&cleaned, &link).unwrap();
    let long = cleaned.join("long".repeat(30));
    let replaced = cleaned.join("replaced");
    let listen = |path: &Path| -> Listener { Bind::new(path).listen().unwrap() };
    let old = listen(&replaced);
    let live = [
        ("bound", listen(&cleaned.join("bound"))),
        ("through a link", listen(&link.join("linked"))),
        ("too long", listen(&long)),
        ("replaced", Bind::new(&replaced).replace(true).listen().unwrap()),
        ("with a mode", Bind::new(cleaned.join("a".repeat(90))).mode(0o600).listen().unwrap()),
    ];
    close(old);
    close(UnixListener::bind(cleaned.join("stale")).unwrap());
    clean(&cleaned);
    for (case, listener) in &live {
        assert!(listener.file().unwrap().is_in_place(), "{case}");
        Stream::connect(listener.file().unwrap().path()).unwrap();
    }
    assert!(!cleaned.join("stale").exists(), "it does delete what is stale");
}

/// What waits in the private directory looks as if it was used, however long a relay runs.
#[test]
fn the_file_of_a_server_behind_a_relay_is_not_deleted() {
    if !has_program("systemd-tmpfiles") {
        skip!("lacks systemd-tmpfiles");
    }
    let dir = tempdir();
    let cleaned = dir.path().join("cleaned");
    fs::create_dir(&cleaned).unwrap();
    let path = cleaned.join("app.sock");
    let server = UnixListener::bind(&path).unwrap();
    let front: Listener = stoop::internal::interpose(Bind::new(&path)).listen().unwrap();
    let behind = stoop::internal::behind(front.file().unwrap()).unwrap().clone();
    let private = cleaned.join(".app.sock.stoop");
    // The change times cannot be set, so the limit is short and passes: longer than the cleaner takes.
    let seconds = (3.0 * slowness()) as u64;
    let age = |path: &Path| {
        let changed = fs::symlink_metadata(path).unwrap().modified().unwrap();
        changed.elapsed().unwrap_or_default()
    };
    let config = dir.path().join("seconds.conf");
    fs::write(&config, format!("e {} - - - {seconds}s\n", cleaned.display())).unwrap();
    eventually(Duration::from_secs(30), || age(&behind.path) > Duration::from_secs(seconds + 1));
    behind.keep_fresh();
    assert!(age(&behind.path) < age(&private), "only the files in it are touched");
    let mut command = Command::new("systemd-tmpfiles");
    assert!(spawn(command.arg("--clean").arg(&config)).unwrap().wait().unwrap().success());
    assert!(private.join(".for").symlink_metadata().is_ok() && behind.path.exists());
    close(front);
    Stream::connect(&path).unwrap();
    server.accept().unwrap();
}
