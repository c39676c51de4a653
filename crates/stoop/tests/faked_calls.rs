//! A sandbox in which system calls succeed without running (seccomp(2) with errno 0). Results that
//! the kernel did not write are an error or unknown, never the zeros of the buffer. Each test runs
//! on its own thread, the only one with the filter.

use std::io::IoSliceMut;
use std::thread;

use stoop::{
    Address, Allow, Arrival, Bind, Datagram, ErrorKind, Fact, Policy, Refusal, SeqPacket, SocketExt, Stream,
    diag,
};
use stoop_kernel_facts::{fake_call, libc};
use stoop_testkit::{deadline, tempdir};

const SOON: std::time::Duration = std::time::Duration::from_secs(20);

/// Runs `work` on a thread on which this call succeeds and does nothing. Standard input stays open.
fn with_fake<T: Send + 'static>(call: i64, work: impl FnOnce() -> T + Send + 'static) -> T {
    let work = move || {
        fake_call(call);
        work()
    };
    let result = deadline(SOON, || thread::spawn(work).join().unwrap());
    assert!(rustix::io::fcntl_getfd(std::io::stdin()).is_ok(), "standard input was closed");
    result
}

#[test]
fn an_unwritten_peer_is_unknown() {
    let (one, _other) = Stream::pair().unwrap();
    with_fake(libc::SYS_getsockopt, move || {
        let peer = one.peer();
        assert_eq!((&peer.pid, &peer.uid, &peer.gid), (&Fact::Unknown, &Fact::Unknown, &Fact::Unknown));
        assert_eq!((&peer.groups, &peer.label), (&Fact::Unknown, &Fact::Unknown));
        assert!(peer.pidfd.known().is_none() && peer.has_ended().is_none());
        assert!(!Policy::same_user().allow_gid(0).allows_peer(&peer));
        assert!(one.send_buffer_bytes().is_err() && one.take_error().is_err() && one.read_timeout().is_err());
        assert!(diag::Settings::of(&one).is_err());
    });
}

#[test]
fn a_client_with_unwritten_credentials_is_refused() {
    let directory = tempdir();
    let path = directory.path().join("s");
    let listener = Bind::new(&path).policy(Policy::same_user().allow_gid(0)).listen().unwrap();
    let _client = Stream::connect(&path).unwrap();
    with_fake(libc::SYS_getsockopt, move || match listener.accept_any().unwrap() {
        Arrival::Refused { pid, uid, reason } => {
            assert_eq!((pid, uid, reason), (None, None, Refusal::UnknownPeer));
        }
        Arrival::Accepted(_) => panic!("accepted for user 0"),
    });
}

#[test]
fn a_descriptor_that_was_not_created_is_not_owned() {
    let directory = tempdir();
    let listener = Bind::new(directory.path().join("s")).listen().unwrap();
    listener.set_nonblocking(true).unwrap();
    with_fake(libc::SYS_accept4, move || assert!(listener.accept().is_err()));
    with_fake(libc::SYS_socket, || assert!(Datagram::autobind().is_err()));
    with_fake(libc::SYS_socketpair, || assert!(SeqPacket::pair().is_err()));
}

#[test]
fn an_unwritten_queue_length_is_an_error() {
    let (one, _other) = Stream::pair().unwrap();
    with_fake(libc::SYS_ioctl, move || assert!(one.unread_bytes().is_err() && one.unsent_bytes().is_err()));
}

#[test]
fn an_unwritten_address_is_an_error() {
    let directory = tempdir();
    let path = Address::path(directory.path().join("s")).unwrap();
    let _listener = Bind::new(&path).listen().unwrap();
    let client = Stream::connect(&path).unwrap();
    let client = with_fake(libc::SYS_getsockname, move || {
        assert!(client.local_addr().is_err());
        client
    });
    with_fake(libc::SYS_getpeername, move || assert!(client.peer_addr().is_err()));
}

#[test]
fn an_unwritten_message_has_no_sender_and_no_ancillary_data() {
    let receiver = Datagram::autobind().unwrap();
    let receiver = with_fake(libc::SYS_recvmsg, move || {
        let mut buffer = [0; 8];
        let error =
            receiver.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::descriptors(8)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ControlTruncated);
        receiver
    });
    with_fake(libc::SYS_recvfrom, move || {
        let (len, from) = receiver.recv_from(&mut [0; 8]).unwrap();
        assert!(len == 0 && from.is_unnamed());
    });
}
