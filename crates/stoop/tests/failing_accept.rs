//! Servers continue if an accept, a receive or a wait fails transiently: a security module refuses
//! one client, or memory is short. Only errors of the socket itself end them. Each test runs on its
//! own thread, the only one with the seccomp filter that makes calls fail.

use std::io::{Read, Write};
use std::thread;
use std::time::Duration;

use stoop::handover::{self, Next};
use stoop::{Bind, Listener, SeqPacket, Stream};
use stoop_kernel_facts::{Errno, SOON, fail_next_calls, libc};
use stoop_testkit::{deadline, tempdir};

/// The errors that accept(2) lists, and some that a security module may return.
const OF_ONE_CLIENT: [Errno; 9] = [
    Errno::PERM,
    Errno::PROTO,
    Errno::IO,
    Errno::CONNABORTED,
    Errno::NOBUFS,
    Errno::NOMEM,
    Errno::NOSR,
    Errno::INTR,
    Errno::MFILE,
];
/// How many of them a listener counts as failed, and as exhausted.
const COUNTED: (u64, u64) = (5, 3);

const OF_THE_WAIT: [Errno; 3] = [Errno::NOMEM, Errno::AGAIN, Errno::INTR];

/// Runs `work` on a thread on which this call fails once with each of these errors.
fn failing<T: Send + 'static>(call: i64, errnos: &[Errno], work: impl FnOnce() -> T + Send + 'static) -> T {
    let errnos = errnos.to_vec();
    let work = move || {
        fail_next_calls(call, &errnos);
        work()
    };
    deadline(SOON, || thread::spawn(work).join().unwrap())
}

fn counts_of(listener: &Listener<impl stoop::Connected>) -> (u64, u64) {
    (listener.counts().failed, listener.counts().exhausted)
}

#[test]
fn a_blocking_listener_continues_after_a_transient_failure() {
    let directory = tempdir();
    let path = directory.path().join("s");
    let listener = Bind::new(&path).listen().unwrap();
    let mut client = Stream::connect(&path).unwrap();
    client.write_all(b"x").unwrap();
    failing(libc::SYS_accept4, &OF_ONE_CLIENT, move || {
        listener.accept().unwrap().0.read_exact(&mut [0]).unwrap();
        assert_eq!(counts_of(&listener), COUNTED);
    });
}

#[test]
fn a_nonblocking_listener_returns_transient_failures() {
    let directory = tempdir();
    let path = directory.path().join("s");
    let listener = Bind::new(&path).listen_seqpacket().unwrap();
    listener.set_nonblocking(true).unwrap();
    let _client = SeqPacket::connect(&path).unwrap();
    failing(libc::SYS_accept4, &[Errno::PERM, Errno::BADF], move || {
        assert!(listener.accept().unwrap_err().is_transient());
        assert!(!listener.accept().unwrap_err().is_transient(), "the socket itself");
        listener.accept().unwrap();
    });
}

#[test]
fn an_error_of_the_listener_is_returned() {
    for errno in [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::OPNOTSUPP] {
        let directory = tempdir();
        let listener = Bind::new(directory.path().join("s")).listen().unwrap();
        let error = failing(libc::SYS_accept4, &[errno], move || listener.accept().unwrap_err());
        assert_eq!(error.errno(), Some(errno.raw_os_error()));
    }
}

#[test]
fn a_server_with_hand_over_continues() {
    let calls: [(i64, &[Errno], _); 2] =
        [(libc::SYS_accept4, &OF_ONE_CLIENT, COUNTED), (libc::SYS_ppoll, &OF_THE_WAIT, (0, 0))];
    for (call, errnos, counted) in calls {
        let directory = tempdir();
        let (path, control) = (directory.path().join("s"), directory.path().join("control"));
        let mut server: handover::Server =
            handover::Server::start(&Bind::new(&path), &control, Duration::from_secs(20)).unwrap();
        let _client = Stream::connect(&path).unwrap();
        failing(call, errnos, move || {
            assert!(matches!(server.accept().unwrap(), Next::Client(_)));
            assert_eq!(counts_of(server.listener()), counted);
        });
    }
}

#[cfg(feature = "tokio")]
mod tasks {
    use stoop::Datagram;
    use stoop::aio;
    use stoop::serve::{Datagrams, End, Server};
    use tokio::io::AsyncWriteExt;

    use super::*;

    fn async_test<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn a_server_goes_on() {
        let directory = tempdir();
        let path = directory.path().join("s");
        failing(libc::SYS_accept4, &OF_ONE_CLIENT, move || {
            async_test(async {
                let server = Server::new(Bind::new(&path).listen_async().await.unwrap());
                let counters = server.counters();
                let answered = async {
                    let mut client = Stream::connect(&path).unwrap();
                    client = tokio::task::spawn_blocking(move || {
                        client.read_exact(&mut [0]).unwrap();
                        client
                    })
                    .await
                    .unwrap();
                    drop(client);
                };
                let greet = |mut client: aio::Stream, _| async move { client.write_all(b"x").await.unwrap() };
                assert_eq!(server.run(greet, answered).await.unwrap(), End::ShutDown);
                let seen = counters.snapshot();
                assert_eq!((seen.failed, seen.exhausted, seen.accepted), (COUNTED.0, COUNTED.1, 1));
            });
        });
    }

    #[test]
    fn a_server_of_datagrams_goes_on() {
        // One asks how long the next message is, the other takes it.
        for call in [libc::SYS_recvfrom, libc::SYS_recvmsg] {
            let errnos = [Errno::PERM, Errno::IO, Errno::NOMEM, Errno::NOBUFS, Errno::INTR];
            let directory = tempdir();
            let path = directory.path().join("s");
            // Bound before anything fails: what is asked there is not what is tested.
            let socket = Bind::new(&path).datagram().unwrap();
            failing(call, &errnos, move || async_test(hear_one(socket, &path)));
        }
    }

    async fn hear_one(socket: Datagram, path: &std::path::Path) {
        let server = Datagrams::new(socket.try_into().unwrap());
        let counters = server.counters();
        let client = Datagram::autobind().unwrap();
        client.send_to(b"hello", stoop::Address::path(path).unwrap()).unwrap();
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let hear = |message: stoop::serve::Message| {
            let _ = tell.send(message.bytes);
            async {}
        };
        let heard = async { assert_eq!(told.recv().await.unwrap(), b"hello") };
        assert_eq!(server.run(hear, heard).await.unwrap(), End::ShutDown);
        let seen = counters.snapshot();
        assert_eq!((seen.failed, seen.exhausted), (2, 2));
    }
}
