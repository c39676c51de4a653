//! Relays on real sockets: what is kept, what is refused, how they end.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use stoop::{Address, Allow, Bind, Datagram, Listener, Outgoing, SeqPacket, SocketExt, Stream};
use stoop_relay::{Ended, Event, Relay, Running, Server};
use stoop_testkit::{TempDir, close, deadline, eventually, tempdir};

const SOON: Duration = Duration::from_secs(30);

/// A server's listener and a relay in front of it.
struct Relayed {
    dir: TempDir,
    server: Listener<Stream>,
    relay: Running,
}

impl Relayed {
    fn new(adjust: impl FnOnce(Relay) -> Relay) -> Relayed {
        let dir = tempdir();
        let server = Bind::new(dir.path().join("server")).listen().unwrap();
        let front = Bind::new(dir.path().join("relay")).listen().unwrap();
        let address = Address::path(dir.path().join("server")).unwrap();
        let relay = adjust(Relay::to(Server::unix(address))).start(front).unwrap();
        Relayed { dir, server, relay }
    }

    fn client(&self) -> Stream {
        let client = Stream::connect(self.dir.path().join("relay")).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client
    }

    /// Connects a client. Returns it and its connection at the server.
    fn pair(&self) -> (Stream, Stream) {
        let client = self.client();
        let (server, _) = self.server.accept().unwrap();
        server.set_read_timeout(Some(SOON)).unwrap();
        (client, server)
    }
}

fn read_all(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

#[test]
fn bytes_come_through_both_ways_and_a_half_close_is_one() {
    for descriptors in [true, false] {
        let relayed = Relayed::new(|relay| relay.descriptors(descriptors));
        let (mut client, mut server) = relayed.pair();
        let question = pattern(3_000_000);
        let sent = question.clone();
        let writer = thread::spawn(move || {
            client.write_all(&sent).unwrap();
            client.shutdown(Shutdown::Write).unwrap();
            client
        });
        assert!(read_all(&mut server) == question);
        let mut client = writer.join().unwrap();
        // Some time later the answer still finds its way.
        client.set_nonblocking(true).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        client.set_nonblocking(false).unwrap();
        let answer = pattern(1_000_000);
        let sent = answer.clone();
        let writer = thread::spawn(move || server.write_all(&sent).unwrap());
        assert!(read_all(&mut client) == answer);
        writer.join().unwrap();
        let (counts, all_ended) = deadline(SOON, move || relayed.relay.stop(SOON));
        assert!(all_ended);
        assert_eq!((counts.connections, counts.bytes_up, counts.bytes_down), (1, 3_000_000, 1_000_000));
    }
}

#[test]
fn a_closed_client_is_closed_for_the_server_and_the_other_way_round() {
    for descriptors in [true, false] {
        let relayed = Relayed::new(|relay| relay.descriptors(descriptors));
        let (client, mut server) = relayed.pair();
        close(client);
        assert_eq!(read_all(&mut server), b"");
        eventually(SOON, || server.write(b"nobody reads this").is_err());

        let (mut client, server) = relayed.pair();
        (&server).write_all(b"bye").unwrap();
        close(server);
        assert_eq!(read_all(&mut client), b"bye");
        eventually(SOON, || client.write(b"nobody reads this").is_err());
    }
}

#[test]
fn descriptors_arrive_with_their_own_byte() {
    let relayed = Relayed::new(|relay| relay);
    let (client, server) = relayed.pair();
    let files: Vec<_> = (0..3).map(|_| std::io::pipe().unwrap()).collect();
    for (number, (_, writer)) in files.iter().enumerate() {
        (&client).write_all(&vec![b'a'; number * 5000 + 3]).unwrap();
        let fds = [writer.as_fd()];
        let sent = client.send_with(&[IoSlice::new(b"BBB")], &Outgoing::new().descriptors(&fds)).unwrap();
        assert_eq!(sent, 3);
    }
    client.shutdown(Shutdown::Write).unwrap();
    let (mut offset, mut found) = (0, Vec::new());
    // A byte at a time: descriptors come with the first byte that they were sent with.
    loop {
        let mut byte = [0];
        let received = server.recv_with(&mut [IoSliceMut::new(&mut byte)], Allow::descriptors(9)).unwrap();
        if received.len == 0 {
            break;
        }
        if !received.descriptors.is_empty() {
            assert_eq!(byte, *b"B");
            found.push(offset);
        }
        offset += 1;
    }
    assert_eq!(found, [3, 3 + 3 + 5003, 3 + 3 + 5003 + 3 + 10_003]);
    assert_eq!(relayed.relay.counts().descriptors, 3);
}

#[test]
fn a_receiver_that_refuses_descriptors_gets_the_bytes() {
    let relayed = Relayed::new(|relay| relay);
    let (client, mut server) = relayed.pair();
    if server.set_pass_descriptors(false).is_err() {
        stoop_testkit::skip!("lacks SO_PASSRIGHTS");
    }
    let (_reader, writer) = std::io::pipe().unwrap();
    client.send_fds(b"bytes", &[writer.as_fd()]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server), b"bytes");
    assert_eq!((relayed.relay.counts().descriptors, relayed.relay.counts().lost_descriptors), (0, 1));
}

