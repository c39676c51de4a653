//! Several processes bind the same name: exactly one serves and stays reachable, no server loses
//! its file to another, and a `kill -9` at any moment leaves a state from which the next start
//! recovers.

mod background;

use std::fs::{self, Permissions};
use std::io::{BufRead, Write, stdin};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread;
use std::time::Duration;

use background::while_repeating;
use stoop::{Bind, Connect, Holder, Kind, Listener, Policy, Stream};
use stoop_kernel_facts::{DATAGRAM, Name, SEQPACKET, SOON, STREAM, bound, in_new_network, listen};
use stoop_testkit::{KillOnDrop, NOBODY, Role, close, is_root, public_tempdir, role, skip, tempdir};

const CONTENDERS: usize = 4;
const ROUNDS: usize = 400;

/// The path that a child was told.
fn told() -> std::path::PathBuf {
    std::env::var_os("SOCKET").expect("SOCKET is set").into()
}

fn files_in(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Leaves a file that no socket is bound to any more, of a kind that changes from round to round.
fn leave_stale(path: &Path, round: usize) {
    close(bound([STREAM, DATAGRAM, SEQPACKET][round % 3], &Name::path(path)));
}

#[test]
fn of_those_who_race_for_a_stale_file_one_serves() {
    if role().is_some() {
        return contend();
    }
    let dir = tempdir();
    let path = |round: usize| dir.path().join(format!("socket{round}"));
    // All of them beforehand: a file that is younger than a moment gets a second look before it is
    // called stale.
    (0..ROUNDS).for_each(|round| leave_stale(&path(round), round));
    let start = || {
        Role::new("of_those_who_race_for_a_stale_file_one_serves", "contend")
            .env("SOCKET", dir.path().join("socket").to_str().unwrap())
            .spawn()
    };
    let mut contenders: Vec<KillOnDrop> = (0..CONTENDERS).map(|_| start()).collect();
    for round in 0..ROUNDS {
        for contender in &mut contenders {
            writeln!(contender.stdin.as_mut().unwrap(), "{round}").unwrap();
        }
        let outcome = |contender: &mut KillOnDrop| contender.line("bind ", SOON) == "won";
        let won: Vec<bool> = contenders.iter_mut().map(outcome).collect();
        assert_eq!(won.iter().filter(|won| **won).count(), 1, "round {round}: {won:?}");
        let winner = contenders[won.iter().position(|won| *won).unwrap()].id();
        let client = Stream::connect(path(round)).unwrap();
        assert_eq!(client.peer().pid.known(), Some(&winner), "round {round}");
    }
    for contender in &mut contenders {
        assert!(contender.finish(SOON).success());
    }
    assert_eq!(files_in(dir.path()), [""; 0], "clean ends leave nothing");
}

/// Binds when told a number and serves until told the next.
fn contend() {
    let mut served = None;
    for round in stdin().lock().lines() {
        drop(served.take());
        let path = told().with_file_name(format!("socket{}", round.unwrap()));
        served = match Bind::new(&path).listen() {
            Ok(listener) => Some(listener),
            Err(error) => {
                assert!(error.is_in_use(), "{error}");
                None
            }
        };
        println!("\nbind {}", if served.is_some() { "won" } else { "lost" });
    }
}

#[test]
fn a_server_between_bind_and_listen_is_not_robbed() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let slow = bound(STREAM, &Name::path(&path));
    let before = fs::metadata(&path).unwrap().ino();
    for _ in 0..3 {
        let error = Bind::new(&path).listen().unwrap_err();
        assert!(error.is_in_use(), "{error}");
        let holder = Holder::find(error.subject().unwrap(), None).unwrap();
        assert_eq!((holder.pid, holder.listening), (Some(std::process::id()), Some(false)));
        assert!(holder.to_string().contains("not listening yet"), "{holder}");
    }
    listen(&slow, 8).unwrap();
    Stream::connect(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().ino(), before);
    assert_eq!(files_in(dir.path()), ["socket"]);
}

#[test]
fn a_server_in_another_network_namespace_is_not_robbed() {
    let dir = tempdir();
    for (name, listens) in [("bound", false), ("listening", true)] {
        let path = dir.path().join(name);
        let serve = || {
            let far = bound(STREAM, &Name::path(&path));
            if listens {
                listen(&far, 8).unwrap();
            }
            far
        };
        let Some(_far) = in_new_network(serve) else {
            skip!("lacks the right to make a network namespace");
        };
        for kind in [Kind::Stream, Kind::Datagram] {
            let bind = Bind::new(&path);
            let error = match kind {
                Kind::Stream => bind.listen().err().unwrap(),
                _ => bind.datagram().err().unwrap(),
            };
            assert!(error.is_in_use(), "{error}");
            let holder = Holder::find(error.subject().unwrap(), None).unwrap();
            assert_eq!(holder, Holder::default());
            assert!(holder.to_string().contains("may not inspect"), "{holder}");
        }
        assert_eq!(Stream::connect(&path).is_ok(), listens);
    }
}

