//! Servers in a process of their own, which echo; clients are in the test.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use stoop::handover::{self, Next};
use stoop::serve::{Datagrams, Server};
use stoop::{Bind, Stream, aio};
use stoop_testkit::inject::{Campaign, lacking};
use stoop_testkit::{Injector, Role, deadline, role, skip, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ANNOUNCED;

/// How long a client waits for an answer that has to come.
const SOON: Duration = Duration::from_secs(20);

/// How long one waits for a datagram that may have been lost: longer than an answer takes.
const LOST: Duration = Duration::from_millis(200);

const WORDS: [&[u8]; 2] = [b"one word", b"and another"];

// ---- the servers ----

async fn echo(mut stream: aio::Stream, _: stoop::Peer) {
    let mut buffer = [0; 64];
    while let Ok(len @ 1..) = stream.read(&mut buffer).await {
        if stream.write_all(&buffer[..len]).await.is_err() {
            return;
        }
    }
}

fn echo_here(mut stream: Stream) {
    let mut buffer = [0; 64];
    while let Ok(len @ 1..) = stream.read(&mut buffer) {
        if stream.write_all(&buffer[..len]).is_err() {
            return;
        }
    }
}

/// Serves a client on a thread, or closes it if no thread can be started.
fn serve_apart(client: Stream) {
    let _ = thread::Builder::new().spawn(move || echo_here(client));
}

fn serve(path: PathBuf) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Server::new(Bind::new(path).listen_async().await.unwrap());
        println!("ready");
        let server = server.idle_timeout(Duration::from_secs(60)).max_connections(100);
        server.run(echo, std::future::pending::<()>()).await.unwrap();
    });
}

fn datagrams(path: PathBuf) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = Datagrams::new(Bind::new(path).datagram_async().await.unwrap());
        println!("ready");
        let answer = |message: stoop::serve::Message| async move {
            drop(message.reply(&message.bytes).await);
        };
        server.run(answer, std::future::pending::<()>()).await.unwrap();
    });
}

fn listener(path: PathBuf) {
    let listener = Bind::new(path).listen().unwrap();
    println!("ready");
    for client in listener.incoming() {
        serve_apart(client.unwrap());
    }
}

fn hand_over(path: PathBuf) {
    let control = path.with_extension("handover");
    let mut server: handover::Server<Stream> =
        handover::Server::start(&Bind::new(path), control, SOON).unwrap();
    println!("ready");
    loop {
        match server.accept().unwrap() {
            Next::Client(client) => serve_apart(client),
            Next::NotHandedOver(_) => {}
            Next::HandedOver => return,
        }
    }
}

// ---- their clients ----

/// Sends two messages and reads them back. Returns false if the connection ended before.
fn echoed(mut client: &UnixStream) -> Result<bool, String> {
    for word in WORDS {
        if client.write_all(word).is_err() {
            return Ok(false);
        }
        let (mut heard, mut len) = ([0; 64], 0);
        while len < word.len() {
            match client.read(&mut heard[len..]) {
                Ok(0) => return Ok(false),
                Ok(more) => len += more,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    return Err("a client waits in vain".into());
                }
                Err(_) => return Ok(false),
            }
            if !word.starts_with(&heard[..len]) {
                return Err(format!("a client heard {:?}", String::from_utf8_lossy(&heard[..len])));
            }
        }
    }
    Ok(true)
}

fn connect(path: &Path) -> Result<UnixStream, String> {
    let client = UnixStream::connect(path).map_err(|error| format!("a client is refused: {error}"))?;
    client.set_read_timeout(Some(SOON)).unwrap();
    client.set_write_timeout(Some(SOON)).unwrap();
    Ok(client)
}

/// One that may be the victim: cut off, but told nothing wrong, and not left waiting.
fn victim(path: &Path) -> Result<(), String> {
    let Ok(client) = connect(path) else { return Ok(()) };
    echoed(&client)?;
    let _ = client.shutdown(std::net::Shutdown::Write);
    let _ = (&client).read(&mut [0; 8]);
    Ok(())
}

fn is_served(client: &UnixStream, who: &str) -> Result<(), String> {
    match echoed(client)? {
        true => Ok(()),
        false => Err(format!("{who} is cut off")),
    }
}

fn streams(path: PathBuf, injector: &Injector, pid: u32) -> usize {
    let there = RefCell::new(connect(&path).unwrap());
    let resumed = || {
        if let Err(wrong) = is_served(&there.borrow(), "a client that was there") {
            *there.borrow_mut() = connect(&path)?;
            return Err(wrong);
        }
        is_served(&connect(&path)?, "the next client")
    };
    let report = Campaign::new(injector, pid).except(ANNOUNCED).run(|| victim(&path), resumed);
    report.check(15);
    report.faults
}

/// Each message is answered by the same one, late ones of a lost word aside.
fn messages(path: PathBuf, injector: &Injector, pid: u32) -> usize {
    let ask = |name: &str, patience: Duration| -> Result<bool, String> {
        let own = path.with_extension(name);
        let _ = std::fs::remove_file(&own);
        let client = UnixDatagram::bind(&own).unwrap();
        client.set_read_timeout(Some(patience)).unwrap();
        let mut heard = [0; 64];
        for word in WORDS {
            if client.send_to(word, &path).is_err() {
                return Err("a client is refused".into());
            }
            match client.recv(&mut heard) {
                Ok(len) if heard[..len] == *word => {}
                Ok(len) => {
                    return Err(format!("a client heard {:?}", String::from_utf8_lossy(&heard[..len])));
                }
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    };
    let resumed = || match ask("next", SOON)? {
        true => Ok(()),
        false => Err("the next client is not answered".into()),
    };
    let round = || ask("victim", LOST).map(drop);
    let report = Campaign::new(injector, pid).except(ANNOUNCED).run(round, resumed);
    report.check(5);
    report.faults
}

fn campaign(test: &'static str, server: fn(PathBuf), clients: fn(PathBuf, &Injector, u32) -> usize) {
    if role().is_some() {
        return server(std::env::var_os("PLACE").unwrap().into());
    }
    deadline(Duration::from_secs(100), move || {
        let dir = tempdir();
        let path = dir.path().join("app.sock");
        let injector = Injector::new();
        let role = Role::new(&format!("servers::{test}"), "server").env("PLACE", path.to_str().unwrap());
        let mut child = role.watched(&injector).spawn();
        child.line("ready", SOON);
        let faults = clients(path, &injector, child.id());
        eprintln!("{test}: {faults} faults");
    });
}

macro_rules! campaigns {
    ($($name:ident: $server:expr, $clients:expr;)*) => {$(
        #[test]
        fn $name() {
            if role().is_none() && let Some(lacking) = lacking() {
                skip!("lacks {lacking}");
            }
            campaign(stringify!($name), $server, $clients);
        }
    )*};
}

campaigns! {
    a_server_of_connections: serve, streams;
    a_server_of_datagrams: datagrams, messages;
    a_blocking_listener: listener, streams;
    a_server_that_hands_over: hand_over, streams;
}
