//! Facts about the wrong-type probe: a datagram connect(2) that detects whether any socket is bound
//! to a file.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use rustix::event::PollFlags;
use stoop_kernel_facts::libc::SHUT_RD;
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, close, is_root, public_tempdir, role, skip, tempdir};

fn probe(name: &Name) -> Result<()> {
    connect(&socket(DATAGRAM), name)
}

/// K-PROBE-1
#[test]
fn a_name_without_a_listener_is_refused() {
    let dir = tempdir();
    let at = |name: &str| Name::path(dir.path().join(name));
    for kind in [STREAM, DATAGRAM, SEQPACKET] {
        let name = at(&kind.to_string());
        close(bound(kind, &name));
        assert_eq!(probe(&name), Err(Errno::CONNREFUSED), "a dead socket of kind {kind}");
    }
    fs::write(dir.path().join("file"), "").unwrap();
    assert_eq!(probe(&at("file")), Err(Errno::CONNREFUSED));
    assert_eq!(probe(&Name::path(dir.path())), Err(Errno::CONNREFUSED));
}

/// K-PROBE-2
#[test]
fn a_listener_is_seen_and_not_disturbed() {
    let dir = tempdir();
    for kind in [STREAM, SEQPACKET] {
        let name = Name::path(dir.path().join(kind.to_string()));
        let listener = listener(kind, &name, 0);
        nonblocking(&listener);
        for _ in 0..100 {
            assert_eq!(probe(&name), Err(Errno::PROTOTYPE));
        }
        assert_eq!(polled(&listener, PollFlags::IN), PollFlags::empty());
        assert_eq!(accept(&listener).unwrap_err(), Errno::AGAIN);
        let _client = client(kind, &name);
        accept(&listener).unwrap();
    }
}

/// K-PROBE-3
#[test]
fn bound_but_not_listening_is_seen() {
    let dir = tempdir();
    let name = Name::path(dir.path().join("socket"));
    let socket = bound(STREAM, &name);
    assert_eq!(try_client(STREAM, &name).unwrap_err(), Errno::CONNREFUSED);
    assert_eq!(probe(&name), Err(Errno::PROTOTYPE));
    listen(&socket, 8).unwrap();
    shutdown(&socket, SHUT_RD);
    assert_eq!(try_client(STREAM, &name).unwrap_err(), Errno::CONNREFUSED);
    assert_eq!(probe(&name), Err(Errno::PROTOTYPE));
}

/// K-PROBE-4
#[test]
fn datagram_sockets_are_seen() {
    let dir = tempdir();
    let at = |name: &str| Name::path(dir.path().join(name));
    let server = bound(DATAGRAM, &at("server"));
    assert_eq!(probe(&at("server")), Ok(()));

    let _peer = bound(DATAGRAM, &at("peer"));
    connect(&server, &at("peer")).unwrap();
    assert_eq!(probe(&at("server")), Err(Errno::PERM));
    assert_eq!(recv(&server, 1), Err(Errno::AGAIN));
    assert_eq!(option(&server, libc::SO_ERROR), Ok(0));
}

/// K-PROBE-5
#[test]
fn other_network_namespaces_are_seen() {
    let dir = tempdir();
    let at = |name: &str| Name::path(dir.path().join(name));
    let listener = listener(STREAM, &at("socket"), 8);
    close(bound(STREAM, &at("dead")));
    nonblocking(&listener);
    let Some(seen) = in_new_network(|| (probe(&at("socket")), probe(&at("dead")))) else {
        skip!("lacks permission to create a network namespace");
    };
    assert_eq!(seen, (Err(Errno::PROTOTYPE), Err(Errno::CONNREFUSED)));
    assert_eq!(accept(&listener).unwrap_err(), Errno::AGAIN);
}

