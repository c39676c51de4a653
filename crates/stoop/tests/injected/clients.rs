//! Clients in a process of their own, which do one thing after another as they are told; servers
//! are in the test.

use std::fs::File;
use std::io::{BufRead, BufReader, IoSlice, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::io::Errno;
use stoop::notify::Notifier;
use stoop::{Bind, Connect, Listener, Outgoing, Packet, Result, SeqPacket, Stream, aio};
use stoop_testkit::inject::{Campaign, lacking};
use stoop_testkit::{Injector, KillOnDrop, Role, deadline, open_descriptors, role, skip, tempdir};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::ANNOUNCED;

const SOON: Duration = Duration::from_secs(20);
const WORD: &[u8] = b"a word";

/// The timeout of each call; no call comes near it.
const LIMIT: Duration = Duration::from_secs(5);

// ---- what a client does ----

fn stream(path: &Path) -> std::io::Result<()> {
    let mut stream = Connect::new(path).timeout(LIMIT).stream()?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(WORD)?;
    let mut heard = [0; WORD.len()];
    stream.read_exact(&mut heard)?;
    assert_eq!(heard, WORD, "a wrong word");
    let null = File::open("/dev/null")?;
    let sent = stream.send_with(&[IoSlice::new(WORD)], &Outgoing::new().descriptors(&[null.as_fd()]))?;
    let mut heard = vec![0; sent];
    stream.read_exact(&mut heard)?;
    assert_eq!(heard, &WORD[..sent], "a wrong word");
    stream.shutdown(std::net::Shutdown::Write)?;
    assert_eq!(stream.read(&mut [0; 8])?, 0, "more than was asked");
    Ok(())
}

/// A client with a socket file of its own, which may be left behind where its removal fails.
fn bound_stream(path: &Path) -> std::io::Result<()> {
    let own = path.with_extension("own");
    let mut stream = Connect::new(path).bind(&own).timeout(LIMIT).stream()?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.write_all(WORD)?;
    let mut heard = [0; WORD.len()];
    stream.read_exact(&mut heard)?;
    assert_eq!(heard, WORD, "a wrong word");
    Ok(())
}

fn packets(path: &Path) -> std::io::Result<()> {
    let client = Connect::new(path).timeout(LIMIT).seqpacket()?;
    client.set_read_timeout(Some(LIMIT))?;
    client.send(WORD)?;
    let mut heard = [0; 64];
    match client.recv(&mut heard)? {
        Packet::Message(len) => assert_eq!(&heard[..len], WORD, "a wrong word"),
        Packet::End => return Err(std::io::ErrorKind::UnexpectedEof.into()),
    }
    Ok(())
}

fn datagrams(path: &Path) -> std::io::Result<()> {
    let client = Connect::new(path).timeout(LIMIT).datagram()?;
    client.set_read_timeout(Some(LIMIT))?;
    client.send(WORD)?;
    let mut heard = [0; 64];
    let len = client.recv(&mut heard)?;
    assert_eq!(&heard[..len], WORD, "a wrong word");
    Ok(())
}

fn notify(path: &Path) -> std::io::Result<()> {
    let manager = Notifier::to(path)?;
    manager.ready()?;
    manager.status("well")?;
    Ok(())
}

fn on_tokio(path: &Path) -> std::io::Result<()> {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    }
    let talk = async {
        let mut stream = aio::Stream::connect(path).await?;
        stream.write_all(WORD).await?;
        let mut heard = [0; WORD.len()];
        stream.read_exact(&mut heard).await?;
        assert_eq!(heard, WORD, "a wrong word");
        Ok(())
    };
    RUNTIME.with(|runtime| runtime.block_on(async { tokio::time::timeout(LIMIT, talk).await? }))
}

/// Does it once for each line, and says what came of it. A panic ends the process, and is found out
/// by that.
fn work(act: fn(&Path) -> std::io::Result<()>) {
    let path = PathBuf::from(std::env::var_os("PLACE").unwrap());
    act(&path).expect("an undisturbed client");
    let open = open_descriptors();
    println!("ready");
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "count" if open_descriptors() != open => println!("did leak: {} of {open}", open_descriptors()),
            "count" => println!("did well"),
            _ => match act(&path) {
                Ok(()) => println!("did well"),
                Err(error) => println!("did fail: {error}"),
            },
        }
    }
}

