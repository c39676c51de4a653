//! Two server processes of the library with a hand-over: either of them is killed at each call of
//! the hand-over.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use stoop::handover::{Next, Server};
use stoop::{Bind, Stream};
use stoop_testkit::{Injector, KillOnDrop, Role, TempDir, eventually, inject, role, skip, tempdir};

use crate::points::{Outcome, SOON, every_point, lacking};

fn paths(dir: &Path) -> (PathBuf, PathBuf) {
    (dir.join("app.sock"), dir.join("app.handover"))
}

/// Answers each client with its letter, until a successor has taken over or a client says "end".
fn serve() {
    let (path, control) = paths(Path::new(&std::env::var("DIR").unwrap()));
    let letter = std::env::var("LETTER").unwrap();
    inject::mark();
    let mut server: Server = Server::start(&Bind::new(path), control, Duration::from_secs(5)).unwrap();
    println!("serving {}", if server.took_over() { "on" } else { "first" });
    loop {
        match server.accept().unwrap() {
            Next::Client(mut client) => {
                let mut word = String::new();
                // A client that was killed in between is no reason to end.
                let heard = client.read_to_string(&mut word);
                let _ = heard.and_then(|_| client.write_all(letter.as_bytes()));
                if word == "end" {
                    return;
                }
            }
            Next::NotHandedOver(error) => println!("kept {error}"),
            Next::HandedOver => return,
        }
    }
}

fn start(test: &str, dir: &Path, letter: &str, injector: Option<&Injector>) -> KillOnDrop {
    let role = Role::new(&format!("crash::hand_over::{test}"), "serve");
    let role = role.env("DIR", dir.to_str().unwrap()).env("LETTER", letter);
    match injector {
        Some(injector) => role.watched(injector).spawn(),
        None => role.spawn(),
    }
}

/// The outcome of a client.
#[derive(Debug, PartialEq)]
enum Client {
    Answered(String),
    /// It was connected, and its server was killed.
    Dropped,
    Refused(String),
}

fn ask(path: &Path, word: &str) -> Client {
    let mut client = match Stream::connect(path) {
        Ok(client) => client,
        Err(error) => return Client::Refused(error.to_string()),
    };
    client.set_read_timeout(Some(SOON)).unwrap();
    let mut answer = String::new();
    let mut talk = || {
        client.write_all(word.as_bytes())?;
        client.shutdown(std::net::Shutdown::Write)?;
        client.read_to_string(&mut answer)
    };
    match talk() {
        Ok(1..) => Client::Answered(answer),
        Ok(_) => Client::Dropped,
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => panic!("a client waits in vain"),
        Err(_) => Client::Dropped,
    }
}

/// One client after the other, until told to stop.
struct Load {
    over: Arc<AtomicBool>,
    clients: thread::JoinHandle<Vec<Client>>,
}

impl Load {
    fn start(path: &Path) -> Load {
        let (path, over) = (path.to_owned(), Arc::new(AtomicBool::new(false)));
        let ends = Arc::clone(&over);
        let clients = thread::spawn(move || {
            let mut seen = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                seen.push(ask(&path, "who?"));
            }
            seen
        });
        Load { over, clients }
    }

    /// The clients that were not answered.
    fn end(self) -> Vec<Client> {
        self.over.store(true, Ordering::Relaxed);
        let seen = self.clients.join().unwrap();
        seen.into_iter().filter(|client| !matches!(client, Client::Answered(_))).collect()
    }
}

fn ended(child: &mut KillOnDrop) -> Option<ExitStatus> {
    child.try_wait().unwrap()
}

/// The remaining server serves, and after its exit nothing is left behind.
fn one_is_left(dir: &TempDir, expected: &[&str]) -> Outcome {
    let (path, _) = paths(dir.path());
    match ask(&path, "end") {
        Client::Answered(letter) if expected.contains(&letter.as_str()) => {}
        other => return Err(format!("a client of {expected:?} is {other:?}")),
    }
    Ok(())
}

fn nothing_is_left(dir: &TempDir) -> Outcome {
    let left: Vec<_> =
        std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    if left.is_empty() { Ok(()) } else { Err(format!("at the end there is {left:?}")) }
}

/// The successor is killed: the owner of the sockets continues to serve, and another successor
/// takes over from it.
fn successor(test: &str, injector: &Injector) -> Outcome {
    let dir = tempdir();
    let (path, _) = paths(dir.path());
    let mut old = start(test, dir.path(), "A", None);
    old.line("serving", SOON);
    let load = Load::start(&path);
    injector.begin_at_mark();
    let mut new = start(test, dir.path(), "B", Some(injector));
    // It has taken over, or it is dead.
    eventually(SOON, || ended(&mut old).is_some() || ended(&mut new).is_some());
    if ended(&mut old).is_some() && ended(&mut new).is_none() {
        // Dead some calls later, or about to serve: both are as for any server.
        ask(&path, "end");
        new.finish(SOON);
    }
    // The old one may be about to end.
    eventually(SOON, || ended(&mut old).is_some() || ask(&path, "who?") == Client::Answered("A".into()));
    let handed_over = ended(&mut old).is_some();
    let failed = load.end();
    // One may have been the dead one's.
    if !handed_over && (failed.len() > 1 || failed.iter().any(|client| *client != Client::Dropped)) {
        return Err(format!("while the old one served, {} clients failed: {:?}", failed.len(), failed[0]));
    }
    let mut third = start(test, dir.path(), "C", None);
    third.line("serving", SOON);
    one_is_left(&dir, &["C"])?;
    third.finish(SOON);
    old.finish(SOON);
    nothing_is_left(&dir)
}

/// The predecessor is killed: the successor serves.
fn predecessor(test: &str, injector: &Injector) -> Outcome {
    let dir = tempdir();
    let (path, _) = paths(dir.path());
    let begun = Arc::new(AtomicBool::new(false));
    let begins = Arc::clone(&begun);
    injector.begin_when(move |_| begins.load(Ordering::Relaxed));
    let mut old = start(test, dir.path(), "A", Some(injector));
    old.line("serving", SOON);
    begun.store(true, Ordering::Relaxed);
    let mut new = start(test, dir.path(), "B", None);
    new.line("serving", SOON);
    eventually(SOON, || ended(&mut old).is_some());
    match ask(&path, "who?") {
        Client::Answered(letter) if letter == "B" => {}
        other => return Err(format!("the successor serves, and a client is {other:?}")),
    }
    one_is_left(&dir, &["B"])?;
    new.finish(SOON);
    nothing_is_left(&dir)
}

#[test]
fn the_successor_is_killed() {
    if role().is_some() {
        return serve();
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    every_point("the_successor_is_killed", 20, |injector| successor("the_successor_is_killed", injector));
}

#[test]
fn the_predecessor_is_killed() {
    if role().is_some() {
        return serve();
    }
    if let Some(lacking) = lacking() {
        skip!("lacks {lacking}");
    }
    every_point("the_predecessor_is_killed", 10, |injector| {
        predecessor("the_predecessor_is_killed", injector)
    });
}