#[test]
fn messages_stay_whole() {
    let dir = tempdir();
    let (at, front) = (dir.path().join("server"), dir.path().join("relay"));
    let server = Bind::new(&at).listen_seqpacket().unwrap();
    let listener = Bind::new(&front).listen_seqpacket().unwrap();
    let relay = Relay::to(Server::unix(Address::path(&at).unwrap())).start(listener).unwrap();
    let client = SeqPacket::connect(&front).unwrap();
    let (accepted, _) = server.accept().unwrap();
    accepted.set_pass_credentials(true).unwrap();
    accepted.set_read_timeout(Some(SOON)).unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    let large = pattern(150_000);
    client.send(b"one").unwrap();
    rustix::net::send(&client, b"", rustix::net::SendFlags::empty()).unwrap();
    client.send(&large).unwrap();
    client.send_fds(b"with", &[writer.as_fd()]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut received = Vec::new();
    loop {
        let (message, rest) = accepted.recv_vec_with(Allow::descriptors(9)).unwrap();
        if rest.is_end() {
            break;
        }
        received.push((message, rest.descriptors.len()));
    }
    assert!(received == [(b"one".to_vec(), 0), (Vec::new(), 0), (large, 0), (b"with".to_vec(), 1)]);
    let counts = relay.counts();
    assert_eq!((counts.messages, counts.descriptors), (4, 1));
}

#[test]
fn unix_and_tcp_are_relayed_to_each_other() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let dir = tempdir();
    let front = Bind::new(dir.path().join("relay")).listen().unwrap();
    let _up = Relay::to(Server::tcp("127.0.0.1", port)).start(front).unwrap();
    let mut client = Stream::connect(dir.path().join("relay")).unwrap();
    let (mut server, _) = tcp.accept().unwrap();
    let text = pattern(2_000_000);
    let sent = text.clone();
    let writer = thread::spawn(move || {
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        read_all(&mut client)
    });
    assert!(read_all(&mut server) == text);
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(writer.join().unwrap(), b"answer");

    let unix = Bind::new(dir.path().join("server")).listen().unwrap();
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = front.local_addr().unwrap().port();
    let address = Address::path(dir.path().join("server")).unwrap();
    let _down = Relay::to(Server::unix(address)).start(front).unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut server, _) = unix.accept().unwrap();
    assert_eq!(read_all(&mut server), b"question");
    server.write_all(b"answer").unwrap();
    drop(server);
    assert_eq!(read_all(&mut client), b"answer");
}

#[test]
fn a_reader_that_does_not_read_makes_its_writer_wait_and_nobody_else() {
    for descriptors in [true, false] {
        let relayed = Relayed::new(|relay| relay.descriptors(descriptors).workers(1));
        let (client, mut server) = relayed.pair();
        client.set_nonblocking(true).unwrap();
        let (mut written, block) = (0, pattern(50_000));
        let mut still = 0;
        // Nothing is read, so at some point nothing is taken any more.
        while still < 20 {
            match (&client).write(&block[written % block.len()..]) {
                Ok(len) => (written, still) = (written + len, 0),
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                    still += 1;
                    thread::sleep(Duration::from_millis(5));
                }
            }
            assert!(written < 100_000_000, "the relay holds whatever comes");
        }
        let (mut other, mut its) = relayed.pair();
        other.write_all(b"I go on").unwrap();
        other.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut its), b"I go on");
        client.shutdown(Shutdown::Write).unwrap();
        let came = read_all(&mut server);
        assert_eq!(came.len(), written);
        assert!(came.iter().enumerate().all(|(index, byte)| *byte == block[index % block.len()]));
    }
}

#[test]
fn no_more_clients_than_wanted_at_a_time() {
    let relayed = Relayed::new(|relay| relay.max_connections(2));
    let (one, _its) = relayed.pair();
    let (_two, _two_its) = relayed.pair();
    let mut third = relayed.client();
    relayed.server.set_nonblocking(true).unwrap();
    thread::sleep(Duration::from_millis(50)); // nothing to wait for: it must not happen
    assert!(relayed.server.accept().unwrap_err().is_would_block());
    close((one, _its));
    relayed.server.set_nonblocking(false).unwrap();
    let mut server = relayed.server.accept().unwrap().0;
    server.set_read_timeout(Some(SOON)).unwrap();
    third.write_all(b"now").unwrap();
    third.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server), b"now");
}

