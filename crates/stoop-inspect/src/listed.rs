//! Sockets as the BPF program lists them: its records as the rows of a table. Pure.

use std::collections::BTreeMap;

use stoop::diag::{self, Entry, Memory};
use stoop_bpf::{Details, Record};

use crate::join::Inner;
use crate::model::{NamespaceIno, Owner, Pid, SocketIno};
use crate::table::{self, Row};

/// The type and the state of datagram sockets and of listeners, by the kernel's numbers.
const DATAGRAM: u16 = 2;
const LISTENING: u8 = 10;
/// How many sockets of an unknown namespace are tried: one that is closed leads nowhere.
const TRIES: usize = 4;

/// Returns a socket's network namespace. `own` is that of a kernel built without them.
pub(crate) fn namespace(record: &Record, own: NamespaceIno) -> NamespaceIno {
    record.network.map_or(own, |ino| NamespaceIno(ino.into()))
}

/// Returns who has the descriptor of a record.
pub(crate) fn owner(record: &Record) -> Owner {
    let thread = (record.tid != record.pid).then_some(Pid(record.tid));
    Owner { pid: Pid(record.pid), fd: record.fd, thread }
}

pub(crate) fn inner(record: &Record) -> Inner {
    let Record { is_bound_to_path, slot, queue, .. } = *record;
    Inner { is_bound_to_path, slot, queue }
}

/// Calls `each` for the sockets of these records with all their owners, once for each: those of the
/// own namespace first, ordered by namespace and inode.
pub(crate) fn each_row(records: &[Record], own: NamespaceIno, with_memory: bool, mut each: impl FnMut(Row)) {
    let key = |record: &Record| {
        let namespace = namespace(record, own);
        (namespace != own, namespace, record.inode, record.cookie)
    };
    let detailed = records.iter().filter_map(|record| Some((key(record), record, record.details.as_ref()?)));
    let mut detailed: Vec<_> = detailed.collect();
    detailed.sort_unstable_by_key(|(key, ..)| *key);
    for same in detailed.chunk_by(|(one, ..), (other, ..)| one == other) {
        let &((_, namespace, ..), record, details) = &same[0];
        let (mut socket, mut links) = table::row(entry(record, details, with_memory), namespace);
        socket.cookie = record.cookie;
        socket.owners = same.iter().map(|(_, record, _)| owner(record)).collect();
        (links.name, links.inner) = (record.name, Some(inner(record)));
        each((socket, links));
    }
}

/// Returns what the table of its namespace has of the socket. The queue is missing if the program
/// could not count it.
fn entry(record: &Record, details: &Details, with_memory: bool) -> Entry {
    let cookie = record.cookie.unwrap_or_default();
    let mut entry = Entry::new(record.inode, cookie, details.kind.into(), details.state);
    entry.name = diag::name(details.address());
    entry.file = details.file.map(|(device, inode)| diag::file_id(device, inode));
    entry.peer = details.peer;
    entry.queue = match (details.state, details.kind) {
        (LISTENING, _) => Some((record.queue.len, record.queue.limit)),
        // The table has the length of the next message only (K-DIAG-13).
        (_, DATAGRAM) => Some((details.first_bytes, details.sent_bytes)),
        _ => record.queue.bytes.map(|unread| (unread, details.sent_bytes)),
    };
    entry.memory = with_memory.then(|| memory(details));
    entry.uid = Some(details.user);
    entry.shutdown = details.shutdown;
    entry
}

fn memory(details: &Details) -> Memory {
    let mut memory = Memory::default();
    memory.received_bytes = details.received_bytes;
    memory.receive_limit_bytes = details.receive_limit_bytes;
    memory.sent_bytes = details.sent_bytes;
    memory.send_limit_bytes = details.send_limit_bytes;
    memory.drops = details.drops;
    memory
}

/// Returns a few records of each namespace that is not known.
pub(crate) fn in_unknown(
    records: &[Record],
    own: NamespaceIno,
    is_known: impl Fn(NamespaceIno) -> bool,
) -> BTreeMap<NamespaceIno, Vec<&Record>> {
    let mut unknown: BTreeMap<NamespaceIno, Vec<&Record>> = BTreeMap::new();
    let mut last = own;
    for record in records {
        let ino = namespace(record, own);
        // Most neighbours are in the same namespace.
        if ino == last || is_known(ino) {
            last = ino;
            continue;
        }
        let some = unknown.entry(ino).or_default();
        if some.len() < TRIES {
            some.push(record);
        }
    }
    unknown
}

/// Compares the sockets of a namespace with what its table lists, both ordered by inode and cookie:
/// calls `both` with the position of each that is in both, and returns the others of the table.
pub(crate) fn compare(
    listed: &[(SocketIno, Option<u64>)],
    counted: Vec<Entry>,
    mut both: impl FnMut(usize, Entry),
) -> Vec<SocketIno> {
    let (mut unseen, mut at) = (Vec::new(), 0);
    for entry in counted {
        let key = (SocketIno(entry.ino), Some(entry.cookie));
        at += listed[at..].iter().take_while(|one| **one < key).count();
        match listed.get(at) {
            Some(same) if *same == key => both(at, entry),
            _ => unseen.push(key.0),
        }
    }
    unseen
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// A socket of the table is either among those listed, or unseen.
        #[test]
        fn what_is_not_listed_is_unseen(
            listed in proptest::collection::btree_set((0u32..9, 1u64..4), 0..12),
            counted in proptest::collection::btree_set((0u32..9, 1u64..4), 0..12),
        ) {
            let keys: Vec<_> = listed.iter().map(|&(ino, cookie)| (SocketIno(ino), Some(cookie))).collect();
            let entries = counted.iter().map(|&(ino, cookie)| Entry::new(ino, cookie, 1, 7)).collect();
            let mut both = Vec::new();
            let unseen = compare(&keys, entries, |at, entry| both.push((at, entry.ino, entry.cookie)));
            for &(at, ino, cookie) in &both {
                prop_assert_eq!(keys[at], (SocketIno(ino), Some(cookie)));
            }
            let expected: Vec<_> = counted.difference(&listed).map(|&(ino, _)| SocketIno(ino)).collect();
            prop_assert_eq!(unseen, expected);
            prop_assert_eq!(both.len(), counted.intersection(&listed).count());
        }
    }
}
