//! The names of addresses, processes, containers and units. Pure.

use std::collections::HashMap;
use std::rc::Rc;

use stoop::Address;
use stoop_inspect::{Pid, Snapshot, SocketId, Workload};

use super::frame::Identity;
use crate::sockets::{Row, format};

/// In place of an address: a pair, or sockets without a server's name.
pub(super) const PAIRS: &str = "(socket pairs)";
/// In place of a container or a unit.
const NONE: &str = "(none)";
/// In place of what is not known.
const UNKNOWN: &str = "(unknown)";
/// In place of the address of a connection that was closed, as its listener, before it was seen.
pub(super) const CLOSED: &str = "(closed)";

/// The words of one snapshot, each made once.
pub(super) struct Labels<'s> {
    snapshot: &'s Snapshot,
    addresses: HashMap<&'s Address, Rc<str>>,
    processes: HashMap<Pid, Process>,
    nobody: Process,
    pairs: Rc<str>,
}

/// The words for a process.
#[derive(Clone)]
struct Process {
    process: Rc<str>,
    container: Rc<str>,
    unit: Rc<str>,
}

impl<'s> Labels<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> Labels<'s> {
        let nobody = Process { process: UNKNOWN.into(), container: UNKNOWN.into(), unit: UNKNOWN.into() };
        let (addresses, processes) = (HashMap::new(), HashMap::new());
        Labels { snapshot, addresses, processes, nobody, pairs: PAIRS.into() }
    }

    /// Returns the address of a row.
    pub(super) fn address(&mut self, row: &Row) -> Rc<str> {
        self.name(row.named(self.snapshot))
    }

    /// Returns the name of a socket.
    pub(super) fn name(&mut self, id: SocketId) -> Rc<str> {
        let snapshot = self.snapshot;
        let name = &snapshot[id].name;
        if name.is_unnamed() {
            return self.pairs.clone();
        }
        self.addresses.entry(name).or_insert_with(|| format::address(name).into()).clone()
    }

    /// Returns the words for the process that has a socket open.
    pub(super) fn process(&mut self, id: SocketId) -> Rc<str> {
        self.owner(id).process
    }

    /// Returns what an end of a row is counted for.
    pub(super) fn identity(&mut self, row: &Row, end: SocketId) -> Identity {
        let Process { process, container, unit } = self.owner(end);
        Identity { address: self.address(row), serves: row.server == Some(end), process, container, unit }
    }

    /// Returns what a socket without a row is counted for: one that was closed before a snapshot
    /// was taken, and whose process is known.
    pub(super) fn of_process(
        &mut self,
        address: Rc<str>,
        serves: bool,
        process: Option<(u32, &[u8])>,
    ) -> Identity {
        let words = match process {
            Some((pid, _)) if self.snapshot.processes.contains_key(&Pid(pid)) => self.words(Pid(pid)),
            Some((pid, command)) => {
                Process { process: format!("{pid}/{}", format::word(command)).into(), ..self.nobody.clone() }
            }
            None => self.nobody.clone(),
        };
        let Process { process, container, unit } = words;
        Identity { address, serves, process, container, unit }
    }

    fn owner(&mut self, id: SocketId) -> Process {
        match Row::process(self.snapshot, id) {
            Some(pid) => self.words(pid),
            None => self.nobody.clone(),
        }
    }

    fn words(&mut self, pid: Pid) -> Process {
        let snapshot = self.snapshot;
        let make = || match snapshot.processes.get(&pid) {
            Some(process) => {
                let text = process.workload.to_string().into();
                let none = || Rc::from(NONE);
                let (container, unit) = match &process.workload {
                    Workload::Container { .. } => (text, none()),
                    Workload::Unit { .. } | Workload::Session { .. } => (none(), text),
                    _ => (none(), none()),
                };
                let process = format!("{pid}/{}", format::command(process)).into();
                Process { process, container, unit }
            }
            None => {
                Process { process: pid.to_string().into(), container: UNKNOWN.into(), unit: UNKNOWN.into() }
            }
        };
        self.processes.entry(pid).or_insert_with(make).clone()
    }
}
