//! Compares `why` with the kernel: one small test for each cause, as this process.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use stoop::{Address, Bind, Datagram, Kind};
use stoop_inspect::internal::{Action, Cause, Verdict, gather, why};
use stoop_inspect::why::{Errno, Operation, Outcome, Question, Who};

const SEND: Operation = Operation::Send { len_bytes: 1 };

fn ask(operation: Operation, kind: Option<Kind>, address: Address) -> Verdict {
    let question = Question { operation, kind, address, subject: Who::CurrentProcess };
    why(&gather(&question).unwrap())
}

/// The real call, with a raw socket.
fn call(operation: Operation, kind: Kind, address: &Address) -> Outcome {
    let raw = match kind {
        Kind::Stream => SocketType::STREAM,
        Kind::Datagram => SocketType::DGRAM,
        Kind::SeqPacket => SocketType::SEQPACKET,
    };
    let socket = rustix::net::socket_with(AddressFamily::UNIX, raw, SocketFlags::NONBLOCK, None).unwrap();
    let to = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => SocketAddrUnix::new(path).unwrap(),
        (_, Some(name)) => SocketAddrUnix::new_abstract_name(name).unwrap(),
        _ => unreachable!("no address without a name is tried"),
    };
    let done = match operation {
        Operation::Connect => rustix::net::connect(&socket, &to),
        Operation::Bind => rustix::net::bind(&socket, &to),
        Operation::Send { len_bytes } => {
            rustix::net::sendto(&socket, &vec![0; len_bytes], SendFlags::NOSIGNAL, &to).map(drop)
        }
    };
    match done {
        Ok(()) => Outcome::Succeeds,
        Err(Errno::AGAIN) => Outcome::Waits,
        Err(errno) => Outcome::Fails(errno),
    }
}

/// Compares the prediction with the call. The prediction comes first, because a bind that succeeds
/// creates the file.
fn expect(operation: Operation, kind: Kind, address: Address, cause: Cause) -> Verdict {
    let verdict = ask(operation, Some(kind), address.clone());
    let outcome = call(operation, kind, &address);
    assert_eq!(verdict.outcome, outcome, "{operation:?} {kind} {address}: {verdict:?}");
    assert_eq!(verdict.cause, cause, "{operation:?} {kind} {address}: {verdict:?}");
    verdict
}

struct Fixture {
    directory: tempfile::TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        Fixture { directory: stoop_testkit::tempdir() }
    }

    /// Returns a path in the directory. It is not joined as a `Path`, which would drop trailing
    /// slashes and dots.
    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("{}/{name}", self.directory.path().display()))
    }

    fn address(&self, name: &str) -> Address {
        Address::path(self.path(name)).unwrap()
    }

    fn expect(&self, operation: Operation, kind: Kind, name: &str, cause: Cause) -> Verdict {
        expect(operation, kind, self.address(name), cause)
    }
}

#[test]
fn lookups() {
    let fixture = Fixture::new();
    fs::create_dir(fixture.path("dir")).unwrap();
    fs::create_dir(fixture.path("x")).unwrap();
    fs::write(fixture.path("file"), "").unwrap();
    symlink("nowhere", fixture.path("dangling")).unwrap();
    symlink("circle", fixture.path("circle")).unwrap();
    symlink("dir/../dir/", fixture.path("to-dir")).unwrap();
    symlink("file/", fixture.path("to-file")).unwrap();
    symlink("/", fixture.path("to-root")).unwrap();
    symlink(format!("x/{}", "n".repeat(256)), fixture.path("long")).unwrap();
    let connect = |name, cause| fixture.expect(Operation::Connect, Kind::Stream, name, cause);
    connect("none", Cause::Missing);
    connect("none/", Cause::Missing);
    connect("none/app", Cause::ParentMissing);
    connect("file/app", Cause::NotADirectory);
    connect("file/", Cause::NotADirectory);
    connect("file/.", Cause::NotADirectory);
    connect("file", Cause::NotASocket);
    connect("dir/.", Cause::NotASocket);
    connect("to-dir", Cause::NotASocket);
    connect("to-dir/none", Cause::Missing);
    connect("to-file", Cause::NotADirectory);
    connect("to-root", Cause::NotASocket);
    connect("to-root/no-such-file", Cause::Missing);
    connect("dangling", Cause::Dangling);
    connect("dangling/app", Cause::Dangling);
    connect("circle", Cause::LinkLoop);
    connect("circle/app", Cause::LinkLoop);
    connect("long", Cause::NameTooLong);
    connect("dir/../../../../../../..", Cause::NotASocket);
}

