//! Facts about datagram and seqpacket sockets: addresses, queues, sizes, closed peers, truncation.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFlags, epoll};
use stoop_kernel_facts::libc::{
    MSG_DONTWAIT, MSG_TRUNC, SO_PASSCRED, SO_RCVBUF, SO_SNDBUF, SO_SNDBUFFORCE, SYS_ppoll,
};
use stoop_kernel_facts::*;
use stoop_testkit::{close, skip, tempdir};

/// A datagram server and its name.
fn server() -> (OwnedFd, Name) {
    let name = Name::unique("server");
    (bound(DATAGRAM, &name), name)
}

/// Sends single bytes until the kernel refuses; returns their number, and the error.
fn fill(mut send: impl FnMut() -> Result<usize>) -> (usize, Errno) {
    let mut sent = 0;
    loop {
        match send() {
            Ok(_) => sent += 1,
            Err(refusal) => return (sent, refusal),
        }
    }
}

/// net.unix.max_dgram_qlen
fn queue_limit() -> usize {
    fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap().trim().parse().unwrap()
}

fn is_autobound(name: &Name) -> bool {
    name.bytes().len() == 6 && name.bytes()[0] == 0
}

/// K-DGRAM-1
#[test]
fn an_unbound_sender_has_no_address() {
    let (server, name) = server();
    let client = socket(DATAGRAM);
    send_to(&client, b"who am I", &name).unwrap();
    let received = receive(&server, 100).unwrap();
    assert_eq!(received.data, b"who am I");
    assert_eq!(received.name, Name::unnamed());
    connect(&client, &name).unwrap();
    assert_eq!(local_name(&client), Name::unnamed(), "connecting does not assign a name either");
}

/// K-DGRAM-2
#[test]
fn autobound_senders_can_be_answered() {
    let (server, name) = server();
    let asked = bound(DATAGRAM, &Name::unnamed());
    let passing = socket(DATAGRAM);
    set_option(&passing, SO_PASSCRED, 1).unwrap();
    assert_eq!(local_name(&passing), Name::unnamed());
    for client in [asked, passing] {
        send_to(&client, b"question", &name).unwrap();
        let from = receive(&server, 100).unwrap().name;
        assert!(is_autobound(&from), "{from:?}");
        assert_eq!(from, local_name(&client));
        send_to(&server, b"answer", &from).unwrap();
        assert_eq!(recv(&client, 100).unwrap(), b"answer");
    }
}

/// K-DGRAM-3
#[test]
fn the_queue_counts_messages() {
    let (_server, name) = server();
    let client = socket(DATAGRAM);
    let mut length = 0;
    let outcome = fill(|| {
        length += 1000;
        send_to(&client, &vec![0; length], &name)
    });
    assert_eq!(outcome, (queue_limit() + 1, Errno::AGAIN));

    let (one, _other) = pair(DATAGRAM);
    let (sent, refusal) = fill(|| send_now(&one, b"x"));
    assert_eq!(refusal, Errno::AGAIN);
    assert!(sent > queue_limit() + 1, "between mutual peers only the send buffer counts, {sent} sent");
}

/// K-DGRAM-4
#[test]
fn an_unconnected_sender_polls_writable_all_the_time() {
    let (_server, name) = server();
    let client = socket(DATAGRAM);
    fill(|| send_to(&client, b"x", &name));
    assert_eq!(polled(&client, PollFlags::OUT), PollFlags::OUT);

    let watch = epoll::create(epoll::CreateFlags::CLOEXEC).unwrap();
    let edge = epoll::EventFlags::OUT | epoll::EventFlags::ET;
    epoll::add(&watch, &client, epoll::EventData::new_u64(0), edge).unwrap();
    assert_eq!(edges(&watch), 1, "the state at the start");
    assert_eq!(edges(&watch), 0);
    for _ in 0..3 {
        assert_eq!(send_to(&client, b"x", &name), Err(Errno::AGAIN));
        assert_eq!(edges(&watch), 1, "a failed send reports free space");
    }
}

