//! The tests of the contract, generic over the kind of socket and over what drives it: see
//! [`Contract`].

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use stoop::internal::Socket;
use stoop::{Address, Allow, Bind, Connect, ErrorKind, Fact, Holder, Kind, Outgoing, SeqPacket, SocketExt};
use stoop_testkit::{Role, TempDir, role, tempdir};

use crate::kinds::Contract;

/// Defines a module of tests for each kind: those that hold for all kinds, and those listed first.
macro_rules! suite {
    ($more:tt $($kind:ident: $type:ty)*) => { $(mod $kind {
        use super::*;

        suite!(@ $type, [messages_go_both_ways_in_order everywhere_a_name_can_be large_payloads the_peer_goes
            descriptors_there_and_back credentials_of_the_sender identity_of_the_peer conversions taken_names
            missing_servers nothing_is_left]);
        suite!(@ $type, $more);

        #[test]
        fn a_relative_path_and_the_process_elsewhere() {
            let test = concat!(stringify!($kind), "::a_relative_path_and_the_process_elsewhere");
            crate::promises::relative_path::<$type>(test);
        }
    })* };
    (@ $type:ty, [$($promise:ident)*]) => { $(
        #[test]
        fn $promise() {
            stoop_testkit::deadline(stoop_kernel_facts::SOON, crate::promises::$promise::<$type>);
        }
    )* };
}

/// A server, a client and the server's end of their conversation.
struct Meeting<C: Contract> {
    server: C::Server,
    client: C,
    end: C,
}

fn meeting_at<C: Contract>(address: &Address) -> Meeting<C> {
    let server = C::serve(&Bind::new(address)).unwrap();
    let client = C::reach(&Connect::new(address)).unwrap();
    let end = C::meet(&server, &client);
    Meeting { server, client, end }
}

fn meeting<C: Contract>(dir: &TempDir) -> Meeting<C> {
    meeting_at(&path_in(dir, "socket"))
}

fn path_in(dir: &TempDir, name: &str) -> Address {
    Address::path(dir.path().join(name)).unwrap()
}

fn would_block(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

pub fn messages_go_both_ways_in_order<C: Contract>() {
    let dir = tempdir();
    let Meeting { client, end, server: _server } = meeting::<C>(&dir);
    let (one, other) = C::pair().unwrap();
    for (from, to) in [(&client, &end), (&end, &client), (&one, &other), (&other, &one)] {
        for round in 0u32..20 {
            for number in 0u32..5 {
                from.put(&(round * 5 + number).to_ne_bytes()).unwrap();
            }
            for number in 0u32..5 {
                assert_eq!(to.get(4).unwrap(), (round * 5 + number).to_ne_bytes());
            }
        }
    }
}

/// A path of exactly `len` bytes in a directory.
fn path_of(dir: &TempDir, len: usize) -> PathBuf {
    let base = dir.path().join("x");
    let more = len - base.as_os_str().len();
    dir.path().join("x".repeat(1 + more))
}

pub fn everywhere_a_name_can_be<C: Contract>() {
    let dir = tempdir();
    let deep = (0..3).fold(dir.path().to_owned(), |path, _| path.join("d".repeat(90)));
    std::fs::create_dir_all(&deep).unwrap();
    let mut unique = format!("contract-{}-{}\0", std::process::id(), C::KIND).into_bytes();
    unique.resize(stoop::internal::ABSTRACT_NAME_MAX_BYTES, b'z');
    let paths = [
        path_of(&dir, 107),
        path_of(&dir, 108),
        path_of(&dir, 109),
        dir.path().join("n".repeat(200)),
        dir.path().join("m".repeat(255)),
        deep.join("socket"),
        deep.join("n".repeat(200)),
        dir.path().join("%41 @ \u{1b}[31m"),
    ];
    let paths = paths.into_iter().map(|path| Address::path(path).unwrap());
    for address in paths.chain([Address::abstract_name(unique).unwrap()]) {
        let Meeting { server, client, end } = meeting_at::<C>(&address);
        client.put(b"there").unwrap();
        assert_eq!(end.get(5).unwrap(), b"there", "{address}");
        end.put(b"back").unwrap();
        assert_eq!(client.get(4).unwrap(), b"back", "{address}");
        let known = address.as_pathname().is_none_or(|path| path.as_os_str().len() <= 108);
        if known {
            assert_eq!(server.as_ref().local_addr().unwrap(), address);
            assert_eq!(client.as_ref().peer_addr().unwrap(), address);
        }
        drop((server, client, end));
        let gone = C::reach(&Connect::new(&address)).err().unwrap();
        assert!(
            if address.as_pathname().is_some() { gone.is_not_found() } else { gone.is_refused() },
            "{gone}"
        );
    }
    assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 0, "everything was removed again");
}

