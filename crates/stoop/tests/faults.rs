//! Things that go wrong in a running program: peers that go, signals, full tables and full queues,
//! messages that do not fit. Each is an outcome that is told, and none ends the process, spins or
//! loses something in silence.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use stoop::{
    Allow, Bind, Datagram, Error, ErrorKind, Listener, Outgoing, Packet, Result, SeqPacket, SocketExt, Stream,
};
use stoop_kernel_facts::libc::{SYS_accept4, SYS_recvfrom, SYS_recvmsg, SYS_sendmsg, SYS_sendto};
use stoop_kernel_facts::{SOON, blocked, die_of_sigpipe, leave_room_for, on_interrupt};
use stoop_testkit::{Role, close, deadline, eventually, role, tempdir};

/// Every way to send on a stream.
fn stream_sends() -> Vec<fn(&Stream) -> io::Result<usize>> {
    vec![
        |mut stream| stream.write(b"x"),
        |mut stream| stream.write_all(b"x").map(|()| 1),
        |mut stream| stream.write_vectored(&[IoSlice::new(b"x"), IoSlice::new(b"y")]),
        |mut stream| write!(stream, "{}", 7).map(|()| 1),
        |stream| Ok(stream.send_with(&[IoSlice::new(b"x")], &Outgoing::new())?),
        |stream| {
            let null = std::fs::File::open("/dev/null")?;
            let fds = [std::os::fd::AsFd::as_fd(&null)];
            Ok(stream.send_with(&[IoSlice::new(b"x")], &Outgoing::new().descriptors(&fds))?)
        },
        |mut stream| io::copy(&mut std::fs::File::open("/proc/self/stat")?, &mut stream).map(|_| 1),
    ]
}

#[test]
fn no_send_raises_a_signal() {
    if role().is_none() {
        return Role::new("no_send_raises_a_signal", "mortal").run();
    }
    die_of_sigpipe();
    for send in stream_sends() {
        let (one, other) = Stream::pair().unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(send(&one).unwrap_err().kind(), io::ErrorKind::BrokenPipe, "shut down here");
        other.shutdown(Shutdown::Read).unwrap();
        drop(other);
        assert_eq!(send(&one).unwrap_err().kind(), io::ErrorKind::BrokenPipe, "closed there");
    }
    let (one, other) = SeqPacket::pair().unwrap();
    drop(other);
    assert!(one.send(b"x").unwrap_err().is_peer_closed());
    assert!(one.send_with(&[IoSlice::new(b"x")], &Outgoing::new()).unwrap_err().is_peer_closed());
    let (one, other) = Datagram::pair().unwrap();
    drop(other);
    assert!(one.send(b"x").unwrap_err().is_refused());
    assert!(one.send(b"x").unwrap_err().is_peer_closed());
}

fn cpu_time() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(spent.tv_sec as u64, spent.tv_nsec as u32)
}

#[test]
fn a_server_without_descriptors_waits_calmly_and_serves_on() {
    if role().is_none() {
        return Role::new("a_server_without_descriptors_waits_calmly_and_serves_on", "server").run();
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    let listener: &'static Listener = Box::leak(Box::new(Bind::new(&path).listen().unwrap()));
    let mut clients: Vec<Stream> = (0..4).map(|_| Stream::connect(&path).unwrap()).collect();
    leave_room_for(1);
    let (accepted, ends) = mpsc::channel();
    thread::spawn(move || listener.incoming().for_each(|end| accepted.send(end.unwrap()).unwrap()));
    let first = ends.recv_timeout(SOON).unwrap();
    eventually(SOON, || listener.counts().exhausted > 0);

    let (before, wait) = (cpu_time(), Duration::from_millis(500));
    thread::sleep(wait);
    let spent = (cpu_time() - before).div_f64(stoop_testkit::slowness());
    assert!(spent < wait / 5, "{spent:?} of work in {wait:?} of waiting");
    assert!(ends.try_recv().is_err(), "there is no room for the second");

    let mut end = first;
    for client in &mut clients {
        client.write_all(b"?").unwrap();
        end.read_exact(&mut [0]).unwrap();
        drop(end);
        // As soon as one descriptor is free the next client is served.
        end = ends.recv_timeout(SOON).expect("service goes on");
        if listener.counts().accepted == 4 {
            break;
        }
    }
    assert_eq!(listener.counts().accepted, 4);
}

/// However few descriptors there are: a server, or an error and an empty directory.
#[test]
fn a_bind_without_descriptors_leaves_nothing() {
    if role().is_none() {
        return Role::new("a_bind_without_descriptors_leaves_nothing", "server").run();
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    let mut refused = 0;
    for room in (1..12).rev() {
        leave_room_for(room);
        let listened = Bind::new(&path).listen();
        match &listened {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::OutOfDescriptors, "with room for {room}");
                refused += 1;
            }
        }
        drop(listened);
        // What has an end may remove its file only with a descriptor or two to spare.
        let left: Vec<_> =
            std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert!(left.is_empty(), "with room for {room} there is {left:?}");
    }
    assert!((1..11).contains(&refused), "{refused} were refused");
}

