//! `stoop serve` and a name that is in use: stale files, live servers, files that are not sockets,
//! and takeover.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use rustix::io::Errno;
use stoop_e2e::{KINDS, LIMIT, Raw, is_served, serve, socket_path, stoop, wait_gone, wait_served};
use stoop_testkit::eventually;

fn is_socket(path: &str) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

mod stale {
    use super::*;

    #[test]
    fn a_file_left_by_kill_is_replaced() {
        for kind in KINDS {
            let (_dir, place) = socket_path();
            for round in 0..3 {
                let server = serve(kind, &place);
                Raw::connect(kind, &place).unwrap().is_echoed(format!("round {round}").as_bytes());
                server.kill();
                assert!(is_socket(&place), "nobody has cleaned up");
            }
        }
    }

    /// Whatever the type of the dead socket.
    #[test]
    fn a_stale_socket_of_another_kind_is_replaced() {
        for (dead, next) in [("stream", "dgram"), ("dgram", "seqpacket"), ("seqpacket", "stream")] {
            let (_dir, place) = socket_path();
            serve(dead, &place).kill();
            let server = serve(next, &place);
            Raw::connect(next, &place).unwrap().is_echoed(b"new kind");
            server.terminate().ok();
            assert!(!fs::exists(&place).unwrap());
        }
    }

    /// Of many that start at once exactly one serves, and it is reachable.
    #[test]
    fn a_race_has_one_winner() {
        for kind in KINDS {
            let (_dir, place) = socket_path();
            serve(kind, &place).kill();
            let mut racers: Vec<_> =
                (0..6).map(|_| stoop(["serve", &place, "--kind", kind]).spawn()).collect();
            // All but one exit by themselves.
            eventually(LIMIT, || {
                for loser in racers.extract_if(.., |racer| !racer.is_running()) {
                    loser.finish().code(3).explains(&["live server"]);
                }
                racers.len() == 1
            });
            Raw::connect(kind, &place).unwrap().is_echoed(b"the winner");
            racers.remove(0).terminate().ok();
            assert!(!fs::exists(&place).unwrap());
        }
    }
}

mod live {
    use super::*;

    #[test]
    fn a_live_server_keeps_its_socket_and_is_named() {
        for kind in KINDS {
            for other in KINDS {
                let (_dir, place) = socket_path();
                let server = serve(kind, &place);
                let refused = stoop(["serve", &place, "--kind", other]).run().code(3);
                refused.explains(&["error: ", &place, &format!("process {}", server.pid()), "stoop"]);
                Raw::connect(kind, &place).unwrap().is_echoed(b"undisturbed");
                server.terminate().ok();
            }
        }
    }

    #[test]
    fn a_live_abstract_name_is_kept_and_its_owner_named() {
        for kind in KINDS {
            let name = format!("@stoop-e2e-live-{kind}-{}", std::process::id());
            let server = serve(kind, &name);
            let refused = stoop(["serve", &name, "--kind", kind]).run().code(3);
            refused.explains(&["error: ", &name, &format!("process {}", server.pid())]);
            Raw::connect(kind, &name).unwrap().is_echoed(b"undisturbed");
            server.terminate().ok();
        }
    }

    /// Between bind and listen a connect is refused, and still the name is in use.
    #[test]
    fn a_server_that_does_not_listen_yet_is_not_replaced() {
        for kind in ["stream", "seqpacket"] {
            let (_dir, place) = socket_path();
            let _bound = Raw::bound(kind, &place);
            let before = fs::metadata(&place).unwrap();
            let refused = stoop(["serve", &place, "--kind", kind]).run().code(3);
            refused.explains(&["does not listen yet", "--wait 10s    # until it listens"]);
            assert_eq!(fs::metadata(&place).unwrap().ino(), before.ino());
        }
    }
}

mod no_socket {
    use super::*;

    #[track_caller]
    fn is_refused_and_left(place: &str, still_there: impl Fn(&Path) -> bool) {
        for flags in [&[][..], &["--replace"]] {
            for kind in KINDS {
                stoop(["serve", place, "--kind", kind])
                    .args(flags)
                    .run()
                    .code(3)
                    .explains(&["error: ", place]);
                assert!(still_there(Path::new(place)), "{kind} with {flags:?} has changed it");
            }
        }
    }

    #[test]
    fn a_regular_file_is_never_removed() {
        let (_dir, place) = socket_path();
        fs::write(&place, "precious").unwrap();
        is_refused_and_left(&place, |path| fs::read(path).unwrap() == b"precious");
    }