pub fn large_payloads<C: Contract>() {
    let dir = tempdir();
    let Meeting { server: _server, client, end } = meeting::<C>(&dir);
    let limit = match C::KIND {
        Kind::Stream => 4 << 20,
        // The most that one message can have (K-DGRAM-6).
        _ => client.as_ref().send_buffer_bytes().unwrap() - 32,
    };
    let payload: Vec<u8> = (0..limit).map(|at| (at * 7 % 251) as u8).collect();
    let expected = payload.clone();
    let reader = thread::spawn(move || assert!(end.get(limit).unwrap() == expected));
    client.put(&payload).unwrap();
    reader.join().unwrap();
    if C::KIND != Kind::Stream {
        let error =
            client.put_with(&[IoSlice::new(&payload), IoSlice::new(b"+")], &Outgoing::new()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        assert!(client.put(&[&payload[..], b"+"].concat()).is_err());
    }
}

pub fn waiting_ends_with_the_timeout<C: Contract>() {
    let (one, other) = C::pair().unwrap();
    assert_eq!(one.as_ref().read_timeout().unwrap(), None);
    for wait in [Duration::from_nanos(1), Duration::from_millis(30)] {
        one.as_ref().set_read_timeout(Some(wait)).unwrap();
        assert!(one.as_ref().read_timeout().unwrap().is_some());
        assert!(would_block(&one.get(1).unwrap_err()));
    }
    for zero in [
        one.as_ref().set_read_timeout(Some(Duration::ZERO)),
        one.as_ref().set_write_timeout(Some(Duration::ZERO)),
    ] {
        assert_eq!(io::Error::from(zero.unwrap_err()).kind(), io::ErrorKind::InvalidInput);
    }
    one.as_ref().set_write_timeout(Some(Duration::from_millis(30))).unwrap();
    let full = loop {
        if let Err(error) = one.put(&[0; 4096]) {
            break error;
        }
    };
    assert!(would_block(&full), "{full}");
    assert!(other.as_ref().unread_bytes().unwrap() > 0);
    assert!(one.as_ref().unsent_bytes().unwrap() > 0);
    other.put(b"x").unwrap();
    assert_eq!(one.get(1).unwrap(), b"x");
}

pub fn nothing_waits_when_nonblocking<C: Contract>() {
    let dir = tempdir();
    let Meeting { server: _server, client, end } = meeting::<C>(&dir);
    assert!(!end.as_ref().is_nonblocking().unwrap());
    end.as_ref().set_nonblocking(true).unwrap();
    assert!(end.as_ref().is_nonblocking().unwrap());
    assert!(would_block(&end.get(1).unwrap_err()));
    client.put(b"now").unwrap();
    assert_eq!(end.get(3).unwrap(), b"now");
    assert!(end.get_with(&mut [IoSliceMut::new(&mut [0])], Allow::NOTHING).unwrap_err().is_would_block());
}

pub fn room_comes_back<C: Contract>() {
    let (one, other) = C::pair().unwrap();
    one.as_ref().set_nonblocking(true).unwrap();
    let mut sent = 0;
    while one.put(&[7; 100]).is_ok() {
        sent += 1;
    }
    for _ in 0..sent {
        assert_eq!(other.get(100).unwrap(), [7; 100]);
    }
    other.as_ref().set_nonblocking(true).unwrap();
    // A stream may have taken a part of the message that failed.
    while other.get(1).is_ok() {}
    one.put(b"again").unwrap();
    assert_eq!(other.get(5).unwrap(), b"again");
}

pub fn the_peer_goes<C: Contract>() {
    let (one, other) = C::pair().unwrap();
    other.put(b"last").unwrap();
    drop(other);
    assert_eq!(one.get(4).unwrap(), b"last", "what was sent before is still there");
    if C::KIND != Kind::Datagram {
        assert_eq!(one.get(4).unwrap(), b"");
    }
    let error = one.put_with(&[IoSlice::new(b"x")], &Outgoing::new()).unwrap_err();
    let expected = if C::KIND == Kind::Datagram { ErrorKind::Refused } else { ErrorKind::PeerClosed };
    assert_eq!(error.kind(), expected);
    let error = one.put_with(&[IoSlice::new(b"x")], &Outgoing::new()).unwrap_err();
    assert!(error.is_peer_closed(), "{error}");
}

pub fn descriptors_there_and_back<C: Contract>() {
    let dir = tempdir();
    let Meeting { server: _server, client, end } = meeting::<C>(&dir);
    let file = dir.path().join("content");
    std::fs::write(&file, "in the file").unwrap();
    let file = File::open(&file).unwrap();
    let fds = [file.as_fd(), file.as_fd()];
    let sent =
        client.put_with(&[IoSlice::new(b"two "), IoSlice::new(b"files")], &Outgoing::new().descriptors(&fds));
    assert_eq!(sent.unwrap(), 9);
    let (mut left, mut right) = ([0; 4], [0; 16]);
    let mut buffers = [IoSliceMut::new(&mut left), IoSliceMut::new(&mut right)];
    let there = end.get_with(&mut buffers, Allow::descriptors(2)).unwrap();
    assert_eq!((there.len, there.descriptors.len()), (9, 2));
    assert_eq!((&left, &right[..5]), (b"two ", &b"files"[..]));
    for fd in &there.descriptors {
        assert!(rustix::io::fcntl_getfd(fd).unwrap().contains(rustix::io::FdFlags::CLOEXEC));
    }
    let fds = [there.descriptors[1].as_fd()];
    end.put_with(&[IoSlice::new(b"one")], &Outgoing::new().descriptors(&fds)).unwrap();
    let back = client.get_with(&mut [IoSliceMut::new(&mut left)], Allow::descriptors(1)).unwrap();
    let mut text = String::new();
    File::from(back.descriptors.into_iter().next().unwrap()).read_to_string(&mut text).unwrap();
    assert_eq!(text, "in the file");
}

pub fn credentials_of_the_sender<C: Contract>() {
    let dir = tempdir();
    let Meeting { server: _server, client, end } = meeting::<C>(&dir);
    let receive = || end.get_with(&mut [IoSliceMut::new(&mut [0; 5])], Allow::NOTHING).unwrap();
    // What is bound for datagrams has them from the beginning, to answer its senders.
    end.as_ref().set_pass_credentials(false).unwrap();
    client.put(b"early").unwrap();
    assert_eq!(receive().credentials, None, "not asked for");
    client.put(b"early").unwrap();
    end.as_ref().set_pass_credentials(true).unwrap();
    assert_eq!(receive().credentials, None, "sent before it was asked for, so nobody knows");
    client.put(b"named").unwrap();
    assert_eq!(receive().credentials, Some(stoop::Credentials::own()));
}

pub fn identity_of_the_peer<C: Contract>() {
    let dir = tempdir();
    let Meeting { server: _server, client, end } = meeting::<C>(&dir);
    for socket in [&client, &end] {
        let peer = socket.as_ref().peer();
        if C::KIND == Kind::Datagram {
            assert_eq!((&peer.pid, &peer.uid, &peer.gid), (&Fact::Unknown, &Fact::Unknown, &Fact::Unknown));
            assert_eq!(peer.has_ended(), None);
        } else {
            assert_eq!(peer.pid.known(), Some(&std::process::id()));
            assert_eq!(peer.uid.known(), Some(&rustix::process::geteuid().as_raw()));
            assert_eq!(peer.gid.known(), Some(&rustix::process::getegid().as_raw()));
            assert_ne!(peer.has_ended(), Some(true));
        }
    }
}

pub fn conversions<C: Contract>() {
    let (one, other) = C::pair().unwrap();
    let one = C::from_descriptor(one.into()).unwrap();
    one.put(b"same").unwrap();
    assert_eq!(other.get(4).unwrap(), b"same");
    let strangers: [(OwnedFd, ErrorKind); 3] = [
        (UnixStream::pair().unwrap().0.into(), ErrorKind::WrongKind),
        (UnixDatagram::pair().unwrap().0.into(), ErrorKind::WrongKind),
        (SeqPacket::pair().unwrap().0.into(), ErrorKind::WrongKind),
    ];
    let refused = strangers.into_iter().filter_map(|(fd, kind)| Some((C::from_descriptor(fd).err()?, kind)));
    assert_eq!(refused.map(|(error, kind)| assert_eq!(error.kind(), kind)).count(), 2);
    let internet = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    assert!(C::from_descriptor(internet.into()).err().unwrap().is_unsupported());
    assert!(C::from_descriptor(File::open("/dev/null").unwrap().into()).is_err());
}

pub fn taken_names<C: Contract>() {
    let dir = tempdir();
    let name = format!("contract-taken-{}-{}", std::process::id(), C::KIND);
    for address in [path_in(&dir, "socket"), Address::abstract_name(name).unwrap()] {
        let _server = C::serve(&Bind::new(&address)).unwrap();
        let error = C::serve(&Bind::new(&address)).err().unwrap();
        assert!(error.is_in_use(), "{error}");
        let holder = Holder::find(&address, error.socket_kind()).unwrap();
        assert_eq!((holder.pid, holder.kind), (Some(std::process::id()), Some(C::KIND)));
        assert_eq!(error.subject(), Some(&address));
    }
}

pub fn missing_servers<C: Contract>() {
    let dir = tempdir();
    assert!(C::reach(&Connect::new(path_in(&dir, "none"))).err().unwrap().is_not_found());
    assert!(C::reach(&Connect::new(path_in(&dir, "none/below"))).err().unwrap().is_not_found());
    let stale = path_in(&dir, "stale");
    drop(UnixListener::bind(stale.as_pathname().unwrap()).unwrap());
    assert!(C::reach(&Connect::new(&stale)).err().unwrap().is_refused());
    for other in Kind::ALL.into_iter().filter(|&kind| kind != C::KIND) {
        let address = path_in(&dir, other.word());
        let bind = Bind::new(&address);
        let _server: Box<dyn AsRef<Socket>> = match other {
            Kind::Stream => Box::new(bind.listen().unwrap()),
            Kind::SeqPacket => Box::new(bind.listen_seqpacket().unwrap()),
            _ => Box::new(bind.datagram().unwrap()),
        };
        let error = C::reach(&Connect::new(&address)).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::WrongKind, "{error}");
        assert_eq!(error.socket_kind(), Some(C::KIND));
    }
    for connect in [Connect::new(Address::UNNAMED), Connect::new("a\0b"), Connect::new("")] {
        assert_eq!(C::reach(&connect).err().unwrap().kind(), ErrorKind::InvalidAddress);
    }
}

