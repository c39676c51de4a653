//! Socket activation with real processes: descriptors at number 3 and up, the three variables, and
//! what is refused.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use stoop::activation::{self, Activation, Sockets};
use stoop::internal::State;
use stoop::{
    Address, Arrival, Bind, Connect, Datagram, ErrorKind, Kind, Listener, Packet, Policy, SeqPacket, Stream,
};
use stoop_testkit::{KillOnDrop, Role, role, skip, spawn, tempdir};

const SOON: Duration = Duration::from_secs(20);

/// Sets `LISTEN_PID` to the process that the rest of the command line becomes.
const FOR_ITSELF: &str = "export LISTEN_PID=$$; exec \"$0\" \"$@\"";

/// Starts `test` in the part `part` with these descriptors as 3, 4, …, as a service manager would.
fn activate(test: &str, part: &str, passed: &[BorrowedFd<'_>], env: &[(&str, &str)]) -> KillOnDrop {
    // High copies first: a low number may be both a source and a goal.
    let copies: Vec<_> = passed.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, 100).unwrap()).collect();
    let sources: Vec<i32> = copies.iter().map(AsRawFd::as_raw_fd).collect();
    let mut command = Command::new("sh");
    command.args(["-c", FOR_ITSELF]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1", "-q"]);
    command.env("STOOP_ROLE", part).env("LISTEN_FDS", passed.len().to_string()).envs(env.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    #[expect(
        unsafe_code,
        reason = "only between fork and exec can a descriptor get its number in the child alone"
    )]
    // SAFETY: dup2 is async-signal-safe, and the closure touches nothing but its own copy of a list made
    // before the fork. What it overwrites in the child is close-on-exec or not used before exec.
    unsafe {
        command.pre_exec(move || {
            for (goal, source) in (3..).zip(&sources) {
                if libc::dup2(*source, goal) == -1 {
                    return Err(std::io::Error::last_os_error());
                }
            }
            Ok(())
        });
    }
    KillOnDrop(spawn(&mut command).unwrap())
}

fn sockets() -> Sockets {
    match activation::take().unwrap() {
        Activation::Sockets(sockets) => sockets,
        other => panic!("no sockets but {other:?}"),
    }
}

#[test]
fn every_kind_is_taken_once_and_works() {
    const TEST: &str = "every_kind_is_taken_once_and_works";
    match role().as_deref() {
        None => {}
        Some("grandchild") => {
            assert!(matches!(activation::take().unwrap(), Activation::ForAnotherProcess { pid } if pid != 0));
            return;
        }
        Some(_) => return serve_every_kind(TEST),
    }
    let dir = tempdir();
    let [web, log, control] = ["web", "log", "control"].map(|name| dir.path().join(name));
    let listener = Bind::new(&web).listen().unwrap();
    let datagram = Bind::new(&log).datagram().unwrap();
    let seqpacket = Bind::new(&control).listen_seqpacket().unwrap();
    let (mut ours, theirs) = Stream::pair().unwrap();
    let fds = [listener.as_fd(), datagram.as_fd(), seqpacket.as_fd(), theirs.as_fd()];
    let names = [("LISTEN_FDNAMES", "web:log:control:connection")];
    let mut child = activate(TEST, "service", &fds, &names);
    drop(theirs);

    ours.write_all(b"!").unwrap();
    let mut heard = [0];
    ours.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"!");
    let mut client = Stream::connect(&web).unwrap();
    client.write_all(b"w").unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"w");
    let client = Datagram::client(&log).unwrap();
    client.send(b"d").unwrap();
    assert_eq!(client.recv(&mut heard).unwrap(), 1);
    let client = SeqPacket::connect(&control).unwrap();
    client.send(b"s").unwrap();
    assert_eq!(client.recv(&mut heard).unwrap(), Packet::Message(1));

    child.line("took them all", SOON);
    assert!(child.finish(SOON).success());
    assert!(web.exists() && log.exists() && control.exists(), "the files are the service manager's");
}