fn edges(watch: &OwnedFd) -> usize {
    let mut events = Vec::with_capacity(4);
    epoll::wait(watch, rustix::buffer::spare_capacity(&mut events), Some(&rustix::event::Timespec::default()))
        .unwrap()
}

/// K-DGRAM-5
#[test]
fn a_connected_sender_is_woken() {
    let (server, name) = server();
    let client = client(DATAGRAM, &name);
    fill(|| send_now(&client, b"x"));
    assert_eq!(polled(&client, PollFlags::OUT), PollFlags::empty());
    let sender = client.try_clone().unwrap();
    let waiting = blocked(SYS_ppoll, move || poll_for(&sender, PollFlags::OUT, SOON));
    recv(&server, 1).unwrap();
    assert_eq!(waiting.join(), PollFlags::OUT);
    assert_eq!(send_now(&client, b"x"), Ok(1));
}

/// K-DGRAM-6
#[test]
fn the_largest_message() {
    let (server, name) = server();
    let client = socket(DATAGRAM);
    let limit = option(&client, SO_SNDBUF).unwrap() as usize - 32;
    assert_eq!(send_to(&client, &vec![1; limit + 1], &name), Err(Errno::MSGSIZE));
    assert_eq!(send_to(&client, &vec![1; limit], &name), Ok(limit));
    assert_eq!(recv(&server, limit + 1).unwrap().len(), limit);
}

/// K-DGRAM-7
#[test]
fn huge_messages_can_lack_buffers() {
    let (_server, name) = server();
    let client = socket(DATAGRAM);
    if set_option(&client, SO_SNDBUFFORCE, 16 << 20).is_err() {
        skip!("lacks permission to force a large send buffer");
    }
    let limit = option(&client, SO_SNDBUF).unwrap() as usize - 32;
    assert_eq!(limit, (32 << 20) - 32);
    match send_to(&client, &vec![0; limit], &name) {
        Err(error) => assert_eq!(error, Errno::NOBUFS),
        Ok(_) => skip!("lacks a kernel that refuses: {limit} bytes were sent"),
    }
}

/// K-DGRAM-8
#[test]
fn the_receive_buffer_size_does_not_matter() {
    let (server, name) = server();
    set_option(&server, SO_RCVBUF, 1).unwrap();
    let client = socket(DATAGRAM);
    let outcome = fill(|| send_to(&client, &[0; 10_000], &name));
    assert_eq!(outcome, (queue_limit() + 1, Errno::AGAIN));
}

/// K-DGRAM-9
#[test]
fn a_connected_socket_refuses_third_parties() {
    let (server, name) = server();
    let (friend, friends_name) = self::server();
    connect(&server, &friends_name).unwrap();
    let stranger = socket(DATAGRAM);
    assert_eq!(send_to(&stranger, b"x", &name), Err(Errno::PERM));
    assert_eq!(connect(&stranger, &name), Err(Errno::PERM));
    assert_eq!(send_to(&friend, b"x", &name), Ok(1));
}

/// K-DGRAM-10
#[test]
fn a_closed_peer_refuses_once() {
    let (server, name) = server();
    let client = client(DATAGRAM, &name);
    close(server);
    assert_eq!(send(&client, b"x"), Err(Errno::CONNREFUSED));
    assert_eq!(send(&client, b"x"), Err(Errno::NOTCONN));
    assert_eq!(peer_name(&client), Err(Errno::NOTCONN));
    let _successor = bound(DATAGRAM, &name);
    assert_eq!(connect(&client, &name), Ok(()), "can be connected again");
}

