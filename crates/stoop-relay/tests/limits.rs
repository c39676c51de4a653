//! Limits of a relay: how many clients, of whom, for how long, how fast.

use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use stoop::{Address, Bind, Datagram, Kind, Listener, Stream};
use stoop_relay::{Admission, Ended, Event, Front, Rejection, Relay, Running, Server};
use stoop_testkit::{TempDir, deadline, eventually, tempdir};

const SOON: Duration = Duration::from_secs(30);

struct Relayed {
    dir: TempDir,
    server: Listener<Stream>,
    relay: Running,
    events: Receiver<Event>,
}

impl Relayed {
    fn new(adjust: impl FnOnce(Relay) -> Relay) -> Relayed {
        let dir = tempdir();
        let server = Bind::new(dir.path().join("server")).listen().unwrap();
        let front: Listener<Stream> = Bind::new(dir.path().join("relay")).listen().unwrap();
        let address = Address::path(dir.path().join("server")).unwrap();
        let (sender, events) = channel();
        let relay = Relay::to(Server::unix(address)).on_event(move |event| {
            let _ = sender.send(event);
        });
        let relay = adjust(relay).start(front).unwrap();
        Relayed { dir, server, relay, events }
    }

    fn client(&self) -> Stream {
        let client = Stream::connect(self.dir.path().join("relay")).unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        client
    }

    fn pair(&self) -> (Stream, Stream) {
        let client = self.client();
        let (server, _) = self.server.accept().unwrap();
        (client, server)
    }

    /// Waits for the next event that `pick` chooses.
    fn next<T>(&self, pick: impl Fn(Event) -> Option<T>) -> T {
        loop {
            if let Some(found) = pick(self.events.recv_timeout(SOON).unwrap()) {
                return found;
            }
        }
    }

    fn rejection(&self) -> Rejection {
        self.next(|event| match event {
            Event::Rejected { pid, uid, reason } => {
                assert_eq!(pid, Some(std::process::id()));
                assert_eq!(uid, Some(rustix::process::geteuid().as_raw()));
                Some(reason)
            }
            _ => None,
        })
    }
}

fn is_closed(mut client: Stream) -> bool {
    matches!(client.read(&mut [0]), Ok(0) | Err(_))
}

#[test]
fn a_user_has_as_many_connections_as_allowed() {
    let relayed = Relayed::new(|relay| relay.max_per_user(2));
    let first = relayed.pair();
    let _second = relayed.pair();
    assert!(is_closed(relayed.client()));
    assert_eq!(relayed.rejection(), Rejection::PerUser);
    drop(first);
    eventually(SOON, || relayed.relay.connections() == 1);
    let (mut client, mut server) = relayed.pair();
    client.write_all(b"x").unwrap();
    server.read_exact(&mut [0]).unwrap();
    assert_eq!(relayed.relay.counts().limited, 1);
}

#[test]
fn groups_and_refusals_are_what_the_program_says() {
    let number = std::sync::atomic::AtomicUsize::new(0);
    let relayed = Relayed::new(|relay| {
        relay.max_per_group(1).admission(move |candidate| {
            assert_eq!(candidate.peer.and_then(|peer| peer.pid.known()), Some(&std::process::id()));
            match number.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
                0 | 1 => Admission::Allow { group: Some("blue".into()) },
                2 => Admission::Allow { group: None },
                _ => Admission::Refuse { reason: "no more today".into() },
            }
        })
    });
    let _first = relayed.pair();
    assert!(is_closed(relayed.client()));
    assert_eq!(relayed.rejection(), Rejection::PerGroup("blue".into()));
    let _third = relayed.pair();
    assert!(is_closed(relayed.client()));
    assert_eq!(relayed.rejection(), Rejection::Refused("no more today".into()));
    let counts = relayed.relay.counts();
    assert_eq!((counts.refused, counts.limited, counts.connections), (1, 1, 2));
}

#[test]
fn a_client_whose_server_is_gone_takes_no_share() {
    let relayed = Relayed::new(|relay| relay.max_per_user(1));
    let Relayed { dir, server, relay, .. } = relayed;
    drop(server);
    for unreached in 1..=3 {
        let client = Stream::connect(dir.path().join("relay")).unwrap();
        assert!(is_closed(client));
        eventually(SOON, || relay.counts().unreached == unreached);
    }
    assert_eq!(relay.counts().limited, 0);
}

