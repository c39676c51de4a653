//! Access to a socket of `stoop serve`: exact permissions, owners, and policies, tested with real
//! other users.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;

use stoop_e2e::{KINDS, Raw, Run, Running, socket_path, stoop, stoop_as};
use stoop_testkit::{NOBODY, is_root, skip};

/// Starts a server and waits until it is ready: a datagram socket accepts messages a moment before
/// its permissions are as wide as requested.
#[track_caller]
fn started(server: Run) -> Running {
    let server = server.spawn();
    server.wait_stderr("serving");
    server
}

fn mode(path: impl AsRef<Path>) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

mod file {
    use super::*;

    #[test]
    fn the_mode_is_exact_whatever_the_umask() {
        for kind in KINDS {
            for umask in ["000", "022", "077", "777"] {
                for wanted in ["600", "660", "666", "620"] {
                    let (_dir, place) = socket_path();
                    let server = stoop(["serve", &place, "--kind", kind, "--mode", wanted]).umask(umask);
                    let _server = started(server);
                    // The bits are correct as soon as the socket accepts clients.
                    assert_eq!(format!("{:o}", mode(&place)), wanted, "{kind} under umask {umask}");
                }
            }
        }
    }

    #[test]
    fn without_a_mode_the_umask_decides() {
        for (umask, wanted) in [("022", 0o755), ("077", 0o700), ("000", 0o777)] {
            let (_dir, place) = socket_path();
            let _server = started(stoop(["serve", &place]).umask(umask));
            assert_eq!(mode(&place), wanted);
        }
    }

    #[test]
    fn a_replacing_server_has_its_own_mode() {
        let (_dir, place) = socket_path();
        let old = started(stoop(["serve", &place, "--mode", "666"]));
        let _new = stoop(["serve", &place, "--mode", "600", "--replace"]).umask("077").spawn();
        // The sticky bit: the kernel knows this socket by another path, and cleaners spare such files.
        stoop_testkit::eventually(stoop_e2e::LIMIT, || mode(&place) == 0o1600);
        old.terminate().ok();
    }

    #[test]
    fn missing_directories_are_created_on_request() {
        let (dir, _) = socket_path();
        let place = dir.path().join("a/b/s").to_str().unwrap().to_owned();
        stoop(["serve", &place]).run().code(3).explains(&["error: ", &place]);
        let _server = started(stoop(["serve", &place, "--mkdir"]));
        Raw::connect("stream", &place).unwrap().is_echoed(b"x");
    }

    #[test]
    fn owner_and_group_are_set_by_number_and_by_name() {
        if !is_root() {
            skip!("lacks root");
        }
        for (owner, group) in [("65534", "65534"), ("nobody", "nogroup")] {
            let (_dir, place) = socket_path();
            let server = stoop(["serve", &place, "--owner", owner, "--group", group, "--mode", "600"]);
            let _server = started(server);
            let file = fs::metadata(&place).unwrap();
            assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (NOBODY, NOBODY, 0o600));
            stoop_as(NOBODY, ["connect", &place]).input("mine now\n").run().ok().stdout_is(b"mine now\n");
        }
    }

    /// If no file is created, flags about one are not silently ignored.
    #[test]
    fn file_flags_are_rejected_for_abstract_names() {
        let name = format!("@stoop-e2e-no-file-{}", std::process::id());
        let flags = [&["--mode", "600"][..], &["--owner", "0"], &["--group", "0"], &["--mkdir"]];
        for verb in ["serve", "recv"] {
            for flags in flags {
                let output = stoop([verb, &name]).args(flags).run().code(2);
                output.explains(&[flags[0], &name, "why:  an abstract name has no file", "next: "]);
            }
        }
        assert!(!stoop_e2e::is_served(&name));
    }

    /// The same if another process has bound the socket.
    #[test]
    fn file_flags_are_rejected_for_inherited_sockets() {
        let (_dir, place) = socket_path();
        for flags in [&["--mode", "600"][..], &["--mkdir"], &["--backlog", "7"], &["--replace"]] {
            let listener = UnixListener::bind(&place).unwrap();
            let passed = stoop(["serve", "fd:0"]).args(flags).stdin(listener);
            passed.run().code(2).explains(&[flags[0], "'fd:0'", "is bound already"]);
            fs::remove_file(&place).unwrap();
        }
    }

    #[test]
    fn an_unknown_owner_is_an_error_before_anything_happens() {
        let (_dir, place) = socket_path();
        let output = stoop(["serve", &place, "--owner", "no-such-user-here"]).run();
        assert!(matches!(output.code, Some(2 | 3)), "{output:?}");
        output.explains(&["no-such-user-here"]);
        assert!(!fs::exists(&place).unwrap());
    }
}