fn serve_every_kind(test: &str) {
    let mut sockets = sockets();
    assert_eq!(sockets.iter().map(|passed| passed.number()).collect::<Vec<_>>(), [3, 4, 5, 6]);
    for passed in &sockets {
        let flags = rustix::io::fcntl_getfd(passed).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC), "{passed}");
    }
    let states: Vec<State> = sockets.iter().map(|passed| passed.state().unwrap()).collect();
    assert_eq!(states, [State::Listening, State::Idle, State::Listening, State::Connected]);

    let mut connection = Stream::try_from(sockets.named("connection").unwrap()).unwrap();
    let mut byte = [0];
    connection.read_exact(&mut byte).unwrap();
    connection.write_all(&byte).unwrap();

    let web = sockets.named("web").unwrap();
    assert!(web.address().unwrap().as_pathname().unwrap().ends_with("web"));
    let (mut client, _) = Listener::<Stream>::try_from(web).unwrap().accept().unwrap();
    client.read_exact(&mut byte).unwrap();
    client.write_all(&byte).unwrap();

    let log = Datagram::try_from(sockets.named("log").unwrap()).unwrap();
    let (len, from) = log.recv_from(&mut byte).unwrap();
    log.send_to(&byte[..len], &from).unwrap();

    let control = Listener::<SeqPacket>::try_from(sockets.only().unwrap()).unwrap();
    let (client, _) = control.accept().unwrap();
    assert_eq!(client.recv(&mut byte).unwrap(), Packet::Message(1));
    client.send(&byte).unwrap();

    // Owned once in a process; the environment stays as it was, and tells children that nothing is
    // meant for them.
    assert!(matches!(activation::take().unwrap(), Activation::TakenBefore));
    assert_eq!(std::env::var("LISTEN_FDS").unwrap(), "4");
    assert!(Role::new(test, "grandchild").spawn().finish(SOON).success());
    println!("took them all");
}

#[test]
fn wrong_setups_give_distinct_errors() {
    const TEST: &str = "wrong_setups_give_distinct_errors";
    if role().is_some() {
        return refuse_wrong_setups();
    }
    let dir = tempdir();
    let file = std::fs::File::open("/dev/null").unwrap();
    let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let datagram = Datagram::autobind().unwrap();
    let (connected, _peer) = Stream::pair().unwrap();
    let listener = Bind::new(dir.path().join("listener")).listen().unwrap();
    let unused = std::os::unix::net::UnixDatagram::unbound().unwrap();
    let idle =
        rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    let fds = [
        file.as_fd(),
        tcp.as_fd(),
        datagram.as_fd(),
        connected.as_fd(),
        listener.as_fd(),
        idle.as_fd(),
        unused.as_fd(),
    ];
    let names = [("LISTEN_FDNAMES", "file:tcp:datagram:connected:listener:idle:rest")];
    let mut child = activate(TEST, "service", &fds, &names);
    child.line("refused them all", SOON);
    assert!(child.finish(SOON).success());
}

