//! The capture programs on the running kernel: what they report of each kind of socket.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::fstat;
use rustix::net::sockopt::socket_cookie;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use stoop_bpf::{
    Capture, CaptureOptions, Captured, Event, Key, Message, Missing, SocketKind, TaskFiles, Unavailable, What,
};
use stoop_kernel_facts::{
    Name, STREAM, accept, client, libc, listener, pair, recv, recv_with, send, shutdown,
};
use stoop_testkit::{KillOnDrop, NOBODY, Role, is_root, role, skip};

const LIMIT: Duration = Duration::from_secs(30);

/// Loads the programs, or returns why they are unavailable. A rejection by the verifier is a bug in
/// this crate and panics.
fn capture(options: CaptureOptions) -> Result<Capture, String> {
    match Capture::load(options) {
        Ok(capture) => Ok(capture),
        Err(Unavailable::No(missing @ (Missing::Verifier(_) | Missing::Type(_)))) if is_root() => {
            panic!("{missing}")
        }
        Err(unavailable) => Err(unavailable.to_string()),
    }
}

/// Taken by one test at a time: a program that was preempted in the kernel misses the events of
/// other tasks on its processor, so that a flood in one test would lose events of another.
static TURN: Mutex<()> = Mutex::new(());

/// Loads the programs into the variable when it is this test's turn, or skips the test.
macro_rules! loaded {
    ($turn:ident, $options:expr) => {
        match capture({
            $turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
            $options
        }) {
            Ok(capture) => capture,
            Err(missing) => skip!("lacks the capture programs: {missing}"),
        }
    };
}

/// Events are not captured from the process that captures: another one makes them, step by step.
struct Actor {
    child: KillOnDrop,
}

/// Runs this test again as the actor if this process is one; each step waits for its line of input.
fn steps(steps: &mut [(&str, &mut dyn FnMut())]) {
    for (name, step) in steps {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        assert_eq!(line.trim(), *name);
        step();
        println!("did {name}");
    }
}

impl Actor {
    fn start(test: &str) -> Actor {
        Actor { child: Role::new(test, "actor").spawn() }
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn told(&mut self, word: &str) -> Vec<u64> {
        self.child.line(word, LIMIT).split_whitespace().map(|number| number.parse().unwrap()).collect()
    }

    fn step(&mut self, name: &str) {
        use std::io::Write;
        writeln!(self.child.stdin.as_mut().unwrap(), "{name}").unwrap();
        assert_eq!(self.child.line("did", LIMIT), name);
    }
}

/// An event, with what was captured.
type Seen = (Event, Vec<u8>);

fn read(capture: &mut Capture, into: &mut Vec<Seen>, pid: u32) {
    capture.read_each(|_, captured| match captured {
        Captured::Event(event, bytes) if event.pid == pid => into.push((event, bytes.to_vec())),
        Captured::Event(..) => {}
        // Of whichever process.
        Captured::Skipped(_) => {}
        lost => panic!("{lost:?}"),
    });
    into.sort_by_key(|(event, _)| event.time_ns);
}

/// Returns the events that this process caused so far. Programs write before the call returns, so
/// that nothing is to be waited for.
fn seen(capture: &mut Capture, pid: u32) -> Vec<Seen> {
    let mut events = Vec::new();
    read(capture, &mut events, pid);
    events
}

fn message(event: &Event) -> Message {
    match event.what {
        What::Copied(message) => message,
        other => panic!("{other:?}"),
    }
}

fn tell(word: &str, sockets: &[&OwnedFd]) {
    let number =
        |socket: &&OwnedFd| format!("{} {}", fstat(socket).unwrap().st_ino, socket_cookie(socket).unwrap());
    println!("{word} {}", sockets.iter().map(number).collect::<Vec<_>>().join(" "));
}

fn everything() -> CaptureOptions {
    let mut options = CaptureOptions::default();
    options.all = true;
    // Other tests may flood this machine's sockets meanwhile.
    options.buffer_bytes = 16 << 20;
    options
}

/// K-TAP-1
#[test]
fn what_is_received_is_captured_with_both_ends() {
    const TEST: &str = "what_is_received_is_captured_with_both_ends";
    if role().is_some() {
        for kind in [STREAM, libc::SOCK_SEQPACKET, libc::SOCK_DGRAM] {
            let (one, other) = pair(kind);
            tell("ends", &[&one, &other]);
            steps(&mut [("go", &mut || {
                send(&one, b"question").unwrap();
                assert_eq!(recv(&other, 100).unwrap(), b"question");
                send(&other, b"answer").unwrap();
                assert_eq!(recv(&one, 100).unwrap(), b"answer");
            })]);
        }
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, everything());
    let mut actor = Actor::start(TEST);
    for kind in [SocketKind::STREAM, SocketKind::SEQPACKET, SocketKind::DATAGRAM] {
        let ends = actor.told("ends");
        actor.step("go");
        let events = seen(&mut capture, actor.pid());
        let copied: Vec<&Seen> =
            events.iter().filter(|(event, _)| matches!(event.what, What::Copied(_))).collect();
        let [(question, asked), (answer, answered)] = copied[..] else { panic!("{events:?}") };
        assert_eq!((&asked[..], &answered[..]), (&b"question"[..], &b"answer"[..]));
        assert_eq!((question.kind, answer.kind), (kind, kind));
        let end = |at: usize| (Some(ends[at] as u32), Some(ends[at + 1]));
        let of = |end: stoop_bpf::End| (end.inode, end.cookie);
        assert_eq!((of(question.sender), of(question.receiver)), (end(0), end(2)));
        assert_eq!((of(answer.sender), of(answer.receiver)), (end(2), end(0)));
        assert_eq!(message(question).len, 8);
        assert_eq!(question.command.as_bytes(), answer.command.as_bytes());
    }
}

/// Sends a message with open files.
fn pass(socket: &OwnedFd, files: &[BorrowedFd<'_>]) {
    let mut space = vec![std::mem::MaybeUninit::uninit(); 1024];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(files)));
    let sent = sendmsg(socket, &[IoSlice::new(b"files")], &mut control, SendFlags::empty()).unwrap();
    assert_eq!(sent, 5);
}

