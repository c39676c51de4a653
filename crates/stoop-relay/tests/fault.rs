//! Faults on real sockets: what the ends see of them.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use stoop::{Address, Bind, Datagram, Listener, SeqPacket, Stream};
use stoop_relay::fault::Faults;
use stoop_relay::{Relay, Running, Server};
use stoop_testkit::{TempDir, close, deadline, eventually, tempdir};

const SOON: Duration = Duration::from_secs(30);

/// A server's listener, and a relay with faults in front of it.
struct Faulty {
    dir: TempDir,
    server: Listener<Stream>,
    relay: Running,
}

impl Faulty {
    fn new(up: &str, down: &str, seed: u64) -> Faulty {
        let dir = tempdir();
        let server = Bind::new(dir.path().join("server")).listen().unwrap();
        let front = Bind::new(dir.path().join("relay")).listen().unwrap();
        let relay = to(dir.path()).faults(faults(up), faults(down)).seed(seed).start(front).unwrap();
        Faulty { dir, server, relay }
    }

    fn client(&self) -> Stream {
        let client = Stream::connect(self.dir.path().join("relay")).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client
    }

    fn pair(&self) -> (Stream, Stream) {
        let client = self.client();
        let (server, _) = self.server.accept().unwrap();
        server.set_read_timeout(Some(SOON)).unwrap();
        (client, server)
    }
}

fn to(dir: &Path) -> Relay {
    Relay::to(Server::unix(Address::path(dir.join("server")).unwrap()))
}

fn faults(text: &str) -> Faults {
    text.parse().unwrap()
}

