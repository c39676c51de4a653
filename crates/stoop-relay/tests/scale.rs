//! Many clients at once, and many one after the other: each gets its own answer, and nothing is
//! left. `STOOP_CASES` sets their number.

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use stoop::{Address, Allow, Bind, Datagram, Listener, Stream};
use stoop_relay::{Relay, Running, Server};
use stoop_testkit::{allow_descriptors, cases, deadline, eventually, tempdir};

/// Longer than anything here takes, with the largest numbers.
const LONG: Duration = Duration::from_secs(600);

/// By default, what a build without optimization does in a second or two.
const CASES: u32 = 1000;

/// What a process may leak: file descriptors, threads, and pages.
#[derive(Clone, Copy, Debug)]
struct Held {
    descriptors: usize,
    threads: usize,
    pages: usize,
}

impl Held {
    fn now() -> Held {
        let count = |place: &str| fs::read_dir(place).unwrap().count();
        let memory = fs::read_to_string("/proc/self/statm").unwrap();
        let pages = memory.split(' ').nth(1).unwrap().parse().unwrap();
        Held { descriptors: count("/proc/self/fd"), threads: count("/proc/self/task"), pages }
    }
}

fn relay(dir: &Path, adjust: impl FnOnce(Relay) -> Relay) -> Running {
    let front: Listener<Stream> = Bind::new(dir.join("relay")).listen().unwrap();
    let server = Server::unix(Address::path(dir.join("server")).unwrap());
    adjust(Relay::to(server)).start(front).unwrap()
}

/// All are connected before the first is answered. Each connection takes four file descriptors of
/// this process, since all three parties are in it.
fn at_once(count: usize, allows_descriptors: bool) {
    let dir = tempdir();
    let server: Listener<Stream> = Bind::new(dir.path().join("server")).listen().unwrap();
    let relay = relay(dir.path(), |relay| relay.descriptors(allows_descriptors));
    let accepting = thread::spawn(move || (0..count).map(|_| server.accept().unwrap().0).collect::<Vec<_>>());
    // More than a look at the queue shows, so that the kernel's count is asked.
    let question = |number: usize| [number.to_ne_bytes(); 1024].concat();
    let mut clients = Vec::new();
    for number in 0..count {
        let mut client = Stream::connect(dir.path().join("relay")).unwrap();
        client.write_all(&question(number)).unwrap();
        clients.push(client);
    }
    let accepted = accepting.join().unwrap();
    assert_eq!(relay.connections(), count);
    let answering = thread::spawn(move || {
        for mut connection in accepted {
            let mut asked = vec![0; 8192];
            connection.read_exact(&mut asked).unwrap();
            asked.reverse();
            connection.write_all(&asked).unwrap();
        }
    });
    for (number, mut client) in clients.into_iter().enumerate() {
        let (mut answer, mut expected) = (vec![0; 8192], question(number));
        expected.reverse();
        client.read_exact(&mut answer).unwrap();
        assert!(answer == expected, "client {number} got the answer of another");
    }
    answering.join().unwrap();
    let (counts, ended) = relay.stop(LONG);
    assert!(ended);
    assert_eq!((counts.connections, counts.bytes_up), (count as u64, count as u64 * 8192));
}

/// Every client of a datagram server gets its own answer.
fn datagrams(count: usize) {
    let dir = tempdir();
    let server = Bind::new(dir.path().join("server")).datagram().unwrap();
    let front = Bind::new(dir.path().join("relay")).datagram().unwrap();
    let address = Address::path(dir.path().join("server")).unwrap();
    let relay = Relay::to(Server::unix(address)).start(front).unwrap();
    let answering = thread::spawn(move || {
        for _ in 0..2 * count {
            let (mut message, received) = server.recv_vec_with(Allow::NOTHING).unwrap();
            message.reverse();
            server.reply(&message, &received.origin()).unwrap();
        }
    });
    let clients: Vec<Datagram> =
        (0..count).map(|_| Datagram::client(dir.path().join("relay")).unwrap()).collect();
    let set_nonblocking = |on| clients.iter().for_each(|client| client.set_nonblocking(on).unwrap());
    for round in 0..2 {
        set_nonblocking(false);
        for (number, client) in clients.iter().enumerate() {
            client.send(format!("{round} {number}").as_bytes()).unwrap();
        }
        set_nonblocking(true);
        // As they come: all answers share one send buffer, which unread ones fill.
        let mut waiting: Vec<usize> = (0..count).collect();
        eventually(LONG, || {
            waiting.retain(|&number| match clients[number].recv_vec() {
                Ok((answer, _)) => {
                    let expected: Vec<u8> = format!("{round} {number}").bytes().rev().collect();
                    assert_eq!(answer, expected);
                    false
                }
                Err(error) => {
                    assert!(error.is_would_block(), "{error}");
                    true
                }
            });
            waiting.is_empty()
        });
    }
    answering.join().unwrap();
    let counts = relay.counts();
    assert_eq!((counts.connections, counts.lost_messages), (count as u64, 0));
    relay.stop(LONG);
}

/// One client after the other. What the process holds does not grow with them.
fn one_after_the_other(count: usize) {
    let dir = tempdir();
    let server: Listener<Stream> = Bind::new(dir.path().join("server")).listen().unwrap();
    let relay = relay(dir.path(), |relay| relay.max_per_user(100));
    let echoing = thread::spawn(move || {
        for _ in 0..count + 100 {
            let (mut connection, _) = server.accept().unwrap();
            let mut byte = [0];
            while connection.read(&mut byte).is_ok_and(|len| len > 0) {
                connection.write_all(&byte).unwrap();
            }
        }
    });
    let path = dir.path().join("relay");
    let ask = |times: usize| {
        for number in 0..times {
            let mut client = Stream::connect(&path).unwrap();
            client.write_all(&[number as u8]).unwrap();
            let mut byte = [0];
            client.read_exact(&mut byte).unwrap();
            assert_eq!(byte, [number as u8]);
        }
        eventually(LONG, || relay.connections() == 0);
    };
    ask(100);
    let before = Held::now();
    ask(count);
    // The server may still have the last client's connection.
    let mut after = Held::now();
    eventually(LONG, || {
        after = Held::now();
        after.descriptors <= before.descriptors && after.threads <= before.threads
    });
    // An allocator may keep some; a leak of 100 bytes for each of 100,000 would be 2,400 pages.
    assert!(after.pages < before.pages + 512, "{before:?} {after:?}");
    echoing.join().unwrap();
    relay.stop(LONG);
}

/// In one test: they count what the process holds, and are not to see each other.
#[test]
fn many_clients_leave_nothing_behind() {
    deadline(LONG, || {
        let count = cases(CASES) as usize;
        let limit = allow_descriptors(12 * count as u64) as usize;
        let before = Held::now();
        let fits = (limit / 6).min(count);
        at_once(fits.min(10_000), true);
        at_once(fits.min(10_000), false);
        datagrams(fits.min(1000));
        one_after_the_other(count);
        eventually(LONG, || Held::now().descriptors == before.descriptors);
    });
}