#[test]
fn links_up_to_forty() {
    let fixture = Fixture::new();
    fs::write(fixture.path("0"), "").unwrap();
    for at in 1..=41 {
        symlink((at - 1).to_string(), fixture.path(&at.to_string())).unwrap();
    }
    fixture.expect(Operation::Connect, Kind::Stream, "40", Cause::NotASocket);
    fixture.expect(Operation::Connect, Kind::Stream, "41", Cause::LinkLoop);
}

#[test]
fn streams() {
    let fixture = Fixture::new();
    let at = |name| SocketAddrUnix::new(fixture.path(name)).unwrap();
    let connect = |kind, name, cause| fixture.expect(Operation::Connect, kind, name, cause);
    let listener = Bind::new(fixture.path("app")).backlog(0).listen().unwrap();
    let bound = rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&bound, &at("bound")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(fixture.path("stale")).unwrap());
    let verdict = connect(Kind::Datagram, "app", Cause::WrongKind);
    let kind = Some(Kind::Stream);
    assert!(
        matches!(&verdict.advice[..], [Action::Connect { kind: found, .. }] if *found == kind),
        "{verdict:?}"
    );
    connect(Kind::SeqPacket, "app", Cause::WrongKind);
    connect(Kind::Stream, "stale", Cause::Stale);
    connect(Kind::Stream, "bound", Cause::NotListening);
    // The question does not occupy a place in the queue: it is still empty the second time.
    for _ in 0..2 {
        assert_eq!(ask(Operation::Connect, None, fixture.address("app")).outcome, Outcome::Succeeds);
    }
    let _first = stoop::Stream::connect(fixture.path("app")).unwrap();
    let full = connect(Kind::Stream, "app", Cause::BacklogFull);
    assert!(full.seen.iter().any(|line| line.starts_with("1 client waits; the limit is 0")), "{full:?}");
    let (_accepted, _) = listener.accept().unwrap();
    rustix::net::connect(&bound, &at("app")).unwrap();
    // It waits to be accepted, and its server is known.
    let waiting = connect(Kind::Stream, "bound", Cause::IsAClient);
    let [Action::Connect { at: server, .. }] = &waiting.advice[..] else { panic!("{waiting:?}") };
    assert_eq!(server.address, fixture.address("app"));
    let (accepted, _) = listener.accept().unwrap();
    connect(Kind::Stream, "bound", Cause::IsAClient);
    rustix::net::shutdown(&listener, rustix::net::Shutdown::Read).unwrap();
    connect(Kind::Stream, "app", Cause::ListenerShutDown);
    // An accepted socket does not keep the file alive.
    fs::hard_link(fixture.path("app"), fixture.path("kept")).unwrap();
    stoop_testkit::close(listener);
    connect(Kind::Stream, "kept", Cause::Stale);
    drop(accepted);
}

#[test]
fn datagrams() {
    let fixture = Fixture::new();
    let to = SocketAddrUnix::new(fixture.path("log")).unwrap();
    let receiver = Bind::new(fixture.path("log")).datagram().unwrap();
    fixture.expect(Operation::Connect, Kind::Stream, "log", Cause::WrongKind);
    fixture.expect(SEND, Kind::Datagram, "log", Cause::Nothing);
    fixture.expect(SEND, Kind::Stream, "log", Cause::NeedsConnection);
    fixture.expect(SEND, Kind::SeqPacket, "none", Cause::NeedsConnection);
    let buffer = fs::read_to_string("/proc/sys/net/core/wmem_default").unwrap();
    let most = buffer.trim().parse::<usize>().unwrap() - 32;
    fixture.expect(Operation::Send { len_bytes: most + 1 }, Kind::Datagram, "none", Cause::MessageTooLarge);
    fixture.expect(Operation::Send { len_bytes: most }, Kind::Datagram, "none", Cause::Missing);
    let sender = Datagram::autobind().unwrap();
    while rustix::net::sendto(&sender, b"x", SendFlags::DONTWAIT, &to).is_ok() {}
    fixture.expect(SEND, Kind::Datagram, "log", Cause::QueueFull);
    fixture.expect(Operation::Connect, Kind::Datagram, "log", Cause::Nothing);
    rustix::net::shutdown(&receiver, rustix::net::Shutdown::Read).unwrap();
    fixture.expect(SEND, Kind::Datagram, "log", Cause::ReceiverShutDown);
    fixture.expect(Operation::Connect, Kind::Datagram, "log", Cause::Nothing);
    let elsewhere = Bind::new(fixture.path("pair")).datagram().unwrap();
    rustix::net::connect(&elsewhere, &to).unwrap();
    fixture.expect(SEND, Kind::Datagram, "pair", Cause::ConnectedElsewhere);
    fixture.expect(Operation::Connect, Kind::Datagram, "pair", Cause::ConnectedElsewhere);
    // It stays connected to a closed peer until it sends.
    drop(receiver);
    fixture.expect(Operation::Connect, Kind::Datagram, "pair", Cause::ConnectedElsewhere);
}