fn read_all(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn everything_is_late_and_in_order() {
    let faulty = Faulty::new("delay=100ms±50ms", "delay=60ms", 1);
    let (mut client, mut server) = faulty.pair();
    let start = Instant::now();
    let sent: Vec<u8> = (0..20_000).map(|at| (at % 251) as u8).collect();
    client.write_all(&sent).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert!(read_all(&mut server) == sent);
    assert!(start.elapsed() >= Duration::from_millis(50), "{:?}", start.elapsed());
    let start = Instant::now();
    server.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert!(start.elapsed() >= Duration::from_millis(60));
}

#[test]
fn a_delay_does_not_limit_the_rate() {
    let faulty = Faulty::new("delay=200ms", "", 1);
    let (mut client, mut server) = faulty.pair();
    // In separate reads of the relay: one after the other they would take 20 s.
    let writer = thread::spawn(move || {
        for _ in 0..100 {
            client.write_all(&[1; 100]).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        client
    });
    let start = Instant::now();
    server.read_exact(&mut vec![0; 10_000]).unwrap();
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    writer.join().unwrap();
}

#[test]
fn a_rate_is_kept() {
    let faulty = Faulty::new("rate=100KiB/s", "", 1);
    let (mut client, mut server) = faulty.pair();
    let start = Instant::now();
    let writer = thread::spawn(move || {
        client.write_all(&[1; 51_200]).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
    });
    assert_eq!(read_all(&mut server).len(), 51_200);
    assert!(start.elapsed() >= Duration::from_millis(499), "{:?}", start.elapsed());
    writer.join().unwrap();
}

#[test]
fn the_same_seed_corrupts_the_same_bytes() {
    let corrupted = |seed| {
        let faulty = Faulty::new("corrupt=20%", "", seed);
        let (mut client, mut server) = faulty.pair();
        let writer = thread::spawn(move || {
            client.write_all(&[0; 100_000]).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
        });
        let bytes = read_all(&mut server);
        writer.join().unwrap();
        bytes
    };
    let (one, same, other) = (corrupted(1), corrupted(1), corrupted(2));
    assert!(one == same && one != other && one.len() == 100_000);
    let changed = one.iter().filter(|byte| **byte != 0).count();
    assert!((5..40).contains(&changed), "{changed}");
}

#[test]
fn a_reset_comes_at_its_byte_and_the_writer_sees_it() {
    let faulty = Faulty::new("reset-after=1000", "", 1);
    let (mut client, mut server) = faulty.pair();
    client.write_all(&[1; 1500]).unwrap();
    let mut seen = Vec::new();
    let end = server.read_to_end(&mut seen);
    assert!(seen.len() == 1000 && end.is_ok(), "{} {end:?}", seen.len());
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    let (_, all_ended) = faulty.relay.stop(SOON);
    assert!(all_ended);
}

#[test]
fn without_more_bytes_there_is_no_reset() {
    let faulty = Faulty::new("reset-after=1000", "", 1);
    let (mut client, mut server) = faulty.pair();
    client.write_all(&[1; 1000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server).len(), 1000);
    close(server);
    assert_eq!(read_all(&mut client), b"");
}

#[test]
fn a_reset_of_messages_and_over_tcp() {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).listen_seqpacket().unwrap();
    let front = Bind::new(dir.path().join("relay")).listen_seqpacket().unwrap();
    let _relay = to(dir.path()).faults(faults("reset-after=2"), faults("")).start(front).unwrap();
    let client = SeqPacket::connect(dir.path().join("relay")).unwrap();
    (0..3).for_each(|_| client.send(b"message").unwrap());
    let (accepted, _) = server.accept().unwrap();
    (0..2).for_each(|_| assert_eq!(accepted.recv_vec().unwrap().as_deref(), Some(&b"message"[..])));
    client.set_read_timeout(Some(SOON)).unwrap();
    assert!(client.recv(&mut [0]).unwrap_err().is_peer_closed());

    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = front.local_addr().unwrap();
    let relay = Relay::to(Server::tcp("127.0.0.1", port)).faults(faults(""), faults("reset-after=5"));
    let _relay = relay.start(front).unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    server.accept().unwrap().0.write_all(b"1234567890").unwrap();
    // Over TCP both ends see a reset; it may overtake the bytes before it.
    let end = client.read_to_end(&mut Vec::new());
    assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_stall_lasts_until_the_faults_change() {
    let faulty = Faulty::new("stall-after=10", "", 1);
    let (mut client, mut server) = faulty.pair();
    client.write_all(&[1; 30]).unwrap();
    server.read_exact(&mut [0; 10]).unwrap();
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // The other direction is not concerned.
    server.write_all(b"x").unwrap();
    client.read_exact(&mut [0]).unwrap();

    let control = faulty.relay.faults().unwrap();
    assert_eq!(control.current(), [faults("stall-after=10"), faults("")]);
    control.set(faults(""), faults("delay=1ms"));
    server.set_read_timeout(Some(SOON)).unwrap();
    server.read_exact(&mut [0; 20]).unwrap();
    assert_eq!(control.current()[1], faults("delay=1ms"));
}

#[test]
fn of_a_half_open_connection_nothing_arrives_not_even_the_end() {
    let faulty = Faulty::new("halfopen", "", 1);
    let (mut client, mut server) = faulty.pair();
    client.write_all(&[1; 1_000_000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    server.write_all(b"answer").unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
    close(client);
    assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    // When the server gives up, nothing is left of it.
    close(server);
    deadline(SOON, move || eventually(SOON, || faulty.relay.connections() == 0));
}

#[test]
fn refused_clients_are_closed_and_never_reach_the_server() {
    let faulty = Faulty::new("refuse", "", 1);
    let mut client = faulty.client();
    assert_eq!(read_all(&mut client), b"");
    faulty.server.set_nonblocking(true).unwrap();
    assert!(faulty.server.accept().unwrap_err().is_would_block());
    eventually(SOON, || faulty.relay.counts().unreached == 1);
}

#[test]
fn datagrams_are_lost_doubled_and_late_as_the_seed_says() {
    let arrived = |seed| {
        let dir = tempdir();
        let server = Bind::new(dir.path().join("server")).datagram().unwrap();
        let front = Bind::new(dir.path().join("relay")).datagram().unwrap();
        let up = faults("drop=30%,dup=30%,delay=10ms±5ms");
        let relay = to(dir.path()).faults(up, faults("")).seed(seed).start(front).unwrap();
        let client = Datagram::client(Address::path(dir.path().join("relay")).unwrap()).unwrap();
        let sender = thread::spawn(move || {
            (0..100u8).for_each(|number| assert_eq!(client.send(&[number]).unwrap(), 1));
            client
        });
        let mut numbers = Vec::new();
        server.set_read_timeout(Some(Duration::from_millis(700))).unwrap();
        while let Ok((message, _)) = server.recv_vec() {
            numbers.extend(message);
        }
        drop(sender.join().unwrap());
        drop(relay);
        numbers
    };
    let (one, same, other) = (arrived(3), arrived(3), arrived(4));
    assert!(one.is_sorted() && one == same && one != other, "{one:?}\n{same:?}");
    let lost = (0..100).filter(|number| !one.contains(number)).count();
    let doubled = one.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert!((10..55).contains(&lost) && (5..45).contains(&doubled), "{lost} {doubled}");
}

#[test]
fn faults_that_a_kind_cannot_have_are_refused_at_the_start() {
    let dir = tempdir();
    let stream = Bind::new(dir.path().join("stream")).listen().unwrap();
    let error = to(dir.path()).faults(faults("drop=1%"), faults("")).start(stream).unwrap_err();
    assert_eq!(error.to_string(), "a stream socket cannot have the fault 'drop'");
    let datagram = Bind::new(dir.path().join("datagram")).datagram().unwrap();
    let error = to(dir.path()).faults(faults(""), faults("reset=1%")).start(datagram).unwrap_err();
    assert!(error.to_string().ends_with("cannot have the fault 'reset'"), "{error}");
}