/// K-DGRAM-11
#[test]
fn datagram_receivers_get_no_end_of_file() {
    let readiness = |socket: &OwnedFd| polled(socket, PollFlags::IN | PollFlags::RDHUP);
    let (one, other) = pair(DATAGRAM);
    close(other);
    assert_eq!(readiness(&one), PollFlags::empty());
    assert_eq!(recv(&one, 1), Err(Errno::AGAIN));

    let (one, other) = pair(SEQPACKET);
    close(other);
    assert_eq!(readiness(&one), PollFlags::IN | PollFlags::RDHUP | PollFlags::HUP);
    assert_eq!(recv(&one, 1).unwrap(), b"");
}

/// K-DGRAM-12
#[test]
fn truncation_is_reported_only_in_the_flags() {
    for kind in [DATAGRAM, SEQPACKET] {
        let (one, other) = pair(kind);
        for _ in 0..3 {
            send(&one, b"0123456789").unwrap();
        }
        send(&one, b"next").unwrap();
        assert_eq!(recv(&other, 4).unwrap(), b"0123", "a plain read cannot distinguish them");
        let received = receive(&other, 4).unwrap();
        assert_eq!(received.data, b"0123");
        assert_ne!(received.flags & MSG_TRUNC, 0);
        assert_eq!(recv_with(&other, 4, MSG_TRUNC | MSG_DONTWAIT).unwrap().1, 10);
        assert_eq!(recv(&other, 4).unwrap(), b"next", "the rest was discarded");
    }
}

/// K-DGRAM-13
#[test]
fn an_empty_packet_reads_like_the_end() {
    let (one, other) = pair(DATAGRAM);
    assert_eq!(send(&one, b""), Ok(0));
    assert_eq!(recv(&other, 1).unwrap(), b"");
    assert_eq!(recv(&other, 1), Err(Errno::AGAIN));

    let (one, other) = pair(SEQPACKET);
    send(&one, b"").unwrap();
    close(one);
    let (message, end) = (receive(&other, 1).unwrap(), receive(&other, 1).unwrap());
    assert_eq!((message.data, message.flags, message.controls), (end.data, end.flags, end.controls));
}

/// K-DGRAM-14
#[test]
fn credentials_distinguish_empty_from_end() {
    let (one, other) = pair(SEQPACKET);
    set_option(&other, SO_PASSCRED, 1).unwrap();
    send(&one, b"").unwrap();
    close(one);
    let (message, end) = (receive(&other, 1).unwrap(), receive(&other, 1).unwrap());
    assert_eq!(message.credentials, Some(Credentials::mine()));
    assert_eq!(end.credentials, None);
}

/// K-DGRAM-15
#[test]
fn unspec_disconnects() {
    let (server, name) = server();
    let (_friend, friends_name) = self::server();
    connect(&server, &friends_name).unwrap();
    let stranger = socket(DATAGRAM);
    assert_eq!(send_to(&stranger, b"x", &name), Err(Errno::PERM));
    assert_eq!(disconnect(&server), Ok(()));
    assert_eq!(peer_name(&server), Err(Errno::NOTCONN));
    assert_eq!(send_to(&stranger, b"x", &name), Ok(1));
    assert_eq!(disconnect(&pair(STREAM).0), Err(Errno::INVAL), "streams do not support it");
}

/// K-DGRAM-16
#[test]
fn unread_messages_are_lost_at_close() {
    let (server, name) = server();
    let client = client(DATAGRAM, &name);
    assert_eq!(send(&client, b"lost"), Ok(4));
    close(server);
    assert_eq!(option(&client, libc::SO_ERROR), Ok(0));
    let successor = bound(DATAGRAM, &name);
    assert_eq!(recv(&successor, 10), Err(Errno::AGAIN));
}

