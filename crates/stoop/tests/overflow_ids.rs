//! Servers in a user namespace that does not map every user, and in which their own id is the
//! overflow id. Every unmapped user has the same number as the server, and none is the same user.

use std::io::Read;
use std::time::Duration;

use stoop::{
    Address, Allow, Arrival, Bind, Connected, Datagram, ErrorKind, Fact, Listener, Policy, Refusal,
    SeqPacket, Stream, handover,
};
use stoop_kernel_facts::{SOON, become_user};
use stoop_testkit::{KillOnDrop, NOBODY, Role, is_root, role, skip};

/// A user and a group without an id in the server's namespace, and a supplementary group of that
/// user.
const STRANGER: u32 = 4_321;
const GROUP: u32 = 54_321;

/// The default of `kernel.overflowuid` and `overflowgid`, which this test requires.
const OVERFLOW: u32 = NOBODY;

/// The timeout of each step of a hand-over.
const LIMIT: Duration = Duration::from_secs(20);

fn name(of: &str) -> Address {
    let parent = std::env::var("NAMES").unwrap();
    Address::abstract_name(format!("{parent}-{of}")).unwrap()
}

/// Every rule that could mistake an unmapped user for an allowed one.
fn policy() -> Policy {
    Policy::same_user().allow_uid(OVERFLOW).allow_gid(OVERFLOW)
}

/// Runs the test again in a user namespace that maps one id, to the overflow id. Returns `None` if
/// user namespaces are unavailable.
fn in_a_partial_namespace(test: &str, names: &str) -> Option<KillOnDrop> {
    let map = ["-U", &format!("--map-user={OVERFLOW}"), &format!("--map-group={OVERFLOW}")];
    let probe = std::process::Command::new("unshare").args(map).arg("true").output();
    probe
        .is_ok_and(|probe| probe.status.success())
        .then(|| Role::new(test, "server").env("NAMES", names).within("unshare", &map).spawn())
}

fn is_the_usual() -> bool {
    let id = |file: &str| std::fs::read_to_string(file).is_ok_and(|id| id.trim() == OVERFLOW.to_string());
    id("/proc/sys/kernel/overflowuid") && id("/proc/sys/kernel/overflowgid")
}

fn refuse_one<C: Connected>(listener: &Listener<C>) {
    match listener.accept_any().unwrap() {
        Arrival::Refused { uid, reason, .. } => assert_eq!((uid, reason), (None, Refusal::UnmappedUser)),
        Arrival::Accepted(_) => panic!("the stranger was accepted"),
    }
}

fn serve() {
    assert_eq!(rustix::process::geteuid().as_raw(), OVERFLOW);
    let stream = Bind::new(name("stream")).policy(policy()).listen().unwrap();
    let seqpacket = Bind::new(name("seqpacket")).policy(policy()).listen_seqpacket().unwrap();
    let open = Bind::new(name("open")).policy(Policy::everyone()).listen().unwrap();
    let datagram = Bind::new(name("datagram")).policy(policy()).datagram().unwrap();
    let heard =
        Bind::new(name("heard")).policy(Policy::everyone()).pass_credentials(true).datagram().unwrap();
    let offers = Bind::new(name("offers")).policy(Policy::everyone()).listen_seqpacket().unwrap();
    let clients = Bind::new(name("clients"));
    let mut server: handover::Server = handover::Server::start(&clients, name("control"), LIMIT).unwrap();
    println!("\nserving");

    refuse_one(&stream);
    refuse_one(&seqpacket);
    let stranger = open.accept().unwrap().0.peer();
    assert!(stranger.pid.known().is_some());
    assert_eq!((&stranger.uid, &stranger.gid), (&Fact::Unknown, &Fact::Unknown));
    assert_eq!(
        stranger.groups,
        Fact::Known(Vec::new()),
        "a group without an id is the overflow group as well"
    );
    assert!(!policy().allows_peer(&stranger) && !policy().allows(OVERFLOW, OVERFLOW, &[OVERFLOW]));

    let (_, received) = heard.recv_vec_with(Allow::NOTHING).unwrap();
    let sender = received.credentials.unwrap();
    assert_eq!((sender.known_uid(), sender.known_gid()), (None, None));
    assert!(sender.pid > 0 && sender.uid != OVERFLOW && sender.gid != OVERFLOW);
    // It sent to this socket first.
    datagram.set_nonblocking(true).unwrap();
    assert!(datagram.recv(&mut [0; 8]).unwrap_err().is_would_block());
    assert_eq!(datagram.refused(), 1);

    // An address that everyone may reach: the offer itself asks who it is.
    let (asking, _) = offers.accept().unwrap();
    let mut listener = stream;
    let items = vec![handover::Item::listener("app", &mut listener)];
    let refused = handover::offer(&asking, items, LIMIT).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::NotPermitted);
    assert!(refused.to_string().contains("no id in our user namespace"), "{refused}");
    println!("\nserved");
    std::thread::spawn(move || server.accept());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
}

/// Runs as the other user: connects to each server in turn, and requests a hand-over.
fn come() {
    rustix::thread::set_thread_groups(&[rustix::process::Gid::from_raw(GROUP)]).unwrap();
    become_user(STRANGER, STRANGER);
    let _stream = Stream::connect(name("stream")).unwrap();
    let _seqpacket = SeqPacket::connect(name("seqpacket")).unwrap();
    let _open = Stream::connect(name("open")).unwrap();
    for to in ["datagram", "heard"] {
        Datagram::autobind().unwrap().send_to(b"stranger", name(to)).unwrap();
    }
    for control in ["offers", "control"] {
        let connection = SeqPacket::connect(name(control)).unwrap();
        let refused = handover::take(&connection, LIMIT).map(|_| "the socket").unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::NotPermitted, "{control}: {refused}");
    }
    println!("\nrefused");
}

#[test]
fn an_unmapped_user_is_never_the_same_user() {
    const TEST: &str = "an_unmapped_user_is_never_the_same_user";
    match role().as_deref() {
        Some("server") => return serve(),
        Some(_) => return come(),
        None => {}
    }
    if !is_root() {
        skip!("lacks root");
    }
    if !is_the_usual() {
        skip!("lacks the usual overflow ids");
    }
    let names = format!("stoop-overflow-{}", std::process::id());
    let Some(mut server) = in_a_partial_namespace(TEST, &names) else { skip!("lacks user namespaces") };
    server.line("serving", SOON);
    let mut stranger = Role::new(TEST, "stranger").env("NAMES", &names).spawn();
    server.line("served", SOON);
    stranger.line("refused", SOON);
    assert!(stranger.finish(SOON).success() && server.finish(SOON).success());
}
