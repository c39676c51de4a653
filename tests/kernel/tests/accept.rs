//! Facts about listeners and accept(2): what stays queued, what is lost, which closes matter.

use std::fs;

use rustix::event::PollFlags;
use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{FdFlags, fcntl_getfd};
use stoop_kernel_facts::libc::{SHUT_RD, SYS_accept4, SYS_connect};
use stoop_kernel_facts::*;
use stoop_testkit::{Role, close, role};

/// K-ACCEPT-1
#[test]
fn emfile_leaves_the_connection_queued() {
    if role().is_none() {
        return Role::new("emfile_leaves_the_connection_queued", "full").run();
    }
    let name = Name::unique("emfile");
    let listener = listener(STREAM, &name, 8);
    let client = client(STREAM, &name);
    leave_room_for(1);
    let last = socket(STREAM);
    for _ in 0..3 {
        assert_eq!(accept(&listener).unwrap_err(), Errno::MFILE);
        assert_eq!(polled(&listener, PollFlags::IN), PollFlags::IN);
    }
    close(last);
    let accepted = accept(&listener).unwrap();
    send(&client, b"served").unwrap();
    assert_eq!(recv(&accepted, 100).unwrap(), b"served");
}

/// K-ACCEPT-2
#[test]
fn closing_the_listener_resets_queued_clients() {
    let name = Name::unique("closing");
    let listener = listener(STREAM, &name, 8);
    let (silent, writer) = (client(STREAM, &name), client(STREAM, &name));
    send(&writer, b"never read").unwrap();
    close(listener);
    for client in [silent, writer] {
        assert_eq!(recv(&client, 1), Err(Errno::CONNRESET));
        assert_eq!(recv(&client, 1).unwrap(), b"");
        assert_eq!(send(&client, b"x"), Err(Errno::PIPE));
    }
}

/// K-ACCEPT-3
#[test]
fn a_childs_close_does_not_end_the_listener() {
    if role().is_none() {
        return Role::new("a_childs_close_does_not_end_the_listener", "parent").run();
    }
    let name = Name::unique("forked");
    let listener = listener(STREAM, &name, 8);
    // The end of the child closes all its descriptors.
    in_child(|| 0);
    let _client = client(STREAM, &name);
    accept(&listener).unwrap();
    in_child(|| {
        shutdown(&listener, SHUT_RD);
        0
    });
    assert_eq!(try_client(STREAM, &name).unwrap_err(), Errno::CONNREFUSED, "a shutdown affects all owners");
}

/// K-ACCEPT-4
#[test]
fn clients_may_write_before_the_accept() {
    let name = Name::unique("early");
    let listener = listener(STREAM, &name, 8);
    let client = client(STREAM, &name);
    assert_eq!(send(&client, b"first"), Ok(5));
    let accepted = accept(&listener).unwrap();
    assert_eq!(recv(&accepted, 100).unwrap(), b"first");
}

/// K-ACCEPT-5
#[test]
fn a_client_that_left_is_accepted() {
    let name = Name::unique("left");
    let listener = listener(STREAM, &name, 8);
    let client = client(STREAM, &name);
    send(&client, b"farewell").unwrap();
    close(client);
    let accepted = accept(&listener).unwrap();
    assert_eq!(recv(&accepted, 100).unwrap(), b"farewell");
    assert_eq!(recv(&accepted, 100).unwrap(), b"");
}

/// K-ACCEPT-6
#[test]
fn shutdown_wakes_accept() {
    let name = Name::unique("shutdown");
    let listener = listener(STREAM, &name, 8);
    let waiter = listener.try_clone().unwrap();
    let waiting = blocked(SYS_accept4, move || accept(&waiter));
    shutdown(&listener, SHUT_RD);
    assert_eq!(waiting.join().unwrap_err(), Errno::INVAL);
    assert_eq!(try_client(STREAM, &name).unwrap_err(), Errno::CONNREFUSED);

    let name = Name::unique("shutdown");
    let listener = stoop_kernel_facts::listener(STREAM, &name, 8);
    let _queued = client(STREAM, &name);
    shutdown(&listener, SHUT_RD);
    accept(&listener).unwrap();
    assert_eq!(accept(&listener).unwrap_err(), Errno::INVAL);
}

/// K-ACCEPT-7
#[test]
fn listen_again_changes_the_backlog() {
    let name = Name::unique("again");
    let listener = listener(STREAM, &name, 0);
    let _filler = client(STREAM, &name);
    let waiting = blocked(SYS_connect, move || try_client(STREAM, &name));
    listen(&listener, 1).unwrap();
    assert!(waiting.join().is_ok(), "the free space woke the waiting client");
}

/// K-ACCEPT-8
#[test]
fn the_backlog_is_limited_to_somaxconn() {
    let limit: u32 = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    for (backlog, expected) in [(7, 7), (i32::MAX, limit), (-1, limit)] {
        let listener = listener(STREAM, &Name::unique("somaxconn"), backlog);
        let inode = rustix::fs::fstat(&listener).unwrap().st_ino as u32;
        let listed = dump().into_iter().find(|socket| socket.inode == inode).unwrap();
        assert_eq!(listed.queue, Some((0, expected)), "backlog {backlog}");
    }
}

/// K-ACCEPT-9
#[test]
fn flags_do_not_travel() {
    let name = Name::unique("flags");
    let listener = listener(STREAM, &name, 8);
    nonblocking(&listener);
    let _clients = [client(STREAM, &name), client(STREAM, &name)];
    let plain = accept_with(&listener, 0).unwrap();
    assert!(!fcntl_getfl(&plain).unwrap().contains(OFlags::NONBLOCK));
    assert_eq!(fcntl_getfd(&plain).unwrap(), FdFlags::empty());
    let asked = accept_with(&listener, libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC).unwrap();
    assert!(fcntl_getfl(&asked).unwrap().contains(OFlags::NONBLOCK));
    assert_eq!(fcntl_getfd(&asked).unwrap(), FdFlags::CLOEXEC);
}

/// K-ACCEPT-10
#[test]
fn poll_tells_whether_a_client_is_queued() {
    for kind in [STREAM, SEQPACKET] {
        let name = Name::unique("queued");
        let listener = listener(kind, &name, 8);
        assert_eq!(polled(&listener, PollFlags::IN), PollFlags::empty());
        let clients = [client(kind, &name), client(kind, &name)];
        for _ in clients {
            assert_eq!(polled(&listener, PollFlags::IN), PollFlags::IN);
            accept(&listener).unwrap();
        }
        assert_eq!(polled(&listener, PollFlags::IN), PollFlags::empty());
        shutdown(&listener, SHUT_RD);
        assert_eq!(polled(&listener, PollFlags::IN), PollFlags::IN);
    }
}
