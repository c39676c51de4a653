//! File descriptors in messages: none leaks, and none is received that the receiver did not allow.
//! Each test runs alone in a process, which counts its open file descriptors before and after.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::Command;
use std::sync::mpsc;
use std::thread;

use rustix::process::{Resource, Rlimit, setrlimit};
use stoop::DESCRIPTORS_MAX;
use stoop::internal::Socket;
use stoop::{
    Allow, Bind, Connect, Datagram, ErrorKind, Outgoing, Policy, Received, Result, SeqPacket, SocketExt,
    Stream,
};
use stoop_kernel_facts::{Control, Credentials, leave_room_for, send_message};
use stoop_testkit::{NOBODY, Role, eventually, is_root, open_descriptors, role, skip, tempdir};

/// Runs `part` alone in a process, and compares the number of open file descriptors.
fn alone(test: &str, part: impl FnOnce()) {
    if role().is_none() {
        return Role::new(test, "alone").run();
    }
    let before = open_descriptors();
    part();
    assert_eq!(open_descriptors(), before, "open descriptors before and after");
}

/// A socket of any kind.
type Any = Box<dyn AsRef<Socket>>;

/// Two connected sockets of each kind.
fn pairs() -> [(Any, Any); 3] {
    fn boxed<S: AsRef<Socket> + 'static>((one, other): (S, S)) -> (Any, Any) {
        (Box::new(one), Box::new(other))
    }
    [boxed(Stream::pair().unwrap()), boxed(SeqPacket::pair().unwrap()), boxed(Datagram::pair().unwrap())]
}

fn for_each_pair(part: impl Fn(&Socket, &Socket)) {
    for (one, other) in pairs() {
        part((*one).as_ref(), (*other).as_ref());
    }
}

