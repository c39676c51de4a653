//! Random conversations of other kinds, once over a direct connection and once through relays:
//! messages in frames, bytes over TCP, and resets. What each side sees is the same.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use proptest::prelude::*;
use rustix::net::SendFlags;
use rustix::net::sockopt::set_socket_linger;
use stoop::{Address, Allow, Bind, Kind, SeqPacket, SocketExt, Stream};
use stoop_relay::{Relay, Running, Server};
use stoop_testkit::{cases, deadline, tempdir};

const SOON: Duration = Duration::from_secs(60);

/// What one side does: sends so many bytes, or reads once.
#[derive(Clone, Copy, Debug)]
enum Act {
    Send(usize),
    Read,
}

fn acts() -> impl Strategy<Value = Vec<(bool, Act)>> {
    let len =
        prop_oneof![1 => Just(0_usize), 4 => 1usize..3000, 1 => 2040usize..2060, 1 => 20_000usize..60_000];
    let act = prop_oneof![3 => len.prop_map(Act::Send), 2 => Just(Act::Read)];
    proptest::collection::vec((any::<bool>(), act), 1..30)
}

fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| ((at + seed * 7) % 251) as u8).collect()
}

/// A relay from TCP to a server in `dir`. Returns the port.
fn from_tcp(server: Server, framed: bool) -> (Running, u16) {
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = front.local_addr().unwrap().port();
    (Relay::to(server).framed(framed).start(front).unwrap(), port)
}

/// Has a conversation of messages. Returns what the client and the server received.
fn exchange(sides: [SeqPacket; 2], acts: &[(bool, Act)]) -> [Vec<Vec<u8>>; 2] {
    let (mut sent, mut seen) = ([0, 0], [Vec::new(), Vec::new()]);
    for side in &sides {
        side.set_read_timeout(Some(SOON)).unwrap();
        side.set_send_buffer_bytes(4 << 20).unwrap();
        side.set_pass_credentials(true).unwrap();
    }
    for (number, (is_server, act)) in acts.iter().enumerate() {
        let one = usize::from(*is_server);
        match act {
            Act::Send(len) => {
                let message = bytes(number, *len);
                rustix::net::send(&sides[one], &message, SendFlags::NOSIGNAL).unwrap();
                sent[one] += 1;
            }
            Act::Read if seen[one].len() < sent[1 - one] => {
                seen[one].push(sides[one].recv_vec_with(Allow::NOTHING).unwrap().0);
            }
            Act::Read => {}
        }
    }
    for one in [0, 1] {
        sides[one].shutdown(Shutdown::Write).unwrap();
        loop {
            let (message, received) = sides[1 - one].recv_vec_with(Allow::NOTHING).unwrap();
            if received.is_end() {
                break;
            }
            seen[1 - one].push(message);
        }
    }
    seen
}

/// Has a conversation of bytes. Returns what the client and the server read.
fn converse(sides: [Stream; 2], acts: &[(bool, Act)]) -> [Vec<u8>; 2] {
    let (mut sent, mut seen) = ([0, 0], [Vec::new(), Vec::new()]);
    for side in &sides {
        side.set_read_timeout(Some(SOON)).unwrap();
        side.set_send_buffer_bytes(4 << 20).unwrap();
    }
    for (number, (is_server, act)) in acts.iter().enumerate() {
        let one = usize::from(*is_server);
        match act {
            Act::Send(len) => {
                (&sides[one]).write_all(&bytes(number, *len)).unwrap();
                sent[one] += len;
            }
            Act::Read if seen[one].len() < sent[1 - one] => {
                let mut buffer = [0; 5000];
                let len = (&sides[one]).read(&mut buffer).unwrap();
                seen[one].extend_from_slice(&buffer[..len]);
            }
            Act::Read => {}
        }
    }
    for one in [0, 1] {
        sides[one].shutdown(Shutdown::Write).unwrap();
        (&sides[1 - one]).read_to_end(&mut seen[1 - one]).unwrap();
    }
    seen
}

