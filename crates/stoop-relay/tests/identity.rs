//! The server sees the client: its ids, or a header that says them. In a program of its own,
//! because a relay that connects as its clients makes the process undumpable.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::thread;
use std::time::Duration;

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
use stoop::{Address, Bind, Kind, Listener, Stream};
use stoop_relay::{Front, Relay, Running, Server};
use stoop_testkit::{eventually, is_root, public_tempdir, skip, tempdir};

const SOON: Duration = Duration::from_secs(30);
const ALICE: u32 = 4321;
const HER_GROUP: u32 = 876;
const ANOTHER_GROUP: u32 = 99;

/// Connects as another user, on a thread of its own.
fn connect_as_alice(path: &Path) -> Stream {
    let path = path.to_owned();
    let connect = move || {
        let [group, another] = [HER_GROUP, ANOTHER_GROUP].map(Gid::from_raw);
        set_thread_groups(&[another]).unwrap();
        set_thread_res_gid(group, group, group).unwrap();
        let alice = Uid::from_raw(ALICE);
        set_thread_res_uid(alice, alice, alice).unwrap();
        Stream::connect(path).unwrap()
    };
    thread::spawn(connect).join().unwrap()
}

fn ids_of(listener: &Listener<Stream>) -> (Option<u32>, Option<u32>, Option<Vec<u32>>) {
    let (connection, _) = listener.accept().unwrap();
    let peer = connection.peer();
    assert_eq!(peer.pid.known(), Some(&std::process::id()));
    (peer.uid.known().copied(), peer.gid.known().copied(), peer.groups.known().cloned())
}

#[test]
fn the_server_sees_the_ids_of_the_client_and_its_file_decides() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let [front, path] = ["relay", "server"].map(|name| dir.path().join(name));
    let server: Listener<Stream> = Bind::new(&path).mode(0o666).listen().unwrap();
    let listener: Listener<Stream> = Bind::new(&front).mode(0o666).listen().unwrap();
    let relay = Relay::to(Server::unix(Address::path(&path).unwrap())).as_client(true);
    let relay: Running = relay.start(listener).unwrap();

    let _client = connect_as_alice(&front);
    assert_eq!(ids_of(&server), (Some(ALICE), Some(HER_GROUP), Some(vec![ANOTHER_GROUP])));
    // The same thread serves root as root again.
    let root = rustix::process::getgid().as_raw();
    for _ in 0..8 {
        let _client = Stream::connect(&front).unwrap();
        let (uid, gid, _) = ids_of(&server);
        assert_eq!((uid, gid), (Some(0), Some(root)));
    }
    // Not her file: the relay, which could connect, does not for her.
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    let mut client = connect_as_alice(&front);
    assert_eq!(client.read(&mut [0]).unwrap_or(0), 0);
    eventually(SOON, || relay.counts().unreached == 1);
    chown(&path, Some(ALICE), None).unwrap();
    let _client = connect_as_alice(&front);
    assert_eq!(ids_of(&server).0, Some(ALICE));
}

#[test]
fn in_front_of_a_server_the_clients_keep_their_ids_as_well() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let path = dir.path().join("app.sock");
    let server: Listener<Stream> = Bind::new(&path).mode(0o666).listen().unwrap();
    let (front, behind) = Front::interpose(Bind::new(&path), Kind::Stream).unwrap();
    let _relay = Relay::to(behind).as_client(true).start(front).unwrap();
    let _client = connect_as_alice(&path);
    assert_eq!(ids_of(&server), (Some(ALICE), Some(HER_GROUP), Some(vec![ANOTHER_GROUP])));
}

#[test]
fn what_cannot_be_is_refused_at_the_start() {
    let dir = tempdir();
    let server = || Server::unix(Address::path(dir.path().join("server")).unwrap());
    let front = |name: &str| Bind::new(dir.path().join(name)).datagram().unwrap();
    let kind = |relay: std::io::Result<Running>| relay.map(drop).unwrap_err().kind();
    let unsupported = std::io::ErrorKind::Unsupported;
    assert_eq!(kind(Relay::to(server()).as_client(true).start(front("one"))), unsupported);
    assert_eq!(kind(Relay::to(server()).send_proxy(true).start(front("two"))), unsupported);
    let packets: Listener<stoop::SeqPacket> = Bind::new(dir.path().join("three")).listen_seqpacket().unwrap();
    assert_eq!(kind(Relay::to(server()).send_proxy(true).start(packets)), unsupported);
}

#[test]
fn a_header_says_who_the_client_is_before_its_first_byte() {
    let dir = tempdir();
    let [front, path] = ["relay", "server"].map(|name| dir.path().join(name));
    let server: Listener<Stream> = Bind::new(&path).listen().unwrap();
    let listener: Listener<Stream> = Bind::new(&front).listen().unwrap();
    let relay = Relay::to(Server::unix(Address::path(&path).unwrap())).send_proxy(true);
    let _relay = relay.start(listener).unwrap();
    let mut client = Stream::connect(&front).unwrap();
    std::io::Write::write_all(&mut client, b"first").unwrap();
    let (mut accepted, _) = server.accept().unwrap();
    accepted.set_read_timeout(Some(SOON)).unwrap();
    let mut head = [0; 16];
    accepted.read_exact(&mut head).unwrap();
    assert_eq!(&head[..14], b"\r\n\r\n\0\r\nQUIT\n\x21\x31");
    let mut rest = vec![0; usize::from(u16::from_be_bytes([head[14], head[15]]))];
    accepted.read_exact(&mut rest).unwrap();
    let text = String::from_utf8_lossy(&rest[216 + 3..]).into_owned();
    let [uid, gid] =
        [rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()].map(|id| id.to_string());
    assert_eq!(text, format!("pid={} uid={uid} gid={gid}", std::process::id()));
    let mut first = [0; 5];
    accepted.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"first");
}
