//! Policies against processes of other users, and peer credentials of other processes.

use std::io::{IoSlice, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use stoop::{
    Address, Allow, Arrival, Bind, Connect, Credentials, Datagram, Fact, Listener, Outgoing, Packet, Policy,
    Refusal, SeqPacket, SocketExt, Stream,
};
use stoop_kernel_facts::{DATAGRAM, Name, SOON, become_user, kernel_at_least, send_to, socket};
use stoop_testkit::{KillOnDrop, NOBODY, Role, deadline, is_root, public_tempdir, role, skip, tempdir};

/// A group without other members.
const STRANGE_GROUP: u32 = 54_321;

/// The names of servers, their policies, and whether each allows the user `nobody` without and with
/// the group.
fn policies() -> Vec<(&'static str, Option<Policy>, bool, bool)> {
    vec![
        ("default", None, true, true),
        ("everyone", Some(Policy::everyone()), true, true),
        ("nobody", Some(Policy::nobody()), false, false),
        ("same", Some(Policy::same_user()), false, false),
        ("root", Some(Policy::nobody().allow_root()), false, false),
        ("uid", Some(Policy::nobody().allow_uid(NOBODY)), true, true),
        ("gid", Some(Policy::nobody().allow_gid(NOBODY)), true, true),
        ("strange", Some(Policy::nobody().allow_gid(STRANGE_GROUP)), false, true),
    ]
}

fn bind_at(address: &Address, policy: &Option<Policy>) -> Bind {
    let bind = Bind::new(address);
    let bind = if address.as_pathname().is_some() { bind.mode(0o666) } else { bind };
    policy.iter().fold(bind, |bind, policy| bind.policy(policy.clone()))
}

/// Connects, and returns whether the server accepted the client.
fn knock(at: &Address) -> bool {
    let Ok(mut client) = Stream::connect(at) else { return false };
    // The other side may have gone already; what counts is whether an answer comes.
    let _ = client.write_all(b"?");
    client.read_exact(&mut [0]).is_ok()
}

fn as_another_user(test: &str, role: &str, address: &Address) -> KillOnDrop {
    Role::new(test, role).env("ADDRESS", &address.to_string()).spawn()
}

/// In the child: becomes the user `nobody`, with or without the group, and returns the address of
/// the server.
fn become_the_other(role: &str) -> Address {
    let groups = if role == "friend" { vec![rustix::process::Gid::from_raw(STRANGE_GROUP)] } else { vec![] };
    rustix::thread::set_thread_groups(&groups).unwrap();
    become_user(NOBODY, NOBODY);
    Address::parse(std::env::var("ADDRESS").unwrap()).unwrap()
}

#[test]
fn connections_of_other_users_are_checked_before_the_first_byte() {
    const TEST: &str = "connections_of_other_users_are_checked_before_the_first_byte";
    if let Some(role) = role() {
        return println!("\naccepted {}", knock(&become_the_other(&role)));
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let mut servers: Vec<(Address, Option<Policy>, bool, bool)> = Vec::new();
    for (name, policy, stranger, friend) in policies() {
        let path = Address::path(dir.path().join(name)).unwrap();
        servers.push((path, policy.clone(), stranger, friend));
        // Without a policy an abstract name accepts its own user only.
        let open = policy.is_some();
        let name = Address::abstract_name(format!("stoop-policy-{}-{name}", std::process::id())).unwrap();
        servers.push((name, policy, stranger && open, friend && open));
    }
    for (address, policy, stranger, friend) in servers {
        let listener = bind_at(&address, &policy).listen().unwrap();
        for (role, expected) in [("stranger", stranger), ("friend", friend)] {
            let mut client = as_another_user(TEST, role, &address);
            match listener.accept_any().unwrap() {
                Arrival::Accepted(mut end) => {
                    assert!(expected, "{address} accepts {role}");
                    assert_eq!(end.peer().uid.known(), Some(&NOBODY));
                    end.write_all(b"!").unwrap();
                }
                Arrival::Refused { pid, uid, reason } => {
                    assert!(!expected, "{address} refuses {role}");
                    assert_eq!((pid, uid, reason), (Some(client.id()), Some(NOBODY), Refusal::NotAllowed));
                }
            }
            assert_eq!(client.line("accepted", SOON), expected.to_string(), "{address} {role}");
        }
        let counts = listener.counts();
        let accepted = u64::from(stranger) + u64::from(friend);
        assert_eq!((counts.accepted, counts.refused), (accepted, 2 - accepted));
    }
}

#[test]
fn the_accept_loop_skips_refused_clients() {
    const TEST: &str = "the_accept_loop_skips_refused_clients";
    if let Some(role) = role() {
        return println!("\naccepted {}", knock(&become_the_other(&role)));
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let address = Address::path(dir.path().join("socket")).unwrap();
    let listener = bind_at(&address, &Some(Policy::same_user())).listen().unwrap();
    let server = thread::spawn(move || {
        let (mut end, _) = listener.accept().unwrap();
        end.write_all(b"!").unwrap();
        listener.counts()
    });
    assert_eq!(as_another_user(TEST, "stranger", &address).line("accepted", SOON), "false");
    assert!(knock(&address));
    let counts = server.join().unwrap();
    assert_eq!((counts.accepted, counts.refused), (1, 1));
}

#[test]
fn seqpackets_of_other_users_are_checked_too() {
    const TEST: &str = "seqpackets_of_other_users_are_checked_too";
    if let Some(role) = role() {
        let client = SeqPacket::connect(become_the_other(&role)).unwrap();
        return println!("\naccepted {}", client.recv(&mut [0; 8]).is_ok_and(|packet| packet != Packet::End));
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let address = Address::path(dir.path().join("socket")).unwrap();
    for (policy, expected) in [(Policy::same_user(), false), (Policy::nobody().allow_gid(NOBODY), true)] {
        let listener = bind_at(&address, &Some(policy)).listen_seqpacket().unwrap();
        let mut client = as_another_user(TEST, "stranger", &address);
        match listener.accept_any().unwrap() {
            Arrival::Accepted(end) => end.send(b"welcome").unwrap(),
            Arrival::Refused { uid, .. } => assert_eq!(uid, Some(NOBODY)),
        }
        assert_eq!(client.line("accepted", SOON), expected.to_string());
    }
}

/// A refused sender cannot cause an error in the receiver: neither with a message that is too large
/// nor with file descriptors.
#[test]
fn refused_datagrams_are_as_if_never_sent() {
    const TEST: &str = "refused_datagrams_are_as_if_never_sent";
    if let Some(role) = role() {
        let address = become_the_other(&role);
        let client = Datagram::client(&address).unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let fds = [null.as_fd()];
        client.send(&[0; 4000]).unwrap();
        client.send_with(&[IoSlice::new(b"files")], &Outgoing::new().descriptors(&fds)).unwrap();
        client.send(b"short").unwrap();
        return println!("\nsent");
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = Address::path(dir.path().join("socket")).unwrap();
    let name = Address::abstract_name(format!("stoop-policy-{}-datagram", std::process::id())).unwrap();
    for (address, policy) in [(path, Some(Policy::same_user())), (name, None)] {
        let server = bind_at(&address, &policy).datagram().unwrap();
        as_another_user(TEST, "stranger", &address).line("sent", SOON);
        let friend = Datagram::client(&address).unwrap();
        for _ in 0..4 {
            friend.send(b"hello").unwrap();
        }
        assert_eq!(server.recv(&mut [0; 8]).unwrap(), 5);
        assert_eq!(server.refused(), 3);
        assert_eq!(server.recv_from(&mut [0; 8]).unwrap().0, 5);
        assert_eq!(server.recv_vec().unwrap().0, b"hello");
        let (_, received) = server.recv_vec_with(Allow::NOTHING).unwrap();
        assert_eq!(received.credentials, Some(Credentials::own()));
    }
}

#[test]
fn an_unknown_sender_has_no_credentials() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("socket");
        let server = Bind::new(&path).datagram().unwrap();
        server.set_pass_credentials(false).unwrap();
        send_to(&socket(DATAGRAM), b"early", &Name::path(&path)).unwrap();
        server.set_pass_credentials(true).unwrap();
        let (_, received) = server.recv_vec_with(Allow::NOTHING).unwrap();
        assert_eq!(received.credentials, None);

        let peer = server.peer();
        assert_eq!((&peer.pid, &peer.uid, &peer.gid), (&Fact::Unknown, &Fact::Unknown, &Fact::Unknown));
        assert!(peer.pidfd.known().is_none() && peer.has_ended().is_none());
    });
}

/// Includes messages that were sent before the connection was accepted.
#[test]
fn credentials_set_on_the_listener_cover_the_first_message() {
    deadline(SOON, || {
        let dir = tempdir();
        let listener =
            Bind::new(dir.path().join("socket")).pass_credentials(true).listen_seqpacket().unwrap();
        let client = SeqPacket::connect(dir.path().join("socket").as_path()).unwrap();
        client.send(b"early").unwrap();
        let (_, received) = listener.accept().unwrap().0.recv_vec_with(Allow::NOTHING).unwrap();
        assert_eq!(received.credentials, Some(Credentials::own()));
    });
}

#[test]
fn sending_other_credentials_requires_privilege() {
    const TEST: &str = "sending_other_credentials_requires_privilege";
    let claim = |credentials| {
        let (one, other) = Stream::pair().unwrap();
        other.set_pass_credentials(true).unwrap();
        one.send_with(&[IoSlice::new(b"x")], &Outgoing::new().credentials(credentials))?;
        let mut buffer = [0];
        let received = other.recv_with(&mut [std::io::IoSliceMut::new(&mut buffer)], Allow::NOTHING)?;
        stoop::Result::Ok(received.credentials)
    };
    let other = Credentials { uid: 12_345, ..Credentials::own() };
    if role().is_some() {
        assert_eq!(claim(Credentials::own()).unwrap(), Some(Credentials::own()));
        assert!(claim(other).unwrap_err().is_permission());
        assert!(claim(Credentials { pid: 1, ..Credentials::own() }).unwrap_err().is_permission());
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    assert_eq!(claim(other).unwrap(), Some(other));
    Role::new(TEST, "nobody").user(NOBODY, NOBODY).run();
}

/// Later changes of the process do not change its recorded credentials.
#[test]
fn the_peer_is_recorded_when_it_connects() {
    const TEST: &str = "the_peer_is_recorded_when_it_connects";
    if let Some(role) = role() {
        let address = Address::parse(std::env::var("ADDRESS").unwrap()).unwrap();
        if role == "late" {
            become_user(NOBODY, NOBODY);
        }
        let mut client = Stream::connect(&address).unwrap();
        if role == "early" {
            become_user(NOBODY, NOBODY);
        }
        return client.read_exact(&mut [0]).unwrap();
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let address = Address::path(dir.path().join("socket")).unwrap();
    let listener = Bind::new(&address).mode(0o666).listen().unwrap();
    for (role, uid) in [("early", 0), ("late", NOBODY)] {
        let mut client = as_another_user(TEST, role, &address);
        let (mut end, _) = listener.accept().unwrap();
        let peer = end.peer();
        assert_eq!(
            (peer.pid.known(), peer.uid.known(), peer.gid.known()),
            (Some(&client.id()), Some(&uid), Some(&uid))
        );
        if kernel_at_least(6, 5) {
            assert_eq!(peer.has_ended(), Some(false));
        }
        end.write_all(b"!").unwrap();
        assert!(client.finish(SOON).success());
        if kernel_at_least(6, 5) {
            assert_eq!(peer.has_ended(), Some(true), "and has been waited for");
            assert_eq!(end.peer().has_ended(), Some(true), "asked only then");
        }
        assert_eq!(end.peer().uid.known(), Some(&uid));
    }
}

/// This holds even if another process accepts.
#[test]
fn a_client_sees_the_process_that_called_listen() {
    const TEST: &str = "a_client_sees_the_process_that_called_listen";
    if role().is_some() {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        let listener = Listener::<Stream>::try_from(stdin).unwrap();
        return listener.accept().unwrap().0.write_all(b"!").unwrap();
    }
    let dir = tempdir();
    let path = dir.path().join("socket");
    let listener = Bind::new(&path).listen().unwrap();
    let mut command = std::process::Command::new("/proc/self/exe");
    command.args(["--exact", TEST, "--nocapture", "--test-threads=1", "-q"]).env("STOOP_ROLE", "server");
    command.stdin(OwnedFd::from(listener)).stdout(std::process::Stdio::null());
    let mut server = KillOnDrop(stoop_testkit::spawn(&mut command).unwrap());
    let mut client = Connect::new(&path).timeout(SOON).stream().unwrap();
    client.set_read_timeout(Some(SOON)).unwrap();
    client.read_exact(&mut [0]).unwrap();
    assert_eq!(client.peer().pid.known(), Some(&std::process::id()));
    assert!(server.finish(SOON).success());
}
