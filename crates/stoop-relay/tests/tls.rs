//! TLS on both sides, with certificates that are made here.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, SanType,
    date_time_ymd,
};
use stoop::{Address, Bind, Kind, Listener, SeqPacket, SocketExt, Stream};
use stoop_relay::{Ended, Event, Front, Relay, Running, Server, Tls};
use stoop_testkit::{TempDir, deadline, tempdir};

const SOON: Duration = Duration::from_secs(30);

/// Tells the authorities apart: certificates name their issuer.
static AUTHORITIES: AtomicUsize = AtomicUsize::new(0);

/// An authority that issues certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params
            .distinguished_name
            .push(DnType::CommonName, format!("authority {}", AUTHORITIES.fetch_add(1, Ordering::Relaxed)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    /// Issues a certificate, and returns it with its key.
    fn issue(&self, names: &[&str], adjust: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        let name = |name: &&str| match name.contains("://") {
            true => SanType::URI((*name).try_into().unwrap()),
            false => SanType::DnsName((*name).try_into().unwrap()),
        };
        params.subject_alt_names = names.iter().map(name).collect();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        adjust(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn tls(&self, names: &[&str]) -> Tls {
        let (certificate, key) = self.issue(names, |_| {});
        self.trusting().identity(certificate.as_bytes(), key.as_bytes()).unwrap()
    }

    fn trusting(&self) -> Tls {
        Tls::new(self.pem.as_bytes()).unwrap()
    }
}

/// A client's socket, a relay to TLS, one from TLS, and a server.
struct Tunnel {
    dir: TempDir,
    server: Listener<Stream>,
    near: Running,
    far: Running,
    near_events: Receiver<Event>,
    far_events: Receiver<Event>,
}

impl Tunnel {
    fn new(near: &Tls, far: &Tls) -> Tunnel {
        let dir = tempdir();
        let server = Bind::new(dir.path().join("server")).listen().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let address = Address::path(dir.path().join("server")).unwrap();
        let ((near_sender, near_events), (far_sender, far_events)) = (channel(), channel());
        let far = Relay::to(Server::unix(address))
            .on_event(move |event| drop(far_sender.send(event)))
            .start(Front::tls(listener, far).unwrap())
            .unwrap();
        let front = Bind::new(dir.path().join("relay")).listen().unwrap();
        let near = Relay::to(Server::tls("localhost", port, near))
            .on_event(move |event| drop(near_sender.send(event)))
            .start(front)
            .unwrap();
        Tunnel { dir, server, near, far, near_events, far_events }
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

    /// Returns why the first client was not relayed, on either side.
    fn refusal(&self) -> (String, String) {
        let mut client = self.client();
        let _ = client.read(&mut [0]);
        (failure(&self.near_events), failure(&self.far_events))
    }
}

fn failure(events: &Receiver<Event>) -> String {
    loop {
        match events.recv_timeout(SOON).unwrap() {
            Event::Unreached { error, .. } | Event::NotAccepted { error } => return error.to_string(),
            Event::Closed { ended: Ended::Failed(error), .. } => return error.to_string(),
            Event::Closed { .. } => return "closed".into(),
            _ => {}
        }
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

fn read_all(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn bytes_come_through_both_ways_and_a_half_close_is_one() {
    let authority = Authority::new();
    let tunnel = Tunnel::new(&authority.tls(&["client"]), &authority.tls(&["localhost"]));
    let (mut client, mut server) = tunnel.pair();
    let (question, answer) = (pattern(3_000_000), pattern(2_000_000));
    let sent = question.clone();
    let asking = thread::spawn(move || {
        client.write_all(&sent).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        read_all(&mut client)
    });
    assert!(read_all(&mut server) == question);
    // The question has ended, and the answer takes its time.
    thread::sleep(Duration::from_millis(700));
    server.write_all(&answer).unwrap();
    drop(server);
    assert!(asking.join().unwrap() == answer);
    let Tunnel { near, far, .. } = tunnel;
    for relay in [near, far] {
        let (counts, all_ended) = deadline(SOON, move || relay.stop(SOON));
        assert!(all_ended);
        assert_eq!((counts.bytes_up, counts.bytes_down, counts.lost_resets), (3_000_000, 2_000_000, 0));
    }
}

#[test]
fn a_writer_waits_for_its_reader() {
    let authority = Authority::new();
    let tunnel = Tunnel::new(&authority.tls(&["client"]), &authority.tls(&["localhost"]));
    let (client, mut server) = tunnel.pair();
    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let block = pattern(50_000);
    let mut written = 0;
    while let Ok(len) = (&client).write(&block[written % block.len()..]) {
        written += len;
        assert!(written < 200_000_000, "it holds whatever comes");
    }
    client.shutdown(Shutdown::Write).unwrap();
    let came = read_all(&mut server);
    assert_eq!(came.len(), written);
    assert!(came.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % block.len() % 251));
}

#[test]
fn a_client_that_breaks_off_is_no_end() {
    let authority = Authority::new();
    let tunnel = Tunnel::new(&authority.tls(&["client"]), &authority.tls(&["localhost"]));
    let (mut client, mut server) = tunnel.pair();
    client.write_all(b"half a mess").unwrap();
    let mut half = [0; 11];
    server.read_exact(&mut half).unwrap();
    server.write_all(b"unread").unwrap();
    stoop_testkit::eventually(SOON, || client.unread_bytes().unwrap() == 6);
    // Closed with unread data: a reset, without close_notify.
    stoop_testkit::close(client);
    // The server's socket cannot be reset, as the relay has read everything from it: the loss is
    // counted, in the last relay and nowhere else.
    let _ = server.read(&mut half);
    stoop_testkit::eventually(SOON, || tunnel.far.counts().lost_resets == 1);
    assert_eq!(tunnel.near.counts().lost_resets, 0);
}

#[test]
fn strangers_are_refused_in_words() {
    let (authority, other) = (Authority::new(), Authority::new());
    let server = authority.tls(&["localhost"]);
    let old = |params: &mut CertificateParams| {
        (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(2001, 1, 1));
    };
    let with = |(certificate, key): (String, String)| {
        authority.trusting().identity(certificate.as_bytes(), key.as_bytes()).unwrap()
    };
    let (certificate, key) = other.issue(&["client"], |_| {});
    let stranger = authority.trusting().identity(certificate.as_bytes(), key.as_bytes()).unwrap();
    for (near, far, words) in [
        (authority.trusting(), server.clone(), "no certificates"),
        (stranger, server.clone(), "UnknownIssuer"),
        (with(authority.issue(&["client"], old)), server.clone(), "expired"),
        (authority.tls(&["client"]), server.allow_name("another"), "not allowed: client"),
    ] {
        let (at_client, at_server) = Tunnel::new(&near, &far).refusal();
        assert!(at_server.contains(words), "{words}: {at_server}");
        assert!(!at_client.is_empty());
    }
    for (near, far, words) in [
        (other.trusting(), server, "UnknownIssuer"),
        (authority.tls(&["client"]), authority.tls(&["elsewhere"]), "not valid for name"),
        (authority.tls(&["client"]), with(authority.issue(&["localhost"], old)), "expired"),
    ] {
        let (at_client, _) = Tunnel::new(&near, &far).refusal();
        assert!(at_client.contains(words), "{words}: {at_client}");
    }
}

#[test]
fn names_are_of_hosts_or_uris() {
    let authority = Authority::new();
    let client = authority.tls(&["client", "spiffe://example/web"]);
    for name in ["client", "spiffe://example/web"] {
        let server = authority.tls(&["localhost"]).allow_name("another").allow_name(name);
        let tunnel = Tunnel::new(&client, &server);
        let (mut client, mut server) = tunnel.pair();
        client.write_all(b"hello").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_all(&mut server), b"hello");
    }
    let server = authority.tls(&["localhost"]).allow_name("spiffe://example/webs");
    assert!(Tunnel::new(&client, &server).refusal().1.contains("spiffe://example/web"));
}

#[test]
fn the_names_of_a_client_are_known_behind_the_handshake() {
    let authority = Authority::new();
    let (near, far) = (authority.tls(&["spiffe://example/ci", "ci.example"]), authority.tls(&["localhost"]));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let ((callers, called), (events, happened)) = (channel(), channel());
    let custom = Server::custom(move |caller| {
        let (here, there) = Stream::pair()?;
        callers.send((caller.number, caller.names.to_vec(), there)).unwrap();
        Ok(here)
    });
    let far = Relay::to(custom)
        .on_event(move |event| drop(events.send(event)))
        .start(Front::tls(listener, &far).unwrap())
        .unwrap();
    let dir = tempdir();
    let front = Bind::new(dir.path().join("relay")).listen().unwrap();
    let near = Relay::to(Server::tls("localhost", port, &near)).start(front).unwrap();
    let mut client = Stream::connect(dir.path().join("relay")).unwrap();
    client.write_all(b"question").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (number, its_names, mut server) = called.recv_timeout(SOON).unwrap();
    assert_eq!((number, &its_names[..]), (1, &["spiffe://example/ci".to_owned(), "ci.example".into()][..]));
    assert_eq!(read_all(&mut server), b"question");
    let Event::Accepted { names, pid: None, .. } = happened.recv_timeout(SOON).unwrap() else { panic!() };
    assert_eq!(names, its_names);
    let _ = [near, far].map(|relay| relay.stop(Duration::ZERO));
}

#[test]
fn a_port_scanner_holds_up_nobody() {
    let authority = Authority::new();
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).listen().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let front = Front::tls(listener, &authority.tls(&["localhost"])).unwrap();
    let address = Address::path(dir.path().join("server")).unwrap();
    let far = Relay::to(Server::unix(address)).start(front).unwrap();
    let silent: Vec<_> = (0..20).map(|_| TcpStream::connect(at).unwrap()).collect();
    let front = Bind::new(dir.path().join("relay")).listen().unwrap();
    let near = Server::tls("localhost", at.port(), &authority.tls(&["client"]));
    let _near = Relay::to(near).start(front).unwrap();
    let mut client = Stream::connect(dir.path().join("relay")).unwrap();
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    assert_eq!(read_all(&mut accepted), b"hello");
    // After the stop nobody listens.
    deadline(SOON, move || far.stop(Duration::ZERO));
    drop(silent);
    let refused = || TcpStream::connect(at).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    stoop_testkit::eventually(SOON, refused);
}

#[test]
fn messages_cross_tls_whole() {
    let authority = Authority::new();
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).listen_seqpacket().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let far = Server::unix(Address::path(dir.path().join("server")).unwrap()).kind(Kind::SeqPacket);
    let front = Front::tls(listener, &authority.tls(&["localhost"])).unwrap();
    let _far = Relay::to(far).framed(true).start(front).unwrap();
    let front = Bind::new(dir.path().join("relay")).listen_seqpacket().unwrap();
    let near = Server::tls("localhost", port, &authority.tls(&["client"]));
    let _near = Relay::to(near).framed(true).start(front).unwrap();
    let client = SeqPacket::connect(dir.path().join("relay")).unwrap();
    let (accepted, _) = server.accept().unwrap();
    accepted.set_read_timeout(Some(SOON)).unwrap();
    for len in [1, 3000, 100_000] {
        client.send(&pattern(len)).unwrap();
        let (message, received) = accepted.recv_vec_with(stoop::Allow::NOTHING).unwrap();
        assert!(message == pattern(len) && !received.is_end());
    }
}
