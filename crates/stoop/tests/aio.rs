//! The sockets on tokio: what the reactor must not lose, split halves, foreign loops, and life
//! without descriptors.

mod async_test;

use std::future::poll_fn;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd, OwnedFd};
use std::task::Poll;
use std::time::Duration;

use async_test::{Usage, abandon, async_test, runtime};
use stoop::aio::split::ReuniteError;
use stoop::{Address, Allow, Bind, Connect, ErrorKind, Outgoing, Packet, SocketExt, Stream, aio};
use stoop_kernel_facts::{die_of_sigpipe, leave_room_for};
use stoop_testkit::{Role, open_descriptors, role, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest, ReadBuf};

/// A connected stream and its accepted end. The end is registered in one way where it is alone, in
/// another in a crowd.
struct Connection {
    client: aio::Stream,
    end: aio::Stream,
    _others: Vec<aio::Stream>,
}

async fn connection(others: usize) -> Connection {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let listener = Bind::new(&path).listen_async().await.unwrap();
    let mut all = Vec::new();
    for _ in 0..=others {
        all.push(aio::Stream::connect(&path).await.unwrap());
        all.push(listener.accept().await.unwrap().0);
    }
    let (end, client) = (all.pop().unwrap(), all.pop().unwrap());
    Connection { client, end, _others: all }
}

/// Whatever a read stops at, what lies behind it has been announced already and must not be waited
/// for.
async fn read_in_pieces(reader: &mut aio::Stream, pieces: &[&[u8]]) {
    // First let the reactor see all of it at once.
    reader.readable().await.unwrap();
    for piece in pieces {
        let mut buffer = [0; 64];
        let len = tokio::time::timeout(Duration::from_secs(5), reader.read(&mut buffer)).await;
        assert_eq!(&buffer[..len.expect("a read that waits for what is there").unwrap()], *piece);
    }
}

#[test]
fn bytes_behind_a_descriptor_are_read() {
    async_test(|| async {
        let Connection { mut client, mut end, _others } = connection(20).await;
        for reader_is_client in [true, false] {
            let (reader, writer) = if reader_is_client { (&mut client, &end) } else { (&mut end, &client) };
            let null = std::fs::File::open("/dev/null").unwrap();
            let fds = [null.as_fd()];
            writer.try_write(b"plain ").unwrap();
            writer.send_with(&[IoSlice::new(b"with")], &Outgoing::new().descriptors(&fds)).await.unwrap();
            writer.try_write(b"behind").unwrap();
            read_in_pieces(reader, &[b"plain with", b"behind"]).await;
        }
    });
}

#[test]
fn bytes_behind_an_urgent_byte_are_read() {
    async_test(|| async {
        let Connection { client, mut end, _others } = connection(0).await;
        client.try_write(b"before").unwrap();
        if rustix::net::send(&client, b"!", rustix::net::SendFlags::OOB).is_err() {
            return; // this kernel has no urgent bytes on local sockets, so nothing can be lost behind one
        }
        client.try_write(b"behind").unwrap();
        read_in_pieces(&mut end, &[b"before", b"behind"]).await;
    });
}

#[test]
fn bytes_of_several_senders_are_read() {
    const TEST: &str = "bytes_of_several_senders_are_read";
    if role().is_some() {
        // A second process that writes to the same stream, which it has as its stdin.
        let fd = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        rustix::io::write(&fd, b"theirs").unwrap();
        return;
    }
    async_test(|| async {
        let Connection { client, mut end, _others } = connection(0).await;
        end.set_pass_credentials(true).unwrap();
        client.try_write(b"ours").unwrap();
        let fd = client.as_fd().try_clone_to_owned().unwrap();
        let mut child = std::process::Command::new("/proc/self/exe")
            .args(["--exact", TEST, "--nocapture", "-q"])
            .env("STOOP_ROLE", "sender")
            .stdin(fd)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        assert!(child.wait().unwrap().success());
        client.try_write(b"again").unwrap();
        read_in_pieces(&mut end, &[b"ours", b"theirs", b"again"]).await;
    });
}

