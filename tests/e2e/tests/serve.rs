//! `stoop serve` and its clients: many at once, misbehaving ones, the shutdown by a signal, and its
//! modes of serving a client.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use stoop_e2e::{KINDS, Raw, Running, bytes, is_served, peer, program, stoop, wait_gone, wait_served};
use stoop_testkit::{
    TempDir, allow_descriptors, deadline, descriptors_of, eventually, has_program, skip, tempdir,
};

/// A server at a path of its own.
struct Server {
    process: Running,
    place: String,
    dir: TempDir,
}

impl Server {
    #[track_caller]
    fn start(kind: &str, flags: &[&str]) -> Server {
        let dir = tempdir();
        let place = dir.path().join("s").to_str().unwrap().to_owned();
        let process = stoop(["serve", &place, "--kind", kind]).args(flags).spawn();
        wait_served(&place);
        Server { process, place, dir }
    }

    #[track_caller]
    fn client(&self, kind: &str) -> Raw {
        Raw::connect(kind, &self.place).expect("connect")
    }
}

mod clients {
    use super::*;

    #[test]
    fn many_are_served_at_once() {
        for kind in KINDS {
            let server = Server::start(kind, &[]);
            let clients: Vec<_> = (0..60).map(|_| server.client(kind)).collect();
            // The last client to connect sends first: no client waits for another.
            for (number, client) in clients.iter().enumerate().rev() {
                client.is_echoed(format!("{kind} client {number}").as_bytes());
            }
            // All replies together fit the send buffer of a datagram server, which waits only briefly.
            for (number, client) in clients.iter().enumerate() {
                client.say(&bytes(1_000, number as u64 + 1));
            }
            for (number, client) in clients.iter().enumerate() {
                let mut heard = client.hear();
                while heard.len() < 1_000 {
                    heard.extend(client.hear());
                }
                assert!(
                    heard == bytes(1_000, number as u64 + 1),
                    "{kind} client {number} heard something else"
                );
            }
        }
    }

    #[test]
    fn a_killed_client_does_not_stop_the_server() {
        for kind in KINDS {
            let mut server = Server::start(kind, &[]);
            for _ in 0..5 {
                let mut victim = stoop(["connect", &server.place, "--kind", kind]).open_input().spawn();
                victim.say("half a conversation\n");
                victim.wait_stdout("half a conversation\n");
                victim.kill();
            }
            server.client(kind).is_echoed(b"still there");
            assert!(server.process.is_running());
        }
    }

    #[test]
    fn garbage_and_resets_do_not_stop_the_server() {
        if !has_program("python3") {
            skip!("lacks python3");
        }
        for kind in KINDS {
            let mut server = Server::start(kind, &[]);
            let honest = (kind != "dgram").then(|| server.client(kind));
            peer(["reset", kind, &server.place]).run().ok();
            let rude = server.client(kind);
            rude.say(&bytes(100_000, 9));
            drop(rude);
            if let Some(honest) = honest {
                honest.is_echoed(b"was here before");
            }
            server.client(kind).is_echoed(b"came after");
            assert!(server.process.is_running());
        }
    }

    /// A client that never reads must not keep the others from being served.
    #[test]
    fn a_client_that_does_not_read_blocks_no_other() {
        for kind in ["stream", "seqpacket"] {
            let server = Server::start(kind, &[]);
            let deaf = server.client(kind);
            let flood = std::thread::spawn(move || while deaf.try_say(&[b'x'; 10_000]).is_ok() {});
            for _ in 0..20 {
                server.client(kind).is_echoed(b"me too");
            }
            server.process.kill();
            flood.join().unwrap();
        }
    }

    /// The same with datagrams, when all share one socket: a client that does not read loses its
    /// own replies, and no other client does.
    #[test]
    fn a_datagram_client_that_does_not_read_blocks_no_other() {
        let server = Server::start("dgram", &[]);
        let deaf = server.client("dgram");
        for _ in 0..30 {
            deaf.say(b"I am not listening");
        }
        for _ in 0..5 {
            server.client("dgram").is_echoed(b"I am");
        }
    }

