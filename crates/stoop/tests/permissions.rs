//! The exact mode, owner and group of a socket file, whatever the umask, never wider for an
//! instant, and without a trace on anything else that the process does meanwhile.

mod background;

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, chown, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use background::while_repeating;
use stoop::{Address, Bind, Datagram, ErrorKind, Listener, Result, SeqPacket, Stream};
use stoop_kernel_facts::SOON;
use stoop_testkit::{NOBODY, Role, has_program, is_root, public_tempdir, role, skip, spawn, tempdir};

const UMASKS: [u32; 4] = [0, 0o022, 0o077, 0o777];
const MODES: [u32; 4] = [0o600, 0o660, 0o666, 0o000];

/// The bit that a file gets if the kernel's table has another path than its own.
const STICKY: u32 = 0o1000;

fn mode_of(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().mode() & 0o7777
}

fn is_empty(dir: &Path) -> bool {
    fs::read_dir(dir).unwrap().next().is_none()
}

#[expect(clippy::disallowed_methods, reason = "a process of its own, whose umask is the point")]
fn set_umask(mask: u32) {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(mask));
}

/// Plays `part` in a process of its own, once with each umask; as root's, if we are root, and as
/// nobody's as well.
fn under_every_umask(test: &str, part: impl Fn(&Path)) {
    if role().is_some() {
        let mask = std::env::var("MASK").unwrap();
        set_umask(mask.parse().unwrap());
        let dir = public_tempdir();
        return part(dir.path());
    }
    for mask in UMASKS {
        let child = || Role::new(test, "child").env("MASK", &mask.to_string());
        child().run();
        if is_root() {
            child().user(NOBODY, NOBODY).run();
        }
    }
}

/// A server of any kind, as long as it lives.
trait Server {}
impl Server for Listener<Stream> {}
impl Server for Listener<SeqPacket> {}
impl Server for Datagram {}

fn of_every_kind(bind: &Bind) -> [Result<Box<dyn Server>>; 3] {
    fn boxed<S: Server + 'static>(server: Result<S>) -> Result<Box<dyn Server>> {
        server.map(|server| Box::new(server) as Box<dyn Server>)
    }
    // One after another: each is gone before the next binds, unless that one replaces it.
    [
        boxed(bind.listen()),
        boxed(bind.clone().replace(true).listen_seqpacket()),
        boxed(bind.clone().replace(true).datagram()),
    ]
}

#[test]
fn the_mode_is_exact_whatever_the_umask() {
    under_every_umask("the_mode_is_exact_whatever_the_umask", |dir| {
        for mode in MODES {
            let path = dir.join(format!("socket{mode:o}"));
            let bind = Bind::new(&path).mode(mode);
            let direct = bind.listen().unwrap();
            assert_eq!(mode_of(&path), mode, "bound");
            drop(direct);
            let _servers = of_every_kind(&bind).map(|server| {
                // Without a right to write, nobody but root can ask whether the server lives: then it keeps
                // its name.
                let may_ask = is_root() || mode & 0o200 != 0;
                assert!(server.is_ok() || !may_ask);
                let bit = if may_ask { STICKY } else { 0 };
                assert_eq!(mode_of(&path), mode | bit, "taken over");
                server
            });
        }
        let long = dir.join("long name ".repeat(20));
        let _server = Bind::new(&long).mode(0o640).listen().unwrap();
        assert_eq!(mode_of(&long), 0o640 | STICKY);
    });
}

#[test]
fn files_made_meanwhile_have_the_mode_they_should() {
    under_every_umask("files_made_meanwhile_have_the_mode_they_should", |dir| {
        let mask: u32 = std::env::var("MASK").unwrap().parse().unwrap();
        let made = AtomicU64::new(0);
        let make = || {
            let path = dir.join("file");
            OpenOptions::new().write(true).create_new(true).mode(0o666).open(&path).unwrap();
            assert_eq!(mode_of(&path), 0o666 & !mask);
            fs::remove_file(&path).unwrap();
            made.fetch_add(1, Ordering::Relaxed);
        };
        while_repeating(make, || {
            let bind = Bind::new(dir.join("socket")).mode(0o600);
            let mut rounds = 0;
            while rounds < 100 || made.load(Ordering::Relaxed) < 100 {
                let first = bind.listen().unwrap();
                let second = bind.clone().replace(true).listen().unwrap();
                drop((first, second));
                rounds += 1;
            }
        });
    });
}