#[test]
fn large_writes_wait_for_room_both_ways() {
    async_test(|| async {
        let (one, many) = (connection(0).await, connection(20).await);
        for (mut from, mut to) in [one, many].into_iter().flat_map(|both| {
            let (one_reads, one_writes) = both.client.into_split();
            let (other_reads, other_writes) = both.end.into_split();
            [(one_writes, other_reads), (other_writes, one_reads)]
        }) {
            let payload: Vec<u8> = (0..4 << 20).map(|at: u32| (at * 7 % 251) as u8).collect();
            let expected = payload.clone();
            let writer = tokio::spawn(async move {
                let mut rest = [IoSlice::new(&payload[..1 << 20]), IoSlice::new(&payload[1 << 20..])];
                let mut rest = &mut rest[..];
                while !rest.is_empty() {
                    let len = from.write_vectored(rest).await.unwrap();
                    IoSlice::advance_slices(&mut rest, len);
                }
            });
            let mut heard = Vec::new();
            to.read_to_end(&mut heard).await.unwrap();
            assert!(heard == expected);
            writer.await.unwrap();
        }
    });
}

#[test]
fn halves_carry_descriptors_while_the_other_waits() {
    async_test(|| async {
        let Connection { mut client, mut end, _others } = connection(0).await;
        let (mut reads, mut writes) = client.split();
        let waiting = async {
            let mut buffer = [0; 8];
            let received =
                reads.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::descriptors(1)).await.unwrap();
            (received.len, received.descriptors.len())
        };
        let null = std::fs::File::open("/dev/null").unwrap();
        let talking = async {
            let fds = [null.as_fd()];
            let outgoing = Outgoing::new().descriptors(&fds);
            writes.send_with(&[IoSlice::new(b"question")], &outgoing).await.unwrap();
            let mut buffer = [0; 8];
            let got =
                end.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::descriptors(1)).await.unwrap();
            assert_eq!(got.descriptors.len(), 1);
            let fds = [got.descriptors[0].as_fd()];
            end.send_with(&[IoSlice::new(b"answer")], &Outgoing::new().descriptors(&fds)).await.unwrap();
        };
        assert_eq!(tokio::join!(waiting, talking).0, (6, 1));

        let (reads, writes) = client.into_split();
        let (others_reads, others_writes) = aio::Stream::pair().unwrap().0.into_split();
        let ReuniteError(reads, others_writes) = reads.reunite(others_writes).unwrap_err();
        assert!(others_reads.reunite(others_writes).is_ok());
        let mut client = reads.reunite(writes).unwrap();
        client.write_all(b"whole").await.unwrap();
        let (_reads, writes) = client.into_split();
        drop(writes);
        let mut heard = Vec::new();
        end.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, b"whole", "a write half that goes is the end");
    });
}

#[test]
fn no_write_raises_sigpipe() {
    if role().is_none() {
        return Role::new("no_write_raises_sigpipe", "writer").run();
    }
    die_of_sigpipe();
    runtime().block_on(async {
        let (mut client, end) = aio::Stream::pair().unwrap();
        drop(end);
        let parts = [IoSlice::new(b"a"), IoSlice::new(b"b")];
        let gone = |error: std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
        assert!(gone(client.write(b"x").await.unwrap_err()));
        assert!(gone(client.write_vectored(&parts).await.unwrap_err()));
        assert!(gone(client.try_write_vectored(&parts).unwrap_err()));
        let error = client.send_with(&parts, &Outgoing::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PeerClosed);
        let (one, other) = aio::SeqPacket::pair().unwrap();
        drop(other);
        assert_eq!(one.send(b"x").await.unwrap_err().kind(), ErrorKind::PeerClosed);
    });
}

#[test]
fn a_foreign_loop_waits_without_spinning() {
    async_test(|| async {
        let [one, many] = [connection(0).await, connection(20).await];
        let both_ways = [&one, &many].map(|both| [(&both.client, &both.end), (&both.end, &both.client)]);
        for (reader, writer) in both_ways.into_iter().flatten() {
            let mut turns = 0;
            writer.try_write(b"first").unwrap();
            let looping = async {
                let mut heard: Vec<u8> = Vec::new();
                while heard.len() < 10 {
                    reader.readable().await.unwrap();
                    turns += 1;
                    let mut buffer = [0; 64];
                    match reader.try_read(&mut buffer) {
                        Ok(len) => heard.extend(&buffer[..len]),
                        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock),
                    }
                }
                assert_eq!(heard, b"firstagain");
            };
            let later = async {
                tokio::time::sleep(Duration::from_millis(50)).await;
                writer.try_write(b"again").unwrap();
            };
            tokio::join!(looping, later);
            assert!(turns <= 4, "{turns} turns");

            let mut sent = 0;
            while let Ok(len) = writer.try_write(&[7; 4096]) {
                sent += len;
            }
            let both = Interest::READABLE | Interest::WRITABLE;
            // What was read before may have been all: only a read that finds nothing says so.
            assert!(writer.try_read(&mut [0; 8]).is_err());
            tokio::time::timeout(Duration::from_millis(20), writer.ready(both)).await.unwrap_err();
            let mut heard = 0;
            while heard < sent {
                reader.readable().await.unwrap();
                heard += reader.try_read(&mut [0; 65536]).unwrap_or(0);
            }
            assert!(writer.ready(both).await.unwrap().is_writable());
            writer.writable().await.unwrap();
        }
    });
}

