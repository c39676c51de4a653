//! Replies to datagrams reach the sender or no socket, even if the sender's path leads elsewhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use stoop::{Address, Bind, Connect, Credentials, Datagram, ErrorKind, Origin, Outgoing, Policy, SocketExt};
use stoop_kernel_facts::libc::MSG_DONTWAIT;
use stoop_kernel_facts::{DATAGRAM, Name, SOON, bind, bound, recv_with, send_to, socket};
use stoop_testkit::{
    KillOnDrop, NOBODY, Role, TempDir, deadline, has_program, is_root, open_descriptors, public_tempdir,
    role, skip, tempdir,
};

/// A user id without a name, for senders.
const USER: u32 = 54_321;

fn server(dir: &TempDir) -> Datagram {
    let server = Bind::new(dir.path().join("server")).mode(0o666).datagram().unwrap();
    server.set_read_timeout(Some(SOON)).unwrap();
    server
}

/// Binds a socket that is not the sender's.
fn bystander(at: impl stoop::ToAddress) -> Datagram {
    let at = at.to_address().unwrap();
    let bind = Bind::new(&at).policy(Policy::everyone());
    let bind = if at.as_pathname().is_some() { bind.mode(0o600) } else { bind };
    let bystander = bind.datagram().unwrap();
    bystander.set_nonblocking(true).unwrap();
    bystander
}

#[track_caller]
fn heard_nothing(bystander: &Datagram) {
    assert!(bystander.recv(&mut [0; 64]).unwrap_err().is_would_block());
}

/// Sends a request from a client at `dir/client` that stays open.
fn question(server: &Datagram, dir: &Path, client: &Datagram) -> Origin {
    client.send_to(b"question", server.local_addr().unwrap()).unwrap();
    let (_, origin) = server.recv_request().unwrap();
    assert_eq!(origin, Origin::new(path(dir, "client"), Some(Credentials::own())));
    origin
}

fn path(dir: &Path, name: &str) -> Address {
    Address::path(dir.join(name)).unwrap()
}

#[track_caller]
fn refused(server: &Datagram, origin: &Origin, why: &str) {
    for error in [
        server.reply(b"answer", origin).unwrap_err(),
        server.reply_with(b"answer", origin, &Outgoing::new()).unwrap_err(),
    ] {
        assert_eq!(
            (error.kind(), error.subject()),
            (ErrorKind::NotPermitted, Some(&origin.address)),
            "{error}"
        );
        assert!(error.to_string().contains(why), "{error}");
        assert!(error.detail().is_some_and(|detail| detail.contains(why)), "{error}");
    }
}

#[test]
fn replies_reach_senders_of_every_kind() {
    deadline(SOON, || {
        let dir = tempdir();
        let server = server(&dir);
        let at = server.local_addr().unwrap();
        let connected = Datagram::bind(path(dir.path(), "connected")).unwrap();
        connected.connect(&at).unwrap();
        for client in [
            Datagram::autobind().unwrap(),
            Datagram::bind(path(dir.path(), "bound")).unwrap(),
            connected,
            Connect::new(&at).datagram().unwrap(),
        ] {
            client.send_to(b"question", &at).unwrap();
            let (_, origin) = server.recv_request().unwrap();
            server.reply(b"answer", &origin).unwrap();
            server.reply_with(b"more", &origin, &Outgoing::new()).unwrap();
            assert_eq!(client.recv_vec().unwrap(), (b"answer".to_vec(), at.clone()));
            assert_eq!(client.recv_vec().unwrap().0, b"more");
        }
    });
}

#[test]
fn a_symlink_or_another_socket_at_the_path_gets_no_reply() {
    deadline(SOON, || {
        let dir = tempdir();
        let (server, dir) = (server(&dir), dir.path());
        let other = bystander(path(dir, "other"));
        let client = dir.join("client");

        let sender = Datagram::bind(path(dir, "client")).unwrap();
        let origin = question(&server, dir, &sender);
        fs::remove_file(&client).unwrap();
        symlink(dir.join("other"), &client).unwrap();
        refused(&server, &origin, "symbolic link");
        fs::remove_file(&client).unwrap();
        fs::hard_link(dir.join("other"), &client).unwrap();
        refused(&server, &origin, "the socket at its path was bound to");
        fs::remove_file(&client).unwrap();
        fs::write(&client, "").unwrap();
        refused(&server, &origin, "is not a socket");
        fs::remove_file(&client).unwrap();
        assert!(server.reply(b"answer", &origin).unwrap_err().is_not_found());
        // It follows names, as it says.
        symlink(dir.join("other"), &client).unwrap();
        server.send_to(b"answer", &origin.address).unwrap();
        assert_eq!(other.recv(&mut [0; 64]).unwrap(), 6);
        heard_nothing(&other);
    });
}