fn send(socket: &impl AsRef<Socket>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<usize> {
    socket.as_ref().send_with(&[IoSlice::new(bytes)], &Outgoing::new().descriptors(fds))
}

/// Receives into eight bytes.
fn receive(socket: &impl AsRef<Socket>, allow: Allow) -> Result<Received> {
    socket.as_ref().recv_with(&mut [IoSliceMut::new(&mut [0; 8])], allow)
}

fn null() -> File {
    File::open("/dev/null").unwrap()
}

#[test]
fn allowed_descriptors_are_received_and_closed_on_drop() {
    alone("allowed_descriptors_are_received_and_closed_on_drop", || {
        let file = null();
        for_each_pair(|one, other| {
            for count in [0, 1, 2, DESCRIPTORS_MAX] {
                let before = open_descriptors();
                send(one, b"x", &vec![file.as_fd(); count]).unwrap();
                let received = receive(other, Allow::descriptors(count)).unwrap();
                assert_eq!((received.len, received.descriptors.len()), (1, count));
                assert_eq!(open_descriptors(), before + count);
            }
            let error = send(one, b"x", &[file.as_fd(); DESCRIPTORS_MAX + 1]).unwrap_err();
            assert!(error.to_string().contains("253 at most"), "{error}");
        });
    });
}

#[test]
fn surplus_descriptors_are_closed_and_reported() {
    alone("surplus_descriptors_are_closed_and_reported", || {
        let file = null();
        for_each_pair(|one, other| {
            // Room for one is room for two to the kernel (K-FD-1); here it is not.
            for (sent, allowed) in
                [(1, 0), (2, 1), (DESCRIPTORS_MAX, 0), (DESCRIPTORS_MAX, DESCRIPTORS_MAX - 1)]
            {
                let before = open_descriptors();
                send(one, b"four", &vec![file.as_fd(); sent]).unwrap();
                let error = receive(other, Allow::descriptors(allowed)).unwrap_err();
                assert_eq!((error.kind(), error.received_bytes()), (ErrorKind::SurplusDescriptors, Some(4)));
                assert_eq!(open_descriptors(), before);
            }
            send(one, b"go on", &[]).unwrap();
            assert_eq!(receive(other, Allow::NOTHING).unwrap().len, 5);
        });
    });
}

#[test]
fn a_truncated_message_closes_its_descriptors() {
    alone("a_truncated_message_closes_its_descriptors", || {
        let file = null();
        for (one, other) in pairs().into_iter().skip(1) {
            let before = open_descriptors();
            send((*one).as_ref(), b"longer than eight", &[file.as_fd(); 3]).unwrap();
            let error = receive((*other).as_ref(), Allow::descriptors(3)).unwrap_err();
            assert_eq!((error.kind(), error.received_bytes()), (ErrorKind::MessageTruncated, Some(8)));
            assert_eq!(open_descriptors(), before);
        }
    });
}

#[test]
fn a_full_table_is_an_error_and_leaks_nothing() {
    alone("a_full_table_is_an_error_and_leaks_nothing", || {
        let file = null();
        let pairs = pairs();
        leave_room_for(3);
        for (one, other) in pairs {
            let (one, other) = ((*one).as_ref(), (*other).as_ref());
            let before = open_descriptors();
            for allow in [Allow::descriptors(10), Allow::NOTHING] {
                send(one, b"ten", &[file.as_fd(); 10]).unwrap();
                let error = receive(other, allow).unwrap_err();
                assert_eq!((error.kind(), error.received_bytes()), (ErrorKind::ControlTruncated, Some(3)));
                assert!(error.is_truncated());
                assert_eq!(open_descriptors(), before);
            }
            send(one, b"two", &[file.as_fd(); 2]).unwrap();
            assert_eq!(receive(other, Allow::descriptors(2)).unwrap().descriptors.len(), 2);
        }
    });
}

#[test]
fn several_lists_in_one_message_arrive_as_one() {
    alone("several_lists_in_one_message_arrive_as_one", || {
        let files = [null(), File::open("/dev/zero").unwrap(), File::open("/dev/full").unwrap()];
        let device = |fd: &dyn AsFd| rustix::fs::fstat(fd.as_fd()).unwrap().st_rdev;
        for_each_pair(|one, other| {
            other.set_pass_credentials(true).unwrap();
            let [first, second, third] = files.each_ref().map(AsFd::as_fd);
            let lists = [
                Control::Rights(&[first]),
                Control::Credentials(Credentials::mine()),
                Control::Rights(&[second, third]),
            ];
            send_message(one, b"x", &lists, 0, None).unwrap();
            let received = receive(other, Allow::descriptors(3)).unwrap();
            assert_eq!(received.credentials, Some(stoop::Credentials::own()));
            let devices: Vec<_> = received.descriptors.iter().map(|fd| device(fd)).collect();
            assert_eq!(devices, files.each_ref().map(|file| device(file)));
            send_message(one, b"x", &lists, 0, None).unwrap();
            assert_eq!(
                receive(other, Allow::descriptors(2)).unwrap_err().kind(),
                ErrorKind::SurplusDescriptors
            );
        });
    });
}

#[test]
fn the_pidfd_of_the_sender_is_owned() {
    alone("the_pidfd_of_the_sender_is_owned", || {
        let file = null();
        for_each_pair(|one, other| {
            if other.set_pass_pidfd(true).is_err_and(|error| error.is_unsupported()) {
                skip!("lacks SO_PASSPIDFD");
            }
            let before = open_descriptors();
            send(one, b"x", &[file.as_fd()]).unwrap();
            let received = receive(other, Allow::descriptors(1)).unwrap();
            assert!(received.pidfd.is_some());
            assert_eq!(open_descriptors(), before + 2);
            drop(received);
            send(one, b"x", &[file.as_fd()]).unwrap();
            assert_eq!(receive(other, Allow::NOTHING).unwrap_err().kind(), ErrorKind::SurplusDescriptors);
            send(one, b"x", &[]).unwrap();
            // Asked for by an option of the socket, so it counts for nothing against what is allowed.
            assert!(receive(other, Allow::NOTHING).unwrap().pidfd.is_some());
            assert_eq!(open_descriptors(), before);
        });
    });
}

#[test]
fn peeking_receives_no_descriptors() {
    alone("peeking_receives_no_descriptors", || {
        let file = null();
        let mut buffer = [0; 8];
        let (one, other) = Stream::pair().unwrap();
        send(&one, b"x", &[file.as_fd()]).unwrap();
        let before = open_descriptors();
        assert_eq!(other.peek(&mut buffer).unwrap(), 1);
        assert_eq!(open_descriptors(), before);
        assert_eq!(receive(&other, Allow::descriptors(1)).unwrap().descriptors.len(), 1);

        let (one, other) = SeqPacket::pair().unwrap();
        send(&one, b"x", &[file.as_fd()]).unwrap();
        let before = open_descriptors();
        assert_eq!(
            (other.next_len().unwrap(), other.peek(&mut buffer).unwrap()),
            (1, stoop::Packet::Message(1))
        );
        assert_eq!(open_descriptors(), before);
        assert_eq!(other.recv_vec_with(Allow::descriptors(1)).unwrap().1.descriptors.len(), 1);

        let (one, other) = Datagram::pair().unwrap();
        send(&one, b"x", &[file.as_fd()]).unwrap();
        let before = open_descriptors();
        assert_eq!((other.next_len().unwrap(), other.peek(&mut buffer).unwrap()), (1, 1));
        assert_eq!(open_descriptors(), before);
        assert_eq!(other.recv_vec_with(Allow::descriptors(1)).unwrap().1.descriptors.len(), 1);
    });
}

#[test]
fn peeking_with_ancillary_data_duplicates_descriptors() {
    alone("peeking_with_ancillary_data_duplicates_descriptors", || {
        fn peek(socket: &impl AsRef<Socket>, len: usize, allow: Allow) -> Result<Received> {
            let (mut first, mut rest) = ([0; 1], vec![0; len]);
            let buffers = &mut [IoSliceMut::new(&mut first), IoSliceMut::new(&mut rest)];
            socket.as_ref().peek_with(buffers, allow)
        }
        let file = null();
        for_each_pair(|one, other| {
            send(one, b"hello", &[file.as_fd(); 2]).unwrap();
            let before = open_descriptors();
            for _ in 0..2 {
                let peeked = peek(other, 8, Allow::descriptors(2)).unwrap();
                assert_eq!((peeked.len, peeked.descriptors.len()), (5, 2));
                assert_eq!(open_descriptors(), before + 2);
            }
            let error = peek(other, 8, Allow::descriptors(1)).unwrap_err();
            assert_eq!((error.kind(), error.received_bytes()), (ErrorKind::SurplusDescriptors, Some(5)));
            if other.kind() != stoop::Kind::Stream {
                assert!(peek(other, 1, Allow::descriptors(2)).unwrap_err().is_truncated());
            }
            assert_eq!(open_descriptors(), before);
            assert_eq!(receive(other, Allow::descriptors(2)).unwrap().descriptors.len(), 2);
            other.set_nonblocking(true).unwrap();
            assert!(peek(other, 8, Allow::NOTHING).unwrap_err().is_would_block());
        });

        // A policy on senders keeps its file descriptors out, and counts a message once.
        let (one, mut other) = Datagram::pair().unwrap();
        other.set_policy(Policy::nobody()).unwrap();
        send(&one, b"hello", &[file.as_fd()]).unwrap();
        let before = open_descriptors();
        assert!(peek(&other, 8, Allow::descriptors(1)).unwrap().descriptors.is_empty());
        assert_eq!((open_descriptors(), other.refused()), (before, 0));
        other.set_nonblocking(true).unwrap();
        assert!(receive(&other, Allow::descriptors(1)).unwrap_err().is_would_block());
        assert_eq!(other.refused(), 1);
    });
}

#[test]
fn plain_reads_close_descriptors_and_keep_the_bytes() {
    alone("plain_reads_close_descriptors_and_keep_the_bytes", || {
        let file = null();
        let fds = [file.as_fd(); 5];
        let (one, mut other) = Stream::pair().unwrap();
        let (seq, seq_other) = SeqPacket::pair().unwrap();
        let (dgram, dgram_other) = Datagram::pair().unwrap();
        let before = open_descriptors();
        let mut buffer = [0; 8];
        for _ in 0..2 {
            send(&one, b"one", &fds).unwrap();
            assert_eq!(other.read(&mut buffer).unwrap(), 3);
            send(&one, b"one", &fds).unwrap();
            assert_eq!(other.read_vectored(&mut [IoSliceMut::new(&mut buffer)]).unwrap(), 3);
            for _ in 0..2 {
                send(&seq, b"two", &fds).unwrap();
                send(&dgram, b"three", &fds).unwrap();
            }
            assert_eq!(seq_other.recv(&mut buffer).unwrap(), stoop::Packet::Message(3));
            assert_eq!(seq_other.recv_vec().unwrap().unwrap(), b"two");
            assert_eq!(dgram_other.recv(&mut buffer).unwrap(), 5);
            assert_eq!(dgram_other.recv_vec().unwrap().0, b"three");
        }
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn a_policy_on_senders_keeps_plain_messages_whole() {
    alone("a_policy_on_senders_keeps_plain_messages_whole", || {
        let file = null();
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = Bind::new(&path).policy(Policy::same_user()).datagram().unwrap();
        let client = Datagram::client(&path).unwrap();
        let before = open_descriptors();
        for _ in 0..3 {
            send(&client, b"three", &[file.as_fd()]).unwrap();
        }
        assert_eq!(server.recv(&mut [0; 8]).unwrap(), 5);
        assert_eq!(server.recv_from(&mut [0; 8]).unwrap().0, 5);
        assert_eq!(server.recv_vec().unwrap().0, b"three");
        assert_eq!(open_descriptors(), before);
    });
}

#[test]
fn concurrently_started_programs_inherit_no_descriptors() {
    alone("concurrently_started_programs_inherit_no_descriptors", || {
        let (one, other) = Stream::pair().unwrap();
        let file = null();
        // Few at a time: all that a user has in flight counts against one limit (K-FD-13).
        let (started, received) = mpsc::sync_channel(2);
        let sender =
            thread::spawn(
                move || {
                    while started.send(()).is_ok() && send(&one, b"x", &[file.as_fd(); 50]).is_ok() {}
                },
            );
        let listing = || Command::new("ls").arg("/proc/self/fd").output().unwrap().stdout;
        let quiet = listing();
        let receiver = thread::spawn(move || {
            for _ in 0..3000 {
                assert_eq!(receive(&other, Allow::descriptors(50)).unwrap().descriptors.len(), 50);
                received.recv().unwrap();
            }
        });
        while !receiver.is_finished() {
            assert_eq!(listing(), quiet);
        }
        receiver.join().unwrap();
        sender.join().unwrap();
    });
}

#[test]
fn a_policy_refuses_descriptors_at_the_sender() {
    alone("a_policy_refuses_descriptors_at_the_sender", || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let file = null();
        let bind = Bind::new(&path).policy(Policy::everyone().refuse_descriptors());
        let mut listener = bind.listen().unwrap();
        let client = Stream::connect(&path).unwrap();
        // Not even before it is accepted.
        let refused = send(&client, b"x", &[file.as_fd()]);
        if listener.set_pass_descriptors(false).is_err_and(|error| error.is_unsupported()) {
            refused.unwrap();
            let (end, _) = listener.accept().unwrap();
            assert!(receive(&end, Allow::NOTHING).unwrap().descriptors.is_empty(), "closed on arrival");
            skip!("lacks SO_PASSRIGHTS");
        }
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::NotPermitted);
        let (end, _) = listener.accept().unwrap();
        send(&client, b"plain", &[]).unwrap();
        assert_eq!(receive(&end, Allow::descriptors(1)).unwrap().len, 5);
        listener.set_policy(Policy::everyone()).unwrap();
        let client = Stream::connect(&path).unwrap();
        send(&client, b"x", &[file.as_fd()]).expect("a later policy allows them again");
        drop(listener);

        let server = bind.datagram().unwrap();
        let client = Datagram::client(&path).unwrap();
        assert_eq!(send(&client, b"x", &[file.as_fd()]).unwrap_err().kind(), ErrorKind::NotPermitted);
        client.send(b"plain").unwrap();
        assert_eq!(server.recv(&mut [0; 8]).unwrap(), 5);
    });
}

#[test]
fn a_stream_refuses_descriptors_without_bytes() {
    alone("a_stream_refuses_descriptors_without_bytes", || {
        let file = null();
        let (one, other) = Stream::pair().unwrap();
        assert!(send(&one, b"", &[file.as_fd()]).unwrap_err().is_unsupported());
        for (one, other) in pairs().into_iter().skip(1) {
            send((*one).as_ref(), b"", &[file.as_fd()]).unwrap();
            let received = receive((*other).as_ref(), Allow::descriptors(1)).unwrap();
            assert_eq!((received.len, received.descriptors.len(), received.is_end()), (0, 1, false));
        }
        drop(other);
    });
}

#[test]
fn too_many_in_flight_is_an_error_of_its_own() {
    const TEST: &str = "too_many_in_flight_is_an_error_of_its_own";
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new(TEST, "nobody").user(NOBODY, NOBODY).run();
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(64), maximum: Some(64) }).unwrap();
    let file = null();
    let before = open_descriptors();
    let (one, other) = Stream::pair().unwrap();
    let error = (0..100).find_map(|_| send(&one, b"x", &[file.as_fd(); 10]).err()).unwrap();
    assert_eq!(error.kind(), ErrorKind::TooManyInFlight, "{error}");
    assert!(error.is_exhausted());
    while receive_now(&other).is_ok() {}
    // What others have in flight counts as well, so it may take a moment.
    eventually(stoop_kernel_facts::SOON, || send(&one, b"x", &[file.as_fd()]).is_ok());
    drop((one, other));
    assert_eq!(open_descriptors(), before);
}

