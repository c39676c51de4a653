//! Facts about socket names: what the kernel keeps of them, their maximum length, and their
//! reachability.

use std::fs;

use rustix::fs::{Mode, fchmod};
use stoop_kernel_facts::*;
use stoop_testkit::{NOBODY, Role, TempDir, close, is_root, role, skip, tempdir};

/// The bytes of a path as the kernel returns them: with a closing NUL.
fn with_nul(name: &Name) -> Name {
    Name::raw([name.bytes(), b"\0"].concat())
}

/// A name in the directory.
fn at(dir: &TempDir, name: &str) -> Name {
    Name::path(dir.path().join(name))
}

/// K-NAME-1
#[test]
fn names_are_the_string_given_to_bind() {
    let dir = tempdir();
    let (old, new) = (at(&dir, "old"), at(&dir, "new"));
    let (listener, client, accepted) = connection(STREAM, &old);
    fs::rename(dir.path().join("old"), dir.path().join("new")).unwrap();
    assert_eq!(local_name(&listener), with_nul(&old));
    assert_eq!(local_name(&accepted), with_nul(&old));
    assert_eq!(peer_name(&client).unwrap(), with_nul(&old));
    let later = stoop_kernel_facts::client(STREAM, &new);
    assert_eq!(peer_name(&later).unwrap(), with_nul(&old));
    // Lossily: the names of other sockets need not be UTF-8.
    let listed = String::from_utf8_lossy(&fs::read("/proc/net/unix").unwrap()).into_owned();
    assert!(listed.contains(dir.path().join("old").to_str().unwrap()));
    assert!(!listed.contains(dir.path().join("new").to_str().unwrap()));
}

/// K-NAME-2
#[test]
fn relative_names_stay_relative() {
    let dir = tempdir();
    let listener = with_umask(0o022, || {
        rustix::process::chdir(dir.path()).unwrap();
        listener(STREAM, &Name::path("relative"), 8)
    });
    assert_eq!(local_name(&listener).bytes(), b"relative\0");
    let client = client(STREAM, &at(&dir, "relative"));
    assert_eq!(peer_name(&client).unwrap().bytes(), b"relative\0");
}

/// K-NAME-3
#[test]
fn a_path_may_fill_sun_path() {
    let dir = tempdir();
    let sized = |length: usize| {
        let stem = at(&dir, "x");
        Name::raw([stem.bytes(), &vec![b'x'; length - stem.bytes().len()]].concat())
    };
    for length in [107, 108] {
        let name = sized(length);
        let listener = listener(STREAM, &name, 8);
        assert_eq!(local_name(&listener), with_nul(&name));
        // The length the kernel returned is that of the family and these bytes: 111, one more than
        // sockaddr_un has.
        assert_eq!(2 + local_name(&listener).bytes().len(), length + 3);
        let _client = client(STREAM, &name);
    }
    assert_eq!(bind(&socket(STREAM), &sized(109)), Err(Errno::INVAL));
    assert_eq!(connect(&socket(STREAM), &sized(109)), Err(Errno::INVAL));
}

/// K-NAME-4
#[test]
fn an_inner_nul_truncates_the_path() {
    let dir = tempdir();
    let listener = listener(STREAM, &at(&dir, "cut\0off"), 8);
    assert_eq!(local_name(&listener), with_nul(&at(&dir, "cut")));
    let _client = client(STREAM, &at(&dir, "cut"));
    let _other = client(STREAM, &at(&dir, "cut\0elsewhere"));
}

