//! Diagnoses of errors: each cause is distinguished, with its observations and advice.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::time::Duration;

use stoop::{Address, Bind, Connect, Credentials, Datagram, Error, Kind, Origin, SeqPacket, Stream};
use stoop_inspect::diagnose;
use stoop_inspect::internal::{Action, Cause};
use stoop_inspect::why::{Advice, Diagnosis};
use stoop_testkit::{NOBODY, Role, is_root, public_tempdir, role, skip, tempdir};

fn why(error: Error) -> String {
    diagnose(&error).why
}

fn cause(error: &Error) -> Option<Cause> {
    let diagnosis = diagnose(error);
    let same = |cause: &&Cause| diagnosis.is_current && cause.name() == diagnosis.cause;
    Cause::ALL.iter().find(same).copied()
}

fn actions(diagnosis: &Diagnosis) -> Vec<&Action> {
    diagnosis.advice.iter().map(Advice::action).collect()
}

#[test]
fn connect_by_cause() {
    let directory = tempdir();
    let path = |name: &str| directory.path().join(name);
    let connect = |name: &str| Stream::connect(path(name)).unwrap_err();
    fs::write(path("file"), "").unwrap();
    symlink(path("gone"), path("link")).unwrap();
    drop(UnixListener::bind(path("stale")).unwrap());
    let _datagram = Bind::new(path("dgram")).datagram().unwrap();

    assert!(why(connect("none")).starts_with("no server has created this file"));
    assert!(why(connect("no/where")).contains("/no' does not exist"));
    assert!(why(connect("file/x")).contains("/file' is not a directory"));
    assert!(why(connect("dgram/")).contains("/dgram' is not a directory"));
    assert!(why(connect("link")).contains("symbolic link"));
    assert_eq!(why(connect("file")), "it is a regular file, not a socket");
    assert!(why(connect("stale")).starts_with("the socket file is stale"));
    for (name, expected) in [
        ("none", Cause::Missing),
        ("no/where", Cause::ParentMissing),
        ("file/x", Cause::NotADirectory),
        ("dgram/", Cause::NotADirectory),
        ("link", Cause::Dangling),
        ("file", Cause::NotASocket),
        ("stale", Cause::Stale),
    ] {
        assert_eq!(cause(&connect(name)), Some(expected), "{name}");
    }
    let wrong = diagnose(&connect("dgram"));
    assert!(wrong.why.contains("is a datagram socket, and this was tried with a stream socket"), "{wrong:?}");
    assert!(matches!(actions(&wrong)[0], Action::Connect { kind: Some(Kind::Datagram), .. }), "{wrong:?}");
    // The causes in the path are shown by the listing of the path.
    let parent = diagnose(&connect("no/where"));
    assert!(
        matches!(actions(&parent)[..], [Action::CreateDirectory { .. }, Action::ShowPath { .. }]),
        "{parent:?}"
    );
}

#[test]
fn a_removed_file_with_a_live_server_is_distinguished() {
    let directory = tempdir();
    let path = directory.path().join("app.sock");
    let _listener = Bind::new(&path).listen().unwrap();
    fs::remove_file(&path).unwrap();
    let error = Stream::connect(&path).unwrap_err();
    assert_eq!(cause(&error), Some(Cause::Unlinked));
    assert!(why(error).starts_with("its server is alive and running, but the socket file was removed"));
}

#[test]
fn a_full_backlog_is_counted() {
    let directory = tempdir();
    let path = directory.path().join("app.sock");
    let _listener = Bind::new(&path).backlog(0).listen().unwrap();
    let _waiting = Stream::connect(&path).unwrap();
    let error = Connect::new(&path).timeout(Duration::from_millis(20)).stream().unwrap_err();
    assert!(error.is_timed_out());
    let diagnosis = diagnose(&error);
    assert_eq!((diagnosis.cause, diagnosis.is_current), (Cause::BacklogFull.name(), true));
    assert!(
        diagnosis.seen.iter().any(|line| line.starts_with("1 client waits; the limit is 0")),
        "{diagnosis:?}"
    );
}

#[test]
fn a_backlog_that_has_space_again_is_named_as_what_was_full() {
    let directory = tempdir();
    let path = directory.path().join("app.sock");
    let listener = Bind::new(&path).backlog(0).listen().unwrap();
    let _waiting = Stream::connect(&path).unwrap();
    let error = Connect::new(&path).timeout(Duration::from_millis(20)).stream().unwrap_err();
    let (_accepted, _) = listener.accept().unwrap();
    let diagnosis = diagnose(&error);
    assert_eq!((diagnosis.cause, diagnosis.is_current), (Cause::BacklogFull.name(), false));
    assert!(diagnosis.why.starts_with("the server's backlog is full"), "{diagnosis:?}");
    drop(listener);
    let diagnosis = diagnose(&error);
    assert!(diagnosis.why.starts_with("the cause no longer exists"), "{diagnosis:?}");
    assert!(matches!(actions(&diagnosis)[..], [Action::TryAgain { .. }]), "{diagnosis:?}");
}