#[test]
fn a_nonblocking_accept_says_that_nothing_is_free() {
    if role().is_none() {
        return Role::new("a_nonblocking_accept_says_that_nothing_is_free", "server").run();
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    let listener = Bind::new(&path).listen().unwrap();
    listener.set_nonblocking(true).unwrap();
    let _clients = [0; 2].map(|_| Stream::connect(&path).unwrap());
    leave_room_for(1);
    let (first, _) = listener.accept().unwrap();
    let error = listener.accept().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfDescriptors);
    assert!(error.is_exhausted());
    assert_eq!(listener.counts().exhausted, 1);
    drop(first);
    listener.accept().unwrap();
}

#[test]
fn signals_disturb_no_call() {
    if role().is_none() {
        return Role::new("signals_disturb_no_call", "target").run();
    }
    on_interrupt(0);
    let dir = tempdir();
    let path = dir.path().join("socket");
    let listener = Bind::new(&path).listen().unwrap();
    undisturbed(SYS_accept4, move || listener.accept().map(drop), || drop(Stream::connect(&path).unwrap()));

    let (one, other) = SeqPacket::pair().unwrap();
    undisturbed(SYS_recvfrom, move || other.recv(&mut [0; 8]).map(drop), || one.send(b"x").unwrap());
    let (one, other) = SeqPacket::pair().unwrap();
    undisturbed(SYS_recvfrom, move || other.recv_vec().map(drop), || one.send(b"x").unwrap());
    let (one, other) = Datagram::pair().unwrap();
    undisturbed(
        SYS_recvfrom,
        move || other.recv_from(&mut [0; 8]).map(drop),
        || assert_eq!(one.send(b"x").unwrap(), 1),
    );
    let (one, other) = Datagram::pair().unwrap();
    let receive = move || other.recv_with(&mut [IoSliceMut::new(&mut [0; 8])], Allow::NOTHING).map(drop);
    undisturbed(SYS_recvmsg, receive, || assert_eq!(one.send(b"x").unwrap(), 1));

    let (one, mut other) = Stream::pair().unwrap();
    let read = move || other.read_exact(&mut [0; 2]).map_err(|error| panic!("{error}"));
    undisturbed(SYS_recvfrom, read, || (&one).write_all(b"xy").unwrap());

    let (one, other) = SeqPacket::pair().unwrap();
    let copy = one.try_clone().unwrap();
    fill(|| one.send(&[0; 4096]), |on| one.set_nonblocking(on));
    undisturbed(
        SYS_sendto,
        move || copy.send(b"x"),
        || while one.unsent_bytes().unwrap() > 0 && drained(&other) {},
    );
    let (one, other) = SeqPacket::pair().unwrap();
    let copy = one.try_clone().unwrap();
    fill(|| one.send(&[0; 4096]), |on| one.set_nonblocking(on));
    let send = move || copy.send_with(&[IoSlice::new(b"x")], &Outgoing::new()).map(drop);
    undisturbed(SYS_sendmsg, send, || while one.unsent_bytes().unwrap() > 0 && drained(&other) {});
}

/// Runs `call` on a thread, sends it signals while it sleeps in the system call, and ends its wait.
fn undisturbed(call: i64, work: impl FnOnce() -> Result<()> + Send + 'static, end: impl FnOnce()) {
    let waiting = blocked(call, work);
    for _ in 0..20 {
        waiting.interrupt();
        waiting.wait();
    }
    end();
    waiting.join().unwrap();
}

fn fill(send: impl Fn() -> Result<()>, set_nonblocking: impl Fn(bool) -> Result<()>) {
    set_nonblocking(true).unwrap();
    while send().is_ok() {}
    set_nonblocking(false).unwrap();
}

/// Takes one message, if there is one now.
fn drained(socket: &SeqPacket) -> bool {
    socket.set_nonblocking(true).unwrap();
    socket.recv(&mut [0; 4096]).is_ok()
}

