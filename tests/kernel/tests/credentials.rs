//! Facts about peer credentials: `SO_PEERCRED` and related options, credentials in messages,
//! pidfds.

use std::ffi::c_int;
use std::fs;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use rustix::event::PollFlags;
use rustix::fs::{Gid, Uid};
use stoop_kernel_facts::libc::{
    MSG_CMSG_CLOEXEC, MSG_DONTWAIT, SO_PASSCRED, SO_PEERCRED, SO_PEERSEC, SO_SNDBUF, SO_SNDTIMEO, SO_TYPE,
};
use stoop_kernel_facts::*;
use stoop_testkit::{KillOnDrop, NOBODY, Role, is_root, open_descriptors, public_tempdir, role, skip};

const SO_PEERGROUPS: c_int = 59;
/// Since Linux 6.5.
const SO_PASSPIDFD: c_int = 76;

/// The kernel's value if the peer is unknown.
const NO_PEER: Credentials = Credentials { pid: 0, uid: u32::MAX, gid: u32::MAX };

/// The value that a message without credentials arrives with.
const NO_SENDER: Credentials = Credentials { pid: 0, uid: 65_534, gid: 65_534 };

/// In a child: connects to the name in `NAME`.
fn connection_of_child() -> OwnedFd {
    client(STREAM, &Name::from_text(&std::env::var("NAME").unwrap()))
}