#[test]
fn a_replaced_directory_gets_no_reply() {
    deadline(SOON, || {
        let dir = tempdir();
        let (server, dir) = (server(&dir), dir.path());
        for name in ["mine", "theirs"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        let theirs = bystander(dir.join("theirs/client"));
        let sender = Datagram::bind(dir.join("mine/client")).unwrap();
        let origin = question(&server, &dir.join("mine"), &sender);
        fs::rename(dir.join("mine"), dir.join("moved")).unwrap();
        symlink(dir.join("theirs"), dir.join("mine")).unwrap();
        refused(&server, &origin, "the socket at its path was bound to");
        fs::remove_file(dir.join("mine")).unwrap();
        fs::rename(dir.join("theirs"), dir.join("mine")).unwrap();
        refused(&server, &origin, "the socket at its path was bound to");
        heard_nothing(&theirs);
        // A link on the way that leads to the sender is as good as a directory.
        fs::rename(dir.join("mine"), dir.join("theirs")).unwrap();
        symlink(dir.join("moved"), dir.join("mine")).unwrap();
        server.reply(b"answer", &origin).unwrap();
        assert_eq!(sender.recv(&mut [0; 64]).unwrap(), 6);
    });
}

#[test]
fn process_dependent_paths_are_refused() {
    deadline(SOON, || {
        let dir = tempdir();
        let server = server(&dir);
        let origin = |address| Origin::new(address, Some(Credentials::own()));
        let error = server.reply(b"answer", &origin(Address::path("relative").unwrap())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidAddress);
        assert!(error.to_string().contains("relative"), "{error}");
        let error = server.reply(b"answer", &origin(Address::UNNAMED)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidAddress);

        let other = bystander(path(dir.path(), "other"));
        let root = format!("/proc/self/root{}", dir.path().join("other").display());
        assert!(server.reply(b"answer", &origin(Address::path(root).unwrap())).is_err());
        heard_nothing(&other);
    });
}

#[test]
fn an_unknown_sender_gets_no_reply_at_a_path() {
    deadline(SOON, || {
        let dir = tempdir();
        let name = Name::path(dir.path().join("passed"));
        let passed = bound(DATAGRAM, &name);
        let client = bound(DATAGRAM, &Name::path(dir.path().join("client")));
        send_to(&client, b"early", &name).unwrap();
        let server = Datagram::try_from(passed).unwrap();
        server.set_pass_credentials(true).unwrap();
        let (_, origin) = server.recv_request().unwrap();
        assert_eq!(origin.credentials, None);
        refused(&server, &origin, "SO_PASSCRED");
        // No user at all, as the credentials of one without an id here are reported (K-CRED-17), and
        // another user.
        for (uid, expected) in [(u32::MAX, "SO_PASSCRED"), (0xffff_fffe, "belongs to user")] {
            let stranger = Some(Credentials { uid, ..Credentials::own() });
            refused(&server, &Origin::new(origin.address.clone(), stranger), expected);
        }
        send_to(&client, b"late", &name).unwrap();
        server.reply(b"answer", &server.recv_request().unwrap().1).unwrap();
        // An abstract name has nothing to compare.
        let nameless = Datagram::autobind().unwrap();
        server.reply(b"answer", &Origin::new(nameless.local_addr().unwrap(), None)).unwrap();
        assert_eq!(nameless.recv(&mut [0; 64]).unwrap(), 6);
    });
}

/// Bound datagram sockets have `SO_PASSCRED`. Receives without ancillary data are unaffected.
#[test]
fn bound_sockets_pass_credentials_and_plain_receives_ignore_them() {
    deadline(SOON, || {
        let dir = tempdir();
        let server = server(&dir);
        let client = Datagram::client(server.local_addr().unwrap()).unwrap();
        for _ in 0..6 {
            client.send(b"hello").unwrap();
        }
        let mut buffer = [0; 64];
        assert_eq!(server.peek(&mut buffer).unwrap(), 5);
        assert_eq!(server.recv(&mut buffer).unwrap(), 5);
        assert_eq!(server.recv_from(&mut buffer).unwrap(), (5, client.local_addr().unwrap()));
        assert_eq!(server.recv_vec().unwrap().0, b"hello");
        let mut batch = stoop::Batch::new(1, 64);
        assert_eq!(server.recv_batch(&mut batch).unwrap(), 1);
        assert_eq!(server.recv_request().unwrap().1.credentials, Some(Credentials::own()));
        let plain = std::os::unix::net::UnixDatagram::from(server);
        assert_eq!(plain.recv(&mut buffer).unwrap(), 5);
    });
}

/// In a child: sends a request to `SERVER` from `AT`, and reports what it received.
#[expect(clippy::disallowed_methods, reason = "the working directory of a process of its own")]
fn ask() {
    let variable = |name: &str| std::env::var(name).unwrap();
    if let Ok(covered) = std::env::var("COVERED") {
        mount("none", covered, "tmpfs", MountFlags::empty(), None).unwrap();
    }
    let (own, at) = (socket(DATAGRAM), Name::from_text(&variable("AT")));
    if let Ok(directory) = std::env::var("WITHIN") {
        std::env::set_current_dir(directory).unwrap();
    }
    bind(&own, &at).unwrap();
    send_to(&own, b"question", &Name::path(variable("SERVER"))).unwrap();
    println!("\nsent");
    if role().unwrap() == "brief" {
        return;
    }
    std::io::read_to_string(std::io::stdin()).unwrap();
    match recv_with(&own, 64, MSG_DONTWAIT) {
        Ok((answer, _)) => println!("\ngot {}", String::from_utf8_lossy(&answer)),
        Err(_) => println!("\ngot nothing"),
    }
}

/// A sender in another process.
struct Asking {
    role: Role,
    at: Name,
}

impl Asking {
    fn new(test: &str, kind: &str, server: &Datagram, at: Name) -> Asking {
        let address = server.local_addr().unwrap();
        let server = address.as_pathname().unwrap().to_str().unwrap();
        let role = Role::new(test, kind).env("SERVER", server).env("AT", &at.to_text());
        Asking { role, at }
    }

    fn user(self, uid: u32) -> Asking {
        Asking { role: self.role.user(uid, uid), ..self }
    }

    fn env(self, name: &str, value: &Path) -> Asking {
        Asking { role: self.role.env(name, value.to_str().unwrap()), ..self }
    }

    fn within(self, flag: &str) -> Asking {
        Asking { role: self.role.within("unshare", &[flag]), ..self }
    }

    fn send(self, server: &Datagram) -> (KillOnDrop, Origin) {
        let mut child = self.role.spawn();
        child.line("sent", SOON);
        let (question, origin) = server.recv_request().unwrap();
        assert_eq!(question, b"question", "from {:?}", self.at);
        (child, origin)
    }
}

#[track_caller]
fn answered(server: &Datagram, (mut child, origin): (KillOnDrop, Origin)) {
    server.reply(b"answer", &origin).unwrap();
    drop(child.0.stdin.take());
    assert_eq!(child.line("got", SOON), "answer");
}

/// Creates a shared directory, one of root with a socket in it, and one of the sending user.
fn stage() -> (TempDir, PathBuf, Datagram, PathBuf) {
    let dir = public_tempdir();
    let (secret, users) = (dir.path().join("secret"), dir.path().join("users"));
    fs::create_dir(&secret).unwrap();
    fs::create_dir(&users).unwrap();
    chown(&users, Some(USER), Some(USER)).unwrap();
    let victim = bystander(secret.join("me"));
    (dir, secret, victim, users)
}

#[test]
fn root_is_no_confused_deputy() {
    const TEST: &str = "root_is_no_confused_deputy";
    if role().is_some() {
        return ask();
    }
    if !is_root() {
        skip!("lacks root");
    }
    let (dir, secret, victim, users) = stage();
    let server = server(&dir);
    let me = users.join("me");
    let asking = |at: &Path| Asking::new(TEST, "user", &server, Name::path(at)).user(USER);

    answered(&server, asking(&me).send(&server));
    fs::remove_file(&me).unwrap();

    // What the sender may do: a link at the end, one on the way, another name of a file.
    let (_child, origin) = asking(&me).send(&server);
    fs::remove_file(&me).unwrap();
    symlink(secret.join("me"), &me).unwrap();
    refused(&server, &origin, "symbolic link");
    fs::remove_file(&me).unwrap();
    fs::hard_link(secret.join("me"), &me).unwrap();
    refused(&server, &origin, "belongs to user 0, but user 54321 sent");
    fs::remove_file(&me).unwrap();
    fs::rename(&users, dir.path().join("moved")).unwrap();
    symlink(&secret, &users).unwrap();
    refused(&server, &origin, "belongs to user 0, but user 54321 sent");
    fs::remove_file(&users).unwrap();
    fs::rename(dir.path().join("moved"), &users).unwrap();

    // And what another may do who comes after it: even the name is the same then.
    let successor = bystander(me.as_path());
    refused(&server, &origin, "belongs to user 0");
    heard_nothing(&successor);
    heard_nothing(&victim);
    drop(successor);

    let within = Asking::new(TEST, "user", &server, Name::path("me")).user(USER).env("WITHIN", &users);
    let (_child, origin) = within.send(&server);
    let error = server.reply(b"answer", &origin).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidAddress, "{error}");

    // A user like any other where every id is mapped, and a socket that root has made for another.
    fs::remove_file(&me).unwrap();
    fs::set_permissions(&users, fs::Permissions::from_mode(0o777)).unwrap();
    answered(&server, asking(&me).user(NOBODY).send(&server));
    let given = Asking::new(TEST, "root", &server, Name::path(users.join("given"))).send(&server);
    chown(users.join("given"), Some(USER), Some(USER)).unwrap();
    answered(&server, given);
}