#[test]
fn events_say_what_became_of_each_client() {
    let (sender, events) = std::sync::mpsc::channel();
    let relayed = Relayed::new(|relay| {
        relay.idle_timeout(Duration::from_millis(50)).on_event(move |event| sender.send(event).unwrap())
    });
    let (mut client, _server) = relayed.pair();
    let accepted = events.recv_timeout(SOON).unwrap();
    let own = std::process::id();
    assert!(
        matches!(accepted, Event::Accepted { number: 1, pid: Some(pid), .. } if pid == own),
        "{accepted:?}"
    );
    assert_eq!(client.read(&mut [0]).unwrap(), 0, "closed, as nothing came");
    let closed = events.recv_timeout(SOON).unwrap();
    assert!(matches!(closed, Event::Closed { number: 1, ended: Ended::Idle, .. }), "{closed:?}");
    // A server that is not there.
    relayed.server.close().unwrap();
    let mut client = Stream::connect(relayed.dir.path().join("relay")).unwrap();
    assert!(client.read(&mut [0]).is_ok_and(|len| len == 0));
    let unreached = events.recv_timeout(SOON).unwrap();
    assert!(matches!(unreached, Event::Unreached { number: 2, .. }), "{unreached:?}");
    assert_eq!(relayed.relay.counts().unreached, 1);
}

#[test]
fn a_stop_waits_for_clients_and_then_closes_them() {
    let relayed = Relayed::new(|relay| relay);
    let (mut client, _server) = relayed.pair();
    let path = relayed.dir.path().join("relay");
    let relay = relayed.relay;
    let (_, all_ended) = deadline(SOON, move || relay.stop(Duration::from_millis(50)));
    assert!(!all_ended && !path.exists());
    assert_eq!(client.read(&mut [0]).unwrap(), 0);
}

/// A datagram server's socket and a relay in front of it.
fn relayed_datagrams(adjust: impl FnOnce(Relay) -> Relay) -> (TempDir, Datagram, Running) {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).datagram().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    let front = Bind::new(dir.path().join("relay")).datagram().unwrap();
    let address = Address::path(dir.path().join("server")).unwrap();
    let relay = adjust(Relay::to(Server::unix(address))).start(front).unwrap();
    (dir, server, relay)
}

#[test]
fn each_answer_finds_its_client() {
    let (dir, server, relay) = relayed_datagrams(|relay| relay);
    let clients: Vec<_> = (0..100).map(|_| Datagram::client(dir.path().join("relay")).unwrap()).collect();
    let answering = thread::spawn(move || {
        for _ in 0..300 {
            let (mut message, from) = server.recv_vec().unwrap();
            message.extend_from_slice(b" to you");
            server.send_to(&message, &from).unwrap();
        }
    });
    for round in 0..3 {
        for (number, client) in clients.iter().enumerate() {
            client.send(format!("{round} {number}").as_bytes()).unwrap();
        }
        for (number, client) in clients.iter().enumerate() {
            client.set_read_timeout(Some(SOON)).unwrap();
            assert_eq!(client.recv_vec().unwrap().0, format!("{round} {number} to you").into_bytes());
        }
    }
    answering.join().unwrap();
    let (counts, _) = deadline(SOON, move || relay.stop(SOON));
    assert_eq!((counts.connections, counts.messages, counts.lost_messages), (100, 600, 0));
}

#[test]
fn datagrams_wait_for_a_full_queue_and_survive_a_new_server() {
    let (dir, server, relay) = relayed_datagrams(|relay| relay);
    let client = Datagram::client(dir.path().join("relay")).unwrap();
    let (_reader, writer) = std::io::pipe().unwrap();
    // More than any queue holds, of every length, with descriptors.
    let sending = thread::spawn(move || {
        for number in 0..2000_usize {
            let message = [number.to_ne_bytes().as_slice(), &vec![7; number % 3000]].concat();
            let fds = [writer.as_fd()];
            let outgoing = Outgoing::new().descriptors(if number % 10 == 0 { &fds } else { &[] });
            client.send_with(&[IoSlice::new(&message)], &outgoing).unwrap();
        }
        client
    });
    for number in 0..2000_usize {
        let (message, received) = server.recv_vec_with(Allow::descriptors(1)).unwrap();
        assert_eq!(message[..8], number.to_ne_bytes());
        assert_eq!(message.len(), 8 + number % 3000);
        assert_eq!(received.descriptors.len(), usize::from(number % 10 == 0));
    }
    let client = sending.join().unwrap();
    close(server);
    let server = Bind::new(dir.path().join("server")).datagram().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    client.send(b"to the new one").unwrap();
    assert_eq!(server.recv_vec().unwrap().0, b"to the new one");
    assert_eq!(relay.counts().lost_messages, 0);
}

#[test]
fn a_client_that_does_not_read_its_answers_holds_up_nobody_else() {
    let (dir, server, _relay) = relayed_datagrams(|relay| relay);
    let [silent, reader] = [(); 2].map(|()| Datagram::client(dir.path().join("relay")).unwrap());
    reader.set_read_timeout(Some(SOON)).unwrap();
    silent.send(b"silent").unwrap();
    let (_, to_silent) = server.recv_vec().unwrap();
    for number in 0..150_u32 {
        server.send_to(&number.to_ne_bytes(), &to_silent).unwrap();
    }
    reader.send(b"question").unwrap();
    let (_, to_reader) = server.recv_vec().unwrap();
    server.send_to(b"answer", &to_reader).unwrap();
    assert_eq!(reader.recv_vec().unwrap().0, b"answer");
    silent.set_read_timeout(Some(SOON)).unwrap();
    for number in 0..150_u32 {
        assert_eq!(silent.recv_vec().unwrap().0, number.to_ne_bytes());
    }
}
