//! Facts about sock_diag: what a dump of Unix sockets shows, and what it cannot.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{fstat, major, minor};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SendFlags, getsockname, recvfrom, sendto};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, close, is_root, role, skip, tempdir};

/// TCP's state numbers, which sock_diag uses.
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
        skip!("lacks permission to create a network namespace");
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

/// K-DIAG-7
#[test]
fn a_peer_without_an_inode_is_queued_or_closed() {
    const BOTH: u8 = 3;
    let name = Name::unique("nameless");
    let listener = listener(STREAM, &name, 8);
    let waiting = client(STREAM, &name);
    assert_eq!((listed(&waiting).peer, listed(&waiting).shutdown), (Some(0), 0));
    let (one, other) = pair(STREAM);
    assert_eq!(listed(&one).peer, Some(inode(&other)));
    close(other);
    assert_eq!((listed(&one).peer, listed(&one).shutdown), (Some(0), BOTH));
    assert_eq!(listed(&one).state, CONNECTED);

    close(waiting);
    assert_eq!(listed(&listener).pending, [0], "a closed client is still in the queue");
}

/// K-DIAG-8
#[test]
fn a_datagram_connection_marks_both_ends() {
    let name = Name::unique("both");
    let receiver = bound(DATAGRAM, &name);
    assert_eq!(listed(&receiver).state, CLOSE);
    let sender = client(DATAGRAM, &name);
    assert_eq!((listed(&sender).state, listed(&sender).peer), (CONNECTED, Some(inode(&receiver))));
    assert_eq!((listed(&receiver).state, listed(&receiver).peer), (CONNECTED, None));
}

/// K-DIAG-9
#[test]
fn a_long_list_of_clients_ends_a_dump_early() {
    let Some((first, second)) = in_new_network(|| {
        let name = Name::unique("long");
        let _listener = listener(STREAM, &name, 4096);
        for _ in 0..1500 {
            close(client(STREAM, &name));
        }
        let netlink = netlink();
        (dump_through(&netlink), dump_through(&netlink))
    }) else {
        skip!("lacks permission to create a network namespace");
    };
    // The pieces of a socket's first dump have less than a page.
    assert_eq!(first, []);
    // Later ones grow to the size of the receive buffer, up to 32 KiB.
    assert_eq!(second.len(), 1);
    assert_eq!(second[0].pending.len(), 1500);
}

/// K-DIAG-10
#[test]
fn the_cookie_is_the_sockets_own() {
    let (one, other) = pair(SEQPACKET);
    let cookie = |socket: &OwnedFd| {
        let mut cookie = [0; 8];
        option_into(socket, libc::SO_COOKIE, &mut cookie).0.unwrap();
        u64::from_ne_bytes(cookie)
    };
    let before = (listed(&one).cookie, listed(&other).cookie);
    assert_ne!(before.0, before.1);
    assert_eq!(before, (cookie(&one), cookie(&other)));
    close(one);
    let next = pair(SEQPACKET);
    assert!(![before.0, before.1].contains(&listed(&next.0).cookie));
    assert!(fstat(&next.0).unwrap().st_ino <= u32::MAX.into());
}

/// K-DIAG-11
#[test]
fn a_dump_begins_when_the_last_one_was_read() {
    let pairs: Vec<_> = (0..300).map(|_| pair(STREAM)).collect();
    let netlink = netlink();
    ask_for_dump(&netlink);
    ask_for_dump(&netlink);
    // One queue has the pieces of the first dump and the refusal of the second.
    let (mut refused, mut done) = (None, 0);
    while done == 0 {
        let answer = recv(&netlink, 1 << 20).unwrap();
        let word = |at: usize| i32::from_ne_bytes(answer[at..at + 4].try_into().unwrap());
        match u16::from_ne_bytes([answer[4], answer[5]]) {
            2 => refused = Some(-word(16)),
            3 => done += 1,
            _ => {}
        }
    }
    assert_eq!(refused, Some(libc::EBUSY));
    assert!(dump_through(&netlink).iter().any(|socket| socket.inode == inode(&pairs[0].0)));
}

/// K-DIAG-12
#[test]
fn others_may_write_to_a_netlink_socket_and_are_named() {
    const TEST: &str = "others_may_write_to_a_netlink_socket_and_are_named";
    let (target, writer) = (netlink(), netlink());
    let _ = dump_through(&target);
    let _ = dump_through(&writer);
    let name = |socket: &OwnedFd| SocketAddrNetlink::try_from(getsockname(socket).unwrap()).unwrap();
    let sent = sendto(&writer, &[0; 16], SendFlags::empty(), &name(&target));
    if role().is_some() || !is_root() {
        assert_eq!(sent, Err(Errno::PERM));
        return;
    }
    assert_eq!(sent, Ok(16));
    let (_, len, sender) = recvfrom(&target, &mut [0; 32], RecvFlags::DONTWAIT).unwrap();
    let sender = SocketAddrNetlink::try_from(sender.unwrap()).unwrap();
    assert_eq!((len, sender), (16, name(&writer)));
    ask_for_dump(&target);
    let (_, _, kernel) = recvfrom(&target, &mut [0; 32], RecvFlags::DONTWAIT).unwrap();
    assert_eq!(SocketAddrNetlink::try_from(kernel.unwrap()).unwrap().pid(), 0);
    Role::new(TEST, "ordinary user").user(NOBODY, NOBODY).run();
}

/// K-DIAG-13
#[test]
fn of_a_datagram_socket_the_next_message_is_shown() {
    let (one, other) = pair(DATAGRAM);
    let unread = || listed(&other).queue.unwrap().0;
    assert_eq!(unread(), 0);
    for message in [&b"four"[..], b"", b"seven.."] {
        send(&one, message).unwrap();
    }
    for expected in [4, 0, 7] {
        assert_eq!(unread(), expected);
        recv(&other, 8).unwrap();
    }
    assert_eq!(unread(), 0);
}
