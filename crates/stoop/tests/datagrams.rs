//! Datagrams between bound, autobound, connected and unbound sockets: which senders can receive a
//! reply, and which errors a sender gets.

use std::io::IoSlice;
use std::path::PathBuf;

use stoop::{Address, Bind, Connect, Datagram, ErrorKind, Outgoing, Policy};
use stoop_kernel_facts::{DATAGRAM, Name, SOON, send_to, socket};
use stoop_testkit::{TempDir, deadline, tempdir};

fn server(dir: &TempDir) -> (PathBuf, Datagram) {
    let path = dir.path().join("server");
    let server = Bind::new(&path).datagram().unwrap();
    (path, server)
}

/// Sends a request, and returns the sender's address that the server sees.
fn ask(client: &Datagram, server: &Datagram, at: &Address) -> Address {
    client.send_to(b"question", at).unwrap();
    let (question, from) = server.recv_vec().unwrap();
    assert_eq!(question, b"question");
    server.send_to(b"answer", &from).unwrap();
    server.send_to_with(&[IoSlice::new(b"answer")], &from, &Outgoing::new()).unwrap();
    let mut buffer = [0; 16];
    let (len, answerer) = client.recv_from(&mut buffer).unwrap();
    assert_eq!((&buffer[..len], &answerer), (&b"answer"[..], at));
    assert_eq!(client.recv(&mut buffer).unwrap(), 6);
    from
}

#[test]
fn replies_reach_bound_abstract_and_autobound_clients() {
    deadline(SOON, || {
        let dir = tempdir();
        let own = Address::path(dir.path().join("client")).unwrap();
        let name = Address::abstract_name(format!("stoop-dgram-{}\0x", std::process::id())).unwrap();
        let (path, on_a_path) = server(&dir);
        let at_a_name = Address::abstract_name(format!("stoop-server-{}", std::process::id())).unwrap();
        let at_a_name_too = Bind::new(&at_a_name).datagram().unwrap();
        for (server, at) in [(&on_a_path, Address::path(path).unwrap()), (&at_a_name_too, at_a_name)] {
            let from = ask(&Datagram::autobind().unwrap(), server, &at);
            assert_eq!(from.as_abstract_name().unwrap().len(), 5, "chosen by the kernel");
            assert_eq!(ask(&Datagram::bind(&own).unwrap(), server, &at), own);
            assert_eq!(ask(&Datagram::bind(&name).unwrap(), server, &at), name);
            let connected = Connect::new(&at).datagram().unwrap();
            assert!(ask(&connected, server, &at).as_abstract_name().is_some());
        }
        assert!(!own.as_pathname().unwrap().exists(), "a client's file goes with it");
    });
}

#[test]
fn the_first_message_of_a_connected_client_has_a_reply_address() {
    deadline(SOON, || {
        let dir = tempdir();
        let (path, server) = server(&dir);
        let client = Datagram::client(&path).unwrap();
        client.send(b"first").unwrap();
        let (_, from) = server.recv_vec().unwrap();
        server.send_to(b"back", &from).unwrap();
        assert_eq!(client.recv(&mut [0; 8]).unwrap(), 4);
    });
}

#[test]
fn unbound_senders_cannot_receive_replies() {
    deadline(SOON, || {
        let dir = tempdir();
        let (path, server) = server(&dir);
        send_to(&socket(DATAGRAM), b"anonymous", &Name::path(&path)).unwrap();
        let (_, from) = server.recv_vec().unwrap();
        assert!(from.is_unnamed());
        let error = server.send_to(b"?", &from).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidAddress);
        assert!(error.to_string().contains("is unnamed"), "{error}");
    });
}

/// A path longer than the address holds is bound through a file descriptor of the process, and
/// would refer to another file in every other process.
#[test]
fn a_path_too_long_to_report_is_unnamed() {
    deadline(SOON, || {
        let dir = tempdir();
        let (path, server) = server(&dir);
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let client = Datagram::bind(deep.join("client")).unwrap();
        client.send_to(b"hello", Address::path(path).unwrap()).unwrap();
        let (_, from) = server.recv_vec().unwrap();
        assert!(from.is_unnamed(), "{from}");
        // One who knows the path reaches it all the same.
        server.send_to(b"there", Address::path(deep.join("client")).unwrap()).unwrap();
        assert_eq!(client.recv(&mut [0; 8]).unwrap(), 5);
    });
}

