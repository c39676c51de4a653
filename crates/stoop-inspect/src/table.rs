//! Reads the sockets of one network namespace from the kernel's table (`sock_diag`) or, if that is
//! unavailable, from `/proc/net/unix`.

use std::io;

use stoop::Address;
use stoop::diag::{Dump, Entry, Show, Table};

use crate::join::{Link, Links};
use crate::model::{NamespaceIno, Queue, Socket, SocketIno, State};
use crate::options::Options;
use crate::proc_net_unix::{self, Line};

/// A socket as a table lists it, not yet joined with others.
pub(crate) type Row = (Socket, Links);

/// What is requested of sockets whose other fields are known: which there are, and the order in
/// which clients wait.
pub(crate) const COUNTED: Show = Show::WAITING;

/// Reads every socket of the table into `entries`, each once, ordered by inode.
pub(crate) fn read(table: &mut Table, show: Show, entries: &mut Vec<Entry>) -> io::Result<Dump> {
    entries.clear();
    let dump = table.dump(show, entries)?;
    // A dump comes in several messages, and lists a socket twice if another one was inserted before
    // it meanwhile. Sorting by cached keys moves each large entry only once.
    entries.sort_by_cached_key(|entry| (entry.ino, entry.cookie));
    entries.dedup_by_key(|entry| (entry.ino, entry.cookie));
    Ok(dump)
}

/// Looks up one socket of the table.
pub(crate) fn lookup(
    table: &mut Table,
    ino: SocketIno,
    namespace: NamespaceIno,
    options: &Options,
) -> io::Result<Option<Row>> {
    Ok(table.lookup(ino.0, shown(options))?.map(|entry| row(entry, namespace)))
}

/// Returns what is requested of sockets of which nothing is known.
pub(crate) fn shown(options: &Options) -> Show {
    let show = Show::NAME | Show::FILE | Show::PEER | Show::WAITING | Show::QUEUE | Show::UID;
    if options.memory { show | Show::MEMORY } else { show }
}

/// Converts an entry of the table.
pub(crate) fn row(entry: Entry, namespace: NamespaceIno) -> Row {
    let peer = match entry.peer {
        None => Link::None,
        Some(0) => Link::WithoutInode,
        Some(ino) => Link::To(SocketIno(ino)),
    };
    let links =
        Links { peer, waiting: entry.waiting, is_established: entry.is_established, ..Links::default() };
    let queue = entry.queue.map(|(first, second)| match entry.is_listening {
        true => Queue::Backlog { waiting: first, limit: second },
        false => Queue::Bytes { unread: first, unsent: second },
    });
    let socket = Socket {
        cookie: Some(entry.cookie),
        file: entry.file,
        queue,
        memory: entry.memory,
        uid: entry.uid,
        shutdown: (entry.shutdown & 1 != 0, entry.shutdown & 2 != 0),
        ..bare(entry.ino, namespace, entry.kind, entry.is_listening, entry.name)
    };
    (socket, links)
}

/// Parses the sockets in the text of `/proc/net/unix`.
pub(crate) fn read_text(text: &[u8], namespace: NamespaceIno) -> Vec<Row> {
    let row = |line: Line| {
        let socket = bare(line.ino, namespace, line.kind, line.is_listening, line.name);
        (socket, Links { peer: Link::NotListed, is_established: line.is_connected, ..Links::default() })
    };
    proc_net_unix::read(text).map(row).collect()
}

fn bare(
    ino: u32,
    namespace: NamespaceIno,
    kind: Option<stoop::Kind>,
    is_listening: bool,
    name: Address,
) -> Socket {
    let state = if is_listening { State::Listening } else { State::Unconnected };
    Socket { namespace, name, ..Socket::unjoined(SocketIno(ino), kind, state) }
}
