//! Facts about sock_diag: what a dump of local sockets shows, and what it cannot.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{fstat, major, minor};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, close, is_root, role, skip, tempdir};

/// TCP's numbers for states, which sock_diag uses.
const CONNECTED: u8 = 1;
const CLOSE: u8 = 7;
const LISTEN: u8 = 10;

fn inode(socket: &OwnedFd) -> u32 {
    fstat(socket).unwrap().st_ino as u32
}

/// What a dump says about a socket.
fn listed(socket: &OwnedFd) -> DiagSocket {
    let inode = inode(socket);
    dump().into_iter().find(|socket| socket.inode == inode).expect("the socket is listed")
}

/// Device, in the kernel's encoding, and inode of a file.
fn identity(path: &Path) -> (u32, u32) {
    let file = fs::metadata(path).unwrap();
    (major(file.dev()) << 20 | minor(file.dev()), file.ino() as u32)
}

/// K-DIAG-1
#[test]
fn dumps_give_device_and_inode() {
    const TEST: &str = "dumps_give_device_and_inode";
    if role().is_none() && is_root() {
        Role::new(TEST, "ordinary user").user(NOBODY, NOBODY).run();
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    let _listener = listener(STREAM, &Name::path(&path), 8);
    let identity = identity(&path);
    let found: Vec<_> = dump().into_iter().filter(|socket| socket.file == Some(identity)).collect();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].kind, found[0].state), (STREAM, LISTEN));
}

/// K-DIAG-2
#[test]
fn bound_sockets_are_listed() {
    let dir = tempdir();
    let name = Name::path(dir.path().join("socket"));
    let socket = bound(STREAM, &name);
    let before = listed(&socket);
    assert_eq!(before.state, CLOSE);
    assert_eq!(before.file, Some(identity(&dir.path().join("socket"))));
    listen(&socket, 8).unwrap();
    assert_eq!(listed(&socket).state, LISTEN);
    let client = client(STREAM, &name);
    assert_eq!(listed(&client).state, CONNECTED);

    let inode = inode(&socket);
    close(socket);
    assert!(!dump().iter().any(|socket| socket.inode == inode));
}

/// K-DIAG-3
#[test]
fn other_namespaces_are_not_listed() {
    let socket = bound(STREAM, &Name::unique("listed"));
    let _here = listed(&socket);
    let Some(seen) = in_new_network(|| dump().iter().any(|other| other.inode == inode(&socket))) else {
        skip!("lacks the right to make a network namespace");
    };
    assert!(!seen);
}

/// K-DIAG-4
#[test]
fn queued_clients_are_listed_at_the_listener() {
    let name = Name::unique("queued");
    let listener = listener(STREAM, &name, 8);
    let clients = [client(STREAM, &name), client(STREAM, &name)];
    assert_eq!(listed(&listener).pending, clients.each_ref().map(inode));
    assert_eq!(listed(&clients[0]).peer, Some(0), "the accepting end has no inode yet");
    let accepted = accept(&listener).unwrap();
    assert_eq!(listed(&clients[0]).peer, Some(inode(&accepted)));
    assert_eq!(listed(&listener).pending, [inode(&clients[1])]);
}

/// K-DIAG-5
#[test]
fn queue_length_and_limit() {
    let name = Name::unique("queue");
    let listener = listener(STREAM, &name, 5);
    let _clients = [client(STREAM, &name), client(STREAM, &name)];
    assert_eq!(listed(&listener).queue, Some((2, 5)));
    assert_eq!(listed(&listener).name.unwrap(), name.bytes());
}

/// K-DIAG-6
#[test]
fn inodes_join_with_descriptors() {
    let socket = bound(DATAGRAM, &Name::unique("join"));
    let link = fs::read_link(proc_path(&socket)).unwrap();
    assert_eq!(link.to_str().unwrap(), format!("socket:[{}]", inode(&socket)));
    assert_eq!(listed(&socket).kind, DATAGRAM);
}