#[test]
fn a_message_that_does_not_fit_is_never_cut_in_silence() {
    deadline(SOON, || {
        let (one, other) = SeqPacket::pair().unwrap();
        let (dgram, dgram_other) = Datagram::pair().unwrap();
        let mut buffer = [0; 4];
        let is_cut = |error: Error| {
            assert_eq!((error.kind(), error.received_bytes()), (ErrorKind::MessageTruncated, Some(4)));
            assert!(error.is_truncated() && error.to_string().contains("6 bytes"), "{error}");
        };
        for _ in 0..4 {
            one.send(b"longer").unwrap();
            dgram.send(b"longer").unwrap();
        }
        is_cut(other.recv(&mut buffer).unwrap_err());
        assert_eq!(&buffer, b"long");
        is_cut(other.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::NOTHING).unwrap_err());
        assert_eq!(other.next_len().unwrap(), 6);
        assert_eq!(other.recv_vec().unwrap().unwrap(), b"longer");
        assert_eq!(other.recv_vec_with(Allow::NOTHING).unwrap().0, b"longer");
        is_cut(dgram_other.recv(&mut buffer).unwrap_err());
        is_cut(dgram_other.recv_from(&mut buffer).unwrap_err());
        is_cut(dgram_other.recv_with(&mut [IoSliceMut::new(&mut buffer)], Allow::NOTHING).unwrap_err());
        assert_eq!(dgram_other.recv_vec().unwrap().0, b"longer");
        // What fits exactly is whole.
        one.send(b"four").unwrap();
        assert_eq!(other.recv(&mut buffer).unwrap(), Packet::Message(4));
        let largest = vec![7; one.send_buffer_bytes().unwrap() - 32];
        one.send(&largest).unwrap();
        assert!(other.recv_vec().unwrap().unwrap() == largest);
        dgram.send(&largest).unwrap();
        assert!(dgram_other.recv_vec().unwrap().0 == largest);
    });
}

/// The kernel takes 1024 buffers in one call and never sees the others.
#[test]
fn more_buffers_than_the_kernel_takes_cut_nothing_in_silence() {
    deadline(SOON, || {
        let (one, other) = SeqPacket::pair().unwrap();
        let bytes = [b'x'; 1025];
        let parts: Vec<IoSlice<'_>> = bytes.chunks(1).map(IoSlice::new).collect();
        assert!(one.send_with(&parts, &Outgoing::new()).unwrap_err().is_unsupported());
        assert_eq!(one.send_with(&parts[..1024], &Outgoing::new()).unwrap(), 1024);
        assert_eq!(other.next_len().unwrap(), 1024);
        other.recv_vec().unwrap();
        one.send(&bytes).unwrap();
        let mut room = [0; 1025];
        let mut parts: Vec<IoSliceMut<'_>> = room.chunks_mut(1).map(IoSliceMut::new).collect();
        let error = other.recv_with(&mut parts, Allow::NOTHING).unwrap_err();
        assert_eq!((error.kind(), error.received_bytes()), (ErrorKind::MessageTruncated, Some(1024)));

        let (one, mut other) = Stream::pair().unwrap();
        let parts: Vec<IoSlice<'_>> = bytes.chunks(1).map(IoSlice::new).collect();
        assert_eq!((&one).write_vectored(&parts).unwrap(), 1024, "a stream takes what it can and says so");
        let mut room = [0; 2000];
        assert_eq!(other.read(&mut room).unwrap(), 1024);
    });
}

#[test]
fn an_empty_packet_and_the_end() {
    deadline(SOON, || {
        let nothing = [IoSlice::new(b"")];
        let receive =
            |other: &SeqPacket| other.recv_with(&mut [IoSliceMut::new(&mut [0; 4])], Allow::NOTHING);
        let (one, other) = SeqPacket::pair().unwrap();
        let error = one.send(b"").unwrap_err();
        assert!(error.is_unsupported() && error.to_string().contains("looks like the end"), "{error}");
        one.send_with(&nothing, &Outgoing::new()).unwrap();
        assert!(receive(&other).unwrap().is_end(), "indeed it does");

        other.set_pass_credentials(true).unwrap();
        one.send_with(&nothing, &Outgoing::new()).unwrap();
        one.send_with(&nothing, &Outgoing::new()).unwrap();
        assert!(!receive(&other).unwrap().is_end());
        assert_eq!(other.recv_vec().unwrap(), Some(Vec::new()));
        drop(one);
        assert_eq!(other.recv_vec().unwrap(), None);
        assert!(receive(&other).unwrap().is_end());

        // A datagram may be empty: there is no end that it could be taken for.
        let (one, other) = Datagram::pair().unwrap();
        one.send(b"").unwrap();
        one.send(b"").unwrap();
        assert_eq!(other.recv(&mut [0; 4]).unwrap(), 0);
        assert_eq!(other.recv_vec().unwrap().0, b"");
    });
}

