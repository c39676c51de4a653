//! Facts about file descriptors in messages: which are installed, dropped, or refused.

use std::ffi::c_int;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::PollFlags;
use rustix::fs::fstat;
use rustix::io::{FdFlags, fcntl_getfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use stoop_kernel_facts::libc::{MSG_CMSG_CLOEXEC, MSG_DONTWAIT, MSG_PEEK};
use stoop_kernel_facts::*;
use stoop_testkit::{Role, close, is_root, open_descriptors, role, skip};

/// Since Linux 6.16.
const SO_PASSRIGHTS: c_int = 83;

/// The reading and the writing end of a pipe. The reader shows when no process has the writing end
/// any more.
fn pipe() -> (OwnedFd, OwnedFd) {
    pipe_with(PipeFlags::CLOEXEC).unwrap()
}

/// Whether any process has the writing end open.
fn is_written_to(reader: &OwnedFd) -> bool {
    polled(reader, PollFlags::IN) != PollFlags::HUP
}

fn send_rights(socket: &OwnedFd, data: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    send_message(socket, data, &[Control::Rights(fds)], MSG_DONTWAIT, None)
}

fn receive_with_room(socket: &OwnedFd, control_room: usize) -> Received {
    receive_message(socket, 100, control_room, MSG_CMSG_CLOEXEC | MSG_DONTWAIT).unwrap()
}

/// K-FD-1
#[test]
fn padding_makes_room_for_a_second() {
    assert_eq!(control_space(4), 24);
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    send_rights(&one, b"x", &[writer.as_fd(); 2]).unwrap();
    let received = receive_with_room(&other, control_space(4));
    assert_eq!(received.fds.len(), 2);
    assert!(!received.control_was_cut());
}

/// K-FD-2
#[test]
fn truncation_installs_what_fits() {
    for kind in [STREAM, DATAGRAM, SEQPACKET] {
        let (one, other) = pair(kind);
        let (reader, writer) = pipe();
        send_rights(&one, b"data", &[writer.as_fd(); 5]).unwrap();
        let received = receive_with_room(&other, control_space(8));
        assert_eq!(received.data, b"data");
        assert_eq!(received.fds.len(), 2);
        assert!(received.control_was_cut());
        close(writer);
        assert!(is_written_to(&reader));
        close(received);
        assert!(!is_written_to(&reader), "the surplus was closed");
    }
}

/// K-FD-3
#[test]
fn no_control_buffer_installs_none() {
    let (one, other) = pair(STREAM);
    let (reader, writer) = pipe();
    send_rights(&one, b"data", &[writer.as_fd()]).unwrap();
    let received = receive_with_room(&other, 0);
    assert_eq!(received.data, b"data");
    assert!(received.control_was_cut() && received.fds.is_empty());
    close(writer);
    assert!(!is_written_to(&reader));
}

/// K-FD-4
#[test]
fn a_full_table_truncates() {
    if role().is_none() {
        return Role::new("a_full_table_truncates", "full").run();
    }
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    send_rights(&one, b"data", &[writer.as_fd(); 10]).unwrap();
    let before = open_descriptors();
    leave_room_for(3);
    let received = receive(&other, 100).unwrap();
    assert_eq!(received.data, b"data");
    assert_eq!(received.fds.len(), 3);
    assert!(received.control_was_cut());
    close(received);
    assert_eq!(open_descriptors(), before);
}

/// K-FD-5
#[test]
fn a_stream_read_stops_after_descriptors() {
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    send(&one, b"plain").unwrap();
    send_rights(&one, b"FIRST", &[writer.as_fd()]).unwrap();
    send_rights(&one, b"SECOND", &[writer.as_fd()]).unwrap();
    send(&one, b"plain").unwrap();
    let reads = [(); 3].map(|()| receive(&other, 100).unwrap());
    let seen = reads.each_ref().map(|read| (read.data.as_slice(), read.fds.len()));
    assert_eq!(seen, [(&b"plainFIRST"[..], 1), (b"SECOND", 1), (b"plain", 0)]);
}

/// K-FD-6
#[test]
fn descriptors_come_with_the_first_byte() {
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    send_rights(&one, b"0123", &[writer.as_fd()]).unwrap();
    let (first, rest) = (receive(&other, 1).unwrap(), receive(&other, 100).unwrap());
    assert_eq!((first.data.as_slice(), first.fds.len()), (&b"0"[..], 1));
    assert_eq!((rest.data.as_slice(), rest.fds.len()), (&b"123"[..], 0));
}

/// K-FD-7
#[test]
fn a_plain_read_drops_descriptors() {
    let (one, other) = pair(STREAM);
    let (reader, writer) = pipe();
    send_rights(&one, b"0123", &[writer.as_fd()]).unwrap();
    close(writer);
    assert_eq!(recv(&other, 1).unwrap(), b"0");
    assert!(!is_written_to(&reader));
    assert!(receive(&other, 100).unwrap().fds.is_empty());
}

/// K-FD-8
#[test]
fn a_stream_send_without_bytes_loses_descriptors() {
    let (one, other) = pair(STREAM);
    let (reader, writer) = pipe();
    assert_eq!(send_rights(&one, b"", &[writer.as_fd()]), Ok(0));
    assert_eq!(receive(&other, 100).unwrap_err(), Errno::AGAIN);
    close(writer);
    assert!(!is_written_to(&reader));

    for kind in [DATAGRAM, SEQPACKET] {
        let (one, other) = pair(kind);
        let (_reader, writer) = pipe();
        assert_eq!(send_rights(&one, b"", &[writer.as_fd()]), Ok(0));
        assert_eq!(receive(&other, 100).unwrap().fds.len(), 1);
    }
}

/// K-FD-9
#[test]
fn only_the_first_piece_carries() {
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    let length = send_rights(&one, &[7; 120_000], &[writer.as_fd()]).unwrap();
    let first = receive(&other, length).unwrap();
    assert_eq!(first.fds.len(), 1);
    assert!(first.data.len() < length, "the read stops where the piece ends");
    let rest = receive(&other, length).unwrap();
    assert!(rest.fds.is_empty());
    assert_eq!(first.data.len() + rest.data.len(), length);
}

/// K-FD-10
#[test]
fn peeking_installs_duplicates() {
    for kind in [STREAM, DATAGRAM, SEQPACKET] {
        let (one, other) = pair(kind);
        let (_reader, writer) = pipe();
        send_rights(&one, b"x", &[writer.as_fd()]).unwrap();
        let peek = || receive_message(&other, 1, 100, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT).unwrap();
        let (first, second, real) = (peek(), peek(), receive(&other, 1).unwrap());
        assert_eq!([first.fds.len(), second.fds.len(), real.fds.len()], [1; 3]);
    }
}

/// K-FD-11
#[test]
fn at_most_253_descriptors_fit() {
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    assert_eq!(send_rights(&one, b"x", &[writer.as_fd(); 254]), Err(Errno::INVAL));
    assert_eq!(send_rights(&one, b"x", &[writer.as_fd(); 253]), Ok(1));
    assert_eq!(receive(&other, 1).unwrap().fds.len(), 253);
}

/// K-FD-12
#[test]
fn several_rights_are_merged() {
    let (one, other) = pair(STREAM);
    let pipes = [(); 3].map(|()| pipe());
    let writers = pipes.each_ref().map(|(_, writer)| writer.as_fd());
    let controls = [Control::Rights(&writers[..1]), Control::Rights(&writers[1..])];
    send_message(&one, b"x", &controls, 0, None).unwrap();
    let received = receive(&other, 1).unwrap();
    assert_eq!(received.controls, 1);
    let inodes = |fds: &[BorrowedFd<'_>]| fds.iter().map(|fd| fstat(fd).unwrap().st_ino).collect::<Vec<_>>();
    let arrived: Vec<_> = received.fds.iter().map(AsFd::as_fd).collect();
    assert_eq!(inodes(&arrived), inodes(&writers));

    let halves = [writers[0]; 127];
    let controls = [Control::Rights(&halves), Control::Rights(&halves)];
    assert_eq!(send_message(&one, b"x", &controls, 0, None), Err(Errno::INVAL));
}

/// K-FD-13
#[test]
fn descriptors_in_flight_are_limited() {
    const TEST: &str = "descriptors_in_flight_are_limited";
    if role().is_none() {
        // The count is per user: use one that no other test uses.
        let role = Role::new(TEST, "ordinary user");
        return if is_root() { role.user(65_532, 65_532).run() } else { role.run() };
    }
    let limit = Rlimit { current: Some(64), ..getrlimit(Resource::Nofile) };
    setrlimit(Resource::Nofile, limit).unwrap();
    let (one, _other) = pair(SEQPACKET);
    let (_reader, writer) = pipe();
    let mut in_flight = 0;
    let refusal = loop {
        match send_rights(&one, b"x", &[writer.as_fd(); 10]) {
            Ok(_) => in_flight += 10,
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(refusal, Errno::TOOMANYREFS);
    assert!((50..=80).contains(&in_flight), "refused after {in_flight}");
}

/// K-FD-14
#[test]
fn close_on_exec_is_requested_at_receipt() {
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    assert_eq!(fcntl_getfd(&writer).unwrap(), FdFlags::CLOEXEC);
    for (flags, expected) in [(0, FdFlags::empty()), (MSG_CMSG_CLOEXEC, FdFlags::CLOEXEC)] {
        send_rights(&one, b"x", &[writer.as_fd()]).unwrap();
        let received = receive_message(&other, 1, 100, flags | MSG_DONTWAIT).unwrap();
        assert_eq!(fcntl_getfd(&received.fds[0]).unwrap(), expected);
    }
}

/// K-FD-15
#[test]
fn passrights_off_refuses_descriptors() {
    for kind in [STREAM, DATAGRAM, SEQPACKET] {
        let (one, other) = pair(kind);
        let (_reader, writer) = pipe();
        if set_option(&other, SO_PASSRIGHTS, 0).is_err() {
            skip!("lacks SO_PASSRIGHTS (Linux 6.16)");
        }
        assert_eq!(send_rights(&one, b"x", &[writer.as_fd()]), Err(Errno::PERM));
        assert_eq!(send(&one, b"plain"), Ok(5));
        assert_eq!(receive(&other, 100).unwrap().data, b"plain");
        assert_eq!(send_rights(&other, b"x", &[writer.as_fd()]), Ok(1), "the other direction is open");
    }
}

/// K-FD-16
#[test]
fn passrights_is_inherited_from_the_listener() {
    let name = Name::unique("passrights");
    let listener = listener(STREAM, &name, 8);
    let (_reader, writer) = pipe();
    if set_option(&listener, SO_PASSRIGHTS, 0).is_err() {
        skip!("lacks SO_PASSRIGHTS (Linux 6.16)");
    }
    let client = client(STREAM, &name);
    assert_eq!(send_rights(&client, b"x", &[writer.as_fd()]), Err(Errno::PERM), "still queued");
    let accepted = accept(&listener).unwrap();
    assert_eq!(option(&accepted, SO_PASSRIGHTS), Ok(0));
    assert_eq!(send_rights(&client, b"x", &[writer.as_fd()]), Err(Errno::PERM));
}

/// K-FD-17
#[test]
fn a_descriptor_in_flight_is_open() {
    let (one, other) = pair(STREAM);
    let (reader, writer) = pipe();
    send_rights(&one, b"x", &[writer.as_fd()]).unwrap();
    close(writer);
    close(one);
    assert!(is_written_to(&reader));
    close(other);
    assert!(!is_written_to(&reader));
}

/// K-FD-18
#[test]
fn a_look_shows_descriptors_of_later_bytes() {
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    send(&one, b"plain").unwrap();
    send(&one, b"more").unwrap();
    send_rights(&one, b"x", &[writer.as_fd()]).unwrap();
    let look = receive_message(&other, 2, 100, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT).unwrap();
    assert_eq!((look.data.as_slice(), look.fds.len()), (&b"pl"[..], 1));
    let read = receive(&other, 2).unwrap();
    assert_eq!((read.data.as_slice(), read.fds.len()), (&b"pl"[..], 0), "a read is exact");
}

/// K-FD-19
#[test]
fn a_read_into_too_little_memory_ends_between_sends() {
    let (one, other) = pair(STREAM);
    let (_reader, writer) = pipe();
    send(&one, b"plain").unwrap();
    send(&one, b"more").unwrap();
    send_rights(&one, b"xyz", &[writer.as_fd()]).unwrap();
    let look = |room| {
        let look = receive_past_the_end(&other, room, MSG_PEEK | MSG_CMSG_CLOEXEC | MSG_DONTWAIT)?;
        Ok((look.data.len(), look.fds.len()))
    };
    assert_eq!(look(4), Err(Errno::FAULT));
    assert_eq!((look(5), look(8), look(9), look(11)), (Ok((5, 0)), Ok((5, 0)), Ok((9, 0)), Ok((9, 0))));
    assert_eq!((look(12), look(50)), (Ok((12, 1)), Ok((12, 1))));
    // The same when the bytes are taken.
    assert_eq!(receive_past_the_end(&other, 8, MSG_DONTWAIT).unwrap().data, b"plain");
    assert_eq!(receive(&other, 100).unwrap().data, b"morexyz");
}
