//! Takes snapshots. Keeps what is worth keeping from one to the next.

use std::collections::{BTreeMap, HashMap, HashSet, btree_map, hash_map};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::thread;
use std::time::SystemTime;

use rustix::io::Errno;
use stoop::diag::{Dump, Entry, Table};
use stoop_bpf::TaskFiles;

use crate::join::{ByInode, Links, join};
use crate::model::{Missing, Namespace, NamespaceIno, OwnersFrom, Pid, Process, Snapshot, Socket, What};
use crate::owners::{self, Holding};
use crate::process::Known;
use crate::procfs::{self, ProcessDir};
use crate::{namespaces, process, strays, table};

/// What a snapshot is to hold. The default is everything cheap, of the whole machine.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How to find the owners.
    pub owners: OwnersWanted,
    /// Sockets of every network namespace that can be found, not of the own one alone.
    pub all_namespaces: bool,
    /// [`Process::start`](crate::Process::start) and [`Process::state`](crate::Process::state).
    pub process_states: bool,
    /// [`Process::place`](crate::Process::place) and [`Process::cgroup`](crate::Process::cgroup).
    pub places: bool,
    /// [`Process::command_line`](crate::Process::command_line).
    pub command_lines: bool,
    /// [`Process::namespaces`](crate::Process::namespaces).
    pub process_namespaces: bool,
    /// [`Socket::memory`](crate::Socket::memory).
    pub memory: bool,
    /// [`Socket::in_flight`](crate::Socket::in_flight).
    pub in_flight: bool,
}

/// How to find out who has a socket open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OwnersWanted {
    /// By a kernel program where that is possible, else from `/proc`. Both give the same answer.
    #[default]
    Auto,
    /// From `/proc`.
    Proc,
    /// Not at all.
    No,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            owners: OwnersWanted::Auto,
            all_namespaces: true,
            process_states: false,
            places: true,
            command_lines: false,
            process_namespaces: false,
            memory: false,
            in_flight: false,
        }
    }
}

/// Takes [`Snapshot`]s, one after the other.
///
/// What is expensive to find again is kept: tables of other network namespaces, the kernel program, what is known of processes
/// that are still the same ones.
#[derive(Debug)]
pub struct Inspector {
    options: Options,
    tables: BTreeMap<NamespaceIno, Table>,
    entries: Vec<Entry>,
    /// Loaded with the first snapshot that wants it, or why it could not be.
    program: Option<Result<TaskFiles, String>>,
    /// A namespace to look into as well.
    also: Option<Namespace>,
}

impl Inspector {
    /// An inspector for snapshots that hold what `options` ask for. Reads nothing yet.
    pub fn new(options: Options) -> Inspector {
        Inspector { options, tables: BTreeMap::new(), entries: Vec::new(), program: None, also: None }
    }

    /// Looks into this network namespace too, which this file names: a thread may be alone in one.
    pub(crate) fn also_in(mut self, ino: NamespaceIno, file: PathBuf) -> Inspector {
        self.also = Some(Namespace { names: vec![file], ..namespaces::unread(ino) });
        self
    }

    /// Looks at the machine now.
    ///
    /// Never fails: what cannot be read is in [`Snapshot::missing`]. Blocks only as long as the reading takes; starts a thread
    /// of its own for other network namespaces, which is over when this returns.
    pub fn snapshot(&mut self) -> Snapshot {
        let mut assembly = Assembly::default();
        let taken = SystemTime::now();
        let pids = assembly.or_missing("the processes", procfs::pids());
        let is_wanted = self.options.owners == OwnersWanted::Auto && self.program.is_none();
        self.program = thread::scope(|scope| {
            // Loading takes as long as reading the tables; it needs nothing of them.
            let load = || TaskFiles::load().map_err(|why| why.to_string());
            let loading = is_wanted.then(|| scope.spawn(load));
            self.find_namespaces(&pids, &mut assembly);
            self.read_tables(&mut assembly);
            loading.map_or_else(|| self.program.take(), |loading| loading.join().ok())
        });
        let owners_from = self.find_owners(&pids, &mut assembly);
        self.forget_empty_namespaces(&assembly);
        assembly.finish(owners_from, taken)
    }