#[test]
fn a_full_datagram_queue_makes_the_sender_wait() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = Bind::new(&path).datagram().unwrap();
        let client = Datagram::client(&path).unwrap();
        client.set_nonblocking(true).unwrap();
        let limit: usize =
            std::fs::read_to_string("/proc/sys/net/unix/max_dgram_qlen").unwrap().trim().parse().unwrap();
        let sent = (0..10 * limit + 100).take_while(|_| client.send(b"x").is_ok()).count();
        assert_eq!(sent, limit + 1);
        assert!(client.send(b"x").unwrap_err().is_would_block());
        client.set_nonblocking(false).unwrap();
        client.set_write_timeout(Some(Duration::from_millis(20))).unwrap();
        assert!(client.send(b"x").unwrap_err().is_would_block());
        client.set_write_timeout(None).unwrap();
        let waiting = blocked(SYS_sendto, move || client.send(b"last"));
        (0..sent).for_each(|_| assert_eq!(server.recv(&mut [0; 4]).unwrap(), 1));
        waiting.join().unwrap();
        assert_eq!(server.recv(&mut [0; 4]).unwrap(), 4);
    });
}

#[test]
fn a_peer_that_closes_with_bytes_unread_resets_once() {
    deadline(SOON, || {
        let (mut one, mut other) = Stream::pair().unwrap();
        one.write_all(b"never read").unwrap();
        other.write_all(b"read").unwrap();
        drop(other);
        let mut buffer = [0; 8];
        assert_eq!(one.read(&mut buffer).unwrap(), 4, "what it had sent is there all the same");
        assert_eq!(one.read(&mut buffer).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(one.read(&mut buffer).unwrap(), 0);

        let (one, other) = SeqPacket::pair().unwrap();
        one.send(b"never read").unwrap();
        drop(other);
        assert_eq!(one.recv(&mut buffer).unwrap_err().kind(), ErrorKind::PeerClosed);
        assert_eq!(one.recv(&mut buffer).unwrap(), Packet::End);
    });
}

#[test]
fn one_direction_ends_and_the_other_goes_on() {
    deadline(SOON, || {
        let (mut one, mut other) = Stream::pair().unwrap();
        one.write_all(b"question").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        other.read_to_string(&mut text).unwrap();
        other.write_all(b"answer").unwrap();
        drop(other);
        one.read_to_string(&mut text).unwrap();
        assert_eq!(text, "questionanswer");

        let (one, other) = SeqPacket::pair().unwrap();
        one.send(b"question").unwrap();
        one.shutdown(Shutdown::Write).unwrap();
        assert_eq!(other.recv_vec().unwrap().unwrap(), b"question");
        assert_eq!(other.recv_vec().unwrap(), None);
        other.send(b"answer").unwrap();
        assert_eq!(one.recv_vec().unwrap().unwrap(), b"answer");
        other.shutdown(Shutdown::Read).unwrap();
        assert!(one.send(b"x").unwrap_err().is_peer_closed());
    });
}

#[test]
fn a_copy_keeps_the_connection_and_its_end_is_seen() {
    deadline(SOON, || {
        let (one, mut other) = Stream::pair().unwrap();
        let copy = one.try_clone().unwrap();
        close(one);
        (&copy).write_all(b"still here").unwrap();
        close(copy);
        let mut text = String::new();
        other.read_to_string(&mut text).unwrap();
        assert_eq!(text, "still here");
    });
}

#[test]
fn a_listener_that_ends_can_serve_its_queue_first() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let mut listener = Bind::new(&path).listen().unwrap();
        let mut clients = [0; 3].map(|_| Stream::connect(&path).unwrap());
        clients.iter_mut().for_each(|client| client.write_all(b"in time").unwrap());
        listener.release().unwrap();
        assert!(Stream::connect(&path).unwrap_err().is_not_found());
        assert!(Bind::new(&path).listen().is_ok(), "the name is free at once");
        let served =
            listener.drain().unwrap().map(|end| end.unwrap().read_exact(&mut [0; 7]).unwrap()).count();
        assert_eq!(served, 3);
    });
}

#[test]
fn an_accept_that_nobody_answers_times_out() {
    deadline(SOON, || {
        let dir = tempdir();
        let listener = Bind::new(dir.path().join("socket")).listen_seqpacket().unwrap();
        listener.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        assert!(listener.accept().unwrap_err().is_would_block());
        assert_eq!(listener.counts(), stoop::Counts::default());
    });
}

#[test]
fn descriptors_that_do_not_listen_are_no_listeners() {
    let (one, other) = Stream::pair().unwrap();
    let error = Listener::<Stream>::try_from(OwnedFd::from(one)).unwrap_err();
    assert!(error.to_string().contains("is not listening"), "{error}");
    assert_eq!(
        Listener::<SeqPacket>::try_from(OwnedFd::from(other)).unwrap_err().kind(),
        ErrorKind::WrongKind
    );
    let dir = tempdir();
    let path = dir.path().join("socket");
    let listener = Bind::new(&path).listen().unwrap();
    let listener = Listener::<Stream>::try_from(OwnedFd::from(listener)).unwrap();
    Stream::connect(&path).unwrap();
    listener.accept().unwrap();
    drop(listener);
    assert!(path.exists(), "not made by this one, so left alone");
}