/// K-PROBE-6
#[test]
fn the_probe_needs_write_permission() {
    if let Some(directory) = std::env::var_os("DIRECTORY").filter(|_| role().is_some()) {
        for name in ["live", "dead"] {
            let path = std::path::Path::new(&directory).join(name);
            assert_eq!(probe(&Name::path(path)), Err(Errno::ACCESS));
        }
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let live = listener(STREAM, &Name::path(dir.path().join("live")), 8);
    close(bound(STREAM, &Name::path(dir.path().join("dead"))));
    for name in ["live", "dead"] {
        fs::set_permissions(dir.path().join(name), Permissions::from_mode(0o755)).unwrap();
    }
    Role::new("the_probe_needs_write_permission", "client")
        .env("DIRECTORY", dir.path().to_str().unwrap())
        .user(NOBODY, NOBODY)
        .run();
    close(live);
}

/// K-PROBE-7
#[test]
fn accepted_connections_do_not_count() {
    let dir = tempdir();
    let name = Name::path(dir.path().join("socket"));
    let (listener, client, accepted) = connection(STREAM, &name);
    assert_eq!(probe(&name), Err(Errno::PROTOTYPE));
    close(listener);
    assert_eq!(probe(&name), Err(Errno::CONNREFUSED));
    send(&client, b"still here").unwrap();
    assert_eq!(recv(&accepted, 10).unwrap(), b"still here");
}

/// K-PROBE-8
#[test]
fn a_connected_socket_reads_all_attributes_without_side_effects() {
    let dir = tempdir();
    for kind in [STREAM, SEQPACKET] {
        let name = Name::path(dir.path().join(kind.to_string()));
        let (asker, _peer) = pair(kind);
        nonblocking(&asker);
        let ask = || connect(&asker, &name);
        let server = bound(kind, &name);
        assert_eq!(ask(), Err(Errno::CONNREFUSED), "bound");
        listen(&server, 0).unwrap();
        nonblocking(&server);
        for _ in 0..100 {
            assert_eq!(ask(), Err(Errno::ISCONN), "there is space");
        }
        assert_eq!(polled(&server, PollFlags::IN), PollFlags::empty());
        assert_eq!(accept(&server).unwrap_err(), Errno::AGAIN);
        let _client = client(kind, &name);
        assert_eq!(ask(), Err(Errno::AGAIN), "full");
        let (other, _) = pair(if kind == STREAM { SEQPACKET } else { STREAM });
        assert_eq!(connect(&other, &name), Err(Errno::PROTOTYPE));
        shutdown(&server, SHUT_RD);
        assert_eq!(ask(), Err(Errno::CONNREFUSED), "shut down");
    }
}

/// K-PROBE-9
#[test]
fn a_datagram_receiver_looks_connected_until_its_client_disconnects() {
    let name = Name::unique("marked");
    let receiver = bound(DATAGRAM, &name);
    let ino = rustix::fs::fstat(&receiver).unwrap().st_ino as u32;
    let state = || dump().into_iter().find(|socket| socket.inode == ino).unwrap().state;
    let (closed, established) = (7, 1);
    assert_eq!(state(), closed);
    let client = socket(DATAGRAM);
    connect(&client, &name).unwrap();
    assert_eq!(state(), established);
    assert!(peer_name(&receiver).is_err(), "it still has no peer");
    disconnect(&client).unwrap();
    assert_eq!(state(), closed);
    connect(&client, &name).unwrap();
    close(client);
    assert_eq!(state(), established, "closing does not withdraw it");
}

/// K-PROBE-10
#[test]
fn a_server_is_not_seen_through_another_file_system() {
    const TEST: &str = "a_server_is_not_seen_through_another_file_system";
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new(TEST, "mounted").within("unshare", &["--mount"]).run();
    }
    let dir = tempdir();
    let base = dir.path();
    rustix::mount::mount("none", base, "tmpfs", rustix::mount::MountFlags::empty(), None).unwrap();
    for name in ["lower", "upper", "work", "merged"] {
        fs::create_dir(base.join(name)).unwrap();
    }
    let at = |name: &str| Name::path(base.join(name).join("socket"));
    let below = listener(STREAM, &at("lower"), 8);
    let options = ["lower", "upper", "work"].map(|name| format!("{name}dir={}", base.join(name).display()));
    let options = std::ffi::CString::new(options.join(",")).unwrap();
    let merged = base.join("merged");
    if rustix::mount::mount("overlay", merged, "overlay", rustix::mount::MountFlags::empty(), &*options)
        .is_err()
    {
        skip!("lacks overlayfs");
    }
    assert_eq!(probe(&at("lower")), Err(Errno::PROTOTYPE));
    assert_eq!(probe(&at("merged")), Err(Errno::CONNREFUSED));
    close(below);
    fs::remove_file(base.join("merged/socket")).unwrap();
    let _above = listener(STREAM, &at("merged"), 8);
    assert_eq!(probe(&at("merged")), Err(Errno::PROTOTYPE));
    assert_eq!(probe(&at("upper")), Err(Errno::CONNREFUSED));
}
