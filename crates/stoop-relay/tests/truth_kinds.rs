//! Random conversations of messages with file descriptors, and connections that are broken off,
//! between Unix sockets: once direct and once through a relay. What each side sees is the same.

use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Seek, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;
use stoop::{Address, Allow, Bind, Datagram, Kind, Outgoing, SeqPacket, SocketExt, Stream};
use stoop_relay::{Relay, Running, Server};
use stoop_testkit::{cases, deadline, tempdir};

const SOON: Duration = Duration::from_secs(60);

/// A message, and what its files say.
type Message = (Vec<u8>, Vec<String>);

/// What one side does: sends so many bytes with so many files, or receives.
#[derive(Clone, Copy, Debug)]
enum Act {
    Send(usize, usize),
    Receive,
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![1 => Just(0_usize), 4 => 1usize..3000, 1 => 20_000usize..60_000];
    let files = prop_oneof![3 => Just(0_usize), 1 => 1usize..5];
    prop_oneof![3 => (len, files).prop_map(|(len, files)| Act::Send(len, files)), 2 => Just(Act::Receive)]
}

fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at + seed * 7) % 251) as u8).collect()
}

/// Returns files that say which they are.
fn files(seed: usize, count: usize) -> Vec<OwnedFd> {
    let file = |number: usize| {
        let flags = rustix::fs::MemfdFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::memfd_create("file", flags).unwrap());
        write!(file, "{seed}.{number}").unwrap();
        file.into()
    };
    (0..count).map(file).collect()
}

fn texts(files: Vec<OwnedFd>) -> Vec<String> {
    let text = |file: OwnedFd| {
        let (mut file, mut text) = (File::from(file), String::new());
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        text
    };
    files.into_iter().map(text).collect()
}

/// A socket with a relay in front of it, in a directory.
fn front(directory: &Path, kind: Kind) -> (Server, std::path::PathBuf) {
    let server = Address::path(directory.join("server")).unwrap();
    (Server::unix(server).kind(kind), directory.join("relay"))
}

/// Stops a relay that has lost neither descriptors nor messages. Returns how many resets it lost.
fn stop(relay: Running) -> u64 {
    let (counts, all_ended) = relay.stop(SOON);
    assert!(all_ended && counts.lost_descriptors == 0 && counts.lost_messages == 0, "{counts:?}");
    counts.lost_resets
}

/// Has a conversation of messages. Returns what the client and the server received.
fn exchange(sides: [SeqPacket; 2], acts: &[(bool, Act)]) -> [Vec<Message>; 2] {
    let (mut sent, mut seen) = ([0, 0], [Vec::new(), Vec::new()]);
    for side in &sides {
        side.set_read_timeout(Some(SOON)).unwrap();
        side.set_send_buffer_bytes(4 << 20).unwrap();
        // Without credentials an empty message is an end.
        side.set_pass_credentials(true).unwrap();
    }
    let receive = |one: usize| {
        let (message, received) = sides[one].recv_vec_with(Allow::descriptors(253)).unwrap();
        (!received.is_end()).then(|| (message, texts(received.descriptors)))
    };
    for (number, (is_server, act)) in acts.iter().enumerate() {
        let one = usize::from(*is_server);
        match act {
            Act::Send(len, count) => {
                send(&sides[one], number, *len, *count);
                sent[one] += 1;
            }
            Act::Receive if seen[one].len() < sent[1 - one] => seen[one].extend(receive(one)),
            Act::Receive => {}
        }
    }
    for one in [0, 1] {
        sides[one].shutdown(Shutdown::Write).unwrap();
        seen[1 - one].extend(std::iter::from_fn(|| receive(1 - one)));
    }
    seen
}

fn send(side: &SeqPacket, seed: usize, len: usize, count: usize) {
    let (bytes, files) = (bytes(seed, len), files(seed, count));
    let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
    side.send_with(&[IoSlice::new(&bytes)], &Outgoing::new().descriptors(&fds)).unwrap();
}

/// Clients ask a server, which answers with what it got. Returns what the server received of each
/// client, and what each client got.
fn ask(server: &Datagram, path: &Path, asked: &[(usize, usize, usize)]) -> [Vec<Vec<Message>>; 2] {
    const CLIENTS: usize = 3;
    server.set_read_timeout(Some(SOON)).unwrap();
    let clients: Vec<Datagram> = (0..CLIENTS).map(|_| Datagram::client(path).unwrap()).collect();
    let mut seen = [vec![Vec::new(); CLIENTS], vec![Vec::new(); CLIENTS]];
    for (seed, (client, len, count)) in asked.iter().enumerate() {
        let side = &clients[*client];
        side.set_read_timeout(Some(SOON)).unwrap();
        let (bytes, files) = (bytes(seed, *len), files(seed, *count));
        let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        side.send_with(&[IoSlice::new(&bytes)], &Outgoing::new().descriptors(&fds)).unwrap();
        let (message, received) = server.recv_vec_with(Allow::descriptors(253)).unwrap();
        let origin = received.origin();
        seen[0][*client].push((message.clone(), texts(received.descriptors)));
        server.reply(&message, &origin).unwrap();
        let (answer, received) = side.recv_vec_with(Allow::descriptors(253)).unwrap();
        seen[1][*client].push((answer, texts(received.descriptors)));
    }
    seen
}