#[test]
fn a_connection_lasts_as_long_as_it_may_whatever_it_does() {
    let relayed = Relayed::new(|relay| relay.max_time(Duration::from_millis(300)));
    let (mut client, mut server) = relayed.pair();
    let busy = thread::spawn(move || while client.write_all(b"busy").is_ok() {});
    let mut buffer = [0; 4096];
    while server.read(&mut buffer).is_ok_and(|len| len > 0) {}
    busy.join().unwrap();
    relayed.next(|event| matches!(event, Event::Closed { ended: Ended::OutOfTime, .. }).then_some(()));
    assert_eq!(relayed.relay.counts().time_closed, 1);
}

#[test]
fn bytes_go_as_fast_as_they_may_and_a_waiting_connection_is_not_idle() {
    const BYTES: usize = 700_000;
    for descriptors in [true, false] {
        let relayed = Relayed::new(|relay| {
            // Each piece waits for longer than a connection may be idle.
            relay.descriptors(descriptors).bytes_per_second(500_000).idle_timeout(Duration::from_millis(250))
        });
        let (mut client, mut server) = relayed.pair();
        server.set_read_timeout(Some(SOON)).unwrap();
        let start = Instant::now();
        let writer = thread::spawn(move || {
            client.write_all(&vec![7; BYTES]).unwrap();
            // The end would be noticed only after all bytes.
            client
        });
        server.read_exact(&mut vec![0; BYTES]).unwrap();
        // One piece and the slack may come at once.
        assert!(start.elapsed() >= Duration::from_millis(400), "{:?}", start.elapsed());
        drop(writer.join().unwrap());
    }
}

#[test]
fn datagrams_of_a_user_share_a_limit_too() {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).datagram().unwrap();
    let front = Bind::new(dir.path().join("relay")).datagram().unwrap();
    let address = Address::path(dir.path().join("server")).unwrap();
    let relay = Relay::to(Server::unix(address)).max_per_user(1).start(front).unwrap();
    let [one, other] = [(); 2].map(|()| Datagram::client(dir.path().join("relay")).unwrap());
    one.send(b"one").unwrap();
    assert_eq!(server.recv_vec().unwrap().0, b"one");
    other.send(b"lost").unwrap();
    eventually(SOON, || relay.counts().limited == 1);
    one.send(b"two").unwrap();
    assert_eq!(server.recv_vec().unwrap().0, b"two");
    assert_eq!(relay.counts().lost_messages, 1);
    deadline(SOON, move || relay.stop(SOON));
}

/// A datagram server and a relay in front of it, which reports why clients were forgotten.
fn datagrams(adjust: impl FnOnce(Relay) -> Relay) -> (TempDir, Datagram, Running, Receiver<Ended>) {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).datagram().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    let front = Bind::new(dir.path().join("relay")).datagram().unwrap();
    let address = Address::path(dir.path().join("server")).unwrap();
    let (sender, ended) = channel();
    let relay = Relay::to(Server::unix(address)).on_event(move |event| {
        if let Event::Closed { ended, .. } = event {
            let _ = sender.send(ended);
        }
    });
    (dir, server, adjust(relay).start(front).unwrap(), ended)
}

fn datagram_client(dir: &TempDir) -> Datagram {
    let client = Datagram::client(dir.path().join("relay")).unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client
}