fn refuse_wrong_setups() {
    let mut sockets = sockets();
    let mut take = |name: &str| sockets.named(name);
    let errors = [
        Listener::<Stream>::try_from(take("file").unwrap()).unwrap_err(),
        Listener::<Stream>::try_from(take("tcp").unwrap()).unwrap_err(),
        Listener::<Stream>::try_from(take("datagram").unwrap()).unwrap_err(),
        Listener::<Stream>::try_from(take("connected").unwrap()).unwrap_err(),
        Stream::try_from(take("listener").unwrap()).unwrap_err(),
        take("listener").unwrap_err(),
    ];
    let kinds = errors.each_ref().map(|error| error.kind());
    use ErrorKind::*;
    assert_eq!(kinds, [Other, Unsupported, WrongKind, Protocol, NotConnected, NotFound]);
    assert_eq!(errors[0].errno_symbol(), Some("ENOTSOCK"));
    for (error, words) in errors.iter().zip([
        "'file' (file descriptor 3) is not a socket",
        "'tcp' (file descriptor 4) is not a Unix domain socket",
        "'datagram' (file descriptor 5) is a datagram socket, not a stream one",
        "'connected' (file descriptor 6) is a connection, not a listener",
        "'listener' (file descriptor 7) is a listener, not a connection",
        "no passed socket is named 'listener' (left: 'idle', 'rest')",
    ]) {
        assert!(error.to_string().contains(words), "{error}");
    }
    let idle = take("idle").unwrap();
    assert_eq!((idle.kind().unwrap(), idle.state().unwrap()), (Kind::Stream, State::Idle));
    assert_eq!(idle.address().unwrap(), Address::UNNAMED);
    assert!(Listener::<Stream>::try_from(idle).unwrap_err().to_string().contains("does not listen"));
    assert_eq!(sockets.only().unwrap().name(), "rest");
    println!("refused them all");
}

#[test]
fn an_abstract_listener_accepts_its_own_user_only() {
    const TEST: &str = "an_abstract_listener_accepts_its_own_user_only";
    match role().as_deref() {
        None => {}
        Some("stranger") => {
            let name = std::env::var("NAME").unwrap();
            let mut stranger = Stream::connect(Address::abstract_name(name).unwrap()).unwrap();
            // The server closes the connection without a word; that may show as a reset.
            assert!(matches!(stranger.read(&mut [0]), Ok(0) | Err(_)));
            return;
        }
        Some(_) => {
            let listener = Listener::<Stream>::try_from(sockets().only().unwrap()).unwrap();
            println!("listens");
            listener.accept().unwrap();
            assert_eq!(listener.counts().refused, 1);
            println!("accepted its own");
            return;
        }
    }
    if !stoop_testkit::is_root() {
        skip!("lacks root");
    }
    let name = format!("stoop-activation-{}", std::process::id());
    let address = Address::abstract_name(name.clone()).unwrap();
    let listener = Bind::new(&address).listen().unwrap();
    let mut child = activate(TEST, "service", &[listener.as_fd()], &[]);
    child.line("listens", SOON);
    let user = stoop_testkit::NOBODY;
    Role::new(TEST, "stranger").env("NAME", &name).user(user, user).run();
    let _friend = Stream::connect(&address).unwrap();
    child.line("accepted its own", SOON);
    assert!(child.finish(SOON).success());
}

#[test]
fn a_builder_applies_its_policy_to_a_passed_listener() {
    const TEST: &str = "a_builder_applies_its_policy_to_a_passed_listener";
    let bind = || {
        let path = std::env::var("SOCKET").unwrap();
        Bind::new(path).mode(0o600).policy(Policy::nobody()).activated(true)
    };
    match role().as_deref() {
        None => {}
        Some("server") => {
            let listener = bind().listen().unwrap();
            assert!(listener.file().is_none(), "the file is the service manager's");
            assert!(matches!(listener.accept_any().unwrap(), Arrival::Refused { .. }));
            return println!("refused");
        }
        Some(_) => {
            let error = bind().listen().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol);
            return println!("error: {error}");
        }
    }
    let dir = tempdir();
    let path = |name: &str| dir.path().join(name);
    let socket = |name: &str| path(name).display().to_string();
    let private = Bind::new(path("app.sock")).mode(0o600).listen().unwrap();
    let public = Bind::new(path("public.sock")).mode(0o666).listen().unwrap();

    let mut server = activate(TEST, "server", &[private.as_fd()], &[("SOCKET", &socket("app.sock"))]);
    let mut client = Stream::connect(path("app.sock")).unwrap();
    assert!(matches!(client.read(&mut [0]), Ok(0) | Err(_)), "closed by the policy");
    server.line("refused", SOON);
    assert!(server.finish(SOON).success());
    assert!(path("app.sock").exists());

    for (passed, address, reason) in [
        (&[private.as_fd()][..], "other.sock", "is bound to"),
        (&[public.as_fd()], "public.sock", "has mode 0666: more users may connect than with 0600"),
        (&[private.as_fd(), public.as_fd()], "app.sock", "expected one passed socket, found 2"),
    ] {
        let mut server = activate(TEST, "mistaken", passed, &[("SOCKET", &socket(address))]);
        let error = server.line("error: ", SOON);
        assert!(error.contains(reason), "{error}");
        assert!(server.finish(SOON).success());
    }
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    const TEST: &str = "sockets_for_another_process_are_left_alone";
    if role().is_some() {
        assert!(matches!(activation::take().unwrap(), Activation::ForAnotherProcess { pid: 1 }));
        return;
    }
    Role::new(TEST, "wrapped").env("LISTEN_FDS", "1").env("LISTEN_PID", "1").run();
}