#[test]
fn errors_distinguish_wrong_receivers() {
    deadline(SOON, || {
        let dir = tempdir();
        let at = |name: &str| Address::path(dir.path().join(name)).unwrap();
        let _listener = Bind::new(at("stream")).listen().unwrap();
        drop(std::os::unix::net::UnixDatagram::bind(dir.path().join("dead")).unwrap());
        let (_, server) = server(&dir);
        let friend = Datagram::bind(at("friend")).unwrap();
        server.connect(at("friend")).unwrap();
        let client = Datagram::autobind().unwrap();
        for (to, kind) in [
            ("nothing", ErrorKind::NotFound),
            ("dead", ErrorKind::Refused),
            ("stream", ErrorKind::WrongKind),
            ("server", ErrorKind::NotPermitted),
        ] {
            assert_eq!(client.send_to(b"x", at(to)).unwrap_err().kind(), kind, "{to}");
            assert_eq!(client.connect(at(to)).unwrap_err().kind(), kind, "{to}");
        }
        assert_eq!(client.send(b"x").unwrap_err().kind(), ErrorKind::NotConnected);
        friend.send_to(b"x", at("server")).unwrap();
        assert_eq!(server.recv(&mut [0; 4]).unwrap(), 1);
        let error = client.send_to(&vec![0; 1 << 24], at("friend")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MessageTooLarge);
        assert!(error.to_string().contains("send buffer"), "{error}");
    });
}

#[test]
fn a_closed_receiver_refuses_once_and_a_new_one_can_be_connected() {
    deadline(SOON, || {
        let dir = tempdir();
        let (path, first) = server(&dir);
        let client = Datagram::client(&path).unwrap();
        client.send(b"lost").unwrap();
        drop(first);
        assert!(client.send(b"x").unwrap_err().is_refused());
        assert!(client.send(b"x").unwrap_err().is_peer_closed());
        assert!(client.connect(path.as_path()).unwrap_err().is_not_found());
        let (_, second) = server(&dir);
        client.connect(path.as_path()).unwrap();
        client.send(b"again").unwrap();
        assert_eq!(second.recv_vec().unwrap().0, b"again");
    });
}

/// A policy may change while a server runs. The count of refusals includes those before.
#[test]
fn the_refusal_count_survives_a_change_of_policy() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("server");
        let mut server = Bind::new(&path).policy(Policy::nobody()).datagram().unwrap();
        server.set_nonblocking(true).unwrap();
        let client = Datagram::client(&path).unwrap();
        client.send(b"refused").unwrap();
        assert!(server.recv(&mut [0; 8]).unwrap_err().is_would_block());
        server.set_policy(Policy::everyone()).unwrap();
        client.send(b"accepted").unwrap();
        assert_eq!((server.recv(&mut [0; 8]).unwrap(), server.refused()), (8, 1));
        server.set_policy(Policy::nobody()).unwrap();
        client.send(b"refused").unwrap();
        assert!(server.recv(&mut [0; 8]).unwrap_err().is_would_block());
        assert_eq!(server.refused(), 2);
    });
}

/// Clones share the socket. The first handle owns the file, each has a copy of the policy.
#[test]
fn clones_share_the_socket_and_copy_the_policy() {
    deadline(SOON, || {
        let dir = tempdir();
        let path = dir.path().join("server");
        let server = Bind::new(&path).policy(Policy::nobody()).datagram().unwrap();
        let copy = server.try_clone().unwrap();
        copy.set_nonblocking(true).unwrap();
        let client = Datagram::client(&path).unwrap();
        client.send(b"refused").unwrap();
        assert!(copy.recv(&mut [0; 8]).unwrap_err().is_would_block());
        assert_eq!((copy.refused(), copy.file().is_none()), (1, true));
        drop(copy);
        assert!(path.exists());
        server.close().unwrap();
        assert!(!path.exists());
    });
}
