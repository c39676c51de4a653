//! Takes snapshots: what is read, in which order, and what is kept from one snapshot to the next.
//! `finding` has the steps from 3 on.
//!
//! | step | what | module |
//! | --- | --- | --- |
//! | 1 | the network namespaces, found by their processes and mounts | `namespaces` |
//! | 2 | the socket table of each namespace | `table` |
//! | 3 | the owners of each socket (in parallel with 1 and 2) | `owners` |
//! | 4 | sockets that a process has open but no table lists | `unlisted` |
//! | 4 | or: sockets that only a table lists, if the program lists the others | `listed` |
//! | 5 | sockets that no process has open: in flight, or closed since step 2 | here |
//! | 6 | which sockets belong together | `join` |
//! | 7 | the attributes of the owning processes | `process` |

use std::collections::{BTreeMap, HashMap, HashSet, btree_map};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::time::SystemTime;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use stoop::Kind;
use stoop::diag::{Dump, Entry, Table};
use stoop_bpf::TaskFiles;

use crate::assembly::Assembly;
use crate::model::{
    Missing, Namespace, NamespaceIno, OwnersFrom, Pid, Queue, Snapshot, Socket, SocketIno, What,
};
use crate::options::{Options, OwnersWanted};
use crate::owners::Holding;
use crate::process::ProcessCache;
use crate::procfs::{self, ProcessDir};
use crate::{free_descriptors, namespaces, process, table, unlisted};

mod finding;

/// The largest number of sockets that are looked up one by one instead of reading their table
/// again. It is also the limit up to which sockets without an owner are checked again: if there are
/// more, most of their owners are probably hidden from the caller.
const LOOKUPS_MAX: usize = 16;

/// Takes [`Snapshot`]s, one after the other.
///
/// An inspector keeps what is expensive to find again: the BPF program, and the socket tables of
/// other network namespaces. A namespace that only such a table keeps alive is released by the next
/// snapshot. If the BPF program lists the owners, the cgroup of a process that still runs the same
/// program is cached for ten seconds.
#[doc(alias("sock_diag", "ss", "lsof", "netstat"))]
#[derive(Debug)]
pub struct Inspector {
    options: Options,
    tables: BTreeMap<NamespaceIno, Table>,
    entries: Vec<Entry>,
    /// The BPF program, loaded by the first snapshot that wants it, or the reason it could not be.
    program: Option<Result<TaskFiles, String>>,
    /// Whether the program lists what the tables have, so that these are asked only which sockets
    /// there are.
    is_detailed: bool,
    /// An additional namespace to inspect.
    also: Option<Namespace>,
    /// The processes as they were read for the last snapshot.
    cache: ProcessCache,
    /// Sockets that no process had open in the last snapshot.
    ownerless: HashSet<Key>,
}

impl Inspector {
    /// Creates an inspector whose snapshots contain what `options` requests.
    ///
    /// This does no I/O.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options, OwnersFrom, OwnersWanted};
    ///
    /// let mut options = Options::default();
    /// options.owners = OwnersWanted::No;
    /// let snapshot = Inspector::new(options).snapshot();
    /// assert_eq!(snapshot.owners_from, OwnersFrom::NotRead);
    /// assert!(snapshot.processes.is_empty());
    /// ```
    pub fn new(options: Options) -> Inspector {
        Inspector {
            options,
            tables: BTreeMap::new(),
            entries: Vec::new(),
            program: None,
            is_detailed: false,
            also: None,
            cache: ProcessCache::default(),
            ownerless: HashSet::new(),
        }
    }

    /// Also inspects the network namespace `ino`, which `file` names. A single thread may be alone
    /// in one.
    pub(crate) fn also_in(mut self, ino: NamespaceIno, file: PathBuf) -> Inspector {
        self.also = Some(Namespace { names: vec![file], ..namespaces::unread(ino) });
        self
    }

    /// Inspects all network namespaces that can be found, from the next snapshot on.
    pub(crate) fn widen(&mut self) {
        self.options.all_namespaces = true;
    }