#[test]
fn binds() {
    let fixture = Fixture::new();
    fs::write(fixture.path("file"), "").unwrap();
    fs::create_dir(fixture.path("dir")).unwrap();
    symlink("nowhere", fixture.path("dangling")).unwrap();
    symlink("dir", fixture.path("to-dir")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(fixture.path("stale")).unwrap());
    let _live = Bind::new(fixture.path("live")).listen().unwrap();
    let bind = |name, cause| fixture.expect(Operation::Bind, Kind::Stream, name, cause);
    bind("file", Cause::TakenByFile);
    bind("dir", Cause::TakenByFile);
    bind("dir/", Cause::TakenByFile);
    bind("dir/.", Cause::NoLastName);
    bind("dir/..", Cause::NoLastName);
    bind("dangling", Cause::TakenByFile);
    bind("stale", Cause::TakenStale);
    bind("live", Cause::TakenLive);
    bind("file/x", Cause::NotADirectory);
    bind("none/x", Cause::ParentMissing);
    bind("none/.", Cause::ParentMissing);
    bind("new/", Cause::TrailingSlash);
    bind("dangling/x", Cause::Dangling);
    bind("to-dir/new", Cause::Nothing);
    bind("new", Cause::Nothing);
    let elsewhere = [
        ("/", Cause::NoLastName),
        ("//", Cause::NoLastName),
        ("/proc/new", Cause::NoSocketsHere),
        ("/sys/new", Cause::NoSocketsHere),
    ];
    for (path, cause) in elsewhere {
        expect(Operation::Bind, Kind::Stream, Address::path(path).unwrap(), cause);
    }
}

#[test]
fn abstract_names() {
    let name = |end: &str| Address::abstract_name(format!("stoop-why-{}{end}", std::process::id())).unwrap();
    let _server = Bind::new(name("")).listen().unwrap();
    expect(Operation::Connect, Kind::Stream, name(""), Cause::Nothing);
    expect(Operation::Connect, Kind::Datagram, name(""), Cause::NameOfOtherKind);
    expect(Operation::Connect, Kind::Stream, name("\0"), Cause::NamePadded);
    let verdict = expect(Operation::Connect, Kind::Stream, name("x"), Cause::NoSuchName);
    assert!(verdict.seen.iter().any(|line| line.contains("stoop-why-")), "{verdict:?}");
    expect(Operation::Bind, Kind::Stream, name(""), Cause::NameTaken);
    expect(Operation::Bind, Kind::Datagram, name(""), Cause::Nothing);
}

#[test]
fn long_paths() {
    let fixture = Fixture::new();
    let end = |len: usize| "n".repeat(len - fixture.path("").as_os_str().len());
    fixture.expect(Operation::Connect, Kind::Stream, &end(107), Cause::Missing);
    let verdict = ask(Operation::Connect, None, fixture.address(&end(109)));
    assert_eq!((verdict.outcome, verdict.cause), (Outcome::Fails(Errno::NAMETOOLONG), Cause::PathTooLong));
}

#[test]
fn relative_paths_and_proc() {
    let fixture = Fixture::new();
    let _listener = Bind::new(fixture.path("app")).listen().unwrap();
    let path = |text: String| Address::path(text).unwrap();
    expect(Operation::Connect, Kind::Stream, path("no-such-file".into()), Cause::Missing);
    let directory = fs::File::open(fixture.directory.path()).unwrap();
    for proc in ["self", "thread-self"] {
        let through = path(format!("/proc/{proc}/fd/{}/app", directory.as_raw_fd()));
        expect(Operation::Connect, Kind::Stream, through, Cause::Nothing);
    }
    let removed = Fixture::new();
    let gone = fs::File::open(removed.directory.path()).unwrap();
    drop(removed);
    let through = path(format!("/proc/self/fd/{}/app", gone.as_raw_fd()));
    expect(Operation::Connect, Kind::Stream, through.clone(), Cause::DirectoryDeleted);
    expect(Operation::Bind, Kind::Stream, through, Cause::DirectoryDeleted);
}