/// K-NAME-5
#[test]
fn abstract_names_have_no_permissions() {
    if role().is_some() {
        let name = Name::from_text(&std::env::var("NAME").unwrap());
        assert!(try_client(STREAM, &name).is_ok());
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let name = Name::unique("open to all");
    let socket = socket(STREAM);
    fchmod(&socket, Mode::empty()).unwrap();
    bind(&socket, &name).unwrap();
    listen(&socket, 8).unwrap();
    Role::new("abstract_names_have_no_permissions", "client")
        .env("NAME", &name.to_text())
        .user(NOBODY, NOBODY)
        .run();
}

/// K-NAME-6
#[test]
fn abstract_names_end_at_the_network_namespace() {
    let dir = tempdir();
    let (here, path) = (Name::unique("here"), at(&dir, "socket"));
    let _by_name = listener(STREAM, &here, 8);
    let _by_path = listener(STREAM, &path, 8);
    let reach = |name: &Name| try_client(STREAM, name).map(drop);
    let Some(seen) = in_new_network(|| (reach(&here), reach(&path), bind(&socket(STREAM), &here))) else {
        skip!("lacks permission to create a network namespace");
    };
    assert_eq!(seen, (Err(Errno::CONNREFUSED), Ok(()), Ok(())));
}

/// K-NAME-7
#[test]
fn every_byte_of_an_abstract_name_counts() {
    let name = Name::unique("nul");
    let longer = with_nul(&name);
    let _listener = listener(STREAM, &name, 8);
    assert_eq!(try_client(STREAM, &longer).unwrap_err(), Errno::CONNREFUSED);
    let mut whole = name.bytes().to_vec();
    whole.resize(108, 0);
    assert_eq!(try_client(STREAM, &Name::raw(whole.clone())).unwrap_err(), Errno::CONNREFUSED);
    let _client = client(STREAM, &name);

    let second = bound(STREAM, &longer);
    assert_eq!(local_name(&second), longer);
    let third = bound(STREAM, &Name::raw(whole.clone()));
    assert_eq!(local_name(&third).bytes(), whole);
}

/// K-NAME-8
#[test]
fn the_empty_abstract_name_is_a_name() {
    let empty = Name::abstract_name("");
    let Some(()) = in_new_network(|| {
        let (listener, _client, _accepted) = connection(STREAM, &empty);
        assert_eq!(local_name(&listener), empty);
        assert_eq!(bind(&socket(STREAM), &empty), Err(Errno::ADDRINUSE));
    }) else {
        skip!("lacks a network namespace in which that name is free");
    };
}

/// K-NAME-9
#[test]
fn autobind_gives_five_hex_digits() {
    let socket = bound(STREAM, &Name::unnamed());
    let name = local_name(&socket);
    assert_eq!(name.bytes().len(), 6);
    assert_eq!(name.bytes()[0], 0);
    assert!(name.bytes()[1..].iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')), "{name:?}");
}

/// K-NAME-10
#[test]
fn accepted_sockets_have_the_listeners_name() {
    let name = Name::unique("accepted");
    let (_listener, client, accepted) = connection(STREAM, &name);
    assert_eq!(local_name(&accepted), name);
    assert_eq!(peer_name(&accepted).unwrap(), Name::unnamed());
    assert_eq!(local_name(&client), Name::unnamed());
}

/// K-NAME-11
#[test]
fn long_paths_go_through_a_directory_descriptor() {
    let dir = tempdir();
    let deep = dir.path().join("d".repeat(250));
    fs::create_dir(&deep).unwrap();
    let directory = fs::File::open(&deep).unwrap();
    let name = Name::path(format!("{}/socket", proc_path(&directory)));
    let (_listener, _client, _accepted) = connection(STREAM, &name);
    assert!(deep.join("socket").exists());
}

/// K-NAME-12
#[test]
fn abstract_names_are_freed_at_close() {
    let name = Name::unique("freed");
    let first = bound(STREAM, &name);
    assert_eq!(bind(&socket(STREAM), &name), Err(Errno::ADDRINUSE));
    close(first);
    assert_eq!(try_client(STREAM, &name).unwrap_err(), Errno::CONNREFUSED);
    assert_eq!(bind(&socket(STREAM), &name), Ok(()));
}

/// K-NAME-13
#[test]
fn landlock_scopes_abstract_names() {
    let dir = tempdir();
    let (outer, path) = (Name::unique("outside"), at(&dir, "socket"));
    let _by_name = listener(STREAM, &outer, 8);
    let _by_path = listener(STREAM, &path, 8);
    let Some(seen) = without_outer_abstract_sockets(|| {
        let inner = Name::unique("inside");
        let _listener = listener(STREAM, &inner, 8);
        [&outer, &path, &inner].map(|name| try_client(STREAM, name).map(drop))
    }) else {
        skip!("lacks a kernel with Landlock scopes (6.12)");
    };
    assert_eq!(seen, [Err(Errno::PERM), Ok(()), Ok(())]);
}

/// K-NAME-14
#[test]
fn an_abstract_name_has_107_bytes_at_most() {
    let sized = |length| Name::abstract_name(vec![0xff; length]);
    let Some(()) = in_new_network(|| {
        let (listener, _client, _accepted) = connection(STREAM, &sized(107));
        assert_eq!(local_name(&listener), sized(107));
    }) else {
        skip!("lacks a network namespace in which that name is free");
    };
    assert_eq!(bind(&socket(STREAM), &sized(108)), Err(Errno::INVAL));
    assert_eq!(connect(&socket(STREAM), &sized(108)), Err(Errno::INVAL));
}

/// K-NAME-15
#[test]
fn each_kind_has_its_own_abstract_names() {
    let name = Name::unique("kinds");
    let _server = listener(STREAM, &name, 8);
    for kind in [DATAGRAM, SEQPACKET] {
        assert_eq!(try_client(kind, &name).unwrap_err(), Errno::CONNREFUSED);
        let server = bound(kind, &name);
        assert_eq!(local_name(&server), name);
    }
    let _client = client(STREAM, &name);
}

/// K-NAME-16
#[test]
fn a_name_is_held_by_whoever_bound_it() {
    let (named, server) = (Name::unique("client"), Name::unique("server"));
    let (listening, client) = (listener(STREAM, &server, 8), socket(STREAM));
    bind(&client, &named).unwrap();
    connect(&client, &server).unwrap();
    let accepted = accept(&listening).unwrap();
    drop(listening);
    // The accepted socket shows the name of its listener, and does not hold it.
    assert_eq!(local_name(&accepted), server);
    drop(bound(STREAM, &server));
    // A client, and one end of a pair, hold theirs even without a peer.
    drop(accepted);
    let (end, other) = pair(STREAM);
    let of_pair = Name::unique("pair");
    bind(&end, &of_pair).unwrap();
    drop(other);
    for name in [&named, &of_pair] {
        assert_eq!(bind(&socket(STREAM), name), Err(Errno::ADDRINUSE));
        assert_eq!(try_client(STREAM, name).unwrap_err(), Errno::CONNREFUSED);
    }
}