#[test]
fn no_instant_sees_a_wider_mode() {
    under_every_umask("no_instant_sees_a_wider_mode", |dir| {
        let path = dir.join("socket");
        let staged = dir.join(".socket.stoop/socket");
        let look = || {
            for watched in [&path, &staged] {
                if let Ok(file) = fs::symlink_metadata(watched) {
                    assert_eq!(file.mode() & 0o777 & !0o620, 0, "{:o}", file.mode());
                }
            }
        };
        while_repeating(look, || {
            let bind = Bind::new(&path).mode(0o620);
            for _ in 0..100 {
                let first = bind.listen().unwrap();
                let second = bind.clone().replace(true).listen().unwrap();
                drop((first, second));
            }
        });
    });
}

#[test]
fn without_a_mode_the_umask_decides() {
    under_every_umask("without_a_mode_the_umask_decides", |dir| {
        let mask: u32 = std::env::var("MASK").unwrap().parse().unwrap();
        let _first = Bind::new(dir.join("socket")).listen().unwrap();
        assert_eq!(mode_of(&dir.join("socket")), 0o777 & !mask);
        // Without the right to write, only root can ask whether the first one is live.
        if is_root() || mask & 0o200 == 0 {
            let _second = Bind::new(dir.join("socket")).replace(true).listen().unwrap();
            assert_eq!(mode_of(&dir.join("socket")), (0o777 & !mask) | STICKY);
        }
    });
}

#[test]
fn owner_and_group_are_exact_and_the_file_narrow_until_then() {
    if !is_root() {
        skip!("lacks root");
    }
    if role().is_none() {
        return Role::new("owner_and_group_are_exact_and_the_file_narrow_until_then", "child").run();
    }
    set_umask(0);
    let dir = tempdir();
    let path = dir.path().join("socket");
    let bind = Bind::new(&path).owner(NOBODY).group(12345).mode(0o660);
    let look = || {
        if let Ok(file) = fs::symlink_metadata(&path) {
            // Root's group must never be let in.
            assert!(file.gid() == 12345 || file.mode() & 0o077 == 0, "{:o} {}", file.mode(), file.gid());
        }
    };
    while_repeating(look, || {
        for replace in [false, true].repeat(50) {
            let server = bind.clone().replace(replace).listen().unwrap();
            let file = fs::metadata(&path).unwrap();
            assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (NOBODY, 12345, 0o660));
            drop(server);
        }
    });
    assert!(is_empty(dir.path()));
}

#[test]
fn an_owner_that_may_not_be_given_is_an_error_and_leaves_nothing() {
    const TEST: &str = "an_owner_that_may_not_be_given_is_an_error_and_leaves_nothing";
    if role().is_none() {
        if !is_root() {
            skip!("lacks root");
        }
        return Role::new(TEST, "nobody").user(NOBODY, NOBODY).run();
    }
    let dir = tempdir();
    let bind = Bind::new(dir.path().join("socket"));
    let live = dir.path().join("live");
    let _server = Bind::new(&live).listen().unwrap();
    for bind in [bind.clone().owner(0), bind.group(0).mode(0o660), Bind::new(&live).replace(true).owner(0)] {
        let error = of_every_kind(&bind).map(|server| server.err().unwrap());
        assert!(error.iter().all(stoop::Error::is_permission), "{error:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the live one");
    }
    Stream::connect(&live).unwrap();
}

#[test]
fn a_set_group_id_directory_gives_its_group() {
    if !is_root() {
        skip!("lacks root");
    }
    let dir = tempdir();
    chown(dir.path(), None, Some(NOBODY)).unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o2755)).unwrap();
    let path = dir.path().join("socket");
    for replace in [false, true] {
        let first = Bind::new(&path).mode(0o660).listen().unwrap();
        let second = replace.then(|| Bind::new(&path).mode(0o660).replace(true).listen().unwrap());
        let file = fs::metadata(&path).unwrap();
        assert_eq!((file.gid(), file.mode() & 0o777), (NOBODY, 0o660), "replaced: {replace}");
        drop((first, second));
    }
    let _server = Bind::new(&path).group(0).listen().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().gid(), 0);
}

#[test]
fn a_default_access_list_does_not_change_the_mode() {
    if !has_program("setfacl") {
        skip!("lacks setfacl");
    }
    let dir = tempdir();
    let mut setfacl = Command::new("setfacl");
    setfacl.args(["-d", "-m", "u::---,g::---,o::---"]).arg(dir.path());
    if !spawn(&mut setfacl).unwrap().wait().unwrap().success() {
        skip!("lacks access control lists here");
    }
    let path = dir.path().join("socket");
    for mode in [0o600, 0o660, 0o666] {
        let first = Bind::new(&path).mode(mode).listen().unwrap();
        assert_eq!(mode_of(&path), mode);
        let second = Bind::new(&path).mode(mode).replace(true).listen().unwrap();
        assert_eq!(mode_of(&path), mode | STICKY);
        drop((first, second));
    }
    assert!(is_empty(dir.path()));
    let below = dir.path().join("below");
    drop(Bind::new(below.join("socket")).create_parents(0o750).listen().unwrap());
    assert_eq!(mode_of(&below), 0o750);
}

