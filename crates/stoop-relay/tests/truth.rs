//! Random conversations, once over a direct connection and once through a relay: what each side
//! sees is the same.

use std::io::{IoSlice, IoSliceMut, Read, Seek, SeekFrom, Write};
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use proptest::prelude::*;
use stoop::{Address, Allow, Bind, Outgoing, SocketExt, Stream};
use stoop_relay::fault::Faults;
use stoop_relay::record::{Entry, Recorder, Recording, Side as RecordedSide, Tail};
use stoop_relay::{Relay, Server};
use stoop_testkit::{cases, deadline, tempdir};

const SOON: Duration = Duration::from_secs(60);

/// What one side does.
#[derive(Clone, Debug)]
enum Act {
    /// Writes so many bytes.
    Write(usize),
    /// Writes so many bytes with so many file descriptors.
    Pass(usize, usize),
    /// Reads so many bytes, or the end.
    Read(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let len = prop_oneof![1usize..50, 1usize..5000, 30_000usize..40_000];
    prop_oneof![
        3 => len.clone().prop_map(Act::Write),
        2 => (len.clone(), 1usize..4).prop_map(|(len, count)| Act::Pass(len, count)),
        2 => (1usize..20_000).prop_map(Act::Read),
    ]
}

/// What a side has seen: its bytes, and the files with the bytes of the read that brought them.
#[derive(Debug, Default, PartialEq)]
struct Seen {
    bytes: Vec<u8>,
    files: Vec<(Range<usize>, String)>,
    ended: bool,
}

/// One side of a conversation.
struct Side {
    stream: Stream,
    name: &'static str,
    written: usize,
    files: usize,
    seen: Seen,
}

impl Side {
    fn new(stream: Stream, name: &'static str) -> Side {
        stream.set_read_timeout(Some(SOON)).unwrap();
        // All that a conversation writes fits, so that nobody waits for a reader.
        stream.set_send_buffer_bytes(4 << 20).unwrap();
        Side { stream, name, written: 0, files: 0, seen: Seen::default() }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Write(len) => self.write(len, 0),
            Act::Pass(len, count) => self.write(len, count),
            Act::Read(len) => {
                self.read(len);
            }
        }
    }

    /// Writes bytes that say where they are, and files that say which they are.
    fn write(&mut self, len: usize, count: usize) {
        let bytes: Vec<u8> = (self.written..self.written + len).map(|at| (at % 251) as u8).collect();
        let files: Vec<_> = (0..count).map(|number| self.file(number)).collect();
        let fds: Vec<BorrowedFd<'_>> = files.iter().map(AsFd::as_fd).collect();
        let sent =
            self.stream.send_with(&[IoSlice::new(&bytes)], &Outgoing::new().descriptors(&fds)).unwrap();
        (&self.stream).write_all(&bytes[sent..]).unwrap();
        self.written += len;
        self.files += count;
    }

    fn file(&self, number: usize) -> std::fs::File {
        let mut file = tempfile();
        write!(file, "{} {}", self.name, self.files + number).unwrap();
        file
    }

    /// Reads at least one byte, a small piece at a time, so that each file is seen at its byte.
    fn read(&mut self, len: usize) -> bool {
        let mut buffer = vec![0; len];
        let mut parts = [IoSliceMut::new(&mut buffer)];
        let received = self.stream.recv_with(&mut parts, Allow::descriptors(253)).unwrap();
        for fd in received.descriptors {
            let (mut file, mut text) = (std::fs::File::from(fd), String::new());
            file.seek(SeekFrom::Start(0)).unwrap();
            file.read_to_string(&mut text).unwrap();
            let start = self.seen.bytes.len();
            self.seen.files.push((start..start + received.len, text));
        }
        self.seen.bytes.extend_from_slice(&buffer[..received.len]);
        self.seen.ended |= received.len == 0;
        received.len > 0
    }

    fn read_rest(&mut self) {
        while self.read(1000) {}
    }
}

fn tempfile() -> std::fs::File {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    rustix::fs::memfd_create("file", flags).unwrap().into()
}