#[test]
fn abstract_names_by_cause() {
    let name = format!("stoop-diagnose-{}", std::process::id());
    let _server = Bind::new(Address::abstract_name(name.clone()).unwrap()).datagram().unwrap();
    let connect = |name: &str| diagnose(&Stream::connect(Address::abstract_name(name).unwrap()).unwrap_err());
    let other_kind = connect(&name);
    assert!(other_kind.why.starts_with("that name belongs to a datagram socket"), "{other_kind:?}");
    let padded = connect(&format!("{name}\0"));
    assert_eq!(padded.cause, Cause::NamePadded.name(), "{padded:?}");
    assert!(padded.seen[0].contains("differs only in trailing NUL bytes"), "{padded:?}");
    let missing = connect(&format!("{name}x"));
    assert!(missing.why.starts_with("no socket in this network namespace"), "{missing:?}");
}

#[test]
fn bind_by_cause() {
    let directory = tempdir();
    let path = directory.path().join("app.sock");
    let _listener = Bind::new(&path).listen().unwrap();
    let taken = diagnose(&Bind::new(&path).listen().unwrap_err());
    assert_eq!(taken.why, "a live server has that address");
    assert!(taken.seen[0].contains(&format!("process {} (", std::process::id())), "{taken:?}");
    // Nothing shows that the server is one of `stoop`, which would let its name be taken over.
    assert!(matches!(actions(&taken)[..], [Action::Connect { .. }]), "{taken:?}");
    let missing = Bind::new(directory.path().join("no/app.sock")).listen().unwrap_err();
    assert!(why(missing).contains("/no' does not exist"));
    fs::write(directory.path().join("file"), "").unwrap();
    let inside = Bind::new(directory.path().join("file/app.sock")).listen().unwrap_err();
    assert!(why(inside).ends_with("/file' is not a directory"));
    let on_file = Bind::new(directory.path().join("file")).listen().unwrap_err();
    assert_eq!(cause(&on_file), Some(Cause::TakenByFile));
}

#[test]
fn a_server_that_does_not_listen_yet_is_named_as_such() {
    let directory = tempdir();
    let path = directory.path().join("app.sock");
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None);
    let socket = socket.unwrap();
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    let taken = diagnose(&Bind::new(&path).listen().unwrap_err());
    assert_eq!(taken.cause, Cause::TakenLive.name());
    assert!(taken.seen.iter().any(|line| line == "it does not listen yet"), "{taken:?}");
    let refused = Stream::connect(&path).unwrap_err();
    assert_eq!(cause(&refused), Some(Cause::NotListening));
}

#[test]
fn a_refused_send_by_cause() {
    let directory = tempdir();
    let path = directory.path().join("app.sock");
    let receiver = Bind::new(&path).datagram().unwrap();
    let partner = Datagram::autobind().unwrap();
    receiver.connect(partner.local_addr().unwrap()).unwrap();
    let elsewhere = Datagram::client(&path).unwrap_err();
    assert!(why(elsewhere).starts_with("the receiver is connected to another peer"));
}

#[test]
fn a_full_queue_is_named_even_if_it_was_read_meanwhile() {
    let directory = tempdir();
    let path = directory.path().join("app.sock");
    let receiver = Bind::new(&path).datagram().unwrap();
    let sender = Datagram::client(&path).unwrap();
    sender.set_nonblocking(true).unwrap();
    let error = loop {
        if let Err(error) = sender.send(b"x") {
            break error.on(&Address::path(&path).unwrap());
        }
    };
    assert!(error.is_would_block());
    assert_eq!(cause(&error), Some(Cause::QueueFull));
    receiver.recv(&mut [0; 1]).unwrap();
    let diagnosis = diagnose(&error);
    assert_eq!((diagnosis.cause, diagnosis.is_current), (Cause::QueueFull.name(), false));
    assert_eq!(actions(&diagnosis), [&Action::ShowQueueLimit]);
}