    /// If a datagram client has closed before its reply is sent, the server continues.
    #[test]
    fn answers_to_exited_clients_do_not_stop_the_server() {
        let mut server = Server::start("dgram", &[]);
        for _ in 0..100 {
            server.client("dgram").say(b"gone already");
        }
        server.client("dgram").is_echoed(b"still here");
        assert!(server.process.is_running());
    }

    #[test]
    fn connections_do_not_leak_descriptors() {
        for kind in ["stream", "seqpacket"] {
            let server = Server::start(kind, &[]);
            server.client(kind).is_echoed(b"first");
            let pid = server.process.pid();
            let clients: Vec<_> = (0..20).map(|_| server.client(kind)).collect();
            clients.iter().for_each(|client| client.is_echoed(b"x"));
            assert!(descriptors_of(pid) >= 20);
            drop(clients);
            eventually(Duration::from_secs(20), || descriptors_of(pid) < 20);
        }
    }
}

mod limits {
    use super::*;

    /// The processor time a process has used, in clock ticks.
    fn ticks(pid: u32) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        after_name.split_whitespace().skip(11).take(2).map(|text| text.parse::<u64>().unwrap()).sum()
    }

    /// Without a file descriptor for the next client the server waits, without burning processor
    /// time, and then continues.
    #[test]
    fn running_out_of_descriptors_is_survived() {
        if !has_program("prlimit") {
            skip!("lacks prlimit");
        }
        for kind in ["stream", "seqpacket"] {
            let dir = tempdir();
            let place = dir.path().join("s").to_str().unwrap().to_owned();
            let server = stoop(["serve", &place, "--kind", kind]).under("prlimit", ["--nofile=24:24"]);
            let mut server = server.spawn();
            wait_served(&place);
            let clients: Vec<_> = (0..60).map(|_| Raw::connect(kind, &place).unwrap()).collect();
            clients[0].is_echoed(b"the first has room");
            let before = ticks(server.pid());
            std::thread::sleep(Duration::from_secs(1));
            let used = ticks(server.pid()) - before;
            assert!(used < 50, "{used} ticks of a hundred used while waiting for a free descriptor");
            drop(clients);
            Raw::connect(kind, &place).unwrap().is_echoed(b"there is room again");
            assert!(server.is_running());
        }
    }

    /// A client whose program could not be started is not accepted: it waits, and gets its reply.
    #[test]
    fn no_client_is_lost_when_descriptors_run_out() {
        if !has_program("prlimit") {
            skip!("lacks prlimit");
        }
        for kind in ["stream", "seqpacket"] {
            let dir = tempdir();
            let place = dir.path().join("s").to_str().unwrap().to_owned();
            let server = stoop(["serve", &place, "--kind", kind, "--exec", "head -c 4; sleep 0.1"]);
            let mut server = server.under("prlimit", ["--nofile=24:24"]).spawn();
            wait_served(&place);
            let clients: Vec<_> = (0..40).map(|_| Raw::connect(kind, &place).unwrap()).collect();
            clients.iter().for_each(|client| client.say(b"ping"));
            // Each client that disconnects makes room for another.
            clients.into_iter().for_each(|client| assert_eq!(client.hear(), b"ping"));
            assert!(server.is_running());
        }
    }

    /// The same with datagrams: each program waits until it can be started.
    #[test]
    fn no_datagram_is_lost_when_descriptors_run_out() {
        if !has_program("prlimit") {
            skip!("lacks prlimit");
        }
        let dir = tempdir();
        let place = dir.path().join("s").to_str().unwrap().to_owned();
        let server = stoop(["serve", &place, "--kind", "dgram", "--exec", "sleep 0.3; cat"]);
        let _server = server.under("prlimit", ["--nofile=16:16"]).spawn();
        wait_served(&place);
        let clients: Vec<_> = (0..20).map(|_| Raw::connect("dgram", &place).unwrap()).collect();
        clients.iter().for_each(|client| client.say(b"ping"));
        clients.iter().for_each(|client| assert_eq!(client.hear(), b"ping"));
    }

    /// A client over the limit waits in the queue until another one disconnects.
    #[test]
    fn max_connections_leaves_others_in_the_backlog() {
        for kind in ["stream", "seqpacket"] {
            let server = Server::start(kind, &["--max-connections", "2"]);
            let (one, two, three) = (server.client(kind), server.client(kind), server.client(kind));
            one.is_echoed(b"one");
            two.is_echoed(b"two");
            three.say(b"three");
            std::thread::sleep(Duration::from_millis(100));
            drop(one);
            assert_eq!(three.hear(), b"three");
            two.is_echoed(b"two again");
        }
    }

    /// A number of the line `name` in a process's status.
    fn status(pid: u32, name: &str) -> u64 {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().find_map(|word| word.parse().ok()).unwrap()
    }

    /// The server raises its own soft limit, has neither a thread nor a buffer for each client, and
    /// echoes to each while all are connected.
    #[test]
    fn ten_thousand_clients_are_served_at_once() {
        const CLIENTS: usize = 10_000;
        if allow_descriptors(CLIENTS as u64 + 1000) < CLIENTS as u64 + 1000 || !has_program("prlimit") {
            skip!("lacks file descriptors, or prlimit");
        }
        deadline(Duration::from_secs(300), || {
            for kind in ["stream", "seqpacket"] {
                let dir = tempdir();
                let place = dir.path().join("s").to_str().unwrap().to_owned();
                let files = format!("--nofile=1024:{}", CLIENTS + 100);
                let server = stoop(["serve", &place, "--kind", kind]).under("prlimit", [&files[..]]).spawn();
                wait_served(&place);
                let before = status(server.pid(), "VmRSS:");
                let clients: Vec<_> = (0..CLIENTS).map(|_| Raw::connect(kind, &place).unwrap()).collect();
                for (number, client) in clients.iter().enumerate().rev() {
                    client.is_echoed(format!("{kind} client {number}").as_bytes());
                }
                let grown = status(server.pid(), "VmRSS:").saturating_sub(before);
                assert!(grown < 10 * 1024, "{grown} KiB for 10,000 idle clients");
                assert!(status(server.pid(), "Threads:") < 10);
                drop(clients);
                eventually(Duration::from_secs(60), || descriptors_of(server.pid()) < 50);
                server.terminate().code(0);
            }
        });
    }

    #[test]
    fn count_limits_the_clients_served() {
        for kind in ["stream", "seqpacket"] {
            let server = Server::start(kind, &["--count", "1"]);
            let client = server.client(kind);
            client.is_echoed(b"the only one");
            drop(client);
            server.process.finish().ok();
            assert!(!fs::exists(&server.place).unwrap());
        }
    }
}

