//! What else can be at either end: resets, programs, and messages over byte streams.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use stoop::{Address, Bind, Datagram, Kind, SeqPacket, SocketExt, Stream};
use stoop_relay::{Ended, Event, Relay, Running, Server};
use stoop_testkit::{TempDir, close, deadline, eventually, tempdir};

const SOON: Duration = Duration::from_secs(30);

fn address(dir: &TempDir, name: &str) -> Address {
    Address::path(dir.path().join(name)).unwrap()
}

/// Relays a Unix socket to a TCP listener, which is returned.
fn to_tcp(dir: &TempDir) -> (Running, TcpListener) {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let front = Bind::new(dir.path().join("relay")).listen().unwrap();
    (Relay::to(Server::tcp("127.0.0.1", port)).start(front).unwrap(), tcp)
}

fn reset(stream: TcpStream) {
    set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[test]
fn a_reset_becomes_one_over_tcp() {
    let dir = tempdir();
    let (relay, tcp) = to_tcp(&dir);
    let client = Stream::connect(dir.path().join("relay")).unwrap();
    let (mut server, _) = tcp.accept().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    server.write_all(b"never read").unwrap();
    (&client).write_all(b"before").unwrap();
    let mut before = [0; 6];
    server.read_exact(&mut before).unwrap();
    eventually(SOON, || client.unread_bytes().unwrap() == 10);
    // Closed with unread data, so the relay's end is reset, and the server's, too.
    close(client);
    let error = server.read(&mut before).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    let (counts, _) = deadline(SOON, move || relay.stop(SOON));
    assert_eq!(counts.lost_resets, 0);
}

#[test]
fn bytes_before_a_reset_arrive() {
    let dir = tempdir();
    let unix = Bind::new(dir.path().join("server")).listen().unwrap();
    let front = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = front.local_addr().unwrap().port();
    let relay = Relay::to(Server::unix(address(&dir, "server"))).start(front).unwrap();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    let (mut server, _) = unix.accept().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    client.write_all(b"a question").unwrap();
    let mut question = [0; 10];
    server.read_exact(&mut question).unwrap();
    server.write_all(b"the answer").unwrap();
    client.read_exact(&mut question).unwrap();
    // The other end of a Unix socket can be reset only if the relay leaves something unread.
    reset(client);
    assert!(matches!(server.read(&mut question), Ok(0)));
    eventually(SOON, || relay.counts().lost_resets == 1);
}

#[test]
fn a_reset_goes_through_two_relays() {
    let dir = tempdir();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let first = TcpListener::bind("127.0.0.1:0").unwrap();
    let entry = first.local_addr().unwrap();
    let _relay = Relay::to(Server::tcp("127.0.0.1", tcp.local_addr().unwrap().port())).start(first).unwrap();
    let client = TcpStream::connect(entry).unwrap();
    let (mut server, _) = tcp.accept().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    reset(client);
    assert_eq!(server.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    drop(dir);
}

/// A relay from a Unix socket of `kind` to TCP and one from TCP to another, with frames between.
fn framed(dir: &TempDir, kind: Kind) -> [Running; 2] {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    let far = Server::unix(address(dir, "server")).kind(kind);
    let far = Relay::to(far).framed(true).start(tcp).unwrap();
    let near = Relay::to(Server::tcp("127.0.0.1", port)).framed(true);
    let front = Bind::new(dir.path().join("relay"));
    let near = match kind {
        Kind::Datagram => near.start(front.datagram().unwrap()),
        _ => near.start(front.listen_seqpacket().unwrap()),
    };
    [near.unwrap(), far]
}

fn messages() -> Vec<Vec<u8>> {
    let lens = [1, 0, 7, 2047, 2048, 100_000, 0, 5];
    lens.iter().enumerate().map(|(number, len)| vec![number as u8; *len]).collect()
}

#[test]
fn seqpackets_cross_tcp_whole() {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).listen_seqpacket().unwrap();
    let [near, far] = framed(&dir, Kind::SeqPacket);
    let client = SeqPacket::connect(dir.path().join("relay")).unwrap();
    let (accepted, _) = server.accept().unwrap();
    for socket in [&client, &accepted] {
        socket.set_pass_credentials(true).unwrap();
        socket.set_read_timeout(Some(SOON)).unwrap();
    }
    for (from, to) in [(&client, &accepted), (&accepted, &client)] {
        for message in messages() {
            match message.is_empty() {
                true => drop(rustix::net::send(from, b"", rustix::net::SendFlags::empty()).unwrap()),
                false => from.send(&message).unwrap(),
            };
            let (came, received) = to.recv_vec_with(stoop::Allow::NOTHING).unwrap();
            assert!(came == message && !received.is_end());
        }
        // A half-close is one, and the other direction goes on.
        from.shutdown(Shutdown::Write).unwrap();
        assert!(to.recv_vec_with(stoop::Allow::NOTHING).unwrap().1.is_end());
    }
    for relay in [near, far] {
        let (counts, all_ended) = deadline(SOON, move || relay.stop(SOON));
        assert!(all_ended);
        assert_eq!((counts.messages, counts.lost_messages, counts.lost_resets), (16, 0, 0), "{counts:?}");
    }
}

#[test]
fn datagrams_cross_tcp_and_each_answer_finds_its_client() {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).datagram().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    let [near, far] = framed(&dir, Kind::Datagram);
    let clients: Vec<_> = (0..20).map(|_| Datagram::client(dir.path().join("relay")).unwrap()).collect();
    for message in messages() {
        for (number, client) in clients.iter().enumerate() {
            let message = [&[number as u8], &message[..]].concat();
            client.send(&message).unwrap();
            let (came, from) = server.recv_vec().unwrap();
            assert!(came == message);
            server.send_to(&[&came[..], b"!"].concat(), &from).unwrap();
            client.set_read_timeout(Some(SOON)).unwrap();
            assert!(client.recv_vec().unwrap().0 == [&message[..], b"!"].concat());
        }
    }
    let (counts, _) = deadline(SOON, move || near.stop(SOON));
    assert_eq!((counts.connections, counts.messages, counts.lost_messages), (20, 320, 0), "{counts:?}");
    let (counts, all_ended) = deadline(SOON, move || far.stop(SOON));
    assert!(all_ended, "a client that was forgotten ends its connection: {counts:?}");
}

