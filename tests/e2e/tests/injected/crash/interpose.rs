//! `stoop relay --interpose`: the relay is killed while it takes a server's name over, while it
//! relays, and while it gives the name back. `--restore` and the next relay recover the name, and
//! no client of the server notices.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;
use stoop_e2e::{Run, stoop};
use stoop_testkit::{Injector, eventually, skip};

use super::{begin_with_signals, end_when_it_waits};
use crate::points::{Outcome, SOON, every_point, lacking};
use crate::socket_dir::SocketDir;

/// A server of this process that sends a letter to each client, and a client that connected before
/// all others.
struct Server {
    early: [UnixStream; 2],
    over: Arc<AtomicBool>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Binds a short name first: the path may be too long for an address.
    fn start(path: &Path) -> Server {
        let short = path.with_file_name("s");
        let listener = UnixListener::bind(&short).unwrap();
        let client = UnixStream::connect(&short).unwrap();
        let early = [client, listener.accept().unwrap().0];
        std::fs::rename(short, path).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        listener.set_nonblocking(true).unwrap();
        let thread = thread::spawn(move || {
            while !ends.load(Ordering::Relaxed) {
                match listener.accept() {
                    // Whether it still listens is the client's affair.
                    Ok((mut client, _)) => drop(client.write_all(b"A").ok()),
                    Err(_) => thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        Server { early, over, thread: Some(thread) }
    }

    /// Checks that the early client still has its connection, in both directions.
    fn keeps_its_client(&self) -> Outcome {
        for (from, to) in [(0, 1), (1, 0)] {
            let mut byte = [0];
            (&self.early[from])
                .write_all(b"x")
                .map_err(|error| format!("the early client is cut: {error}"))?;
            (&self.early[to])
                .read_exact(&mut byte)
                .map_err(|error| format!("the early client is cut: {error}"))?;
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn interpose(place: &SocketDir) -> Run {
    stoop(["relay", "--grace", "200ms", "--interpose"]).arg(&place.path)
}

fn restore(place: &SocketDir) -> Run {
    stoop(["relay", "--restore"]).arg(&place.path)
}

/// The server has its name, and nothing else is there.
fn has_its_name(place: &SocketDir, inode: u64) -> Outcome {
    match (place.inode() == Some(inode), place.answer(), place.left()) {
        (true, Ok('A'), left) if left.len() == 1 => Ok(()),
        (is_there, answer, left) => {
            Err(format!("its file has the name: {is_there}; answer: {answer:?}; there is {left:?}"))
        }
    }
}

/// Another relay stands in front of the server, and gives the name back.
fn is_relayed_next(place: &SocketDir, inode: u64) -> Outcome {
    let mut next = interpose(place).spawn();
    eventually(SOON, || next.stderr().contains("serving") || !next.is_running());
    if !next.is_running() {
        return Err(format!("the next relay does not start: {}", next.stderr()));
    }
    if place.inode() == Some(inode) || place.answer() != Ok('A') {
        return Err(format!("through the next relay a client gets {:?}", place.answer()));
    }
    let end = next.terminate();
    match end.code {
        Some(0) => has_its_name(place, inode),
        code => Err(format!("the next relay ended with {code:?}: {}", end.stderr)),
    }
}

/// How the name is recovered.
#[derive(Clone, Copy)]
enum Recovery {
    Command,
    NextRelay,
}

fn life(name: fn(&Path) -> PathBuf, recovery: Recovery, injector: &Injector) -> Outcome {
    let place = SocketDir::new("stream", name);
    let server = Server::start(&place.path);
    let inode = place.inode().expect("a server has a file");
    end_when_it_waits(injector);
    begin_with_signals(injector);
    let victim = interpose(&place).watched(injector).spawn().finish();
    let seen = place.left();
    let check = || {
        server.keeps_its_client()?;
        if !place.has_inode(inode) {
            return Err("the server's file is gone".into());
        }
        if let Recovery::Command = recovery {
            restore(&place).run().ok();
            has_its_name(&place, inode)?;
        }
        is_relayed_next(&place, inode)?;
        server.keeps_its_client()
    };
    check().map_err(|wrong| {
        format!("{wrong}\n    after the kill there was {seen:?}; the relay said: {}", victim.stderr)
    })
}

/// A relay was killed in front of its server, and so is the command that restores the name.
fn restoring(injector: &Injector) -> Outcome {
    let place = SocketDir::new("stream", |dir| dir.join("app.sock"));
    let server = Server::start(&place.path);
    let inode = place.inode().expect("a server has a file");
    let relay = interpose(&place).spawn();
    relay.wait_stderr("serving");
    relay.signal(Signal::KILL);
    relay.finish();
    let mut is_named = false;
    injector.begin_when(move |call| {
        is_named |= call.name == "mkdirat" || call.name == "flock";
        is_named
    });
    restore(&place).watched(injector).spawn().finish();
    restore(&place).run().ok();
    server.keeps_its_client()?;
    has_its_name(&place, inode)
}

macro_rules! lives {
    ($($name:ident at_least $points:literal: $place:expr, $recovery:expr;)*) => {$(
        #[test]
        fn $name() {
            if let Some(lacking) = lacking() {
                skip!("lacks {lacking}");
            }
            every_point(stringify!($name), $points, |injector| life($place, $recovery, injector));
        }
    )*};
}

lives! {
    a_relay_before_a_server at_least 40: |dir| dir.join("app.sock"), Recovery::Command;
    a_relay_that_the_next_one_follows at_least 40: |dir| dir.join("app.sock"), Recovery::NextRelay;
    a_relay_before_a_server_with_a_long_name at_least 40: |dir| dir.join("n".repeat(120)), Recovery::Command;
}

#[test]
fn a_restoration() {
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    every_point("a_restoration", 3, restoring);
}