mod ending {
    use super::*;

    #[test]
    fn sigterm_and_sigint_stop_it_and_remove_the_file() {
        for kind in KINDS {
            for signal in [Signal::TERM, Signal::INT] {
                let server = Server::start(kind, &[]);
                server.client(kind).is_echoed(b"x");
                server.process.signal(signal);
                server.process.finish().ok();
                assert!(!fs::exists(&server.place).unwrap(), "{kind}: its file is gone after {signal:?}");
                let left: Vec<_> = fs::read_dir(server.dir.path()).unwrap().collect();
                assert!(left.is_empty(), "{kind}: left behind {left:?}");
            }
        }
    }

    /// A client in the middle of its conversation is served to the end.
    #[test]
    fn what_is_in_flight_is_finished() {
        for kind in ["stream", "seqpacket"] {
            let server = Server::start(kind, &["--grace", "20s"]);
            let client = server.client(kind);
            client.is_echoed(b"before");
            server.process.signal(Signal::TERM);
            wait_gone(&server.place);
            client.is_echoed(b"after the signal");
            client.end();
            assert_eq!(client.hear(), b"");
            server.process.finish().ok();
        }
    }

    /// A command that is still working on its reply gets the time for it.
    #[test]
    fn a_running_command_is_awaited() {
        let server = Server::start(
            "stream",
            &["--grace", "20s", "--exec", "read line; echo started; sleep 1; echo \"$line\" done"],
        );
        let client = server.client("stream");
        client.say(b"work\n");
        assert_eq!(client.hear(), b"started\n");
        server.process.signal(Signal::TERM);
        assert_eq!(client.hear(), b"work done\n");
        server.process.finish().ok();
    }