#[test]
fn there_and_back_to_sockets_that_block() {
    async_test(|| async {
        let (one, other) = Stream::pair().unwrap();
        let one = aio::Stream::try_from(one).unwrap();
        assert!(one.as_ref().is_nonblocking().unwrap());
        let mut one = tokio::net::UnixStream::try_from(one).unwrap();
        one.write_all(b"via tokio").await.unwrap();
        let one = aio::Stream::try_from(one).unwrap();
        let one = Stream::try_from(one).unwrap();
        assert!(!one.is_nonblocking().unwrap());
        let other = aio::Stream::try_from(other).unwrap();
        let mut buffer = [0; 64];
        let received = other.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::NOTHING).await.unwrap();
        assert_eq!(&buffer[..received.len], b"via tokio");
        drop(one);
    });
}

/// Every socket converts to tokio's type and to a file descriptor, and keeps it.
#[test]
fn sockets_convert_to_those_of_tokio_and_to_file_descriptors() {
    async_test(|| async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let listener = Bind::new(&path).listen_async().await.unwrap();
        let number = listener.as_raw_fd();
        let listener = tokio::net::UnixListener::try_from(listener).unwrap();
        assert!(path.exists(), "the file is left to the new owner");
        let listener = aio::Listener::try_from(listener).unwrap();
        assert_eq!(listener.as_raw_fd(), number);
        let mut client = aio::Stream::connect(&path).await.unwrap();
        let server = OwnedFd::from(listener.accept().await.unwrap().0);
        let server = std::os::unix::net::UnixStream::from(server);
        client.write_all(b"ping").await.unwrap();
        assert_eq!(std::io::Read::read(&mut &server, &mut [0; 8]).unwrap(), 4);

        let address = tokio::net::UnixStream::connect(&path).await.unwrap().peer_addr().unwrap();
        assert_eq!(Address::from(&address).as_pathname(), Some(&*path));
        assert!(aio::Stream::connect(address).await.is_ok());
        // The synchronous types are file descriptors for tokio, too.
        let (one, other) = Stream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        #[expect(deprecated, reason = "its successor is unsafe, and existing programs call this one")]
        let one = tokio::io::unix::AsyncFd::new(one).unwrap();
        drop(other);
        let ended =
            one.readable().await.unwrap().try_io(|one| std::io::Read::read(&mut one.get_ref(), &mut [0; 8]));
        assert_eq!(ended.unwrap().unwrap(), 0);

        let (one, other) = aio::Datagram::pair().unwrap();
        let number = other.as_raw_fd();
        let one = tokio::net::UnixDatagram::try_from(one).unwrap();
        one.send(b"ping").await.unwrap();
        let other = aio::Datagram::try_from(tokio::net::UnixDatagram::try_from(other).unwrap()).unwrap();
        assert_eq!(other.recv(&mut [0; 8]).await.unwrap(), 4);
        assert_eq!(other.into_raw_fd(), number);
    });
}

/// Takes the last descriptor that this process may have.
fn take_the_last() -> std::fs::File {
    leave_room_for(1);
    std::fs::File::open("/dev/null").unwrap()
}

/// A blocked write of an accepted connection needs one more file descriptor. If none is free, it
/// completes nevertheless.
#[test]
fn writes_go_on_when_no_descriptor_is_free() {
    if role().is_none() {
        return Role::new("writes_go_on_when_no_descriptor_is_free", "writer").run();
    }
    runtime().block_on(async {
        let Connection { client, end, _others } = connection(20).await;
        let (mut reads, _writes) = client.into_split();
        let (reads_too, mut writes) = end.into_split();
        let _last = take_the_last();
        let writer = tokio::spawn(async move {
            writes.write_all(&vec![7; 2 << 20]).await.unwrap();
            let parts = vec![IoSlice::new(&[7; 1 << 20]), IoSlice::new(&[7; 1 << 20])];
            let mut sent = 0;
            while sent < 2 << 20 {
                sent += writes.send_with(&parts, &Outgoing::new()).await.unwrap();
            }
            sent
        });
        tokio::time::sleep(Duration::from_millis(30)).await;
        let mut heard = Vec::new();
        reads.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard.len(), (2 << 20) + writer.await.unwrap());
        drop(reads_too);
    });
}