/// In a child: waits until the parent closes its stdin.
fn wait_for_parent() {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// K-CRED-1
#[test]
fn peercred_is_fixed_at_connect() {
    const TEST: &str = "peercred_is_fixed_at_connect";
    if role().is_some() {
        let _connection = connection_of_child();
        become_user(NOBODY, NOBODY);
        println!("changed");
        return wait_for_parent();
    }
    if !is_root() {
        skip!("lacks root");
    }
    let name = Name::unique("setuid");
    let listener = listener(STREAM, &name, 8);
    let mut child = Role::new(TEST, "client").env("NAME", &name.to_text()).spawn();
    child.line("changed", SOON);
    let accepted = accept(&listener).unwrap();
    assert_eq!(peer_credentials(&accepted), Credentials { pid: child.id() as i32, uid: 0, gid: 0 });
    assert!(child.finish(SOON).success());
    assert_eq!(peer_credentials(&accepted), Credentials { pid: child.id() as i32, uid: 0, gid: 0 });
}

/// K-CRED-2
#[test]
fn the_client_gets_the_credentials_of_listen() {
    if role().is_none() {
        return Role::new("the_client_gets_the_credentials_of_listen", "server").run();
    }
    let name = Name::unique("listen");
    let server = bound(STREAM, &name);
    let (child, _) = in_child(|| listen(&server, 8).map_or(1, |()| 0));
    let early = client(STREAM, &name);
    let _accepted = accept(&server).unwrap();
    assert_eq!(peer_credentials(&early).pid, child, "neither the binding nor the accepting process");
    listen(&server, 8).unwrap();
    assert_eq!(peer_credentials(&client(STREAM, &name)), Credentials::mine());
    assert_eq!(peer_credentials(&early).pid, child);
}

/// K-CRED-3
#[test]
fn without_a_connection_there_is_no_peer() {
    for kind in [STREAM, DATAGRAM, SEQPACKET] {
        assert_eq!(peer_credentials(&socket(kind)), NO_PEER);
    }
    let name = Name::unique("datagram");
    let _server = bound(DATAGRAM, &name);
    assert_eq!(peer_credentials(&client(DATAGRAM, &name)), NO_PEER);
}

/// K-CRED-4
#[test]
fn a_pair_names_its_maker() {
    for kind in [STREAM, DATAGRAM, SEQPACKET] {
        let (one, other) = pair(kind);
        assert_eq!(peer_credentials(&one), Credentials::mine());
        assert_eq!(peer_credentials(&other), Credentials::mine());
    }
}

/// K-CRED-5
#[test]
fn peerpidfd_outlives_the_peer() {
    if role().is_some() {
        let _connection = connection_of_child();
        println!("connected");
        return wait_for_parent();
    }
    let name = Name::unique("pidfd");
    let listener = listener(STREAM, &name, 8);
    let mut child = Role::new("peerpidfd_outlives_the_peer", "client").env("NAME", &name.to_text()).spawn();
    child.line("connected", SOON);
    let accepted = accept(&listener).unwrap();
    let Ok(alive) = peer_pidfd(&accepted) else {
        skip!("lacks SO_PEERPIDFD (Linux 6.5)");
    };
    assert_eq!(pid_of(&alive), child.id() as i32);
    assert_eq!(polled(&alive, PollFlags::IN), PollFlags::empty());
    assert!(child.finish(SOON).success());
    if kernel_at_least(6, 16) {
        let gone = peer_pidfd(&accepted).unwrap();
        assert_eq!(pid_of(&gone), -1);
        assert!(polled(&gone, PollFlags::IN).contains(PollFlags::IN), "readable: the process has exited");
    } else {
        assert!(matches!(peer_pidfd(&accepted), Err(Errno::INVAL | Errno::SRCH)));
    }
    assert_eq!(peer_pidfd(&socket(STREAM)).unwrap_err(), Errno::NODATA);
}

/// The pid in a pidfd's `/proc/self/fdinfo`.
fn pid_of(pidfd: &OwnedFd) -> i32 {
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", raw(pidfd))).unwrap();
    info.lines().find_map(|line| line.strip_prefix("Pid:")).unwrap().trim().parse().unwrap()
}

/// K-CRED-6
#[test]
fn peergroups_gives_the_groups() {
    if !is_root() {
        skip!("lacks root");
    }
    let name = Name::unique("groups");
    let listener = listener(STREAM, &name, 8);
    // The system call concerns one thread, so no process of its own is needed.
    let groups = [1001, 1002].map(Gid::from_raw);
    let thread = std::thread::spawn(move || {
        rustix::thread::set_thread_groups(&groups).unwrap();
        client(STREAM, &name)
    });
    let _client = thread.join().unwrap();
    let accepted = accept(&listener).unwrap();
    let expected = [1001_u32, 1002].map(u32::to_ne_bytes).concat();
    assert_eq!(option_bytes(&accepted, SO_PEERGROUPS, 100).unwrap(), expected);
    assert_eq!(option_into(&accepted, SO_PEERGROUPS, &mut [0; 4]), (Err(Errno::RANGE), 8));
    assert_eq!(option_bytes(&socket(STREAM), SO_PEERGROUPS, 100), Err(Errno::NODATA));
}

/// K-CRED-7
#[test]
fn peersec_needs_a_security_module() {
    match option_bytes(&pair(STREAM).0, SO_PEERSEC, 256) {
        Err(error) => assert_eq!(error, Errno::NOPROTOOPT),
        Ok(_) => skip!("lacks a kernel without security labels"),
    }
}

/// K-CRED-8
#[test]
fn early_messages_have_no_credentials() {
    let (one, other) = pair(STREAM);
    send(&one, b"early").unwrap();
    set_option(&other, SO_PASSCRED, 1).unwrap();
    send(&one, b"late").unwrap();
    let (early, late) = (receive(&other, 100).unwrap(), receive(&other, 100).unwrap());
    assert_eq!((early.data.as_slice(), early.credentials), (&b"early"[..], Some(NO_SENDER)));
    assert_eq!((late.data.as_slice(), late.credentials), (&b"late"[..], Some(Credentials::mine())));
}

/// K-CRED-9
#[test]
fn passcred_is_inherited_from_the_listener() {
    let name = Name::unique("passcred");
    let listener = listener(STREAM, &name, 8);
    set_option(&listener, SO_PASSCRED, 1).unwrap();
    let client = client(STREAM, &name);
    send(&client, b"before the accept").unwrap();
    let accepted = accept(&listener).unwrap();
    assert_eq!(option(&accepted, SO_PASSCRED), Ok(1));
    assert_eq!(receive(&accepted, 100).unwrap().credentials, Some(Credentials::mine()));
}

/// K-CRED-10
#[test]
fn credentials_cannot_be_forged() {
    const TEST: &str = "credentials_cannot_be_forged";
    let ordinary = role().is_some() || !is_root();
    let (one, other) = pair(DATAGRAM);
    set_option(&other, SO_PASSCRED, 1).unwrap();
    let claim = |credentials| send_message(&one, b"x", &[Control::Credentials(credentials)], 0, None);
    let mine = Credentials::mine();
    let forgeries = [
        Credentials { uid: 1234, ..mine },
        Credentials { gid: 1234, ..mine },
        Credentials { pid: 1, ..mine },
    ];
    assert_eq!(claim(mine), Ok(1));
    assert_eq!(receive(&other, 1).unwrap().credentials, Some(mine));
    if ordinary {
        assert_eq!(forgeries.map(claim), [Err(Errno::PERM); 3]);
        return;
    }
    for forged in forgeries {
        assert_eq!(claim(forged), Ok(1));
        assert_eq!(receive(&other, 1).unwrap().credentials, Some(forged));
    }
    assert_eq!(claim(Credentials { pid: i32::MAX, ..mine }), Err(Errno::SRCH), "no such process");
    Role::new(TEST, "ordinary user").user(NOBODY, NOBODY).run();
}

/// K-CRED-11
#[test]
fn senders_are_not_merged() {
    if role().is_none() {
        return Role::new("senders_are_not_merged", "two senders").run();
    }
    let (one, other) = pair(STREAM);
    let both_send = || {
        send(&one, b"parent").unwrap();
        in_child(|| send(&one, b"child").map_or(1, |_| 0));
    };
    both_send();
    assert_eq!(recv(&other, 100).unwrap(), b"parentchild");
    set_option(&other, SO_PASSCRED, 1).unwrap();
    both_send();
    let (first, second) = (receive(&other, 100).unwrap(), receive(&other, 100).unwrap());
    assert_eq!(first.data, b"parent");
    assert_eq!(second.data, b"child");
    assert_ne!(first.credentials.unwrap().pid, second.credentials.unwrap().pid);
}

/// K-CRED-12
#[test]
fn passpidfd_installs_a_descriptor() {
    if role().is_none() {
        return Role::new("passpidfd_installs_a_descriptor", "count").run();
    }
    let (one, other) = pair(STREAM);
    if set_option(&other, SO_PASSPIDFD, 1).is_err() {
        skip!("lacks SO_PASSPIDFD (Linux 6.5)");
    }
    send(&one, b"x").unwrap();
    let before = open_descriptors();
    let received = receive(&other, 1).unwrap();
    assert_eq!(open_descriptors(), before + 1);
    assert_eq!(pid_of(&received.pidfd.unwrap().unwrap()), Credentials::mine().pid);
}

/// K-CRED-13
#[test]
fn pidfd_without_room_is_closed() {
    if role().is_none() {
        return Role::new("pidfd_without_room_is_closed", "count").run();
    }
    let (one, other) = pair(STREAM);
    if set_option(&other, SO_PASSPIDFD, 1).is_err() {
        skip!("lacks SO_PASSPIDFD (Linux 6.5)");
    }
    let before = open_descriptors();
    for room in 0..20 {
        send(&one, b"x").unwrap();
        let received = receive_message(&other, 1, room, MSG_CMSG_CLOEXEC | MSG_DONTWAIT).unwrap();
        assert!(received.control_was_cut(), "room {room}");
        assert!(received.pidfd.is_none(), "room {room}");
    }
    assert_eq!(open_descriptors(), before);
}

/// K-CRED-14
#[test]
fn pidfd_of_a_full_table_is_an_errno() {
    if role().is_none() {
        return Role::new("pidfd_of_a_full_table_is_an_errno", "full").run();
    }
    let (one, other) = pair(STREAM);
    if set_option(&other, SO_PASSPIDFD, 1).is_err() {
        skip!("lacks SO_PASSPIDFD (Linux 6.5)");
    }
    send(&one, b"x").unwrap();
    leave_room_for(1);
    let _last = socket(STREAM);
    let received = receive(&other, 1).unwrap();
    assert!(!received.control_was_cut());
    assert_eq!(received.pidfd.unwrap().unwrap_err(), Errno::MFILE);
}

/// K-CRED-15
#[test]
fn a_message_names_the_real_user_and_a_file_the_effective_one() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let (server, client) = (Name::path(dir.path().join("server")), Name::path(dir.path().join("client")));
    let receiver = bound(DATAGRAM, &server);
    set_option(&receiver, SO_PASSCRED, 1).unwrap();
    fs::set_permissions(dir.path().join("server"), fs::Permissions::from_mode(0o666)).unwrap();
    let credentials = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            // The effective user of this thread alone.
            rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::from_raw(NOBODY), Uid::ROOT).unwrap();
            send_to(&bound(DATAGRAM, &client), b"x", &server).unwrap();
        });
        asking.join().unwrap();
        receive(&receiver, 8).unwrap().credentials.unwrap()
    });
    assert_eq!(credentials.uid, 0);
    assert_eq!(fs::metadata(dir.path().join("client")).unwrap().uid(), NOBODY);
}