/// Returns the device of a file's file system. On overlayfs and Btrfs, `fstat` may name another.
fn device(file: BorrowedFd<'_>) -> [u64; 2] {
    let read = |path: &str| std::fs::read_to_string(path).unwrap();
    let info = read(&format!("/proc/self/fdinfo/{}", file.as_raw_fd()));
    let mount = info.lines().find_map(|line| line.strip_prefix("mnt_id:")).unwrap().trim();
    let mounts = read("/proc/self/mountinfo");
    let mut fields = mounts.lines().map(|line| line.split(' '));
    let mut fields = fields.find(|fields| fields.clone().next() == Some(mount)).unwrap();
    let (major, minor) = fields.nth(2).unwrap().split_once(':').unwrap();
    [major, minor].map(|number| number.parse().unwrap())
}

/// K-TAP-11
#[test]
fn files_that_a_message_passes_are_reported_before_it() {
    const TEST: &str = "files_that_a_message_passes_are_reported_before_it";
    if role().is_some() {
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let (pipe, _end) = rustix::pipe::pipe().unwrap();
        let memory = rustix::fs::memfd_create("a b", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let pairs = [STREAM, libc::SOCK_DGRAM, libc::SOCK_SEQPACKET].map(pair);
        let socket = &pairs[0].0;
        let name = std::fs::read_link("/proc/self/exe").unwrap();
        println!("name {}", name.file_name().unwrap().to_str().unwrap());
        let stats = [&file.as_fd(), &socket.as_fd()].map(|file| fstat(file).unwrap());
        let [major, minor] = device(file.as_fd());
        let numbers = [major, minor, stats[0].st_ino, stats[1].st_ino];
        println!("numbers {}", numbers.map(|number: u64| number.to_string()).join(" "));
        for (one, other) in &pairs {
            steps(&mut [("go", &mut || {
                let few = [file.as_fd(), pipe.as_fd(), memory.as_fd(), event.as_fd(), socket.as_fd()];
                pass(one, &few);
                recv_with(other, 100, libc::MSG_PEEK).unwrap();
                recv(other, 100).unwrap();
                pass(one, &[memory.as_fd(); 100]);
                recv(other, 100).unwrap();
            })]);
        }
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, everything());
    let mut actor = Actor::start(TEST);
    let name = actor.child.line("name", LIMIT);
    let [major, minor, inode, socket] = actor.told("numbers")[..] else { panic!() };
    for _ in 0..3 {
        actor.step("go");
        let events = seen(&mut capture, actor.pid());
        let mut files = Vec::new();
        let mut counts = Vec::new();
        for (event, bytes) in &events {
            match event.what {
                What::Passed(file) => files.push(file),
                What::Copied(message) => {
                    assert!(files.iter().all(|file| file.buffer == message.buffer) && bytes == b"files");
                    counts.push((std::mem::take(&mut files), message.fds));
                }
                _ => {}
            }
        }
        // Peeked at, received, and a long list.
        assert_eq!(
            counts.iter().map(|(files, fds)| (files.len(), *fds)).collect::<Vec<_>>(),
            [(5, 5), (5, 5), (8, 100)]
        );
        let files = &counts[1].0;
        let kind = |at: usize| u32::from(files[at].mode) & libc::S_IFMT;
        assert_eq!([0, 1, 2, 4].map(kind), [libc::S_IFREG, libc::S_IFIFO, libc::S_IFREG, libc::S_IFSOCK]);
        let names = [0, 1, 2, 3].map(|at: usize| files[at].name.as_bytes());
        let begin = &name.as_bytes()[..name.len().min(15)];
        assert_eq!(names, [begin, b"", b"memfd:a b", b"[eventfd]"]);
        assert_eq!((files[0].device, files[0].inode), ((major as u32, minor as u32), inode));
        assert_eq!((files[4].inode, files[4].place), (socket, 4));
    }
}

/// K-TAP-2
#[test]
fn a_message_is_captured_when_its_first_byte_is_received() {
    const TEST: &str = "a_message_is_captured_when_its_first_byte_is_received";
    if role().is_some() {
        let (one, other) = pair(STREAM);
        steps(&mut [("go", &mut || {
            send(&one, b"in parts").unwrap();
            for part in [1, 3, 100] {
                recv(&other, part).unwrap();
            }
        })]);
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, everything());
    let mut actor = Actor::start(TEST);
    actor.step("go");
    let events = seen(&mut capture, actor.pid());
    let events: Vec<Seen> = events.into_iter().filter(|(event, _)| event.what != What::Sent).collect();
    let parts: Vec<_> = events
        .iter()
        .map(|(event, bytes)| {
            let message = message(event);
            (message.consumed, message.copied, message.len, bytes.len())
        })
        .collect();
    assert_eq!(parts, [(0, 1, 8, 8), (1, 3, 8, 0), (4, 4, 8, 0)]);
    let same = |at: usize| message(&events[at].0).buffer;
    assert!(same(0) == same(1) && same(1) == same(2));
}

/// K-TAP-3
#[test]
fn a_call_that_peeks_is_reported_after_its_message() {
    const TEST: &str = "a_call_that_peeks_is_reported_after_its_message";
    if role().is_some() {
        let (one, other) = pair(STREAM);
        steps(&mut [("go", &mut || {
            send(&one, b"twice").unwrap();
            recv_with(&other, 100, libc::MSG_PEEK).unwrap();
            recv(&other, 100).unwrap();
            shutdown(&one, libc::SHUT_WR);
            assert_eq!(recv(&other, 100).unwrap(), b"");
        })]);
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, everything());
    if !capture.sees_receives() {
        skip!("lacks both the tracepoint sock_recv_length (Linux 6.3) and programs at functions");
    }
    let mut actor = Actor::start(TEST);
    actor.step("go");
    let events = seen(&mut capture, actor.pid());
    let peeked = |event: &Event| match event.what {
        What::Received(received) => Some((received.result, received.peeked)),
        _ => None,
    };
    let what: Vec<_> =
        events.iter().filter(|(event, _)| event.what != What::Sent).map(|(event, _)| peeked(event)).collect();
    assert_eq!(what, [None, Some((5, true)), None, Some((0, false))]);
}

/// K-TAP-4
#[test]
fn a_closed_sender_is_known_by_its_cookie() {
    const TEST: &str = "a_closed_sender_is_known_by_its_cookie";
    if role().is_some() {
        let (one, other) = pair(STREAM);
        tell("receiver", &[&other]);
        // `one` has no cookie before it has sent.
        steps(&mut [("go", &mut || {
            send(&one, b"last words").unwrap();
        })]);
        tell("sender", &[&one]);
        drop(one);
        steps(&mut [("read", &mut || {
            recv(&other, 100).unwrap();
        })]);
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, everything());
    if !capture.sees_receives() {
        skip!("lacks both the tracepoints of sockets (Linux 6.3) and programs at functions");
    }
    let mut actor = Actor::start(TEST);
    let receiver = actor.told("receiver");
    actor.step("go");
    let sender = actor.told("sender");
    let events = seen(&mut capture, actor.pid());
    let [(sent, _)] = &events[..] else { panic!("it sent for the first time: {events:?}") };
    assert_eq!((sent.what, sent.sender.cookie), (What::Sent, Some(sender[1])));
    actor.step("read");
    let events = seen(&mut capture, actor.pid());
    let [(copied, bytes), (received, _)] = &events[..] else { panic!("{events:?}") };
    assert_eq!(&bytes[..], b"last words");
    assert_eq!((copied.sender.inode, copied.sender.cookie), (None, Some(sender[1])));
    assert_eq!(copied.receiver, stoop_bpf::End::default());
    assert!(matches!(received.what, What::Received(_)));
    assert_eq!(received.receiver.cookie, Some(receiver[1]));
    assert_eq!(received.tid, copied.tid);
}

/// K-TAP-5
#[test]
fn the_name_of_a_listener_selects_its_connections_from_their_first_byte() {
    const TEST: &str = "the_name_of_a_listener_selects_its_connections_from_their_first_byte";
    if role().is_some() {
        let (wanted, other) = (Name::unique("wanted"), Name::unique("other"));
        let listeners = [listener(STREAM, &wanted, 5), listener(STREAM, &other, 5)];
        tell("listener", &[&listeners[0]]);
        steps(&mut [("go", &mut || {
            for (name, listener) in [&other, &wanted].into_iter().zip([&listeners[1], &listeners[0]]) {
                let asks = client(STREAM, name);
                send(&asks, name.to_text().as_bytes()).unwrap();
                let serves = accept(listener).unwrap();
                recv(&serves, 200).unwrap();
                send(&serves, b"reply").unwrap();
                recv(&asks, 200).unwrap();
            }
            println!("name {}", wanted.to_text());
        })]);
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, CaptureOptions::default());
    let mut actor = Actor::start(TEST);
    let inode = actor.told("listener")[0] as u32;
    let sockets = TaskFiles::load().unwrap().read().unwrap();
    let Some(name) = sockets.iter().find(|socket| socket.inode == inode).and_then(|socket| socket.name)
    else {
        skip!("lacks keys of names (Linux 5.16)");
    };
    capture.want(Key::Name(name)).unwrap();
    use std::io::Write;
    writeln!(actor.child.stdin.as_mut().unwrap(), "go").unwrap();
    let name = actor.child.line("name", LIMIT);
    assert_eq!(actor.child.line("did", LIMIT), "go");
    let events = seen(&mut capture, actor.pid());
    let bytes: Vec<&[u8]> =
        events.iter().map(|(_, bytes)| &bytes[..]).filter(|bytes| !bytes.is_empty()).collect();
    assert_eq!(bytes, [name.as_bytes(), b"reply"]);
    if capture.sees_receives() {
        assert!(events.iter().any(|(event, _)| event.what == What::Sent), "{events:?}");
        assert!(matches!(events[0].0.what, What::Connected), "{events:?}");
        assert_eq!(events[0].0.receiver.inode, Some(inode));
    }
}

/// K-TAP-1
#[test]
fn keys_select_and_exclude() {
    const TEST: &str = "keys_select_and_exclude";
    if role().is_some() {
        let pairs = [pair(STREAM), pair(STREAM), pair(STREAM)];
        tell("ends", &[&pairs[0].0, &pairs[1].1, &pairs[2].0]);
        for _ in 0..4 {
            steps(&mut [("go", &mut || {
                for ((one, other), text) in pairs.iter().zip([b"0", b"1", b"2"]) {
                    send(one, text).unwrap();
                    recv(other, 9).unwrap();
                }
            })]);
        }
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, CaptureOptions::default());
    let mut actor = Actor::start(TEST);
    let ends = actor.told("ends");
    let keys = [1, 3, 5].map(|at: usize| Key::Cookie(ends[at]));
    let pid = actor.pid();
    let mut texts = |capture: &mut Capture| -> String {
        actor.step("go");
        let events = seen(capture, pid).into_iter();
        events.map(|(_, bytes)| String::from_utf8(bytes).unwrap()).collect()
    };
    assert_eq!(texts(&mut capture), "");
    capture.want(keys[0]).unwrap();
    capture.want(keys[1]).unwrap();
    assert_eq!(texts(&mut capture), "01");
    capture.forget(keys[0]).unwrap();
    capture.forget(keys[0]).unwrap();
    assert_eq!(texts(&mut capture), "1");
    capture.want(Key::Process(pid)).unwrap();
    capture.exclude(keys[2]).unwrap();
    assert_eq!(texts(&mut capture), "01");
}

#[test]
fn a_user_selects_what_it_created() {
    const TEST: &str = "a_user_selects_what_it_created";
    if role().is_some() {
        let (one, other) = pair(STREAM);
        steps(&mut [("go", &mut || {
            send(&one, b"mine").unwrap();
            recv(&other, 9).unwrap();
        })]);
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, CaptureOptions::default());
    if !is_root() {
        skip!("lacks root, to become another user");
    }
    let mut theirs = Actor { child: Role::new(TEST, "actor").user(NOBODY, NOBODY).spawn() };
    let mut ours = Actor::start(TEST);
    capture.want(Key::User(NOBODY)).unwrap();
    let mut events = Vec::new();
    for actor in [&mut ours, &mut theirs] {
        actor.step("go");
        events.push(seen(&mut capture, actor.pid()).into_iter().map(|(_, bytes)| bytes).collect::<Vec<_>>());
    }
    assert_eq!(events[0], [[]; 0]);
    assert_eq!(events[1].concat(), b"mine");
}

/// The unified hierarchy, mounted in a directory, with a cgroup.
struct Cgroup {
    directory: stoop_testkit::TempDir,
}

impl Cgroup {
    fn create() -> Option<Cgroup> {
        let directory = stoop_testkit::tempdir();
        let mut mount = std::process::Command::new("mount");
        let mount = mount.args(["-t", "cgroup2", "none"]).arg(directory.path());
        mount.status().is_ok_and(|status| status.success()).then_some(())?;
        let cgroup = Cgroup { directory };
        std::fs::create_dir(cgroup.path()).ok()?;
        Some(cgroup)
    }

    fn path(&self) -> std::path::PathBuf {
        self.directory.path().join(format!("stoop-{}", std::process::id()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Its processes have ended, which the kernel may notice a moment later.
        stoop_testkit::eventually(LIMIT, || std::fs::remove_dir(self.path()).is_ok());
        let _ = std::process::Command::new("umount").arg(self.directory.path()).status();
    }
}

/// [K-TAP-10]
///
/// [K-TAP-10]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-TAP-10
#[test]
fn a_cgroup_selects_connections_with_an_end_in_it() {
    const TEST: &str = "a_cgroup_selects_connections_with_an_end_in_it";
    if role().is_some() {
        let place = std::env::var("STOOP_CGROUP").unwrap();
        let enter = |inside: bool| {
            let place = std::path::Path::new(&place);
            let place = if inside { place } else { place.parent().unwrap() };
            std::fs::write(place.join("cgroup.procs"), "0").unwrap();
        };
        // A client and a server, each inside or not.
        for (client_inside, server_inside) in [(true, false), (false, true), (false, false)] {
            let name = Name::unique("cgroup");
            let listener = listener(STREAM, &name, 5);
            steps(&mut [("go", &mut || {
                enter(client_inside);
                let asks = client(STREAM, &name);
                send(&asks, b"ask").unwrap();
                enter(server_inside);
                let serves = accept(&listener).unwrap();
                recv(&serves, 9).unwrap();
                send(&serves, b"reply").unwrap();
                enter(client_inside);
                recv(&asks, 9).unwrap();
            })]);
        }
        return;
    }
    let _turn;
    let mut capture = loaded!(_turn, CaptureOptions::default());
    let Some(cgroup) = Cgroup::create() else { skip!("lacks a cgroup2 file system that can be mounted") };
    let place = cgroup.path();
    let actor = Role::new(TEST, "actor").env("STOOP_CGROUP", place.to_str().unwrap());
    let mut actor = Actor { child: actor.spawn() };
    capture.want(Key::Cgroup(std::fs::metadata(&place).unwrap().ino())).unwrap();
    let mut texts = Vec::new();
    for _ in 0..3 {
        actor.step("go");
        let events = seen(&mut capture, actor.pid()).into_iter();
        let text: Vec<u8> = events.flat_map(|(_, bytes)| bytes).collect();
        texts.push(String::from_utf8(text).unwrap());
    }
    drop(actor);
    if capture.sees_receives() {
        assert_eq!(texts, ["askreply", "askreply", ""]);
    } else {
        assert_eq!(texts[2], "");
    }
}

/// K-TAP-6
#[test]
fn what_does_not_fit_is_counted() {
    const TEST: &str = "what_does_not_fit_is_counted";
    const MESSAGES: u64 = 2000;
    if role().is_some() {
        let (one, other) = pair(STREAM);
        // What a processor has lost is reported with its next record: stay there.
        let mut here = rustix::thread::CpuSet::new();
        here.set(rustix::thread::sched_getcpu());
        rustix::thread::sched_setaffinity(None, &here).unwrap();
        for _ in 0..2 {
            steps(&mut [("go", &mut || {
                for _ in 0..MESSAGES {
                    send(&one, &[b'x'; 500]).unwrap();
                    recv(&other, 500).unwrap();
                }
            })]);
        }
        return;
    }
    let mut options = everything();
    options.buffer_bytes = 1;
    let _turn;
    let mut capture = loaded!(_turn, options);
    let mut actor = Actor::start(TEST);
    let mut counts = Counts::default();
    for _ in 0..2 {
        actor.step("go");
        counts.read(&mut capture, actor.pid());
    }
    assert!(counts.kept > 0 && counts.kept < 2 * MESSAGES, "{counts:?}");
    // Other processes' messages may be lost, too.
    assert!(counts.lost >= MESSAGES && counts.sum() >= 2 * MESSAGES, "{counts:?}");
}

/// What became of the messages of a process.
#[derive(Debug, Default)]
struct Counts {
    kept: u64,
    lost: u64,
    skipped: u64,
}

impl Counts {
    fn read(&mut self, capture: &mut Capture, pid: u32) {
        capture.read_each(|_, captured| match captured {
            Captured::Event(event, _) => {
                self.kept += u64::from(event.pid == pid && matches!(event.what, What::Copied(_)));
            }
            Captured::Lost(count) => self.lost += count,
            Captured::Skipped(skipped) => self.skipped += skipped.count,
        });
    }

    fn sum(&self) -> u64 {
        self.kept + self.lost + self.skipped
    }
}

/// K-TAP-7
#[test]
fn programs_that_the_kernel_skips_are_counted() {
    const TEST: &str = "programs_that_the_kernel_skips_are_counted";
    const THREADS: usize = 6;
    const MESSAGES: u64 = 3000;
    if role().is_some() {
        let flood = |thread: usize| {
            move || {
                // Several on each processor, so that one preempts another in the kernel.
                let mut here = rustix::thread::CpuSet::new();
                let allowed = rustix::thread::sched_getaffinity(None).unwrap();
                let processors: Vec<usize> =
                    (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
                here.set(processors[thread % processors.len()]);
                rustix::thread::sched_setaffinity(None, &here).unwrap();
                let (one, other) = pair(STREAM);
                for _ in 0..MESSAGES {
                    send(&one, &[b'x'; 64]).unwrap();
                    recv(&other, 64).unwrap();
                }
            }
        };
        for _ in 0..ROUNDS {
            steps(&mut [("go", &mut || {
                let threads: Vec<_> = (0..THREADS).map(|thread| std::thread::spawn(flood(thread))).collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            })]);
        }
        return;
    }
    const ROUNDS: u64 = 20;
    let mut options = everything();
    options.payload_max = 0;
    let _turn;
    let mut capture = loaded!(_turn, options);
    let mut actor = Actor::start(TEST);
    let mut counts = Counts::default();
    for round in 1..=ROUNDS {
        actor.step("go");
        counts.read(&mut capture, actor.pid());
        let sent = round * THREADS as u64 * MESSAGES;
        assert!(counts.sum() >= sent, "{counts:?} of {sent}");
        if counts.skipped > 0 {
            return;
        }
    }
    skip!("lacks a kernel that preempts programs");
}