// ---- whom it talks to ----

fn echo_streams(path: PathBuf) {
    let listener: Listener<Stream> = Bind::new(path).listen().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok(len @ 1..) = client.read(&mut buffer) {
                    let _ = client.write_all(&buffer[..len]);
                }
            });
        }
    });
}

fn echo_packets(path: PathBuf) {
    let listener: Listener<SeqPacket> = Bind::new(path).listen_seqpacket().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let client = client.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 64];
                while let Ok(Packet::Message(len)) = client.recv(&mut buffer) {
                    let _ = client.send(&buffer[..len]);
                }
            });
        }
    });
}

fn echo_datagrams(path: PathBuf) {
    let socket = Bind::new(path).datagram().unwrap();
    thread::spawn(move || {
        let mut buffer = [0; 64];
        loop {
            let (len, from) = socket.recv_from(&mut buffer).unwrap();
            let _: Result<usize> = socket.send_to(&buffer[..len], &from);
        }
    });
}

// ---- the campaigns ----

/// What the client's own way of being told uses.
const TOLD: &[(&str, Errno)] = &[
    ("read", Errno::AGAIN),
    ("read", Errno::INTR),
    ("read", Errno::IO),
    ("write", Errno::AGAIN),
    ("write", Errno::INTR),
    ("write", Errno::IO),
    ("write", Errno::NOSPC),
    ("write", Errno::PIPE),
];

fn tell(child: &mut KillOnDrop, word: &str) -> std::result::Result<String, String> {
    let stdin = child.stdin.as_mut().unwrap();
    writeln!(stdin, "{word}").map_err(|_| "the client has ended".to_owned())?;
    let mut answer = String::new();
    let mut stdout = BufReader::new(child.stdout.as_mut().unwrap());
    stdout.read_line(&mut answer).map_err(|error| error.to_string())?;
    match answer.trim().strip_prefix("did ") {
        Some(did) => Ok(did.to_owned()),
        None => Err(format!("the client said '{}'", answer.trim())),
    }
}

fn campaign(test: &'static str, server: fn(PathBuf), act: fn(&Path) -> std::io::Result<()>) {
    if role().is_some() {
        return work(act);
    }
    deadline(Duration::from_secs(100), move || {
        let dir = tempdir();
        let path = dir.path().join("app.sock");
        server(path.clone());
        let injector = Injector::new();
        let role = Role::new(&format!("clients::{test}"), "client").env("PLACE", path.to_str().unwrap());
        let mut child = role.watched(&injector).spawn();
        child.line("ready", SOON);
        let pid = child.id();
        let child = std::cell::RefCell::new(child);
        let except: Vec<_> = TOLD.iter().chain(ANNOUNCED).copied().collect();
        let round = || tell(&mut child.borrow_mut(), "work").map(drop);
        let resumed = || {
            for word in ["work", "count"] {
                match tell(&mut child.borrow_mut(), word)?.as_str() {
                    "well" => {}
                    other => return Err(format!("the next time, the client did {other}")),
                }
            }
            Ok(())
        };
        let report = Campaign::new(&injector, pid).except(&except).run(round, resumed);
        eprintln!("{test}: {} faults", report.faults);
        report.check(5);
    });
}

macro_rules! campaigns {
    ($($name:ident: $server:expr, $act:expr;)*) => {$(
        #[test]
        fn $name() {
            if role().is_none() && let Some(lacking) = lacking() {
                skip!("lacks {lacking}");
            }
            campaign(stringify!($name), $server, $act);
        }
    )*};
}

campaigns! {
    a_stream: echo_streams, stream;
    a_bound_stream: echo_streams, bound_stream;
    a_seqpacket: echo_packets, packets;
    a_datagram: echo_datagrams, datagrams;
    a_notifier: echo_datagrams, notify;
    a_stream_on_tokio: echo_streams, on_tokio;
}