/// One side of a TCP connection sends some pieces and resets it. Returns what the other side read,
/// and whether it was reset.
fn break_off(breaking: TcpStream, other: TcpStream, lens: &[usize]) -> (Vec<u8>, bool) {
    other.set_read_timeout(Some(SOON)).unwrap();
    (&other).write_all(b"unread").unwrap();
    let mut seen = Vec::new();
    let mut buffer = [0; 5000];
    for (number, len) in lens.iter().enumerate() {
        (&breaking).write_all(&bytes(number, *len)).unwrap();
    }
    // What is under way may be discarded, by the kernel as well: all of it has to have come.
    let total: usize = lens.iter().sum();
    while seen.len() < total {
        let len = (&other).read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..len]);
    }
    set_socket_linger(&breaking, Some(Duration::ZERO)).unwrap();
    drop(breaking);
    loop {
        match (&other).read(&mut buffer) {
            Ok(0) => return (seen, false),
            Ok(len) => seen.extend_from_slice(&buffer[..len]),
            Err(error) => return (seen, error.kind() == ErrorKind::ConnectionReset),
        }
    }
}

fn tcp_pair() -> [TcpStream; 2] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    [client, listener.accept().unwrap().0]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(32)))]

    #[test]
    fn messages_are_the_same_in_frames(acts in acts()) {
        let (direct, relayed) = deadline(SOON * 2, move || {
            let (one, other) = SeqPacket::pair().unwrap();
            let direct = exchange([one, other], &acts);
            let dir = tempdir();
            let server = Bind::new(dir.path().join("server")).listen_seqpacket().unwrap();
            let to = Server::unix(Address::path(dir.path().join("server")).unwrap()).kind(Kind::SeqPacket);
            let (far, port) = from_tcp(to, true);
            let front = Bind::new(dir.path().join("relay")).listen_seqpacket().unwrap();
            let near = Relay::to(Server::tcp("127.0.0.1", port)).framed(true).start(front).unwrap();
            let client = SeqPacket::connect(dir.path().join("relay")).unwrap();
            let (accepted, _) = server.accept().unwrap();
            let relayed = exchange([client, accepted], &acts);
            for relay in [near, far] {
                let (counts, all_ended) = relay.stop(SOON);
                assert!(all_ended && counts.lost_messages == 0 && counts.lost_resets == 0, "{counts:?}");
            }
            (direct, relayed)
        });
        prop_assert!(direct == relayed);
    }

    #[test]
    fn bytes_are_the_same_over_tcp(acts in acts()) {
        let (direct, relayed) = deadline(SOON * 2, move || {
            let (one, other) = Stream::pair().unwrap();
            let direct = converse([one, other], &acts);
            let dir = tempdir();
            let server = Bind::new(dir.path().join("server")).listen().unwrap();
            let to = Server::unix(Address::path(dir.path().join("server")).unwrap());
            let (far, port) = from_tcp(to, false);
            let front = Bind::new(dir.path().join("relay")).listen().unwrap();
            let near = Relay::to(Server::tcp("127.0.0.1", port)).start(front).unwrap();
            let client = Stream::connect(dir.path().join("relay")).unwrap();
            let (accepted, _) = server.accept().unwrap();
            let relayed = converse([client, accepted], &acts);
            for relay in [near, far] {
                let (counts, all_ended) = relay.stop(SOON);
                assert!(all_ended && counts.lost_resets == 0, "{counts:?}");
            }
            (direct, relayed)
        });
        prop_assert!(direct == relayed);
    }

    #[test]
    fn resets_are_the_same_over_tcp(
        lens in proptest::collection::vec(1usize..20_000, 0..6),
        breaks_server in any::<bool>(),
    ) {
        let (direct, relayed) = deadline(SOON * 2, move || {
            let [one, other] = tcp_pair();
            let direct = break_off(one, other, &lens);
            let server = TcpListener::bind("127.0.0.1:0").unwrap();
            let to = Server::tcp("127.0.0.1", server.local_addr().unwrap().port());
            let (relay, port) = from_tcp(to, false);
            let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
            let (accepted, _) = server.accept().unwrap();
            let relayed = match breaks_server {
                true => break_off(accepted, client, &lens),
                false => break_off(client, accepted, &lens),
            };
            let (counts, all_ended) = relay.stop(SOON);
            assert!(all_ended && counts.lost_resets == 0, "{counts:?}");
            (direct, relayed)
        });
        prop_assert!(direct.1);
        prop_assert!(direct == relayed);
    }
}