/// One side sends some pieces, which the other side reads or does not, and closes with bytes unread
/// or none. Returns what the other side read, and how that ended.
fn break_off(breaking: Stream, other: Stream, lens: &[usize], is_unread: bool) -> (Vec<u8>, bool) {
    other.set_read_timeout(Some(SOON)).unwrap();
    breaking.set_read_timeout(Some(SOON)).unwrap();
    (&other).write_all(b"unread").unwrap();
    let mut asked = [0; 6];
    let asked = if is_unread { &mut asked[..1] } else { &mut asked[..] };
    (&breaking).read_exact(asked).unwrap();
    let (mut seen, mut buffer) = (Vec::new(), [0; 5000]);
    for (number, len) in lens.iter().enumerate() {
        (&breaking).write_all(&bytes(number, *len)).unwrap();
    }
    let total: usize = lens.iter().sum();
    while seen.len() < total {
        let len = (&other).read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..len]);
    }
    drop(breaking);
    let was_reset = match (&other).read(&mut buffer) {
        Ok(len) => {
            assert_eq!(len, 0);
            false
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
            true
        }
    };
    (seen, was_reset)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(32)))]

    #[test]
    fn messages_are_the_same_with_their_descriptors(
        acts in proptest::collection::vec((any::<bool>(), act()), 1..30),
    ) {
        let (direct, relayed) = deadline(SOON * 2, move || {
            let (one, other) = SeqPacket::pair().unwrap();
            let direct = exchange([one, other], &acts);
            let dir = tempdir();
            let server = Bind::new(dir.path().join("server")).listen_seqpacket().unwrap();
            let (to, path) = front(dir.path(), Kind::SeqPacket);
            let relay = Relay::to(to).start(Bind::new(&path).listen_seqpacket().unwrap()).unwrap();
            let client = SeqPacket::connect(&path).unwrap();
            let relayed = exchange([client, server.accept().unwrap().0], &acts);
            stop(relay);
            (direct, relayed)
        });
        prop_assert!(direct == relayed);
    }

    #[test]
    fn datagrams_are_the_same_with_their_descriptors(
        asked in proptest::collection::vec((0usize..3, prop_oneof![Just(0_usize), 1usize..50_000], 0usize..4), 1..12),
    ) {
        let (direct, relayed) = deadline(SOON * 2, move || {
            let dir = tempdir();
            let server = Bind::new(dir.path().join("server")).datagram().unwrap();
            server.set_send_buffer_bytes(4 << 20).unwrap();
            let direct = ask(&server, &dir.path().join("server"), &asked);
            let (to, path) = front(dir.path(), Kind::Datagram);
            let relay = Relay::to(to).start(Bind::new(&path).datagram().unwrap()).unwrap();
            let relayed = ask(&server, &path, &asked);
            stop(relay);
            (direct, relayed)
        });
        prop_assert!(direct == relayed);
    }

    #[test]
    fn ends_and_resets_are_the_same(
        lens in proptest::collection::vec(1usize..20_000, 0..6),
        breaks_server in any::<bool>(),
        is_unread in any::<bool>(),
        allows_descriptors in any::<bool>(),
    ) {
        let (direct, relayed, lost) = deadline(SOON * 2, move || {
            let (one, other) = Stream::pair().unwrap();
            let direct = break_off(one, other, &lens, is_unread);
            let dir = tempdir();
            let server = Bind::new(dir.path().join("server")).listen().unwrap();
            let (to, path) = front(dir.path(), Kind::Stream);
            let relay = Relay::to(to).descriptors(allows_descriptors);
            let relay = relay.start(Bind::new(&path).listen().unwrap()).unwrap();
            let client = Stream::connect(&path).unwrap();
            let (accepted, _) = server.accept().unwrap();
            let relayed = match breaks_server {
                true => break_off(accepted, client, &lens, is_unread),
                false => break_off(client, accepted, &lens, is_unread),
            };
            (direct, relayed, stop(relay))
        });
        prop_assert!(direct.0 == relayed.0);
        prop_assert_eq!(direct.1, is_unread);
        // A Unix socket cannot be reset if all that came from it was read. Such a loss is counted.
        prop_assert_eq!((relayed.1, lost), (direct.1 && lost == 0, lost.min(direct.1.into())));
    }
}
