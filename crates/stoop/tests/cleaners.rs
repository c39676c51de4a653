//! A program that cleans `/tmp` does not delete the socket of a live server.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use stoop::{Bind, Listener, Stream};
use stoop_testkit::{close, has_program, skip, spawn, tempdir};

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