/// A path that is too long for an address is reached by `stoop` all the same, so it is never the
/// cause.
#[test]
fn a_long_path_is_diagnosed_like_any_other() {
    let directory = tempdir();
    let deep = directory.path().join("d".repeat(100)).join("e".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    assert_eq!(cause(&Stream::connect(deep.join("none")).unwrap_err()), Some(Cause::Missing));
    let stale = deep.join("s");
    let listener = Bind::new(&stale).listen().unwrap();
    let live = Bind::new(&stale).listen().unwrap_err();
    assert_eq!(cause(&live), Some(Cause::TakenLive));
    drop(listener);
}

/// A file that has the name of the private directory is left alone, and the diagnosis names it.
#[test]
fn a_file_in_place_of_the_private_directory_is_named() {
    let directory = tempdir();
    let path = directory.path().join("socket");
    let staging = directory.path().join(".socket.stoop");
    let server = Bind::new(&path).listen().unwrap();
    fs::write(&staging, "precious").unwrap();
    fs::set_permissions(directory.path(), Permissions::from_mode(0o777)).unwrap();
    let error = server.close().unwrap_err();
    assert_eq!(diagnose(&error).cause, "staging-directory", "{error}");
    let error = Bind::new(&path).listen().unwrap_err();
    let diagnosis = diagnose(&error);
    assert_eq!(diagnosis.cause, "staging-directory", "{error}");
    assert_eq!(actions(&diagnosis), [&Action::ShowStagingDirectory(staging)]);
}

/// What only the file of another user, or a directory closed to us, can cause.
#[test]
fn an_ordinary_user_is_given_the_permissions_that_are_missing() {
    const TEST: &str = "an_ordinary_user_is_given_the_permissions_that_are_missing";
    if role().is_some() {
        return as_ordinary_user(std::env::var("DIR").unwrap().as_ref());
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = |name: &str| dir.path().join(name);
    for (name, mode) in [("closed", 0o700), ("readable", 0o755), ("shared", 0o1777)] {
        fs::create_dir(path(name)).unwrap();
        fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
    }
    let _server = Bind::new(path("readable/app")).mode(0o600).listen().unwrap();
    for (name, mode) in [("shared/stale", 0o777), ("shared/hidden", 0o755)] {
        drop(UnixListener::bind(path(name)).unwrap());
        fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
    }
    drop(UnixListener::bind(path("readable/own")).unwrap());
    std::os::unix::fs::chown(path("readable/own"), Some(NOBODY), Some(NOBODY)).unwrap();
    Role::new(TEST, "user").user(NOBODY, NOBODY).env("DIR", dir.path().to_str().unwrap()).run();
}

fn as_ordinary_user(dir: &std::path::Path) {
    let connect = |name: &str| Stream::connect(dir.join(name)).unwrap_err();
    let bind = |name: &str| Bind::new(dir.join(name)).create_parents(0o755).listen().unwrap_err();
    assert_eq!(cause(&connect("closed/app")), Some(Cause::NoSearch));
    assert_eq!(cause(&connect("readable/app")), Some(Cause::NoWrite));
    assert_eq!(cause(&bind("readable/new")), Some(Cause::ParentNotWritable));
    assert_eq!(cause(&bind("closed/new")), Some(Cause::NoSearch));

    let parent = diagnose(&bind("readable/no/such/app"));
    assert_eq!(parent.cause, "no-new-directory", "{parent:?}");
    assert!(parent.why.starts_with("creating a directory requires write permission"), "{parent:?}");
    assert_eq!(actions(&parent)[0], &Action::UsePrivateDirectory);

    // A stale file of the user's own, in a directory that belongs to another.
    let own = diagnose(&bind("readable/own"));
    assert_eq!(own.cause, "parent-not-writable", "{own:?}");
    assert!(own.why.starts_with("replacing what has the name requires write permission"), "{own:?}");
    assert!(matches!(actions(&own)[0], Action::RemoveFile { as_root: true, .. }), "{own:?}");

    // Whether or not the user can see that it is stale.
    for name in ["shared/stale", "shared/hidden"] {
        let stale = diagnose(&bind(name));
        assert_eq!(stale.cause, "not-replaced", "{stale:?}");
        assert!(stale.seen.iter().any(|line| line.contains("owner root")), "{stale:?}");
        assert!(
            matches!(actions(&stale)[..], [Action::ShowFile(_), Action::UsePrivateDirectory]),
            "{stale:?}"
        );
    }
}

/// An error that the library reports itself has its own reason, which the diagnosis repeats.
#[test]
fn a_reply_to_another_socket_is_diagnosed_by_its_detail() {
    let directory = tempdir();
    let server = Bind::new(directory.path().join("server")).datagram().unwrap();
    let client = Datagram::bind(directory.path().join("client")).unwrap();
    let stranger = Credentials { uid: u32::MAX, ..Credentials::own() };
    let origin = Origin::new(client.local_addr().unwrap(), Some(stranger));
    let error = server.reply(b"answer", &origin).unwrap_err();
    let diagnosis = diagnose(&error);
    assert_eq!(Some(diagnosis.why.as_str()), error.detail(), "{error}");
    assert_eq!(diagnosis.cause, "stated");
}

#[test]
fn errors_without_an_address_are_diagnosed_by_their_class() {
    let (one, other) = SeqPacket::pair().unwrap();
    drop(other);
    let error = one.send(b"x").unwrap_err();
    let diagnosis = diagnose(&error);
    assert_eq!((diagnosis.cause, diagnosis.is_current), ("error-class", false));
    assert_eq!(diagnosis.why, "the peer closed the connection, exited, or was shut down for reading");
    let invalid = Stream::connect("").unwrap_err();
    assert_eq!(actions(&diagnose(&invalid)), [&Action::CorrectAddress]);
}