#[test]
fn datagrams_go_as_fast_as_they_may_in_both_directions() {
    const MESSAGES: u8 = 20;
    let (dir, server, relay, _) = datagrams(|relay| relay.bytes_per_second(500_000));
    let (fast, slow) = (datagram_client(&dir), datagram_client(&dir));
    let start = Instant::now();
    for number in 0..MESSAGES {
        fast.send(&[number; 20_000]).unwrap();
    }
    // What waits for its time delays nobody else.
    slow.send(b"slow").unwrap();
    let mut numbers = Vec::new();
    let mut addresses = Vec::new();
    while numbers.len() < usize::from(MESSAGES) {
        let (message, from) = server.recv_vec().unwrap();
        match message.len() {
            4 => assert!(numbers.len() < usize::from(MESSAGES) - 2, "it came last"),
            _ => numbers.push(message[0]),
        }
        addresses.push(from);
    }
    assert!(numbers.is_sorted());
    // 20 KB and the slack of 50 KB may come at once: 330 KB are left.
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
    let to_fast = addresses.pop().unwrap();
    let start = Instant::now();
    let answering = thread::spawn(move || {
        (0..MESSAGES)
            .for_each(|number| assert_eq!(server.send_to(&[number; 20_000], &to_fast).unwrap(), 20_000));
        server
    });
    for number in 0..MESSAGES {
        assert_eq!(fast.recv_vec().unwrap().0[0], number);
    }
    assert!(start.elapsed() >= Duration::from_millis(600), "{:?}", start.elapsed());
    drop(answering.join().unwrap());
    assert_eq!(relay.counts().lost_messages, 0);
    deadline(SOON, move || relay.stop(SOON));
}

#[test]
fn a_datagram_client_is_known_for_as_long_as_it_may_be() {
    let (dir, server, relay, ended) = datagrams(|relay| relay.max_time(Duration::from_millis(100)));
    let client = datagram_client(&dir);
    client.send(b"one").unwrap();
    let (_, before) = server.recv_vec().unwrap();
    assert!(matches!(ended.recv_timeout(SOON).unwrap(), Ended::OutOfTime));
    assert_eq!(relay.counts().time_closed, 1);
    eventually(SOON, || relay.connections() == 0);
    client.send(b"two").unwrap();
    let (message, after) = server.recv_vec().unwrap();
    assert_eq!(message, b"two");
    assert_ne!(before, after);
    server.send_to(b"answer", &after).unwrap();
    assert_eq!(client.recv_vec().unwrap().0, b"answer");
}

/// What clients leave unread is charged to the one socket that answers all of them.
#[test]
fn hundreds_of_unread_answers_delay_nobody() {
    let (dir, server, _relay, _) = datagrams(|relay| relay);
    let silent: Vec<Datagram> = (0..150).map(|_| datagram_client(&dir)).collect();
    for client in &silent {
        client.send(b"silent").unwrap();
        let (_, from) = server.recv_vec().unwrap();
        (0..2).for_each(|number| assert_eq!(server.send_to(&[number], &from).unwrap(), 1));
    }
    let reader = datagram_client(&dir);
    for _ in 0..10 {
        reader.send(b"question").unwrap();
        let (_, from) = server.recv_vec().unwrap();
        server.send_to(b"answer", &from).unwrap();
        assert_eq!(reader.recv_vec().unwrap().0, b"answer");
    }
    for client in &silent {
        (0..2).for_each(|number| assert_eq!(client.recv_vec().unwrap().0, [number]));
    }
}

#[test]
fn what_is_read_elsewhere_are_the_same_counters() {
    let relayed = Relayed::new(|relay| relay);
    let monitor = relayed.relay.monitor();
    let pair = relayed.pair();
    eventually(SOON, || (monitor.connections(), monitor.counts().connections) == (1, 1));
    drop(pair);
    let relay = relayed.relay;
    let (counts, _) = deadline(SOON, move || relay.stop(SOON));
    assert_eq!(monitor.counts(), counts);
    assert!(monitor.counts().openmetrics(0).contains("stoop_relay_connections_total 1\n"));
}

/// A relay in front of a server has the same limits.
#[test]
fn limits_hold_in_front_of_a_server_as_well() {
    let dir = tempdir();
    let path = dir.path().join("app.sock");
    let server: Listener<Stream> = Bind::new(&path).listen().unwrap();
    let (front, behind) = Front::interpose(Bind::new(&path), Kind::Stream).unwrap();
    let relay = Relay::to(behind).max_per_user(1).start(front).unwrap();
    let _client = Stream::connect(&path).unwrap();
    let _accepted = server.accept().unwrap();
    assert!(is_closed(Stream::connect(&path).unwrap()));
    assert_eq!(relay.counts().limited, 1);
}
