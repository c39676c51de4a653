//! Finds the owners of sockets while the tables are read, and matches both.
//!
//! One thread runs the program, or walks through `/proc`; the other reads the tables, then the
//! processes that the program reports.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use stoop_bpf::{Record, TaskFiles};

use super::{Inspector, LOOKUPS_MAX, key};
use crate::assembly::Assembly;
use crate::model::{Missing, NamespaceIno, OwnersFrom, Pid, Process, Socket, What};
use crate::options::{Options, OwnersWanted};
use crate::owners::proc::Walk;
use crate::owners::{self, Holding};
use crate::process::{self, Known};
use crate::{listed, namespaces, procfs, table, unlisted};

/// What is known of the owners.
enum Found {
    Listed(Vec<Record>),
    /// The walk, and why there is no listing, if one was wanted.
    Walked(Walk, Option<String>),
}

/// What the thread that runs the program tells the one that reads the tables: whether its records
/// have details, and the processes in them.
type ToReader = (Sender<bool>, Sender<(Pid, Known)>);
type FromProgram = (Receiver<bool>, Receiver<(Pid, Known)>);

/// For a walk after the tables were read.
static TABLES_ARE_READ: AtomicBool = AtomicBool::new(true);

impl Inspector {
    /// Reads the tables and finds the owners, which takes about as long. A new thread may start
    /// late, so it gets the shorter part, the tables.
    pub(super) fn read_and_find(&mut self, assembly: &mut Assembly) -> OwnersFrom {
        let (mut program, options, is_read) =
            (self.program.take(), self.options.clone(), AtomicBool::new(false));
        let both = thread::scope(|scope| {
            let (to_reader, from_program) = channels();
            let read = || self.read_beside(from_program, &is_read, assembly);
            let reading = thread::Builder::new().spawn_scoped(scope, read).ok()?;
            let found = find(&mut program, to_reader, &options, &is_read);
            Some((reading.join().unwrap_or_else(|panic| resume_unwind(panic)), found))
        });
        // If no thread can be spawned, do one thing after the other.
        let ((pids, processes), found) = both.unwrap_or_else(|| {
            let (to_reader, from_program) = channels();
            let found = find(&mut program, to_reader, &options, &is_read);
            (self.read_beside(from_program, &is_read, assembly), found)
        });
        self.program = program;
        match found {
            Found::Listed(records) => {
                self.use_listing(records, assembly);
                assembly.processes.extend(processes);
                OwnersFrom::Bpf
            }
            Found::Walked(walk, why_not_bpf) => {
                self.use_walk(&pids, walk, assembly);
                OwnersFrom::Proc { why_not_bpf }
            }
        }
    }

    /// Reads the tables, and the processes that the program reports.
    fn read_beside(
        &mut self,
        (is_detailed, processes): FromProgram,
        is_read: &AtomicBool,
        assembly: &mut Assembly,
    ) -> (Vec<Pid>, HashMap<Pid, Process>) {
        let pids = self.read_sockets(Some(is_detailed), assembly);
        is_read.store(true, Ordering::Release);
        let known = processes.into_iter().map(|(pid, known)| (pid, Some(known)));
        (pids, process::read_all(known, &self.options, &mut self.cache))
    }

    fn use_listing(&mut self, records: Vec<Record>, assembly: &mut Assembly) {
        // Processes whose namespaces are hidden do not matter here: the program saw each socket's
        // namespace.
        assembly.missing.retain(|missing| !matches!(missing.what, What::Namespaces(_)));
        if self.is_detailed {
            self.add_listed(records, assembly);
        } else {
            let own = assembly.own;
            self.assign(records.iter().map(|record| owners::bpf::holding(record, own)).collect(), assembly);
            self.remove_gone(true, assembly);
        }
        self.settle(true, &[], assembly);
        assembly.join();
    }

    fn use_walk(&mut self, pids: &[Pid], mut walk: Walk, assembly: &mut Assembly) {
        if std::mem::take(&mut self.is_detailed) {
            // The program was loaded and could not be run.
            assembly.counted.clear();
            assembly.from_text.clear();
            self.read_tables(assembly);
        }
        let why_not_all = procfs::why_not_all(pids);
        self.read_descriptors(&mut walk, assembly);
        assembly.processes = walk.processes;
        let sees_all = walk.hidden.is_empty() && why_not_all.is_none();
        assembly.missing.extend(walk.hidden.missing(What::Descriptors));
        self.assign(walk.holdings, assembly);
        owners::confirm(&mut assembly.sockets, sees_all || !self.options.sure);
        self.remove_gone(sees_all, assembly);
        self.settle(sees_all, &walk.early, assembly);
        assembly.join();
        if let Some(why) = why_not_all.filter(|_| !assembly.ownerless().is_empty()) {
            assembly.missing.push(Missing { what: What::Processes, why: why.to_owned(), errno: None });
        }
    }

    /// Adds the sockets that the program lists, and reads those that only a table has: they have no
    /// file descriptor.
    fn add_listed(&mut self, mut records: Vec<Record>, assembly: &mut Assembly) {
        let own = assembly.own;
        match self.options.all_namespaces {
            true => self.read_unknown(&records, assembly),
            false => records.retain(|record| listed::namespace(record, own) == own),
        }
        assembly.reserve(records.len());
        listed::each_row(&records, own, self.options.memory, |row| assembly.add([row]));
        drop(records);
        for (ino, unseen) in assembly.count() {
            self.read_some(ino, &unseen, assembly);
        }
        for index in assembly.uncounted().into_iter().take(LOOKUPS_MAX) {
            let Socket { ino, namespace, cookie, .. } = assembly.sockets[index];
            let Some(table) = self.tables.get_mut(&namespace) else { continue };
            if let Ok(Some((socket, _))) = table::lookup(table, ino, namespace, &self.options)
                && socket.cookie == cookie
            {
                assembly.sockets[index].queue = socket.queue;
            }
        }
    }