/// K-CRED-16
#[test]
fn passcred_is_not_seen_by_plain_receives() {
    let name = Name::unique("plain");
    let receiver = bound(DATAGRAM, &name);
    set_option(&receiver, SO_PASSCRED, 1).unwrap();
    let client = socket(DATAGRAM);
    for _ in 0..3 {
        send_to(&client, b"hello", &name).unwrap();
    }
    assert_eq!(recv(&receiver, 8).unwrap(), b"hello");
    let received = receive_message(&receiver, 8, 0, MSG_DONTWAIT).unwrap();
    assert_eq!((&received.data[..], received.control_was_cut()), (&b"hello"[..], true));
    assert!(!receive(&receiver, 8).unwrap().control_was_cut());
}

/// Maps ids of the namespace of `child`, as a process outside it may.
fn write_maps(child: u32, map: &str) -> std::io::Result<()> {
    fs::write(format!("/proc/{child}/uid_map"), map)?;
    fs::write(format!("/proc/{child}/gid_map"), map)
}

/// Starts this part of a test in a user namespace of its own, without any mapping yet; `None` if
/// user namespaces are unavailable.
fn in_new_users(test: &str, part: &str, name: &Name) -> Option<KillOnDrop> {
    let probe = std::process::Command::new("unshare").args(["-U", "true"]).output();
    let may = probe.is_ok_and(|probe| probe.status.success());
    may.then(|| Role::new(test, part).env("NAME", &name.to_text()).within("unshare", &["-U"]).spawn())
}