#[test]
fn missing_directories_are_made_with_exactly_their_mode() {
    under_every_umask("missing_directories_are_made_with_exactly_their_mode", |dir| {
        fs::create_dir(dir.join("old")).unwrap();
        fs::set_permissions(dir.join("old"), Permissions::from_mode(0o707)).unwrap();
        let path = dir.join("old/new/../newer/newest/socket");
        let server = Bind::new(&path).mode(0o600).create_parents(0o751).listen().unwrap();
        for (made, mode) in
            [("old", 0o707), ("old/new", 0o751), ("old/newer", 0o751), ("old/newer/newest", 0o751)]
        {
            assert_eq!(mode_of(&dir.join(made)), mode, "{made}");
        }
        Stream::connect(&path).unwrap();
        drop(server);
        assert!(is_empty(&dir.join("old/newer/newest")));
    });
}

#[test]
fn directories_that_cannot_be_made_are_errors() {
    stoop_testkit::deadline(SOON, || {
        let dir = tempdir();
        let at = |name: &str| dir.path().join(name);
        symlink(at("nothing"), at("dangling")).unwrap();
        symlink(at("loop"), at("loop")).unwrap();
        fs::write(at("file"), "").unwrap();
        for name in [
            "dangling/socket",
            "dangling/a/socket",
            "dangling/a/b/socket",
            "loop/a/socket",
            "file/a/b/socket",
        ] {
            let error = Bind::new(at(name)).create_parents(0o755).listen().unwrap_err();
            assert!(!error.is_in_use() && !error.is_timed_out(), "{error}");
        }
        assert!(Bind::new(at("none/socket")).listen().unwrap_err().is_not_found());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    });
}

#[test]
fn a_directory_that_may_not_be_written_is_an_error() {
    const TEST: &str = "a_directory_that_may_not_be_written_is_an_error";
    if role().is_some() {
        let theirs = std::path::PathBuf::from(std::env::var_os("DIRECTORY").unwrap());
        let error = Bind::new(theirs.join("socket")).listen().unwrap_err();
        assert_eq!(error.kind(), stoop::ErrorKind::PermissionDenied, "{error}");
        let error = Bind::new(theirs.join("none/socket")).create_parents(0o755).listen().unwrap_err();
        assert_eq!(error.kind(), stoop::ErrorKind::PermissionDenied, "{error}");
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let role = Role::new(TEST, "nobody").env("DIRECTORY", dir.path().to_str().unwrap());
    role.user(NOBODY, NOBODY).run();
}

/// A client needs the right to write, and no other.
#[test]
fn the_right_to_write_is_the_right_to_connect() {
    const TEST: &str = "the_right_to_write_is_the_right_to_connect";
    if role().is_some() {
        let dir = std::env::var("DIRECTORY").unwrap();
        for (mode, may) in [(0o666, true), (0o602, true), (0o604, false), (0o660, false), (0o600, false)] {
            let outcome = Stream::connect(Path::new(&dir).join(format!("{mode:o}")).as_path());
            assert_eq!(outcome.is_ok(), may, "{mode:o}");
        }
        return;
    }
    if !is_root() {
        skip!("lacks root");
    }
    let dir = public_tempdir();
    let serve = |mode: u32| Bind::new(dir.path().join(format!("{mode:o}"))).mode(mode).listen().unwrap();
    let _servers = [0o666, 0o602, 0o604, 0o660, 0o600].map(serve);
    Role::new(TEST, "nobody").env("DIRECTORY", dir.path().to_str().unwrap()).user(NOBODY, NOBODY).run();
}

#[test]
fn an_abstract_name_has_no_mode_owner_or_parents() {
    let name = Address::abstract_name(format!("stoop-permissions-{}", std::process::id())).unwrap();
    let bind = Bind::new(&name);
    for refused in [
        bind.clone().mode(0o600),
        bind.clone().owner(0),
        bind.clone().group(0),
        bind.clone().create_parents(0o700),
    ] {
        for error in [refused.listen().err(), refused.datagram().err()] {
            let error = error.unwrap();
            assert_eq!((error.kind(), error.subject()), (ErrorKind::InvalidInput, Some(&name)));
        }
    }
    bind.replace(true).listen().unwrap();
}