pub fn nothing_is_left<C: Contract>() {
    let dir = tempdir();
    for replace in [false, true] {
        let address = path_in(&dir, "socket");
        let server = C::serve(&Bind::new(&address)).unwrap();
        let next = replace.then(|| C::serve(&Bind::new(&address).replace(true)).unwrap());
        drop(server);
        assert_eq!(address.as_pathname().unwrap().exists(), replace);
        drop(next);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}

pub fn relative_path<C: Contract>(test: &str) {
    if role().is_none() {
        return Role::new(test, "wanderer").run();
    }
    let dir = tempdir();
    wander(dir.path().to_str().unwrap());
    let server = C::serve(&Bind::new("./socket")).unwrap();
    let client = C::reach(&Connect::new("socket")).unwrap();
    wander("/");
    C::reach(&Connect::new(path_in(&dir, "socket"))).unwrap();
    let end = C::meet(&server, &client);
    client.put(b"far").unwrap();
    assert_eq!(end.get(3).unwrap(), b"far");
    assert_eq!(
        client.as_ref().peer_addr().unwrap(),
        path_in(&dir, "socket"),
        "made absolute for others to see"
    );
    drop(server);
    assert!(!dir.path().join("socket").exists(), "removed from where it was made");
}

#[expect(clippy::disallowed_methods, reason = "a process of its own, whose working directory is the point")]
fn wander(to: &str) {
    std::env::set_current_dir(to).unwrap();
}