    #[test]
    fn an_empty_directory_is_never_removed() {
        let (_dir, place) = socket_path();
        fs::create_dir(&place).unwrap();
        is_refused_and_left(&place, Path::is_dir);
    }

    #[test]
    fn a_symbolic_link_is_never_removed_wherever_it_leads() {
        let (dir, place) = socket_path();
        let target = dir.path().join("target");
        symlink(&target, &place).unwrap();
        is_refused_and_left(&place, |path| fs::read_link(path).unwrap() == target && !target.exists());
        serve("stream", target.to_str().unwrap()).kill();
        is_refused_and_left(&place, |path| {
            fs::read_link(path).unwrap() == target && is_socket(target.to_str().unwrap())
        });
    }
}

mod replace {
    use super::*;

    /// Clients connect continuously while the server is replaced again and again: none is refused,
    /// and all get a reply.
    #[test]
    fn no_client_is_refused_while_servers_change() {
        for kind in KINDS {
            let (_dir, place) = socket_path();
            let mut server = serve(kind, &place);
            let load = Load::start(kind, &place);
            for _ in 0..30 {
                let next = stoop(["serve", &place, "--kind", kind, "--replace"]).spawn();
                next.wait_stderr("serving");
                server.terminate().ok();
                server = next;
            }
            let (served, failed) = load.stop();
            assert_eq!(failed, Vec::<Errno>::new(), "{kind}: of {served} connects");
            assert!(served > 100, "{kind}: the load was real ({served} connects)");
            server.terminate().ok();
            assert!(!fs::exists(&place).unwrap());
        }
    }

    /// Threads that connect and send a word, over and over.
    struct Load {
        stop: Arc<AtomicBool>,
        served: Arc<AtomicU32>,
        threads: Vec<thread::JoinHandle<Vec<Errno>>>,
    }

    impl Load {
        fn start(kind: &'static str, place: &str) -> Load {
            let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
            let one = || {
                let (stop, served, place) = (Arc::clone(&stop), Arc::clone(&served), place.to_owned());
                thread::spawn(move || {
                    let mut failed = Vec::new();
                    while !stop.load(Ordering::Relaxed) {
                        match talk(kind, &place) {
                            Ok(()) => drop(served.fetch_add(1, Ordering::Relaxed)),
                            Err(errno) => failed.push(errno),
                        }
                    }
                    failed
                })
            };
            let threads = (0..2).map(|_| one()).collect();
            Load { stop, served, threads }
        }

        fn stop(self) -> (u32, Vec<Errno>) {
            self.stop.store(true, Ordering::Relaxed);
            let failed = self.threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            (self.served.load(Ordering::Relaxed), failed)
        }
    }

    /// Connects, and gets a reply. A datagram client that has found the old server may be too late
    /// for it: only its connect counts.
    fn talk(kind: &str, place: &str) -> Result<(), Errno> {
        let client = Raw::connect(kind, place)?;
        let sent = client.try_say(b"word");
        if kind != "dgram" {
            sent?;
            assert_eq!(client.try_hear()?, b"word", "a connection is served to its end");
        }
        Ok(())
    }

    /// The replaced server exits later, and removes nothing.
    #[test]
    fn a_successors_file_is_not_removed() {
        for kind in KINDS {
            let (_dir, place) = socket_path();
            let old = serve(kind, &place);
            let new = stoop(["serve", &place, "--kind", kind, "--replace"]).spawn();
            new.wait_stderr("serving");
            old.terminate().ok();
            assert!(is_socket(&place));
            Raw::connect(kind, &place).unwrap().is_echoed(b"the successor");
            new.terminate().ok();
            assert!(!fs::exists(&place).unwrap());
        }
    }

    #[test]
    fn a_foreign_file_in_its_place_is_not_removed() {
        let (_dir, place) = socket_path();
        let server = serve("stream", &place);
        fs::remove_file(&place).unwrap();
        fs::write(&place, "not yours").unwrap();
        server.terminate().ok();
        assert_eq!(fs::read(&place).unwrap(), b"not yours");
    }

    #[test]
    fn replace_without_a_live_server_binds() {
        let (_dir, place) = socket_path();
        let server = stoop(["serve", &place, "--replace"]).spawn();
        wait_served(&place);
        assert!(is_served(&place));
        server.terminate().ok();
        wait_gone(&place);
    }
}