#[test]
fn a_descriptor_that_is_not_open_is_an_error() {
    const TEST: &str = "a_descriptor_that_is_not_open_is_an_error";
    if role().is_some() {
        let error = activation::take().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains("file descriptor 4 is not open (EBADF)"), "{error}");
        println!("refused");
        return;
    }
    let (one, _other) = Datagram::pair().unwrap();
    let mut child = activate(TEST, "service", &[one.as_fd()], &[("LISTEN_FDS", "500")]);
    child.line("refused", SOON);
    assert!(child.finish(SOON).success());
}

#[test]
fn a_descriptor_is_copied_by_its_number() {
    const TEST: &str = "a_descriptor_is_copied_by_its_number";
    if role().is_some() {
        let passed = activation::inherited(3).unwrap();
        assert_eq!(passed.to_string(), "'3' (file descriptor 3)");
        Datagram::try_from(passed).unwrap().send(b"taken").unwrap();
        assert_eq!(activation::inherited(999).unwrap_err().kind(), ErrorKind::Protocol);
        return;
    }
    let (ours, theirs) = Datagram::pair().unwrap();
    let mut child = activate(TEST, "service", &[theirs.as_fd()], &[]);
    ours.set_read_timeout(Some(SOON)).unwrap();
    assert_eq!(ours.recv_vec().unwrap().0, b"taken");
    assert!(child.finish(SOON).success());
}

#[test]
fn systemd_passes_a_listener_or_a_connection() {
    const TEST: &str = "systemd_passes_a_listener_or_a_connection";
    match role().as_deref() {
        None => {}
        Some("listener") => {
            let listener = Listener::<Stream>::try_from(sockets().named("web").unwrap()).unwrap();
            return listener.accept().unwrap().0.write_all(b"listener").unwrap();
        }
        Some(_) => {
            return Stream::try_from(sockets().only().unwrap()).unwrap().write_all(b"connection").unwrap();
        }
    }
    if !stoop_testkit::has_program("systemd-socket-activate") {
        skip!("lacks systemd-socket-activate");
    }
    for (part, option) in [("listener", "--fdname=web"), ("connection", "--accept")] {
        let dir = tempdir();
        let path = dir.path().join("app.sock");
        let mut command = Command::new("systemd-socket-activate");
        command
            .arg(option)
            .arg(format!("--listen={}", path.display()))
            .arg(format!("--setenv=STOOP_ROLE={part}"));
        command.arg(std::env::current_exe().unwrap()).args(["--exact", TEST, "--nocapture", "-q"]);
        let manager = KillOnDrop(spawn(command.stdout(Stdio::null()).stderr(Stdio::null())).unwrap());
        let mut client = Connect::new(&path).wait_for_server(SOON).stream().unwrap();
        client.set_read_timeout(Some(SOON)).unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        // With --accept the harness's own output goes to the connection as well.
        assert!(heard.contains(part), "{heard}");
        drop(manager);
    }
}