    fn find_namespaces(&mut self, pids: &[Pid], assembly: &mut Assembly) {
        let own = namespaces::own();
        if self.options.all_namespaces {
            let found = namespaces::find(pids);
            assembly.namespaces = found.namespaces;
            assembly.missing.extend(found.hidden.missing(What::Namespaces));
        }
        if let Some(namespace) = &self.also {
            assembly.namespaces.entry(namespace.ino).or_insert_with(|| namespace.clone());
        }
        let own = assembly.or_missing_with("the own network namespace", own, || NamespaceIno(0));
        assembly.namespaces.entry(own).or_insert_with(|| namespaces::unread(own)).is_own = true;
        assembly.own = own;
        if let btree_map::Entry::Vacant(table) = self.tables.entry(own)
            && let Ok(opened) = Table::open()
        {
            table.insert(opened);
        }
        let is_new = |ino: &NamespaceIno| *ino != own && !self.tables.contains_key(ino);
        let wanted = assembly.namespaces.iter().filter(|(ino, _)| is_new(ino));
        let wanted = wanted.map(|(ino, namespace)| (*ino, namespaces::open(namespace))).collect();
        self.open_tables(wanted, assembly);
    }

    fn open_tables(&mut self, wanted: Vec<(NamespaceIno, io::Result<OwnedFd>)>, assembly: &mut Assembly) {
        if wanted.is_empty() {
            return;
        }
        for (ino, table) in namespaces::open_tables(wanted) {
            match table {
                Ok(table) => {
                    self.tables.insert(ino, table);
                }
                // No table there: its text is tried, and said to be missing if that fails too.
                Err(error) => {
                    assembly.unopened.insert(ino, error);
                }
            }
        }
    }

    /// The own namespace first.
    fn read_tables(&mut self, assembly: &mut Assembly) {
        let own = assembly.own;
        let mut inos: Vec<NamespaceIno> = assembly.namespaces.keys().copied().collect();
        inos.sort_unstable_by_key(|&ino| (ino != own, ino));
        for ino in inos {
            self.read_table(ino, assembly);
        }
    }

    fn read_table(&mut self, ino: NamespaceIno, assembly: &mut Assembly) {
        let read = match self.tables.get_mut(&ino) {
            Some(table) => table::read(table, ino, &self.options, &mut self.entries),
            None => Err(assembly.unopened.remove(&ino).unwrap_or_else(|| Errno::PROTONOSUPPORT.into())),
        };
        match read {
            Ok((rows, dump)) => {
                assembly.add(rows);
                assembly.namespaces.entry(ino).and_modify(|namespace| namespace.is_read = true);
                if dump == Dump::Unsteady {
                    let why = "it changed during every attempt to read it".to_owned();
                    assembly.missing.push(Missing { what: What::Unsteady(ino), why, errno: None });
                }
            }
            Err(error) => {
                let text = assembly.namespaces.get(&ino).and_then(text_of).unwrap_or_default();
                assembly.add(table::read_text(&text, ino));
                assembly.missing.push(Missing::new(What::Table(ino), &error));
            }
        }
    }

    fn find_owners(&mut self, pids: &[Pid], assembly: &mut Assembly) -> OwnersFrom {
        match self.options.owners {
            OwnersWanted::No => {
                assembly.join(Vec::new());
                return OwnersFrom::Nowhere;
            }
            OwnersWanted::Auto => {}
            OwnersWanted::Proc => {
                self.owners_from_proc(pids, assembly);
                return OwnersFrom::Proc { why_not_bpf: None };
            }
        }
        match self.owners_from_bpf(assembly) {
            Ok(()) => OwnersFrom::Bpf,
            Err(why) => {
                self.owners_from_proc(pids, assembly);
                OwnersFrom::Proc { why_not_bpf: Some(why) }
            }
        }
    }

    fn owners_from_bpf(&mut self, assembly: &mut Assembly) -> Result<(), String> {
        let program = self
            .program
            .as_ref()
            .map_or(Err("not loaded".into()), |program| program.as_ref().map_err(String::clone))?;
        let listing = owners::bpf::list(program, assembly.own).map_err(|error| error.to_string())?;
        self.assign(listing.holdings, assembly);
        // Whose namespace could not be seen is of no importance now: the program saw every socket's own.
        assembly.missing.retain(|missing| !matches!(missing.what, What::Namespaces(_)));
        self.read_processes(listing.processes, assembly);
        Ok(())
    }

    fn owners_from_proc(&mut self, pids: &[Pid], assembly: &mut Assembly) {
        let by_inode = ByInode::of(&assembly.sockets);
        let walk = owners::proc::walk(pids, &self.options, |holding| by_inode.has(holding.ino));
        assembly.processes = walk.processes;
        assembly.missing.extend(walk.hidden.missing(What::Descriptors));
        self.assign(walk.holdings, assembly);
        self.read_processes(HashMap::new(), assembly);
    }

    /// Gives each socket its owners, and fetches the sockets that have owners and were in no table.
    fn assign(&mut self, holdings: Vec<Holding>, assembly: &mut Assembly) {
        let by_inode = ByInode::of(&assembly.sockets);
        let strays = owners::assign(&mut assembly.sockets, &by_inode, holdings);
        let fetched = self.fetch(&strays, assembly);
        assembly.join(if fetched { strays } else { Vec::new() });
    }