/// Has the conversation. A side that would wait for nothing does not read.
fn converse(client: Stream, server: Stream, acts: &[(bool, Act)], client_first: bool) -> [Seen; 2] {
    let mut sides = [Side::new(client, "client"), Side::new(server, "server")];
    for (is_server, act) in acts {
        let (one, other) = (usize::from(*is_server), usize::from(!is_server));
        let unread = sides[other].written > sides[one].seen.bytes.len();
        if !matches!(act, Act::Read(_)) || unread {
            sides[one].act(act);
        }
    }
    for one in if client_first { [0, 1] } else { [1, 0] } {
        sides[one].stream.shutdown(Shutdown::Write).unwrap();
        sides[1 - one].read_rest();
    }
    sides.map(|side| side.seen)
}

/// Returns the files that one side passes, each with the offset of the byte that it goes with.
fn written(acts: &[(bool, Act)], is_server: bool) -> Vec<(usize, String)> {
    let name = if is_server { "server" } else { "client" };
    let (mut at, mut files) = (0, Vec::new());
    for (_, act) in acts.iter().filter(|(its, _)| *its == is_server) {
        match act {
            Act::Write(len) => at += len,
            Act::Pass(len, count) => {
                for _ in 0..*count {
                    files.push((at, format!("{name} {}", files.len())));
                }
                at += len;
            }
            Act::Read(_) => {}
        }
    }
    files
}

/// Returns what a recording says that the client and the server have sent.
fn recorded(path: &std::path::Path) -> [Seen; 2] {
    let mut seen = [Seen::default(), Seen::default()];
    let mut recording = Recording::open(path).unwrap();
    for record in recording.by_ref() {
        match record.unwrap().entry {
            Entry::Data { from, bytes, files, .. } => {
                let seen = &mut seen[usize::from(from == RecordedSide::Server)];
                let start = seen.bytes.len();
                let its = |_| (start..start + bytes.len(), String::new());
                seen.files.extend(files.iter().map(its));
                seen.bytes.extend(bytes);
            }
            Entry::Ended { from } => seen[usize::from(from == RecordedSide::Server)].ended = true,
            _ => {}
        }
    }
    assert_eq!(recording.tail(), Some(Tail::Stopped));
    seen
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    #[test]
    fn a_conversation_is_the_same_through_a_relay(
        acts in proptest::collection::vec((any::<bool>(), act()), 1..40),
        client_first in any::<bool>(),
        is_recorded in any::<bool>(),
    ) {
        let given = acts.clone();
        let (direct, relayed, recorded) = deadline(SOON * 2, move || {
            let (client, server) = Stream::pair().unwrap();
            let direct = converse(client, server, &acts, client_first);
            let dir = tempdir();
            let server = Bind::new(dir.path().join("server")).listen().unwrap();
            let front = Bind::new(dir.path().join("relay")).listen().unwrap();
            let address = Address::path(dir.path().join("server")).unwrap();
            let mut relay = Relay::to(Server::unix(address));
            let recording = dir.path().join("recording");
            if is_recorded {
                let recorder = Recorder::create(&recording).unwrap();
                relay = relay.record(recorder).faults(Faults::default(), Faults::default());
            }
            let relay = relay.start(front).unwrap();
            let client = Stream::connect(dir.path().join("relay")).unwrap();
            let (accepted, _) = server.accept().unwrap();
            let relayed = converse(client, accepted, &acts, client_first);
            let (counts, all_ended) = relay.stop(SOON);
            assert!(all_ended && counts.lost_descriptors == 0, "{counts:?}");
            (direct, relayed, is_recorded.then(|| recorded(&recording)))
        });
        for (is_server, seen) in [false, true].into_iter().zip(recorded.iter().flatten()) {
            prop_assert!(seen.bytes == relayed[usize::from(!is_server)].bytes && seen.ended);
            let offsets: Vec<usize> = written(&given, is_server).into_iter().map(|(at, _)| at).collect();
            let recorded: Vec<usize> = seen.files.iter().map(|(bytes, _)| bytes.start).collect();
            prop_assert_eq!(recorded, offsets);
        }
        for is_server in [false, true] {
            let (one, other) = (&direct[usize::from(is_server)], &relayed[usize::from(is_server)]);
            prop_assert!(one.bytes == other.bytes && one.ended && other.ended);
            let sent = written(&given, !is_server);
            for seen in [one, other] {
                prop_assert_eq!(seen.files.len(), sent.len());
                for ((bytes, name), (at, its)) in seen.files.iter().zip(&sent) {
                    prop_assert_eq!(name, its);
                    prop_assert!(bytes.contains(at), "{} of {:?}, not with {}", name, bytes, at);
                }
            }
        }
    }
}