#[test]
fn what_is_not_a_socket_is_never_touched() {
    let dir = tempdir();
    let at = |name: &str| dir.path().join(name);
    let _live = Bind::new(at("live")).listen().unwrap();
    leave_stale(&at("stale"), 0);
    fs::write(at("file"), "content").unwrap();
    fs::create_dir(at("directory")).unwrap();
    symlink(at("nowhere"), at("link to nothing")).unwrap();
    symlink(at("live"), at("link to a live one")).unwrap();
    symlink(at("stale"), at("link to a stale one")).unwrap();
    symlink(at("file"), at("link to a file")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let mut before = files_in(dir.path());
    let inodes = |names: &[String]| {
        names.iter().map(|name| at(name).symlink_metadata().unwrap().ino()).collect::<Vec<_>>()
    };
    let (inodes_before, names) = (inodes(&before), before.clone());
    for name in names.iter().filter(|name| !["live", "stale"].contains(&name.as_str())) {
        for replace in [false, true] {
            let bind = Bind::new(at(name)).replace(replace);
            let errors = [bind.listen().err(), bind.listen_seqpacket().err(), bind.datagram().err()];
            for error in errors.map(|error| error.expect(name)) {
                assert!(error.is_in_use(), "{name}: {error}");
                assert!(error.to_string().contains("never removed"), "{name}: {error}");
            }
        }
    }
    assert_eq!(inodes(&before), inodes_before);
    let mut after = files_in(dir.path());
    assert_eq!((before.sort(), &before), (after.sort(), &after));
    assert_eq!(fs::read_to_string(at("file")).unwrap(), "content");
}

#[test]
fn names_that_end_wrongly_make_nothing() {
    let dir = tempdir();
    for end in ["socket/", "socket/.", ".", ".."] {
        let path = format!("{}/{end}", dir.path().display());
        match Bind::new(Path::new(&path)).listen() {
            // A dot at the end is no component of its own.
            Ok(listener) => assert_eq!(listener.file().unwrap().path(), dir.path().join("socket")),
            Err(error) => assert!(!error.is_timed_out(), "{error}"),
        }
        assert_eq!(files_in(dir.path()), [""; 0], "{end}");
    }
}

/// A process that does not use the lock repeatedly replaces the file with its own socket.
#[test]
fn a_rude_neighbour_costs_a_clean_error_at_worst() {
    let dir = tempdir();
    let path = dir.path().join("socket");
    let be_rude = || {
        let _ = fs::remove_file(&path);
        drop(UnixListener::bind(&path));
        let _ = fs::remove_file(&path);
        thread::yield_now();
    };
    while_repeating(be_rude, || {
        let mut served = 0;
        for round in 0..300 {
            match Bind::new(&path).replace(round % 2 == 0).listen() {
                Ok(_) => served += 1,
                Err(error) => assert!(error.is_in_use() || error.is_not_found(), "{error}"),
            }
        }
        assert!(served > 0);
    });
    Bind::new(&path).listen().unwrap();
    assert_eq!(files_in(dir.path()), [""; 0]);
}

#[test]
fn a_kill_at_any_moment_is_recovered_from() {
    if role().is_some() {
        return churn();
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    for round in 0..40 {
        let mut victim = Role::new("a_kill_at_any_moment_is_recovered_from", "churn")
            .env("SOCKET", path.to_str().unwrap())
            .spawn();
        victim.line("churning", SOON);
        thread::sleep(Duration::from_micros(round * 313 % 7919));
        drop(victim);
        let left = files_in(dir.path());
        let replace = round % 2 == 0;
        let server =
            Bind::new(&path).replace(replace).listen().unwrap_or_else(|error| panic!("{left:?}: {error}"));
        Stream::connect(&path).unwrap();
        server.accept().unwrap();
        server.close().unwrap();
        assert_eq!(files_in(dir.path()), [""; 0], "after {left:?}");
    }
}

/// Binds, replaces and releases the name in an endless loop.
fn churn() {
    println!("\nchurning");
    loop {
        let first = Bind::new(told()).listen().unwrap();
        let second = Bind::new(told()).replace(true).listen().unwrap();
        drop(first);
        drop(second);
    }
}

#[test]
fn a_killed_server_is_followed_by_the_next() {
    if role().is_some() {
        let _server: Listener = Bind::new(told()).listen().unwrap();
        println!("\nserving");
        thread::sleep(SOON);
        return;
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    let mut server = Role::new("a_killed_server_is_followed_by_the_next", "serve")
        .env("SOCKET", path.to_str().unwrap())
        .spawn();
    server.line("serving", SOON);
    let client = Stream::connect(&path).unwrap();
    drop(server);
    assert!(Stream::connect(&path).unwrap_err().is_refused());
    let next = Bind::new(&path).listen().unwrap();
    let again = Connect::new(&path).stream().unwrap();
    assert_eq!(again.peer().pid.known(), Some(&std::process::id()));
    drop((client, next));
    assert_eq!(files_in(dir.path()), [""; 0]);
}

/// Another user's stale file in a directory with the sticky bit is not removed, and neither is a
/// file that cannot be probed.
#[test]
fn other_users_files_are_respected() {
    if role().is_some() {
        let error = Bind::new(told()).listen().unwrap_err();
        assert!(error.is_in_use(), "{error}");
        println!("\nrefused {error}");
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
    let path = dir.path().join("socket");
    leave_stale(&path, 0);
    for (mode, word) in [(0o777, "sticky bit"), (0o700, "cannot determine")] {
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        let mut other = Role::new("other_users_files_are_respected", "other")
            .env("SOCKET", path.to_str().unwrap())
            .user(NOBODY, NOBODY)
            .spawn();
        let words = other.line("refused", SOON);
        assert!(words.contains(word), "{words}");
        assert!(other.finish(SOON).success());
        assert_eq!(files_in(dir.path()), ["socket"]);
    }
    // Root, whose file it is, goes on.
    Bind::new(&path).policy(Policy::same_user()).listen().unwrap();
}
