//! The compared peers, and how a measurement's two processes are started and read.
//!
//! The Rust peers are this program again, with a role as its first argument; the C peer is
//! `bench/c/blocking.c`, compiled once per run. Both take the same arguments, so the measuring
//! process treats them alike. Children never outlive it.

use crate::work::{self, Plan};
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use stoop_bench::process::{Process, compile};
use tempfile::TempDir;

const SERVE: &str = "serve";
const CONNECT: &str = "connect";

/// An implementation of the workloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    C,
    Stoop,
    Std,
}

impl Peer {
    pub const ALL: [Self; 3] = [Self::C, Self::Stoop, Self::Std];

    pub fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Stoop => "stoop",
            Self::Std => "std",
        }
    }
}

/// A library's stream sockets, as little of them as the workloads need.
trait Transport {
    type Listener;
    type Stream: Read + Write;
    fn listen(path: &Path) -> io::Result<Self::Listener>;
    fn accept(listener: Self::Listener) -> io::Result<Self::Stream>;
    fn connect(path: &Path) -> io::Result<Self::Stream>;
}

struct Std;

impl Transport for Std {
    type Listener = UnixListener;
    type Stream = UnixStream;

    fn listen(path: &Path) -> io::Result<UnixListener> {
        UnixListener::bind(path)
    }

    fn accept(listener: UnixListener) -> io::Result<UnixStream> {
        Ok(listener.accept()?.0)
    }

    fn connect(path: &Path) -> io::Result<UnixStream> {
        UnixStream::connect(path)
    }
}

struct Stoop;

impl Transport for Stoop {
    type Listener = stoop::Listener<stoop::Stream>;
    type Stream = stoop::Stream;

    fn listen(path: &Path) -> io::Result<Self::Listener> {
        Ok(stoop::Bind::new(path).listen()?)
    }

    fn accept(listener: Self::Listener) -> io::Result<stoop::Stream> {
        Ok(listener.accept()?.0)
    }

    fn connect(path: &Path) -> io::Result<stoop::Stream> {
        Ok(stoop::Stream::connect(path)?)
    }
}

/// Runs a child process: `PEER serve|connect WORKLOAD PATH MESSAGES WARMUP`.
pub fn run_role(args: &[&str]) -> Option<stoop_bench::Result> {
    let (peer, role) = args.split_first()?;
    let done = match *peer {
        "std" => run_with::<Std>(role),
        "stoop" => run_with::<Stoop>(role),
        _ => return None,
    };
    Some(done.map_err(Into::into))
}

fn run_with<T: Transport>(args: &[&str]) -> io::Result<()> {
    let &[role, workload, path, messages, warmup] = args else { return Err(invalid_role()) };
    let plan = Plan::parse([workload, messages, warmup]).ok_or_else(invalid_role)?;
    let path = Path::new(path);
    match role {
        SERVE => {
            let listener = T::listen(path)?;
            println!("ready");
            work::serve(T::accept(listener)?, &plan)
        }
        CONNECT => {
            println!("{}", work::connect(T::connect(path)?, &plan)?.as_nanos());
            Ok(())
        }
        _ => Err(invalid_role()),
    }
}

fn invalid_role() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "invalid role")
}

/// The context of a measurement: the compiled C peer, a directory for sockets, the CPUs.
pub struct Processes {
    dir: TempDir,
    pin: Option<(usize, usize)>,
}

impl Processes {
    /// Compiles the C peer.
    pub fn prepare(pin: Option<(usize, usize)>) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        compile("blocking.c", &dir.path().join("blocking-c"))?;
        Ok(Self { dir, pin })
    }

    /// Runs one measurement in two new processes and returns the time that the client measured.
    pub fn run(&self, peer: Peer, plan: &Plan) -> io::Result<Duration> {
        let socket = self.dir.path().join("socket");
        let _ = std::fs::remove_file(&socket);
        let mut server = self.start(peer, SERVE, plan, &socket, self.pin.map(|(server, _)| server))?;
        if server.line()? != "ready" {
            return Err(io::Error::other(format!("the {} server is not ready", peer.name())));
        }
        let mut client = self.start(peer, CONNECT, plan, &socket, self.pin.map(|(_, client)| client))?;
        let nanoseconds = client.line()?.parse().map_err(io::Error::other)?;
        client.finish()?;
        server.finish()?;
        Ok(Duration::from_nanos(nanoseconds))
    }

    fn start(
        &self,
        peer: Peer,
        role: &str,
        plan: &Plan,
        socket: &Path,
        cpu: Option<usize>,
    ) -> io::Result<Process> {
        let mut command = match peer {
            Peer::C => Command::new(self.dir.path().join("blocking-c")),
            Peer::Stoop | Peer::Std => stoop_bench::role(&[peer.name()])?,
        };
        let [workload, messages, warmup] = plan.to_args().map(OsString::from);
        command.arg(role).args([workload, socket.into(), messages, warmup]);
        Process::start(&mut command, cpu)
    }
}
