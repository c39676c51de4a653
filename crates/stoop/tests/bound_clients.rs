//! Clients that are bound before they connect: what the server sees, and the life of their file.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use stoop::internal::{Connection, Operation};
use stoop::{Address, Bind, Connect, ErrorKind, Kind};
use stoop_testkit::{deadline, tempdir};

const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_server_sees_the_address_of_its_client() {
    let dir = tempdir();
    let (server, own) = (dir.path().join("server"), dir.path().join("own"));
    let to = Connect::new(&server).bind(&own);

    let listener = Bind::new(&server).listen().unwrap();
    let client = to.stream().unwrap();
    let (end, from) = listener.accept().unwrap();
    assert_eq!((from.as_pathname(), end.peer_addr().unwrap().as_pathname()), (Some(&*own), Some(&*own)));
    assert_eq!(client.local_addr().unwrap().as_pathname(), Some(&*own));
    drop((client, listener));

    let listener = Bind::new(&server).listen_seqpacket().unwrap();
    let _client = to.seqpacket().unwrap();
    assert_eq!(listener.accept().unwrap().1.as_pathname(), Some(&*own));
    drop((_client, listener));

    let receiver = Bind::new(&server).datagram().unwrap();
    let client = to.datagram().unwrap();
    client.send(b"ping").unwrap();
    let (request, from) = receiver.recv_request().unwrap();
    receiver.reply(&request, &from).unwrap();
    assert_eq!(from.address.as_pathname(), Some(&*own));
    assert_eq!(client.recv(&mut [0; 8]).unwrap(), 4);
}

#[test]
fn abstract_names_of_clients() {
    let dir = tempdir();
    let server = dir.path().join("server");
    let listener = Bind::new(&server).listen().unwrap();
    let name = Address::abstract_name(format!("stoop-bound-client-{}", std::process::id())).unwrap();
    let _client = Connect::new(&server).bind(&name).stream().unwrap();
    assert_eq!(listener.accept().unwrap().1, name);
    let error = Connect::new(&server).bind(&name).stream().unwrap_err();
    assert!(error.is_in_use(), "{error}");

    let assigned = Connect::new(&server).bind(Address::UNNAMED).stream().unwrap();
    let from = listener.accept().unwrap().1;
    assert!(from.as_abstract_name().is_some());
    assert_eq!(assigned.local_addr().unwrap(), from);
}

#[test]
fn the_file_of_a_client_is_that_of_a_server() {
    let dir = tempdir();
    let (server, own) = (dir.path().join("server"), dir.path().join("own"));
    let _listener = Bind::new(&server).listen().unwrap();
    drop(UnixListener::bind(&own).unwrap());
    assert!(own.exists(), "a stale file");
    let to = Connect::new(&server).bind(&own);
    let client = to.stream().unwrap();
    let error = to.stream().unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::AddressInUse, Operation::Bind), "{error}");
    assert!(error.to_string().contains(own.to_str().unwrap()), "{error}");
    assert!(Bind::new(&own).listen().unwrap_err().is_in_use(), "a client is as live as a server");

    let twin = client.try_clone().unwrap();
    drop(twin);
    assert!(own.exists(), "a clone does not own the file");
    drop(client);
    assert!(!own.exists());

    let fd = OwnedFd::from(to.stream().unwrap());
    assert!(own.exists(), "left to the owner of the file descriptor");
    drop(fd);
    assert_eq!(to.stream().unwrap().local_addr().unwrap().as_pathname(), Some(&*own), "stale by now");
}

#[test]
fn a_failed_connect_leaves_no_file() {
    let dir = tempdir();
    let (server, own) = (dir.path().join("server"), dir.path().join("own"));
    let to = Connect::new(&server).bind(&own);
    let error = to.stream().unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains(server.to_str().unwrap()), "{error}");
    assert!(!own.exists());
    let _receiver = Bind::new(&server).datagram().unwrap();
    assert_eq!(to.seqpacket().unwrap_err().kind(), ErrorKind::WrongKind);
    assert!(!own.exists());
    let error = Connect::new(&server).bind("").stream().unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidAddress, Operation::Bind));
    let error = Connect::new(&server).bind(dir.path().join("none/own")).datagram().unwrap_err();
    assert!(error.is_not_found() && error.to_string().contains("none/own"), "{error}");
}

#[test]
fn any_kind_and_servers_that_come_later() {
    let dir = tempdir();
    let (server, own) = (dir.path().join("server"), dir.path().join("own"));
    let to = Connect::new(&server).bind(&own).wait_for_server(SOON);
    for kind in Kind::ALL {
        let client = {
            let to = to.clone();
            std::thread::spawn(move || to.any())
        };
        let bind = Bind::new(&server);
        let _server: Box<dyn std::any::Any> = match kind {
            Kind::Stream => Box::new(bind.listen().unwrap()),
            Kind::SeqPacket => Box::new(bind.listen_seqpacket().unwrap()),
            _ => Box::new(bind.datagram().unwrap()),
        };
        let connection = deadline(SOON, move || client.join().unwrap().unwrap());
        assert_eq!(connection.kind(), kind);
        let local = match &connection {
            Connection::Stream(client) => client.local_addr(),
            Connection::SeqPacket(client) => client.local_addr(),
            Connection::Datagram(client) => client.local_addr(),
        };
        assert_eq!(local.unwrap().as_pathname(), Some(&*own));
        drop(connection);
        assert!(!own.exists());
    }
}

#[cfg(feature = "tokio")]
#[test]
fn asynchronous_clients() {
    let test = async {
        let dir = tempdir();
        let (server, own) = (dir.path().join("server"), dir.path().join("own"));
        let to = Connect::new(&server).bind(&own);
        assert!(to.stream_async().await.unwrap_err().is_not_found());
        assert!(!own.exists());

        let listener = Bind::new(&server).listen_async().await.unwrap();
        let client = to.stream_async().await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1.as_pathname(), Some(&*own));
        assert!(to.stream_async().await.unwrap_err().is_in_use());
        drop((client, listener));
        assert!(!own.exists());

        let receiver = Bind::new(&server).datagram_async().await.unwrap();
        let client = to.datagram_async().await.unwrap();
        client.send(b"ping").await.unwrap();
        let (request, from) = receiver.recv_request().await.unwrap();
        receiver.reply(&request, &from).await.unwrap();
        assert_eq!(client.recv(&mut [0; 8]).await.unwrap(), 4);
        drop((client, receiver));

        let listener = Bind::new(&server).listen_seqpacket_async().await.unwrap();
        let _client = to.seqpacket_async().await.unwrap();
        assert_eq!(listener.accept().await.unwrap().1.as_pathname(), Some(&*own));
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, test).await.expect("a test that hangs") });
}