    /// Reads the sockets that processes have and no table has shown. Whether there are any now.
    fn fetch(&mut self, strays: &[Holding], assembly: &mut Assembly) -> bool {
        let before = assembly.sockets.len();
        let located = strays::locate(strays, |ino| self.tables.contains_key(&ino));
        for (&ino, inos) in &located.known {
            let Some(table) = self.tables.get_mut(&ino) else { continue };
            let found =
                inos.iter().filter_map(|stray| table::lookup(table, *stray, ino, &self.options).ok()?);
            assembly.add(found.collect());
        }
        let new: Vec<NamespaceIno> = located.new.keys().copied().collect();
        let files = located.new.into_iter().map(|(ino, file)| (ino, Ok(file))).collect();
        self.open_tables(files, assembly);
        for ino in new {
            assembly.namespaces.insert(ino, namespaces::unread(ino));
            self.read_table(ino, assembly);
        }
        if let Some(why) = located.why {
            assembly.missing.push(Missing::new(What::Sockets(located.lost), &why));
        }
        assembly.sockets.len() != before
    }

    /// Reads the owners that have not been read on the way.
    fn read_processes(&self, mut known: HashMap<Pid, Known>, assembly: &mut Assembly) {
        let mut buffer = Vec::new();
        let owners = assembly.sockets.iter().flat_map(|socket| &socket.owners);
        let mut pids: Vec<Pid> = owners.map(|owner| owner.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        for pid in pids {
            if let hash_map::Entry::Vacant(vacant) = assembly.processes.entry(pid)
                && let Ok(directory) = ProcessDir::open(pid)
                && let Ok(process) =
                    process::read(&directory, pid, known.remove(&pid), &self.options, &mut buffer)
            {
                vacant.insert(process);
            }
        }
    }

    /// A table keeps its namespace alive: those that nobody else needs are let go.
    fn forget_empty_namespaces(&mut self, assembly: &Assembly) {
        let used: HashSet<NamespaceIno> = assembly.sockets.iter().map(|socket| socket.namespace).collect();
        let is_named = |namespace: &Namespace| {
            namespace.is_own || namespace.process.is_some() || !namespace.names.is_empty()
        };
        let is_needed =
            |ino: &NamespaceIno| used.contains(ino) || assembly.namespaces.get(ino).is_some_and(is_named);
        self.tables.retain(|ino, _| is_needed(ino));
    }
}

/// A snapshot that is being put together.
#[derive(Debug, Default)]
struct Assembly {
    sockets: Vec<Socket>,
    links: Vec<Links>,
    processes: HashMap<Pid, Process>,
    namespaces: BTreeMap<NamespaceIno, Namespace>,
    own: NamespaceIno,
    unopened: BTreeMap<NamespaceIno, io::Error>,
    missing: Vec<Missing>,
}

impl Assembly {
    fn add(&mut self, rows: Vec<table::Row>) {
        let (sockets, links): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        self.sockets.extend(sockets);
        self.links.extend(links);
    }

    /// The value, or its default and a note that it is missing.
    fn or_missing<T: Default>(&mut self, what: &str, result: io::Result<T>) -> T {
        self.or_missing_with(what, result, T::default)
    }

    fn or_missing_with<T>(&mut self, what: &str, result: io::Result<T>, default: impl FnOnce() -> T) -> T {
        result.unwrap_or_else(|error| {
            self.missing.push(Missing::new(What::Other(what.to_owned()), &error));
            default()
        })
    }

    /// Gives the holdings to their sockets, and joins sockets with each other.
    fn join(&mut self, holdings: Vec<Holding>) {
        let by_inode = ByInode::of(&self.sockets);
        owners::assign(&mut self.sockets, &by_inode, holdings);
        join(&mut self.sockets, &self.links, &by_inode);
        for socket in &mut self.sockets {
            socket.owners.sort_unstable();
        }
    }

    fn finish(self, owners_from: OwnersFrom, taken: SystemTime) -> Snapshot {
        let (own, others): (Vec<_>, Vec<_>) =
            self.namespaces.into_values().partition(|namespace| namespace.is_own);
        Snapshot {
            sockets: self.sockets,
            processes: self.processes,
            namespaces: own.into_iter().chain(others).collect(),
            missing: self.missing,
            owners_from,
            taken,
        }
    }
}

/// `/proc/net/unix` as it is in that namespace.
fn text_of(namespace: &Namespace) -> Option<Vec<u8>> {
    match namespace.process {
        _ if namespace.is_own => std::fs::read("/proc/thread-self/net/unix").ok(),
        Some(pid) => std::fs::read(format!("/proc/{pid}/net/unix")).ok(),
        None => None,
    }
}