/// A task that is polled often, as in a `select!`, waits with one timer and starts no tasks.
#[test]
fn a_blocked_write_is_polled_without_new_tasks_when_no_descriptor_is_free() {
    if role().is_none() {
        return Role::new("a_blocked_write_is_polled_without_new_tasks_when_no_descriptor_is_free", "writer")
            .run();
    }
    runtime().block_on(async {
        let Connection { mut client, mut end, _others } = connection(20).await;
        let _last = take_the_last();
        while end.try_write(&[7; 65536]).is_ok() {}
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        for _ in 0..1000 {
            assert!(!abandon(end.write(b"more")).await, "the queue is full");
        }
        assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), tasks);
        // The timer of the last poll wakes the task.
        let reading =
            tokio::spawn(async move { client.read_exact(&mut vec![0; 65536]).await.map(|_| client) });
        assert!(end.write(b"more").await.unwrap() > 0);
        reading.await.unwrap().unwrap();
    });
}

/// Without a descriptor for the next client accepting neither ends nor spins, and goes on when
/// there is one.
#[test]
fn accepting_pauses_when_no_descriptor_is_free() {
    if role().is_none() {
        return Role::new("accepting_pauses_when_no_descriptor_is_free", "server").run();
    }
    runtime().block_on(async {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let listener = Bind::new(&path).listen_async().await.unwrap();
        let _client = Connect::new(&path).stream_async().await.unwrap();
        let spare = take_the_last();
        let usage = Usage::begin();
        let waited = tokio::time::timeout(Duration::from_millis(500), listener.accept()).await;
        assert!(waited.is_err(), "no descriptor is free");
        assert!(usage.share() < 0.05, "{} of a processor", usage.share());
        let exhausted = listener.counts().exhausted;
        assert!((2..=60).contains(&exhausted), "{exhausted} tries");
        assert!(listener.try_accept().unwrap_err().is_exhausted());
        let usage = Usage::begin();
        let polled = std::future::poll_fn(|cx| listener.poll_accept(cx));
        assert!(tokio::time::timeout(Duration::from_millis(500), polled).await.is_err());
        assert!(usage.share() < 0.05, "{} of a processor", usage.share());
        let polls = listener.counts().exhausted - exhausted;
        assert!((2..=60).contains(&polls), "{polls} tries");
        drop(spare);
        listener.accept().await.unwrap();
        assert_eq!(listener.counts().accepted, 1);
    });
}

/// One descriptor for each connection; one more, once, for one that had to wait for room.
#[test]
fn descriptors_are_counted() {
    if role().is_none() {
        return Role::new("descriptors_are_counted", "counter").run();
    }
    runtime().block_on(async {
        for (others, more) in [(0, 0), (20, 1)] {
            let before = open_descriptors();
            let Connection { client, mut end, _others } = connection(others).await;
            let connected = open_descriptors();
            for _ in 0..2 {
                while end.try_write(&[0; 65536]).is_ok() {}
                assert!(
                    tokio::time::timeout(Duration::from_millis(5), end.write_all(&[0; 65536])).await.is_err()
                );
                while client.try_read(&mut [0; 65536]).is_ok() {}
                end.writable().await.unwrap();
                assert_eq!(open_descriptors(), connected + more);
            }
            drop((client, end, _others));
            assert_eq!(open_descriptors(), before);
        }
    });
}

#[test]
fn a_socket_that_spins_loses_nothing() {
    async_test(|| async {
        let Connection { mut client, mut end, _others } = connection(0).await;
        for stream in [&client, &end] {
            stream.set_spin(Duration::from_micros(20));
        }
        let echo = async {
            let mut buffer = [0; 64];
            while let Ok(len @ 1..) = end.read(&mut buffer).await {
                end.write_all(&buffer[..len]).await.unwrap();
            }
        };
        let ask = async {
            let mut answer = [0; 4];
            for round in 0u32..500 {
                client.write_all(&round.to_ne_bytes()).await.unwrap();
                client.read_exact(&mut answer).await.unwrap();
                assert_eq!(answer, round.to_ne_bytes());
            }
            client.shutdown().await.unwrap();
        };
        tokio::join!(echo, ask);
    });
}

