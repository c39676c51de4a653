//! Counting what Unix sockets transfer, in the kernel: the programs, their table, and reading it.

mod layout;
mod programs;
mod value;

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, OwnedFd};

pub use value::{Latencies, SocketCounts};

use crate::asm::Instruction;
use crate::btf::BtfError;
use crate::loader;
use crate::support::{Missing, Unavailable, failed};
use crate::sys::{self, Table, Target};
use layout::CounterLayout;
use programs::{NO_SOCKET, Setting, UNCOUNTED};
use value::{VALUE_BYTES, number};

/// How many sockets are counted at the same time: what has been counted of closed ones included,
/// until it is taken.
const SOCKETS_MAX: u32 = 65_536;

/// Loaded programs that count the calls and bytes of every Unix socket of the machine, and how long
/// messages wait to be received. Dropping the value unloads them.
///
/// Unlike [`Capture`](crate::Capture), it copies no contents and fills no buffer: a call costs tens
/// of nanoseconds. What is received with `splice(2)` is not counted.
///
/// # Examples
///
/// ```
/// use stoop_bpf::{Counters, Unavailable};
///
/// match Counters::load() {
///     Ok(mut counters) => {
///         let mut sockets = Vec::new();
///         counters.read(&mut sockets)?;
///         sockets.sort_by_key(|socket| socket.sent_bytes);
///     }
///     Err(Unavailable::No(missing)) => eprintln!("cannot count: {missing}"),
///     Err(unknown) => eprintln!("cannot count, perhaps only this time: {unknown}"),
/// }
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Counters {
    sockets: Table,
    programs: Vec<OwnedFd>,
    /// Holds the programs' connections to their tracepoints.
    _links: Vec<OwnedFd>,
}

/// What was not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Uncounted {
    /// Events of sockets for which there was no space in the table.
    pub no_space: u64,
    /// Events that a program missed because it was interrupted on the same processor, events of
    /// other kinds of sockets included. Always 0 before Linux 5.12.
    pub missed: u64,
}

impl Counters {
    /// Assembles the programs for the running kernel, loads and starts them. Requires Linux 6.3
    /// with BTF.
    ///
    /// # Errors
    /// Returns an error that names what is missing, or why that could not be determined.
    pub fn load() -> Result<Counters, Unavailable> {
        let types = loader::prepare()?;
        let layout = CounterLayout::of(&types).map_err(Missing::Type)?;
        let sockets = Table::create(VALUE_BYTES, SOCKETS_MAX).map_err(failed("creating a map"))?;
        sockets.set(NO_SOCKET, vec![0; VALUE_BYTES]).map_err(failed("setting a value of a map"))?;
        let setting = Setting { layout: &layout, sockets: sockets.as_fd() };
        let (mut all, mut links) = (Vec::new(), Vec::new());
        for (code, tracepoint) in [
            (programs::send(setting), layout.send),
            (programs::receive(setting), layout.receive),
            (programs::arrive(setting), layout.ready),
        ] {
            let (program, link) = attach(code, tracepoint.0)?;
            all.push(program);
            links.push(link);
        }
        Ok(Counters { sockets, programs: all, _links: links })
    }

    /// Appends what was counted so far of each socket.
    ///
    /// The counts of a socket that was closed stay until they are [taken](Counters::take).
    ///
    /// # Errors
    /// Returns an error if the table cannot be read.
    pub fn read(&mut self, into: &mut Vec<SocketCounts>) -> io::Result<()> {
        self.sockets.read_each(|cookie, value| {
            if cookie != NO_SOCKET {
                into.extend(SocketCounts::parse(cookie, value));
            }
        })
    }

    /// Takes the counts of a closed socket out of the table. `None` if there are none.
    ///
    /// If the socket is still in use, it is counted from zero again, and events in between may be
    /// lost.
    ///
    /// # Errors
    /// Returns an error if the table cannot be read or changed.
    pub fn take(&mut self, cookie: u64) -> io::Result<Option<SocketCounts>> {
        let Some(value) = self.sockets.get(cookie)? else { return Ok(None) };
        match self.sockets.remove(cookie) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(SocketCounts::parse(cookie, &value)),
        }
    }

    /// Returns what was not counted, since the start.
    ///
    /// # Errors
    /// Returns an error if the table or the programs cannot be read.
    pub fn uncounted(&self) -> io::Result<Uncounted> {
        let value = self.sockets.get(NO_SOCKET)?.unwrap_or_default();
        let no_space = value.first_chunk().map_or(0, |value| number(value, UNCOUNTED));
        let mut missed = 0;
        for program in &self.programs {
            missed += sys::misses(program.as_fd())?;
        }
        Ok(Uncounted { no_space, missed })
    }
}

fn attach(
    code: Result<Vec<Instruction>, BtfError>,
    tracepoint: u32,
) -> Result<(OwnedFd, OwnedFd), Unavailable> {
    let program = loader::load(&code.map_err(Missing::Type)?, Target::tracepoint(tracepoint))?;
    let link = sys::attach(program.as_fd()).map_err(failed("attaching a program"))?;
    Ok((program, link))
}