/// Root in a container without a user namespace is root outside, too.
#[test]
fn names_of_other_namespaces_are_refused() {
    const TEST: &str = "names_of_other_namespaces_are_refused";
    if role().is_some() {
        return ask();
    }
    if !is_root() || !has_program("unshare") {
        skip!("lacks root or unshare");
    }
    let (dir, _, _victim, users) = stage();
    let server = server(&dir);
    let me = users.join("me");
    let asking = |at: Name| Asking::new(TEST, "inside", &server, at);

    // The same path in its mounts and in ours, and another file.
    let victim = bystander(me.as_path());
    let (_child, origin) = asking(Name::path(&me)).env("COVERED", &users).within("--mount").send(&server);
    refused(&server, &origin, "mount namespace");
    heard_nothing(&victim);
    drop(victim);
    // A namespace of its own that shows the same file is fine: many services have one.
    answered(&server, asking(Name::path(&me)).within("--mount").send(&server));

    let name = Name::unique("replies");
    let at = Address::abstract_name(&name.bytes()[1..]).unwrap();
    let victim = bystander(&at);
    let (_child, origin) = asking(name).within("--net").send(&server);
    assert_eq!(origin.address, at);
    refused(&server, &origin, "another network namespace");
    heard_nothing(&victim);
    drop(victim);
    answered(&server, asking(Name::unique("replies")).send(&server));
}