mod policy {
    use super::*;

    /// A socket that every user may write to, and a server that checks the peer's identity.
    fn only_root<'a>(place: &'a str, kind: &'a str) -> Run {
        stoop(["serve", place, "--kind", kind, "--mode", "666", "--allow-uid", "0"])
    }

    /// A refused client receives nothing. Whether it treats that as an error depends on when it
    /// learns of it.
    #[track_caller]
    fn nobody_hears_nothing(place: &str, kind: &str) {
        let client =
            stoop_as(NOBODY, ["send", place, "let me in", "--kind", kind, "--reply", "--timeout", "1s"]);
        client.run().stdout_is(b"");
    }

    #[test]
    fn a_user_who_is_not_allowed_receives_nothing() {
        if !is_root() {
            skip!("lacks root");
        }
        for kind in KINDS {
            let (_dir, place) = socket_path();
            let _server = started(only_root(&place, kind));
            nobody_hears_nothing(&place, kind);
            Raw::connect(kind, &place).unwrap().is_echoed(b"root is");
        }
    }

    #[test]
    fn a_user_or_group_who_is_allowed_is_served() {
        if !is_root() {
            skip!("lacks root");
        }
        for kind in KINDS {
            for allowed in [["--allow-uid", "65534"], ["--allow-gid", "nogroup"], ["--allow-uid", "nobody"]] {
                let (_dir, place) = socket_path();
                let _server = started(only_root(&place, kind).args(allowed));
                let client = stoop_as(NOBODY, ["send", &place, "welcome", "--kind", kind, "--reply"]);
                client.run().ok().stdout_is(b"welcome");
            }
        }
    }

    /// An abstract name has no permissions, so the server has to check the peer; it does by
    /// default.
    #[test]
    fn abstract_names_refuse_other_users_by_default() {
        if !is_root() {
            skip!("lacks root");
        }
        for kind in KINDS {
            let name = format!("@stoop-e2e-policy-{kind}-{}", std::process::id());
            let _server = started(stoop(["serve", &name, "--kind", kind]));
            nobody_hears_nothing(&name, kind);
            Raw::connect(kind, &name).unwrap().is_echoed(b"the same user is");
        }
    }

    #[test]
    fn abstract_names_allow_other_users_on_request() {
        if !is_root() {
            skip!("lacks root");
        }
        let name = format!("@stoop-e2e-open-{}", std::process::id());
        let _server = started(stoop(["serve", &name, "--allow-uid", "nobody"]));
        stoop_as(NOBODY, ["connect", &name]).input("hello\n").run().ok().stdout_is(b"hello\n");
    }

    /// A refused client does not stop the server.
    #[test]
    fn refused_clients_do_not_stop_the_server() {
        if !is_root() {
            skip!("lacks root");
        }
        let (_dir, place) = socket_path();
        let mut server = started(only_root(&place, "stream"));
        for _ in 0..5 {
            stoop_as(NOBODY, ["connect", &place]).input("again\n").run().stdout_is(b"");
        }
        assert!(server.is_running());
        Raw::connect("stream", &place).unwrap().is_echoed(b"still");
    }
}