#[test]
fn several_tasks_share_a_packet_socket() {
    async_test(|| async {
        let (one, other) = aio::SeqPacket::pair().unwrap();
        let other = std::sync::Arc::new(other);
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let socket = other.clone();
                tokio::spawn(async move {
                    let mut count = 0;
                    while let Packet::Message(_) = socket.recv(&mut [0; 8]).await.unwrap() {
                        count += 1;
                        tokio::task::yield_now().await;
                    }
                    count
                })
            })
            .collect();
        for number in 0u32..400 {
            one.send(&number.to_ne_bytes()).await.unwrap();
        }
        drop(one);
        let mut count = 0;
        for task in tasks {
            count += task.await.unwrap();
        }
        assert_eq!(count, 400);
    });
}

/// Alone in a process, because the hook of panics is the process's.
#[test]
fn a_panic_outside_a_runtime_is_reported_at_the_caller() {
    if role().is_none() {
        return Role::new("a_panic_outside_a_runtime_is_reported_at_the_caller", "panics").run();
    }
    let (reported, reports) = std::sync::mpsc::channel();
    std::panic::set_hook(Box::new(move |panic| {
        let _ = reported.send(panic.location().map(|location| location.file().to_owned()));
    }));
    let dir = tempdir();
    let path = dir.path().join("socket");
    let streams = || std::os::unix::net::UnixStream::pair().unwrap().0;
    let calls: [&dyn Fn(); 11] = [
        &|| drop(aio::Listener::bind(&path)),
        &|| drop(aio::Listener::try_from(Bind::new(&path).listen().unwrap())),
        &|| drop(aio::Stream::pair()),
        &|| drop(aio::Stream::from_std(streams())),
        &|| drop(aio::Stream::try_from(streams())),
        &|| drop(aio::Stream::try_from(Stream::pair().unwrap().0)),
        &|| drop(aio::SeqPacket::pair()),
        &|| drop(aio::SeqPacket::try_from(stoop::SeqPacket::pair().unwrap().0)),
        &|| drop(aio::Datagram::pair()),
        &|| drop(aio::Datagram::autobind()),
        &|| drop(aio::Datagram::try_from(stoop::Datagram::pair().unwrap().0)),
    ];
    for (number, call) in calls.iter().enumerate() {
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(call));
        assert!(result.is_err(), "call {number} does not panic");
        assert_eq!(reports.try_recv().unwrap().as_deref(), Some(file!()), "call {number}");
    }
}

#[test]
fn a_polled_seqpacket_socket_waits_for_room_and_for_messages() {
    async_test(|| async {
        let (one, other) = aio::SeqPacket::pair().unwrap();
        let mut bytes = [0; 16];
        let mut buffer = ReadBuf::new(&mut bytes);
        assert!(poll_fn(|cx| Poll::Ready(other.poll_recv(cx, &mut buffer))).await.is_pending());
        assert!(buffer.filled().is_empty());

        // Without the scheduler's budget, only a full queue makes a send wait.
        let message = [7; 16];
        let fill = poll_fn(|cx| {
            let mut sent = 0;
            while let Poll::Ready(result) = one.poll_send(cx, &message) {
                result.unwrap();
                sent += 1;
            }
            Poll::Ready(sent)
        });
        let sent = tokio::task::unconstrained(fill).await;
        assert!(one.try_send(&message).unwrap_err().is_would_block());

        let last = poll_fn(|cx| one.poll_send(cx, b"last"));
        let drain = async {
            for _ in 0..sent {
                buffer.clear();
                let packet = poll_fn(|cx| other.poll_recv(cx, &mut buffer)).await.unwrap();
                assert_eq!((packet, buffer.filled()), (Packet::Message(16), &message[..]));
            }
            buffer.set_filled(14);
            poll_fn(|cx| other.poll_recv(cx, &mut buffer)).await.unwrap_err()
        };
        let (last, error) = tokio::join!(last, drain);
        last.unwrap();
        assert!(error.is_truncated(), "four bytes do not fit into two: {error}");

        drop(one);
        buffer.clear();
        assert_eq!(poll_fn(|cx| other.poll_recv(cx, &mut buffer)).await.unwrap(), Packet::End);
        assert!(buffer.filled().is_empty());
    });
}