    /// Takes a snapshot of the machine now.
    ///
    /// This never fails: what cannot be read is listed in [`Snapshot::missing`]. The call blocks
    /// while it reads, and waits for nothing else. It uses a few threads of its own to enter other
    /// network namespaces and to read faster, and joins them before it returns.
    ///
    /// # Examples
    ///
    /// ```
    /// use stoop_inspect::{Inspector, Options};
    ///
    /// let mut inspector = Inspector::new(Options::default());
    /// let (one, _other) = stoop::Stream::pair()?;
    /// let first = inspector.snapshot();
    /// assert!(first.socket_of(&one).is_some());
    /// // A snapshot is a copy. The next one has what was created since.
    /// let (later, _other) = stoop::Stream::pair()?;
    /// assert!(first.socket_of(&later).is_none());
    /// assert!(inspector.snapshot().socket_of(&later).is_some());
    /// # Ok::<(), stoop::Error>(())
    /// ```
    pub fn snapshot(&mut self) -> Snapshot {
        let mut assembly = Assembly::default();
        let taken = SystemTime::now();
        if let Err(lack) = free_descriptors::check() {
            assembly
                .lacks(What::Other("what takes more file descriptors than are free here".to_owned()), &lack);
        }
        assembly.own = assembly.or_missing("the own network namespace", namespaces::own());
        assembly.newest = newest();
        let owners_from = match self.options.owners {
            OwnersWanted::Auto | OwnersWanted::Proc => self.read_and_find(&mut assembly),
            OwnersWanted::No => {
                self.read_sockets(None, &mut assembly);
                assembly.join();
                OwnersFrom::NotRead
            }
        };
        self.read_processes(&mut assembly);
        if self.options.in_flight {
            self.count_in_flight(&mut assembly);
        }
        self.forget_empty_namespaces(&mut assembly);
        assembly.finish(owners_from, taken)
    }

    /// Reads the sockets of every namespace that can be found, and returns the processes found. If
    /// the program is used, waits until it says whether its records have details.
    fn read_sockets(&mut self, is_detailed: Option<Receiver<bool>>, assembly: &mut Assembly) -> Vec<Pid> {
        let pids = assembly.or_missing("the processes", procfs::pids());
        self.find_namespaces(&pids, assembly);
        self.is_detailed = is_detailed.is_some_and(|told| told.recv().unwrap_or(false));
        self.read_tables(assembly);
        pids
    }