fn receive_now(socket: &impl AsRef<Socket>) -> Result<Received> {
    socket.as_ref().set_nonblocking(true)?;
    receive(socket, Allow::descriptors(DESCRIPTORS_MAX))
}

/// Successful and failed binds, connects and takeovers leave no file descriptor open.
#[test]
fn servers_and_clients_leave_no_descriptors_open() {
    alone("servers_and_clients_leave_no_descriptors_open", || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        for _ in 0..20 {
            let bind = Bind::new(&path);
            let first = bind.listen().unwrap();
            assert!(bind.listen().is_err());
            assert!(bind.clone().owner(0).group(1 << 30).replace(true).datagram().is_ok() || !is_root());
            let second = bind.clone().replace(true).listen().unwrap();
            let bound = Connect::new(&path).bind(dir.path().join("own"));
            let client = bound.stream().unwrap();
            assert!(bound.stream().is_err() && bound.datagram().is_err());
            assert!(Datagram::client(&path).is_err());
            let (end, _) = second.accept().unwrap();
            assert!(client.peer().uid.known().is_some() && end.peer().uid.known().is_some());
            assert!(Bind::new(dir.path().join("none/socket")).listen().is_err());
            drop(first);
            drop(std::os::fd::OwnedFd::from(second));
            assert!(Stream::connect(&path).is_err());
            drop(Bind::new(dir.path().join("n".repeat(255))).listen().unwrap());
            drop(Datagram::bind(&path).unwrap());
        }
    });
}