/// A user, a group and a supplementary group that no mapping of these tests includes.
const STRANGER: u32 = 4_321;

/// In a child: changes to these ids, connects to the listener in `NAME` and reports it.
fn connect_as_another_user() {
    rustix::thread::set_thread_groups(&[Gid::from_raw(STRANGER)]).unwrap();
    become_user(STRANGER, STRANGER);
    let connection = connection_of_child();
    send(&connection, b"x").unwrap();
    wait_for_parent();
}

/// In a child: the credentials of the next client, obtained in all three ways.
fn look_at_stranger(listener: &OwnedFd) -> (Credentials, Vec<u8>, Credentials) {
    let client = accept(listener).unwrap();
    let groups = option_bytes(&client, SO_PEERGROUPS, 256).unwrap();
    poll_for(&client, PollFlags::IN, SOON);
    let message = receive(&client, 1).unwrap().credentials.unwrap();
    (peer_credentials(&client), groups, message)
}

/// In a child: creates a listener whose clients' messages carry credentials.
fn listening_with_credentials() -> OwnedFd {
    let listener = listener(STREAM, &Name::from_text(&std::env::var("NAME").unwrap()), 8);
    set_option(&listener, SO_PASSCRED, 1).unwrap();
    listener
}

/// K-CRED-17
#[test]
fn a_user_without_an_id_shows_as_the_overflow_user() {
    const TEST: &str = "a_user_without_an_id_shows_as_the_overflow_user";
    match role().as_deref() {
        Some("stranger") => return connect_as_another_user(),
        Some(_) => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            assert_eq!(
                fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().last(),
                Some("1")
            );
            let listener = listening_with_credentials();
            println!("listening");
            let (peer, groups, message) = look_at_stranger(&listener);
            // As if it were this process, which has that id as well.
            let mine = Credentials::mine();
            assert_eq!((peer.uid, peer.gid), (mine.uid, mine.gid));
            assert_eq!((message.uid, message.gid), (mine.uid, mine.gid));
            assert_eq!(groups, mine.gid.to_ne_bytes());
            return;
        }
        None => {}
    }
    if !is_root() {
        skip!("lacks root");
    }
    let id = |file: &str| fs::read_to_string(file).unwrap().trim().to_owned();
    let overflow = id("/proc/sys/kernel/overflowuid");
    if overflow != id("/proc/sys/kernel/overflowgid") {
        skip!("lacks one number for both overflow ids");
    }
    let name = Name::unique("overflow");
    let Some(mut server) = in_new_users(TEST, "server", &name) else { skip!("lacks user namespaces") };
    write_maps(server.id(), &format!("{overflow} 0 1")).unwrap();
    server.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
    server.line("listening", SOON);
    let _stranger = Role::new(TEST, "stranger").env("NAME", &name.to_text()).spawn();
    assert!(server.finish(SOON).success());
}