    fn find_namespaces(&mut self, pids: &[Pid], assembly: &mut Assembly) {
        if self.options.all_namespaces {
            let found = namespaces::find(pids);
            assembly.namespaces = found.namespaces;
            assembly.missing.extend(found.hidden.missing(What::Namespaces));
        }
        if let Some(namespace) = &self.also {
            assembly.namespaces.entry(namespace.ino).or_insert_with(|| namespace.clone());
        }
        let own = assembly.own;
        assembly.namespaces.entry(own).or_insert_with(|| namespaces::unread(own)).is_own = true;
        // Namespaces that were found by their sockets alone.
        for &ino in self.tables.keys() {
            assembly.namespaces.entry(ino).or_insert_with(|| namespaces::unread(ino));
        }
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
                Ok(table) => drop(self.tables.insert(ino, table)),
                Err(error) => drop(assembly.unopened.insert(ino, error)),
            }
        }
    }

    /// Reads the table of every namespace, the own one first.
    fn read_tables(&mut self, assembly: &mut Assembly) {
        let own = assembly.own;
        let mut inos: Vec<NamespaceIno> = assembly.namespaces.keys().copied().collect();
        inos.sort_unstable_by_key(|&ino| (ino != own, ino));
        for ino in inos {
            self.read_table(ino, assembly);
        }
    }

    fn read_table(&mut self, ino: NamespaceIno, assembly: &mut Assembly) {
        let show = if self.is_detailed { table::COUNTED } else { table::shown(&self.options) };
        let read = match self.tables.get_mut(&ino) {
            Some(table) => table::read(table, show, &mut self.entries),
            None => Err(assembly.unopened.remove(&ino).unwrap_or_else(|| Errno::PROTONOSUPPORT.into())),
        };
        match read {
            Ok(dump) => {
                match self.is_detailed {
                    true => drop(assembly.counted.insert(ino, std::mem::take(&mut self.entries))),
                    false => assembly.add(self.entries.drain(..).map(|entry| table::row(entry, ino))),
                }
                // This may be a second attempt, through another path into the namespace.
                assembly.missing.retain(|missing| missing.what != What::Table(ino));
                assembly.namespaces.entry(ino).and_modify(|namespace| namespace.is_read = true);
                if dump == Dump::Unsteady {
                    let why = "it changed during every attempt to read it".to_owned();
                    assembly.missing.push(Missing { what: What::Unsteady(ino), why, errno: None });
                }
            }
            Err(error) => {
                let text = assembly.namespaces.get(&ino).and_then(text_of).unwrap_or_default();
                let rows = table::read_text(&text, ino);
                match self.is_detailed {
                    true => assembly.from_text.extend(rows),
                    false => assembly.add(rows),
                }
                assembly.lacks(What::Table(ino), &error);
            }
        }
    }

    /// Assigns owners to the sockets of the tables, and reads the sockets that these lack.
    fn assign(&mut self, holdings: Vec<Holding>, assembly: &mut Assembly) {
        let unlisted = assembly.assign(holdings);
        if self.fetch(&unlisted, assembly) {
            assembly.assign(unlisted);
        }
    }

    /// Reads the sockets that a process has open but no table listed. Returns whether any were
    /// added.
    fn fetch(&mut self, unlisted: &[Holding], assembly: &mut Assembly) -> bool {
        let before = assembly.sockets.len();
        let located = unlisted::locate(unlisted, |ino| self.tables.contains_key(&ino));
        for (&ino, inos) in &located.known {
            self.read_some(ino, inos, assembly);
        }
        if self.options.all_namespaces {
            self.read_new(located.new.into_iter().map(|(ino, file)| (ino, Ok(file))).collect(), assembly);
            if let Some(why) = located.why {
                assembly.lacks(What::Sockets(located.lost), &why);
            }
        }
        assembly.sockets.len() != before
    }

    /// Reads these sockets of a namespace.
    fn read_some(&mut self, ino: NamespaceIno, inos: &[SocketIno], assembly: &mut Assembly) {
        let Some(table) = self.tables.get_mut(&ino) else { return };
        // The kernel walks the whole table for each single lookup.
        if inos.len() <= LOOKUPS_MAX {
            let lookup = |inode| table::lookup(table, inode, ino, &self.options).ok()?;
            assembly.add(inos.iter().copied().filter_map(lookup));
        } else if table::read(table, table::shown(&self.options), &mut self.entries).is_ok() {
            let wanted: HashSet<u32> = inos.iter().map(|ino| ino.0).collect();
            let found = self.entries.drain(..).filter(|entry| wanted.contains(&entry.ino));
            assembly.add(found.map(|entry| table::row(entry, ino)));
        }
    }

    /// Opens and reads the tables of namespaces that were not known before.
    fn read_new(&mut self, files: Vec<(NamespaceIno, io::Result<OwnedFd>)>, assembly: &mut Assembly) {
        let inos: Vec<NamespaceIno> = files.iter().map(|(ino, _)| *ino).collect();
        self.open_tables(files, assembly);
        for ino in inos {
            assembly.namespaces.insert(ino, namespaces::unread(ino));
            self.read_table(ino, assembly);
        }
    }

    /// Removes sockets that have no owner and are closed by now. If there are many, their tables
    /// are read again. If some processes are hidden, many sockets only appear to have no owner and
    /// are left alone.
    fn remove_gone(&mut self, sees_all: bool, assembly: &mut Assembly) {
        let mut gone = assembly.ownerless();
        if gone.len() <= LOOKUPS_MAX {
            gone.retain(|&index| self.is_gone(&assembly.sockets[index]));
        } else if sees_all {
            let namespaces: HashSet<_> =
                gone.iter().map(|&index| assembly.sockets[index].namespace).collect();
            let still: HashMap<_, _> = namespaces.into_iter().map(|ino| (ino, self.now_in(ino))).collect();
            gone.retain(|&index| {
                let socket = &assembly.sockets[index];
                let still = still.get(&socket.namespace).and_then(Option::as_ref);
                still.is_some_and(|still| !still.contains(&key(socket)))
            });
        } else {
            return;
        }
        assembly.remove(&gone);
    }

    /// Returns what is in the namespace's table now, or `None` if that cannot be determined for
    /// certain.
    fn now_in(&mut self, namespace: NamespaceIno) -> Option<HashSet<Key>> {
        let table = self.tables.get_mut(&namespace)?;
        let dump = table::read(table, table::COUNTED, &mut self.entries).ok()?;
        let keys = self.entries.drain(..).map(|entry| (namespace, SocketIno(entry.ino), Some(entry.cookie)));
        let keys = keys.collect();
        (dump == Dump::Whole).then_some(keys)
    }

    fn is_gone(&mut self, socket: &Socket) -> bool {
        let Some(table) = self.tables.get_mut(&socket.namespace) else { return false };
        let found = table::lookup(table, socket.ino, socket.namespace, &self.options);
        // If two sockets share this inode the kernel returns only one of them.
        found.is_ok_and(|found| found.is_none())
    }

    /// Reads the owners that have not been read yet, and forgets processes that own nothing any
    /// more.
    fn read_processes(&self, assembly: &mut Assembly) {
        let owners = assembly.sockets.iter().flat_map(|socket| &socket.owners);
        let mut pids: Vec<Pid> = owners.map(|owner| owner.pid).collect();
        pids.sort_unstable();
        pids.dedup();
        assembly.processes.retain(|pid, _| pids.binary_search(pid).is_ok());
        pids.retain(|pid| !assembly.processes.contains_key(pid));
        let unknown = pids.into_iter().map(|pid| (pid, None));
        let read = process::read_all(unknown, &self.options, &mut ProcessCache::default());
        assembly.processes.extend(read);
    }

    /// Reads, for each socket with unread data, how many file descriptors are queued in it.
    fn count_in_flight(&self, assembly: &mut Assembly) {
        let mut buffer = Vec::new();
        let may_have = |socket: &&mut Socket| match socket.queue {
            // On a stream socket, file descriptors always come with at least one byte.
            Some(Queue::Bytes { unread: 0, .. }) => socket.kind != Some(Kind::Stream),
            _ => true,
        };
        for socket in assembly.sockets.iter_mut().filter(may_have) {
            let Some(owner) = socket.owners.first() else { continue };
            let Ok(directory) = ProcessDir::open(owner.pid) else { continue };
            socket.in_flight = directory.descriptors_in_flight(*owner, &mut buffer);
        }
    }

    /// Closes the tables of namespaces that nothing else refers to: an open table keeps its
    /// namespace alive.
    fn forget_empty_namespaces(&mut self, assembly: &mut Assembly) {
        let used: HashSet<NamespaceIno> = assembly.sockets.iter().map(|socket| socket.namespace).collect();
        let is_needed = |ino: &NamespaceIno, namespace: &mut Namespace| {
            used.contains(ino)
                || namespace.is_own
                || namespace.process.is_some()
                || !namespace.names.is_empty()
        };
        assembly.namespaces.retain(is_needed);
        self.tables.retain(|ino, _| assembly.namespaces.contains_key(ino));
    }
}

/// Returns the inode and the cookie of a socket created now.
fn newest() -> Option<(SocketIno, u64)> {
    let made = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    let socket = made.ok()?;
    let ino = u32::try_from(rustix::fs::fstat(&socket).ok()?.st_ino).ok()?;
    Some((SocketIno(ino), rustix::net::sockopt::socket_cookie(&socket).ok()?))
}

/// Identifies a socket across two snapshots.
type Key = (NamespaceIno, SocketIno, Option<u64>);

fn key(socket: &Socket) -> Key {
    (socket.namespace, socket.ino, socket.cookie)
}

/// Reads `/proc/net/unix` as the given namespace sees it.
fn text_of(namespace: &Namespace) -> Option<Vec<u8>> {
    match namespace.process {
        _ if namespace.is_own => std::fs::read("/proc/thread-self/net/unix").ok(),
        Some(pid) => {
            let text = std::fs::read(format!("/proc/{pid}/net/unix")).ok()?;
            // The process may have changed its namespace, or exited and had its pid reused.
            procfs::network_of(pid).is_ok_and(|ino| ino == namespace.ino).then_some(text)
        }
        None => None,
    }
}