    /// Reads the tables of namespaces that only the program has seen.
    fn read_unknown(&mut self, records: &[Record], assembly: &mut Assembly) {
        let own = assembly.own;
        let unknown = listed::in_unknown(records, own, |ino| assembly.namespaces.contains_key(&ino));
        let holdings: Vec<Holding> =
            unknown.values().flatten().map(|record| owners::bpf::holding(record, own)).collect();
        let located = unlisted::locate(&holdings, |_| false);
        self.read_new(located.new.into_iter().map(|(ino, file)| (ino, Ok(file))).collect(), assembly);
        for ino in
            unknown.into_keys().filter(|ino| !assembly.namespaces.contains_key(ino)).collect::<Vec<_>>()
        {
            assembly.namespaces.insert(ino, namespaces::unread(ino));
            if let Some(why) = &located.why {
                assembly.lacks(What::Table(ino), why);
            }
        }
    }

    /// Reads the tables of namespaces that only a file descriptor refers to.
    fn read_descriptors(&mut self, walk: &mut Walk, assembly: &mut Assembly) {
        if !self.options.all_namespaces {
            return;
        }
        let is_new = |ino: &NamespaceIno| !assembly.namespaces.contains_key(ino);
        let networks: BTreeMap<_, _> = walk.networks.drain(..).filter(|(ino, _)| is_new(ino)).collect();
        let files = networks.into_iter().map(|(ino, owner)| (ino, namespaces::open_descriptor(ino, owner)));
        self.read_new(files.collect(), assembly);
    }

    /// Looks for the owners of sockets without one again.
    ///
    /// The sources are not read in one instant: a socket that appears to have no owner may have
    /// been created while the owners were listed. Unless the last snapshot saw it in the same
    /// state, its owner is looked for in processes that were visited before the tables were read
    /// (`early`), then in all. A socket that remains is or was in flight, or is held by the kernel,
    /// or has an owner that is hidden.
    fn settle(&mut self, sees_all: bool, early: &[Pid], assembly: &mut Assembly) {
        for pids in [Some(early), None] {
            let is_new = |&index: &usize| {
                assembly.may_be_new(index) && !self.ownerless.contains(&key(&assembly.sockets[index]))
            };
            let ownerless = assembly.ownerless();
            if !sees_all || !ownerless.iter().any(is_new) {
                break;
            }
            if pids.is_some_and(<[Pid]>::is_empty) {
                continue;
            }
            let inos: HashSet<_> = ownerless.iter().map(|&index| assembly.sockets[index].ino).collect();
            let mut holdings = self.list_again(pids, assembly.own);
            holdings.retain(|holding| inos.contains(&holding.ino));
            assembly.assign(holdings);
            self.remove_gone(sees_all, assembly);
        }
        self.ownerless =
            assembly.ownerless().into_iter().map(|index| key(&assembly.sockets[index])).collect();
    }

    /// Lists every file descriptor once more, or those of some processes.
    fn list_again(&self, pids: Option<&[Pid]>, own: NamespaceIno) -> Vec<Holding> {
        match (pids, &self.program) {
            (None, Some(Ok(program))) => {
                let records = owners::bpf::list(program, |_, _| ()).unwrap_or_default();
                records.iter().map(|record| owners::bpf::holding(record, own)).collect()
            }
            (Some(pids), _) => owners::proc::walk(pids, &self.options, &TABLES_ARE_READ, false).holdings,
            (None, _) => walk(&self.options, &TABLES_ARE_READ, false).holdings,
        }
    }
}

fn channels() -> (ToReader, FromProgram) {
    let ((is_detailed, told), (process, processes)) = (channel(), channel());
    ((is_detailed, process), (told, processes))
}

/// Lists or walks.
fn find(
    program: &mut Option<Result<TaskFiles, String>>,
    to_reader: ToReader,
    options: &Options,
    is_read: &AtomicBool,
) -> Found {
    let why_not_bpf = match options.owners {
        OwnersWanted::Auto => match list(program, to_reader) {
            Ok(records) => return Found::Listed(records),
            Err(why) => Some(why),
        },
        // The reader waits for an answer.
        OwnersWanted::Proc | OwnersWanted::No => {
            drop(to_reader);
            None
        }
    };
    Found::Walked(walk(options, is_read, true), why_not_bpf)
}

/// Walks through all processes. The tables' reader reports that they cannot be listed.
fn walk(options: &Options, is_read: &AtomicBool, with_processes: bool) -> Walk {
    owners::proc::walk(&procfs::pids().unwrap_or_default(), options, is_read, with_processes)
}

/// Loads the program, unless that was tried before, and runs it.
fn list(
    program: &mut Option<Result<TaskFiles, String>>,
    (is_detailed, process): ToReader,
) -> Result<Vec<Record>, String> {
    let load = || TaskFiles::load().map_err(|why| why.to_string());
    let program = program.get_or_insert_with(load).as_ref().map_err(Clone::clone)?;
    // The reader listens unless it has panicked.
    let _ = is_detailed.send(program.has_details());
    let tell = |pid, known| drop(process.send((pid, known)));
    owners::bpf::list(program, tell).map_err(|error| error.to_string())
}
