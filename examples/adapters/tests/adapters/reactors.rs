//! mio, polling and smol on the blocking types.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use stoop::{Address, Bind, Datagram, Policy, Stream};
use stoop_testkit::deadline;

use crate::SOON;
use crate::examples::{mio, polling, smol};

#[test]
fn mio_serves_many_clients() {
    const CLIENTS: usize = 20;
    assert_eq!(deadline(SOON, || mio::run().unwrap()), "hello");
    deadline(SOON, || {
        let listener = Bind::new(Address::UNNAMED).listen().unwrap();
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || mio::serve(&listener, CLIENTS));
        thread::scope(|scope| {
            for number in 0..CLIENTS {
                let mut stream = Stream::connect(&address).unwrap();
                let mut writer = stream.try_clone().unwrap();
                // More than both directions' buffers hold, so that the server has to wait for space.
                scope.spawn(move || {
                    writer.write_all(&vec![number as u8; 1 << 20]).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
                scope.spawn(move || {
                    let mut received = Vec::new();
                    stream.read_to_end(&mut received).unwrap();
                    assert!(received.len() == 1 << 20 && received.iter().all(|byte| *byte == number as u8));
                });
            }
        });
        server.join().unwrap().unwrap();
    });
}

#[test]
fn polling_reports_the_socket_that_is_ready() {
    assert_eq!(deadline(SOON, || polling::run().unwrap()), "socket 1: hello");
    deadline(SOON, || {
        let pairs: Vec<_> = (0..3).map(|_| Datagram::pair().unwrap()).collect();
        let (senders, receivers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let sockets = polling::Sockets::new(&receivers).unwrap();
        assert_eq!(sockets.receive(Duration::from_millis(10)).unwrap(), None);
        for (index, sender) in senders.iter().enumerate() {
            sender.send(&[index as u8]).unwrap();
            sender.send(&[index as u8]).unwrap();
        }
        let mut received: Vec<_> = (0..6).map(|_| sockets.receive(SOON).unwrap().unwrap()).collect();
        received.sort();
        assert_eq!(received, [0, 0, 1, 1, 2, 2].map(|index| (usize::from(index), vec![index])));
        assert_eq!(sockets.receive(Duration::from_millis(10)).unwrap(), None);
    });
}

#[test]
fn smol_accepts_reads_and_writes() {
    let expected = format!("hello for pid {}", std::process::id());
    assert_eq!(deadline(SOON, || smol::run().unwrap()), expected);
}

#[test]
fn smol_waits_for_a_client_that_the_policy_allows() {
    let (answer, counts) = deadline(SOON, || {
        let mut listener = Bind::new(Address::UNNAMED).policy(Policy::nobody()).listen().unwrap();
        let address = listener.local_addr().unwrap();
        let refused = Stream::connect(&address).unwrap();
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "no client is left");
        listener.set_policy(Policy::same_user()).unwrap();
        let listener = ::smol::Async::new(listener).unwrap();
        let late = thread::spawn(move || {
            thread::sleep(Duration::from_millis(20));
            Stream::connect(address).unwrap()
        });
        let answer = ::smol::block_on(async {
            let client = async { smol::ask(::smol::unblock(|| late.join().unwrap()).await, "late").await };
            ::smol::future::try_zip(client, smol::echo_one(&listener)).await.unwrap().0
        });
        drop(refused);
        (answer, listener.get_ref().counts())
    });
    assert_eq!((answer.as_str(), counts.accepted, counts.refused), ("late", 1, 1));
}