#[test]
fn an_exited_sender_gets_no_reply() {
    const TEST: &str = "an_exited_sender_gets_no_reply";
    if role().is_some() {
        return ask();
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    let server = server(&dir);
    let name = Name::unique("exited");
    for (at, address) in [
        (Name::path(dir.path().join("me")), path(dir.path(), "me")),
        (name.clone(), Address::abstract_name(&name.bytes()[1..]).unwrap()),
    ] {
        let (mut child, origin) = Asking::new(TEST, "brief", &server, at).send(&server);
        assert!(child.finish(SOON).success());
        let heir = bystander(&address);
        refused(&server, &origin, "has exited");
        heard_nothing(&heir);
    }
}

#[test]
fn replies_leave_no_descriptor_open() {
    if role().is_none() {
        // Counting takes a process of its own.
        return Role::new("replies_leave_no_descriptor_open", "alone").run();
    }
    let dir = tempdir();
    let (server, dir) = (server(&dir), dir.path());
    let sender = Datagram::bind(path(dir, "client")).unwrap();
    let origin = question(&server, dir, &sender);
    server.reply(b"answer", &origin).unwrap();
    let before = open_descriptors();
    server.reply(b"answer", &origin).unwrap();
    fs::remove_file(dir.join("client")).unwrap();
    symlink(dir.join("server"), dir.join("client")).unwrap();
    refused(&server, &origin, "symbolic link");
    fs::rename(dir.join("server"), dir.join("client")).unwrap();
    refused(&server, &origin, "the socket at its path was bound to");
    assert_eq!(open_descriptors(), before);
}