#[test]
fn what_is_sent_before_a_stop_arrives() {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).datagram().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    let [near, _far] = framed(&dir, Kind::Datagram);
    let client = Datagram::client(dir.path().join("relay")).unwrap();
    client.send(b"last").unwrap();
    deadline(SOON, move || near.stop(SOON));
    assert_eq!(server.recv_vec().unwrap().0, b"last");
}

#[test]
fn a_peer_without_frames_is_told_from_one_with() {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).listen_seqpacket().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let entry = tcp.local_addr().unwrap();
    let (sender, events) = channel();
    let far = Server::unix(address(&dir, "server")).kind(Kind::SeqPacket);
    let relay = Relay::to(far).framed(true).on_event(move |event| sender.send(event).unwrap());
    let _relay = relay.start(tcp).unwrap();
    let mut client = TcpStream::connect(entry).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let _accepted = server.accept().unwrap();
    let mut rest = Vec::new();
    let _ = client.read_to_end(&mut rest);
    assert_eq!(rest, b"");
    assert!(matches!(events.recv_timeout(SOON).unwrap(), Event::Accepted { .. }));
    let closed = events.recv_timeout(SOON).unwrap();
    let Event::Closed { ended: Ended::Failed(error), .. } = closed else { panic!("{closed:?}") };
    assert!(error.to_string().contains("not in the framing"), "{error}");
}

#[test]
fn a_program_serves_each_client_and_its_exit_is_an_event() {
    let dir = tempdir();
    let front = Bind::new(dir.path().join("relay")).listen().unwrap();
    let (sender, events) = channel();
    let relay = Relay::to(Server::exec("sh", ["-c", "sort; exit 3"]))
        .on_event(move |event| sender.send(event).unwrap())
        .start(front)
        .unwrap();
    for _ in 0..2 {
        let mut client = Stream::connect(dir.path().join("relay")).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client.write_all(b"two\none\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut sorted = String::new();
        client.read_to_string(&mut sorted).unwrap();
        assert_eq!(sorted, "one\ntwo\n");
    }
    let mut exits: Vec<_> = Vec::new();
    while exits.len() < 2 {
        if let Event::Exited { number, status } = events.recv_timeout(SOON).unwrap() {
            exits.push((number, status.code()));
        }
    }
    exits.sort_unstable();
    assert_eq!(exits, [(1, Some(3)), (2, Some(3))]);
    assert_eq!(relay.counts().connections, 2);
}

#[test]
fn a_program_that_is_not_there_is_said() {
    let dir = tempdir();
    let front = Bind::new(dir.path().join("relay")).listen().unwrap();
    let (sender, events) = channel();
    let _relay = Relay::to(Server::exec("/nonexistent", [""; 0]))
        .on_event(move |event| sender.send(event).unwrap())
        .start(front)
        .unwrap();
    let _client = Stream::connect(dir.path().join("relay")).unwrap();
    let event = events.recv_timeout(SOON).unwrap();
    assert!(
        matches!(&event, Event::Unreached { error, .. } if error.kind() == ErrorKind::NotFound),
        "{event:?}"
    );
}

#[test]
fn a_server_of_another_kind_is_refused_without_frames() {
    let dir = tempdir();
    let _server = Bind::new(dir.path().join("server")).listen_seqpacket().unwrap();
    let front = Bind::new(dir.path().join("relay")).listen().unwrap();
    let (sender, events) = channel();
    let server = Server::unix(address(&dir, "server")).kind(Kind::SeqPacket);
    let _relay = Relay::to(server).on_event(move |event| sender.send(event).unwrap()).start(front).unwrap();
    let mut client = Stream::connect(dir.path().join("relay")).unwrap();
    assert!(client.read(&mut [0]).is_ok_and(|len| len == 0));
    let event = events.recv_timeout(SOON).unwrap();
    assert!(
        matches!(&event, Event::Unreached { error, .. } if error.kind() == ErrorKind::Unsupported),
        "{event:?}"
    );
}