/// K-CRED-18
#[test]
fn if_every_id_is_mapped_every_user_has_one() {
    const TEST: &str = "if_every_id_is_mapped_every_user_has_one";
    const ALL: &str = "0 0 4294967295";
    match role().as_deref() {
        Some("stranger") => return connect_as_another_user(),
        Some("inner") => return wait_for_parent(),
        Some(part) => {
            let mut line = String::new();
            std::io::stdin().read_line(&mut line).unwrap();
            let listener = listening_with_credentials();
            if part == "partial" {
                // Not even its root can map ids that it does not have.
                let inner = in_new_users(TEST, "inner", &Name::unique("inner")).unwrap();
                let refused = write_maps(inner.id(), ALL).unwrap_err();
                assert_eq!(refused.raw_os_error(), Some(Errno::PERM.raw_os_error()));
                return;
            }
            println!("listening");
            let (peer, groups, message) = look_at_stranger(&listener);
            assert_eq!([peer.uid, peer.gid, message.uid, message.gid], [STRANGER; 4]);
            assert_eq!(groups, STRANGER.to_ne_bytes());
            return;
        }
        None => {}
    }
    if !is_root() {
        skip!("lacks root");
    }
    let own: Vec<String> =
        fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().map(str::to_owned).collect();
    if own != ["0", "0", "4294967295"] {
        skip!("lacks the initial user namespace");
    }
    for (part, map) in [("partial", "0 0 65536"), ("total", ALL)] {
        let name = Name::unique(part);
        let Some(mut server) = in_new_users(TEST, part, &name) else { skip!("lacks user namespaces") };
        write_maps(server.id(), map).unwrap();
        server.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let _stranger = (part == "total").then(|| {
            server.line("listening", SOON);
            Role::new(TEST, "stranger").env("NAME", &name.to_text()).spawn()
        });
        assert!(server.finish(SOON).success(), "{part}");
    }
}

/// K-CRED-19
#[test]
fn an_option_that_was_answered_has_a_length_of_its_own() {
    const LARGE: usize = 64;
    let (one, _other) = pair(STREAM);
    let timeout = 2 * size_of::<i64>();
    let options = [(SO_PEERCRED, 12), (SO_TYPE, 4), (SO_SNDBUF, 4), (SO_PASSCRED, 4), (SO_SNDTIMEO, timeout)];
    for (name, len) in options {
        assert_eq!(option_bytes(&one, name, LARGE).unwrap().len(), len, "option {name}");
    }
    std::thread::spawn(move || {
        fake_call(libc::SYS_getsockopt);
        for (name, _) in options {
            assert_eq!(option_bytes(&one, name, LARGE).unwrap(), [0; LARGE], "option {name}");
        }
    })
    .join()
    .unwrap();
}
