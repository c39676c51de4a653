//! Recordings of real relays: what is in them, and what of them is left after the worst.

use std::fs;
use std::io::{IoSlice, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use stoop::{Address, Allow, Bind, Datagram, Kind, Outgoing, SeqPacket, SocketExt, Stream};
use stoop_relay::record::{Closing, Entry, FileType, Record, Recorder, Recording, Side, Tail};
use stoop_relay::{Front, Relay, Server};
use stoop_testkit::{close, tempdir};

const SOON: Duration = Duration::from_secs(30);

fn read(path: &Path) -> (Vec<Record>, Option<Tail>) {
    let mut recording = Recording::open(path).unwrap();
    let records = recording.by_ref().map(Result::unwrap).collect();
    (records, recording.tail())
}

fn relay(dir: &Path) -> Relay {
    Relay::to(Server::unix(Address::path(dir.join("server")).unwrap()))
}

#[test]
fn a_stream_is_recorded_with_who_was_there_and_how_it_ended() {
    let dir = tempdir();
    let (file, front) = (dir.path().join("recording"), dir.path().join("relay"));
    let server = Bind::new(dir.path().join("server")).listen().unwrap();
    let relay = relay(dir.path()).record(Recorder::create(&file).unwrap());
    let relay = relay.start(Bind::new(&front).listen().unwrap()).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    let mut client = Stream::connect(&front).unwrap();
    let passed = fs::File::create(dir.path().join("passed")).unwrap();
    passed.set_len(7).unwrap();
    let fds = [passed.as_fd()];
    client.send_with(&[IoSlice::new(b"question")], &Outgoing::new().descriptors(&fds)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    let mut text = String::new();
    accepted.read_to_string(&mut text).unwrap();
    // What has come through is in the file.
    assert!(read(&file).0.iter().any(|record| matches!(record.entry, Entry::Ended { from: Side::Client })));
    accepted.write_all(b"answer").unwrap();
    close(accepted);
    client.read_to_string(&mut text).unwrap();
    close(client);
    assert!(relay.stop(SOON).1);

    let (records, tail) = read(&file);
    assert_eq!(tail, Some(Tail::Stopped));
    assert!(records.is_sorted_by_key(|record| record.time));
    let entries: Vec<&Entry> = records.iter().map(|record| &record.entry).collect();
    let Entry::Started { kind: Kind::Stream, listen, connect, is_redacted: true, .. } = entries[0] else {
        panic!("{entries:?}")
    };
    assert_eq!(listen, front.to_str().unwrap().as_bytes());
    assert!(connect.ends_with(b"/server"));
    let Entry::Opened { client, server } = entries[1] else { panic!("{entries:?}") };
    for process in [client, server] {
        assert_eq!(process.pid, Some(std::process::id()));
        assert_eq!(process.uid, Some(rustix::process::getuid().as_raw()));
        // Before Linux 6.5 it cannot be seen whether the process is still the same.
        let own = std::env::current_exe().unwrap();
        assert!(process.executable.is_empty() || process.executable == own.to_str().unwrap().as_bytes());
    }
    let Entry::Data { from: Side::Client, bytes, files, masked: 0 } = entries[2] else {
        panic!("{entries:?}")
    };
    assert_eq!((&bytes[..], files.len()), (&b"question"[..], 1));
    assert_eq!((files[0].file_type, files[0].size_bytes), (FileType::Regular, Some(7)));
    assert!(files[0].path.ends_with(b"/passed"));
    assert!(matches!(entries.last(), Some(Entry::Stopped)));
    for expected in [
        Entry::Ended { from: Side::Client },
        Entry::Data { from: Side::Server, bytes: b"answer".to_vec(), masked: 0, files: Vec::new() },
        Entry::Ended { from: Side::Server },
        Entry::Closed { reason: Closing::Ends },
    ] {
        assert!(entries.contains(&&expected), "{expected:?}: {entries:?}");
    }
}

#[test]
fn messages_are_recorded_one_by_one() {
    let dir = tempdir();
    let file = dir.path().join("recording");
    let server = Bind::new(dir.path().join("server")).listen_seqpacket().unwrap();
    let front = Bind::new(dir.path().join("relay")).listen_seqpacket().unwrap();
    let relay = relay(dir.path()).record(Recorder::create(&file).unwrap()).start(front).unwrap();
    let client = SeqPacket::connect(dir.path().join("relay")).unwrap();
    let messages = [&b"one"[..], b"two", &[7; 70_000]];
    client.set_send_buffer_bytes(200_000).unwrap();
    messages.iter().for_each(|message| client.send(message).unwrap());
    let (accepted, _) = server.accept().unwrap();
    for message in messages {
        assert_eq!(accepted.recv_vec().unwrap().as_deref(), Some(message));
    }
    relay.stop(Duration::ZERO);
    let (records, _) = read(&file);
    let data = records.into_iter().filter_map(|record| match record.entry {
        Entry::Data { bytes, .. } => Some(bytes),
        _ => None,
    });
    assert!(data.eq(messages.map(<[u8]>::to_vec)));
}

#[test]
fn datagrams_and_their_answers_are_recorded_for_each_client() {
    let dir = tempdir();
    let file = dir.path().join("recording");
    let server = Bind::new(dir.path().join("server")).datagram().unwrap();
    let front = Bind::new(dir.path().join("relay")).datagram().unwrap();
    let relay = relay(dir.path()).record(Recorder::create(&file).unwrap()).start(front).unwrap();
    let address = Address::path(dir.path().join("relay")).unwrap();
    let clients = [0, 1].map(|_| Datagram::client(&address).unwrap());
    for (client, text) in clients.iter().zip([b"one", b"two"]) {
        client.send(text).unwrap();
        let (message, received) = server.recv_vec_with(Allow::NOTHING).unwrap();
        server.reply_with(&[b"re: ", &message[..]].concat(), &received.origin(), &Outgoing::new()).unwrap();
        assert_eq!(client.recv(&mut [0; 10]).unwrap(), 7);
    }
    relay.stop(Duration::ZERO);
    let (records, tail) = read(&file);
    assert_eq!(tail, Some(Tail::Stopped));
    let data: Vec<_> = records
        .into_iter()
        .filter_map(|record| match record.entry {
            Entry::Data { from, bytes, .. } => {
                Some((record.connection, from, String::from_utf8(bytes).unwrap()))
            }
            _ => None,
        })
        .collect();
    let expected = [
        (1, Side::Client, "one"),
        (1, Side::Server, "re: one"),
        (2, Side::Client, "two"),
        (2, Side::Server, "re: two"),
    ];
    assert_eq!(data, expected.map(|(client, from, text)| (client, from, text.to_owned())));
}

#[test]
fn secrets_are_masked_unless_they_are_wanted() {
    for redacts in [true, false] {
        let dir = tempdir();
        let file = dir.path().join("recording");
        let server = Bind::new(dir.path().join("server")).listen().unwrap();
        let front = Bind::new(dir.path().join("relay")).listen().unwrap();
        let recorder = Recorder::create(&file).unwrap().redact(redacts);
        let relay = relay(dir.path()).record(recorder).start(front).unwrap();
        let mut client = Stream::connect(dir.path().join("relay")).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nAuthorization: Bearer abc\r\n\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        server.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert!(text.contains("Bearer abc"), "only the recording is masked");
        relay.stop(Duration::ZERO);
        let file = String::from_utf8_lossy(&fs::read(&file).unwrap()).into_owned();
        assert_eq!((file.contains("abc"), file.contains("**********")), (!redacts, redacts));
    }
}

#[test]
fn what_goes_through_a_relay_without_an_address_is_recorded() {
    let dir = tempdir();
    let file = dir.path().join("recording");
    let server = Bind::new(dir.path().join("server")).listen().unwrap();
    let (front, connector) = Front::private().unwrap();
    let relay = relay(dir.path()).record(Recorder::create(&file).unwrap()).start(front).unwrap();
    let (mut one, mut other) = (connector.connect().unwrap(), connector.clone().connect().unwrap());
    one.write_all(b"one").unwrap();
    other.write_all(b"two").unwrap();
    for client in [one, other] {
        client.shutdown(Shutdown::Write).unwrap();
        let mut text = String::new();
        server.accept().unwrap().0.read_to_string(&mut text).unwrap();
        assert!(["one", "two"].contains(&&text[..]), "{text}");
    }
    assert!(relay.stop(SOON).1);
    let opened = |record: &&Record| matches!(record.entry, Entry::Opened { .. });
    assert_eq!(read(&file).0.iter().filter(opened).count(), 2);
}

#[test]
fn a_file_that_exists_is_left_alone() {
    let dir = tempdir();
    let file = dir.path().join("notes");
    fs::write(&file, "notes").unwrap();
    let error = Recorder::create(&file).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(fs::read(&file).unwrap(), b"notes");
}