/// K-DGRAM-17
#[test]
fn seqpacket_keeps_message_boundaries() {
    let (_listener, client, accepted) = connection(SEQPACKET, &Name::unique("packets"));
    for (from, to) in [(&client, &accepted), (&accepted, &client)] {
        send(from, b"one").unwrap();
        send(from, b"two").unwrap();
        assert_eq!(recv(to, 100).unwrap(), b"one");
        assert_eq!(recv(to, 100).unwrap(), b"two");
    }
    assert_eq!(send(&socket(SEQPACKET), b"x"), Err(Errno::NOTCONN));
    let elsewhere = Name::unique("ignored");
    assert_eq!(send_to(&client, b"three", &elsewhere), Ok(5), "an address is ignored");
    assert_eq!(recv(&accepted.as_fd(), 100).unwrap(), b"three");
}

/// K-DGRAM-18
#[test]
fn many_at_once_repeat_the_end_of_a_seqpacket() {
    let (ours, theirs) = pair(SEQPACKET);
    send(&ours, b"one").unwrap();
    send(&ours, b"three").unwrap();
    close(ours);
    assert_eq!(recv_many(&theirs, 5), Ok(vec![3, 5, 0, 0, 0]));

    let (ours, theirs) = pair(DATAGRAM);
    send(&ours, b"one").unwrap();
    assert_eq!(recv_many(&theirs, 5), Ok(vec![3]));
}

/// K-DGRAM-21
#[test]
fn a_send_through_an_o_path_descriptor_reaches_that_socket() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let old = bound(DATAGRAM, &Name::path(&path));
    let pinned = o_path(&path);
    fs::remove_file(&path).unwrap();
    let new = bound(DATAGRAM, &Name::path(&path));
    send_to(&socket(DATAGRAM), b"x", &Name::path(proc_path(&pinned))).unwrap();
    assert_eq!(recv_with(&old, 8, MSG_DONTWAIT).unwrap().0, b"x");
    assert_eq!(recv_with(&new, 8, MSG_DONTWAIT), Err(Errno::AGAIN));
    drop(old);
    assert_eq!(send_to(&socket(DATAGRAM), b"x", &Name::path(proc_path(&pinned))), Err(Errno::CONNREFUSED));
}

/// K-DGRAM-22
#[test]
fn an_address_is_a_name_and_is_followed_anew() {
    let dir = tempdir();
    let at = |name: &str| dir.path().join(name);
    let (server, other) =
        (bound(DATAGRAM, &Name::path(at("server"))), bound(DATAGRAM, &Name::path(at("other"))));
    let client = bound(DATAGRAM, &Name::path(at("client")));
    send_to(&client, b"question", &Name::path(at("server"))).unwrap();
    fs::remove_file(at("client")).unwrap();
    std::os::unix::fs::symlink(at("other"), at("client")).unwrap();
    let from = receive(&server, 100).unwrap().name;
    assert_eq!(from.bytes().strip_suffix(b"\0"), Some(Name::path(at("client")).bytes()));
    send_to(&server, b"answer", &from).unwrap();
    assert_eq!(recv_with(&client, 8, MSG_DONTWAIT), Err(Errno::AGAIN));
    assert_eq!(recv_with(&other, 8, MSG_DONTWAIT).unwrap().0, b"answer");
}

/// K-DGRAM-23
#[test]
fn a_receiver_that_does_not_read_fills_its_senders_buffer() {
    let (server, name) = server();
    nonblocking(&server);
    let [mute, other] = ["mute", "other"].map(|who| bound(DATAGRAM, &Name::unique(who)));
    connect(&mute, &name).unwrap();
    let (sent, refusal) = fill(|| send_to(&server, b"x", &local_name(&mute)));
    assert_eq!(refusal, Errno::AGAIN);
    assert!(
        sent > queue_limit() + 1,
        "a receiver that is connected to the sender has no limit of its own, {sent}"
    );
    assert_eq!(send_to(&server, b"x", &local_name(&other)), Err(Errno::AGAIN), "no permission for any user");
    recv(&mute, 1).unwrap();
    assert_eq!(send_to(&server, b"x", &local_name(&other)), Ok(1));
}