    /// Clients in the queue are not reset.
    #[test]
    fn clients_in_the_backlog_are_served() {
        let server = Server::start("stream", &["--max-connections", "1", "--grace", "20s"]);
        let first = server.client("stream");
        first.is_echoed(b"first");
        let queued = server.client("stream");
        queued.say(b"queued");
        queued.end();
        server.process.signal(Signal::TERM);
        wait_gone(&server.place);
        drop(first);
        assert_eq!(queued.hear(), b"queued");
        server.process.finish().ok();
    }

    /// Datagrams that have arrived are answered.
    #[test]
    fn datagrams_in_the_queue_are_answered() {
        let server = Server::start("dgram", &["--grace", "20s"]);
        server.client("dgram").is_echoed(b"it runs");
        let client = server.client("dgram");
        server.process.signal(Signal::STOP);
        for number in 0..5u8 {
            client.say(&[number]);
        }
        server.process.signal(Signal::TERM);
        server.process.signal(Signal::CONT);
        for number in 0..5u8 {
            assert_eq!(client.hear(), [number]);
        }
        server.process.finish().ok();
    }

    /// If stdout is closed, clients are still served.
    #[test]
    fn a_closed_stdout_does_not_stop_the_server() {
        if !has_program("bash") {
            skip!("lacks bash");
        }
        let dir = tempdir();
        let place = dir.path().join("s").to_str().unwrap().to_owned();
        let command = stoop_e2e::binary().to_str().unwrap();
        let script = format!("exec '{command}' serve '{place}' --json > >(head -n 1)");
        let server = program("bash", ["-c", &script]).spawn();
        wait_served(&place);
        server.wait_stdout("listening");
        for _ in 0..5 {
            Raw::connect("stream", &place).unwrap().is_echoed(b"heard");
        }
        server.terminate().ok();
        assert!(!fs::exists(&place).unwrap());
    }

    /// An idle client does not delay the shutdown beyond the grace period.
    #[test]
    fn the_grace_is_a_limit() {
        for kind in ["stream", "seqpacket"] {
            let server = Server::start(kind, &["--grace", "200ms"]);
            let idle = server.client(kind);
            idle.is_echoed(b"and then nothing more");
            server.process.signal(Signal::TERM);
            let output = server.process.finish();
            assert!(output.signal.is_none() && output.code.is_some(), "{output:?}");
            assert!(!fs::exists(&server.place).unwrap());
        }
    }
}

mod answers {
    use super::*;

    #[test]
    fn send_gives_each_client_a_file() {
        let dir = tempdir();
        let file = dir.path().join("data");
        let data = bytes(700_000, 3);
        fs::write(&file, &data).unwrap();
        let server = Server::start("stream", &["--send", file.to_str().unwrap()]);
        for _ in 0..3 {
            stoop(["connect", &server.place]).run().ok().stdout_is(&data);
        }
    }

    #[test]
    fn discard_reads_everything_and_sends_nothing() {
        let server = Server::start("stream", &["--discard"]);
        // It is read to the end; that there is no answer is no success.
        let output = stoop(["connect", &server.place]).input(bytes(700_000, 4)).run().code(3);
        output.explains(&["no answer from"]);
        output.stdout_is(b"");
        let server = Server::start("seqpacket", &["--discard"]);
        stoop(["connect", &server.place]).input("some\nlines\n").run().ok().stdout_is(b"");
    }

    #[test]
    fn exec_runs_a_process_for_each_connection() {
        let server = Server::start("stream", &["--exec", "tr a-z A-Z"]);
        let (one, two) = (server.client("stream"), server.client("stream"));
        for (client, word) in [(&two, "second"), (&one, "first")] {
            client.say(word.as_bytes());
            client.end();
            assert_eq!(client.hear(), word.to_uppercase().as_bytes());
            assert_eq!(client.hear(), b"");
        }
    }

    #[test]
    fn a_failing_command_does_not_stop_the_server() {
        let mut server = Server::start("stream", &["--exec", "exit 7"]);
        for _ in 0..3 {
            assert_eq!(server.client("stream").hear(), b"");
        }
        assert!(server.process.is_running() && is_served(&server.place));
    }
}
