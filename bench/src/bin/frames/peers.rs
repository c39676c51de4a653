//! The compared peers, and how a measurement's two processes are started and read.
//!
//! The Rust peers are this program again, with a role as its first argument; the C peer is
//! `bench/c/frames.c`, compiled once per run. Both take the same arguments.

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Command;

use stoop::frame::{Codec, LengthDelimited, Native};
use stoop::{Bind, Stream};
use stoop_bench::process::{Process, compile};
use tempfile::TempDir;

#[cfg(feature = "tokio")]
use crate::tasks;
use crate::work::{self, Plan, Timing};

const SERVE: &str = "serve";
const CONNECT: &str = "connect";

/// The requested size of the send buffer; the kernel grants up to `net.core.wmem_max`.
const SEND_BUFFER_BYTES: usize = 4 << 20;

/// The C peer batches messages shorter than this, in bytes.
const GATHER_BELOW_BYTES: usize = 4096;

/// An implementation of the workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    C,
    Native,
    NativePlain,
    U32,
    /// The same framing in tasks.
    #[cfg(feature = "tokio")]
    Tasks,
    /// Another library's in tasks.
    #[cfg(feature = "tokio")]
    TokioUtil,
}

impl Peer {
    pub const ALL: &[Self] = &[
        Self::C,
        Self::Native,
        Self::NativePlain,
        Self::U32,
        #[cfg(feature = "tokio")]
        Self::Tasks,
        #[cfg(feature = "tokio")]
        Self::TokioUtil,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::C => "c",
            Self::Native => "native",
            Self::NativePlain => "native, default buffer",
            Self::U32 => "u32",
            #[cfg(feature = "tokio")]
            Self::Tasks => "native, in tasks",
            #[cfg(feature = "tokio")]
            Self::TokioUtil => "tokio-util, in tasks",
        }
    }

    fn of(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|peer| peer.name() == name)
    }

    fn send_buffer(self) -> Option<usize> {
        (self != Self::NativePlain).then_some(SEND_BUFFER_BYTES)
    }
}

/// Runs a child process: `PEER serve|connect gathered|single PATH BYTES MESSAGES WARMUP read|skip`.
pub fn run_role(args: &[&str]) -> Option<stoop_bench::Result> {
    let &[peer, role, _, path, bytes, messages, warmup, reads] = args else { return None };
    let (peer, plan) = (Peer::of(peer)?, Plan::parse([bytes, messages, warmup, reads])?);
    let done = match peer {
        Peer::C => return None,
        Peer::Native | Peer::NativePlain => run_with(Native, peer, role, path.as_ref(), &plan),
        Peer::U32 => run_with(LengthDelimited::LITTLE_ENDIAN, peer, role, path.as_ref(), &plan),
        #[cfg(feature = "tokio")]
        Peer::Tasks | Peer::TokioUtil => {
            let (is_stoop, serves) = (peer == Peer::Tasks, role == SERVE);
            let timing = tasks::run(is_stoop, serves, path.as_ref(), peer.send_buffer(), &plan);
            timing.map(|timing| println!("{}", timing.to_line()))
        }
    };
    Some(done.map_err(Into::into))
}

fn run_with(codec: impl Codec, peer: Peer, role: &str, path: &Path, plan: &Plan) -> io::Result<()> {
    match role {
        SERVE => {
            let listener = Bind::new(path).listen()?;
            println!("ready");
            let timing = work::serve(&listener.accept()?.0, codec, plan)?;
            println!("{}", timing.to_line());
        }
        CONNECT => {
            let timing = work::connect(&Stream::connect(path)?, codec, peer.send_buffer(), plan)?;
            println!("{}", timing.to_line());
        }
        _ => return Err(invalid_role()),
    }
    Ok(())
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
        compile("frames.c", &dir.path().join("frames-c"))?;
        Ok(Self { dir, pin })
    }

    /// Runs one measurement in two new processes: returns the sender's time, and the CPU time of
    /// both.
    pub fn run(&self, peer: Peer, plan: &Plan) -> io::Result<Timing> {
        let socket = self.dir.path().join("socket");
        let _ = std::fs::remove_file(&socket);
        let mut server = self.start(peer, SERVE, plan, &socket, self.pin.map(|(server, _)| server))?;
        if server.line()? != "ready" {
            return Err(io::Error::other(format!("the {} server is not ready", peer.name())));
        }
        let mut client = self.start(peer, CONNECT, plan, &socket, self.pin.map(|(_, client)| client))?;
        let (ours, theirs) = (Timing::parse(&client.line()?), Timing::parse(&server.line()?));
        client.finish()?;
        server.finish()?;
        let (Some(ours), Some(theirs)) = (ours, theirs) else {
            return Err(io::Error::other(format!("the {} processes printed no times", peer.name())));
        };
        Ok(Timing { wall: ours.wall, cpu: ours.cpu + theirs.cpu })
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
            Peer::C => Command::new(self.dir.path().join("frames-c")),
            _ => stoop_bench::role(&[peer.name()])?,
        };
        let way = if plan.message_bytes < GATHER_BELOW_BYTES { "gathered" } else { "single" };
        command.args([role, way]).arg(socket).args(plan.to_args().map(OsString::from));
        Process::start(&mut command, cpu)
    }
}
