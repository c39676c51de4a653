//! Counting what Unix sockets transfer, in the kernel: the programs, their table, and reading it.

mod layout;
mod programs;
mod value;

use std::io::{self, ErrorKind};
use std::os::fd::AsFd;

pub use value::{Latencies, SocketCounts};

use crate::attached::Attached;
use crate::loader;
use crate::support::{Missing, Unavailable, failed};
use crate::sys::Table;
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
    programs: Vec<Attached>,
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
    /// with BTF, or 5.12 if programs can run at functions (on x86-64, unless the kernel forbids it;
    /// tested on 6.1).
    ///
    /// # Errors
    /// Returns an error that names what is missing, or why that could not be determined.
    pub fn load() -> Result<Counters, Unavailable> {
        let types = loader::prepare()?;
        Counters::start(&CounterLayout::of(&types).map_err(Missing::Type)?)
    }

    fn start(layout: &CounterLayout) -> Result<Counters, Unavailable> {
        let sockets = Table::create(VALUE_BYTES, SOCKETS_MAX).map_err(failed("creating a map"))?;
        sockets.set(NO_SOCKET, vec![0; VALUE_BYTES]).map_err(failed("setting a value of a map"))?;
        let setting = Setting { layout, sockets: sockets.as_fd() };
        let mut programs = Attached::at_all(&layout.send, |hook| programs::send(setting, hook))?;
        programs.extend(Attached::at_all(&layout.receive, |hook| programs::receive(setting, hook))?);
        programs.extend(Attached::at_all(&layout.ready, |hook| programs::arrive(setting, hook))?);
        Ok(Counters { sockets, programs })
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
            missed += program.all_skipped()?;
        }
        Ok(Uncounted { no_space, missed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook;
    use std::io::{Read, Write};
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use stoop_testkit::skip;

    /// [K-TAP-12]
    ///
    /// [K-TAP-12]: https://docs.rs/stoop/latest/stoop/kernel_facts/index.html#K-TAP-12
    #[test]
    fn programs_at_functions_count_the_same() {
        let types = match loader::prepare() {
            Ok(types) => types,
            Err(unavailable) => skip!("lacks the counting programs: {unavailable}"),
        };
        let [send, receive, ready] = hook::functions(&types);
        let layout = CounterLayout { send, receive, ready, ..CounterLayout::of(&types).unwrap() };
        let mut counters = match Counters::start(&layout) {
            Ok(counters) => counters,
            Err(Unavailable::No(Missing::Functions(reason))) => {
                skip!("lacks programs at functions: {reason}")
            }
            Err(bug) => panic!("{bug}"),
        };
        let (mut stream, mut other) = UnixStream::pair().unwrap();
        stream.write_all(b"four").unwrap();
        other.read_exact(&mut [0; 4]).unwrap();
        let (datagram, receiver) = UnixDatagram::pair().unwrap();
        datagram.send(b"1").unwrap();
        receiver.recv(&mut [0; 9]).unwrap();
        let mut all = Vec::new();
        counters.read(&mut all).unwrap();
        let of = |socket: &dyn AsFd| {
            let cookie = rustix::net::sockopt::socket_cookie(socket).unwrap();
            let counts = all.iter().find(|counts| counts.cookie == cookie).unwrap();
            (counts.sent_calls, counts.sent_bytes, counts.received_calls, counts.received_bytes)
        };
        assert_eq!([of(&stream), of(&other)], [(1, 4, 0, 0), (0, 0, 1, 4)]);
        assert_eq!([of(&datagram), of(&receiver)], [(1, 1, 0, 0), (0, 0, 1, 1)]);
    }
}
