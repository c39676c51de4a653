//! Formats sockets as JSON lines: a stable interface, under the schema number of all `--json`
//! output.
//!
//! Each line is a `listener`, a `connection` or a `socket`, or `missing` for what could not be
//! read. All values are borrowed: a busy machine has ten thousand lines.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use serde::{Serialize, Serializer};
use stoop::{Address, escaped};
use stoop_inspect::endpoints::recognise;
use stoop_inspect::{Missing, Process, Queue, Snapshot, SocketId, Workload};

use super::clock::Now;
use super::format;
use super::opener;
use super::paths::Paths;
use super::row::{Row, Shape};
use crate::names;
use crate::output::{Data, SCHEMA, push_json};

/// Formats the lines of one snapshot as JSON. Names of users and services are looked up once.
#[derive(Debug)]
pub(crate) struct JsonFormatter<'a> {
    snapshot: &'a Snapshot,
    users: HashMap<u32, Option<String>>,
    services: HashMap<&'a Path, Option<&'static str>>,
    paths: Option<Paths<'a>>,
    has_ages: bool,
}

/// How a line has changed since the last snapshot.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Change<'a> {
    /// `appeared`, `gone` or `changed`.
    pub(crate) change: &'static str,
    /// The time of the snapshot that has it, in UTC, to the millisecond.
    pub(crate) time: &'a str,
    /// For `changed`: the state before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) state_before: Option<&'static str>,
}

#[derive(Serialize)]
struct Line<'a> {
    schema: u32,
    event: &'static str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    change: Option<&'a Change<'a>>,
    kind: Option<&'static str>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<AddressText<'a>>,
    /// The well-known service that has the address.
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'static str>,
    /// For a listener: the number of waiting clients, and the limit given to `listen`.
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u32>,
    /// The inode of the listener that a connection was or will be accepted from.
    #[serde(skip_serializing_if = "Option::is_none")]
    listener_inode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<End<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<End<'a>>,
    /// `false` if the ends of a connection could not be distinguished: which one is the server is
    /// then arbitrary. Absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_known: Option<bool>,
    /// The process that opened a connection, if it still runs, and how old the connection is at
    /// most: as that process.
    #[serde(skip_serializing_if = "Option::is_none")]
    opener_pid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age_seconds: Option<u64>,
}

/// One socket and its owners.
#[derive(Debug, Serialize)]
pub(crate) struct End<'a> {
    inode: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    cookie: Option<u64>,
    network_namespace: u64,
    /// Its own address, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<AddressText<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<File>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unread_bytes: Option<u32>,
    /// For a datagram socket: the number of messages, and the size of the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    unread_messages: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_message_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsent_bytes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Memory>,
    /// The directions that are shut down: `read`, `write`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shutdown: Vec<&'static str>,
    processes: Vec<OwnerFields<'a>>,
}

/// The memory that a socket is charged for, as `skmem` of `ss -m`.
#[derive(Debug, Serialize)]
struct Memory {
    sent_bytes: u32,
    send_limit_bytes: u32,
    received_bytes: u32,
    dropped_messages: u32,
}

/// A process that has a socket open.
#[derive(Debug, Serialize)]
struct OwnerFields<'a> {
    pid: u32,
    descriptors: Vec<u32>,
    #[serde(flatten)]
    process: Option<ProcessFields<'a>>,
}

/// The attributes of a process.
#[derive(Debug, Serialize)]
pub(crate) struct ProcessFields<'a> {
    command: Bytes<'a>,
    /// Its arguments, if they were read.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_line: Option<Vec<Bytes<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(flatten)]
    place: WorkloadFields<'a>,
}

/// The file a socket is bound to, as in the kernel's table: the low 32 bits of its inode.
#[derive(Debug, Serialize)]
struct File {
    device: String,
    inode: u64,
    /// The path that leads to it now, if the address does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
}

/// The workload of a process, as fields.
#[derive(Debug, Default, Serialize)]
struct WorkloadFields<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    runtime: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<&'a str>,
}

/// Text if it is UTF-8, else `{"bytes": base64}`.
#[derive(Debug)]
struct Bytes<'a>(&'a OsStr);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.to_str() {
            Some(text) => serializer.serialize_str(text),
            None => Data(self.0.as_bytes().to_vec()).serialize(serializer),
        }
    }
}

/// An address in its text form.
#[derive(Debug)]
struct AddressText<'a>(&'a Address);

impl Serialize for AddressText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

impl<'a> JsonFormatter<'a> {
    pub(crate) fn new(snapshot: &'a Snapshot) -> JsonFormatter<'a> {
        JsonFormatter {
            snapshot,
            users: HashMap::new(),
            services: HashMap::new(),
            paths: None,
            has_ages: false,
        }
    }

    /// Adds the present paths of files, which it looks for.
    pub(crate) fn with_paths(self) -> JsonFormatter<'a> {
        JsonFormatter { paths: Some(Paths::new(self.snapshot)), ..self }
    }

    /// Adds how old connections are at most, for which each of them is examined.
    pub(crate) fn with_ages(self, has_ages: bool) -> JsonFormatter<'a> {
        JsonFormatter { has_ages, ..self }
    }

    fn path(&mut self, id: SocketId) -> Option<String> {
        Some(format::path(&self.paths.as_mut()?.other_than_name(id)?))
    }

    /// Appends the line for `row`.
    pub(crate) fn line(&mut self, row: &Row, change: Option<&Change<'_>>, text: &mut Vec<u8>) {
        let event = match row.shape {
            Shape::Listener => "listener",
            Shape::Connection => "connection",
            Shape::Socket => "socket",
        };
        self.event(event, row, change, text);
    }

    /// Appends the line for a connection that was closed.
    pub(crate) fn closed(&mut self, row: &Row, text: &mut Vec<u8>) {
        self.event("cut", row, None, text);
    }

    fn event(&mut self, event: &'static str, row: &Row, change: Option<&Change<'_>>, text: &mut Vec<u8>) {
        let snapshot = self.snapshot;
        let backlog = match snapshot[row.subject()].queue.filter(|_| row.shape == Shape::Listener) {
            Some(Queue::Backlog { waiting, limit }) => Some((waiting, limit)),
            _ => None,
        };
        let opener = self.has_ages.then(|| opener::of(snapshot, row.subject(), Now::read())).flatten();
        let line = Line {
            schema: SCHEMA,
            event,
            change,
            kind: row.kind(snapshot).map(|kind| kind.word()),
            state: format::state(row.state(snapshot)),
            address: named(&snapshot[row.named(snapshot)].name),
            service: self.service(&snapshot[row.named(snapshot)].name),
            waiting: backlog.map(|(waiting, _)| waiting),
            backlog: backlog.map(|(_, limit)| limit),
            listener_inode: row.listener.map(|id| snapshot[id].ino.0),
            server: row.server.map(|id| self.end(id)),
            client: row.client.map(|id| self.end(id)),
            client_known: Some(false).filter(|_| !row.is_client_known),
            opener_pid: opener.map(|opener| opener.pid),
            max_age_seconds: opener.map(|opener| opener.age.as_secs()),
        };
        push_json(&line, text);
    }

    /// Returns one socket with all its owners.
    pub(crate) fn end(&mut self, id: SocketId) -> End<'a> {
        let snapshot = self.snapshot;
        let socket = &snapshot[id];
        let (first, unsent) = match socket.queue {
            Some(Queue::Bytes { unread, unsent }) => (Some(unread), Some(unsent)),
            _ => (None, None),
        };
        let is_datagram = socket.kind == Some(stoop::Kind::Datagram);
        let directions = [(socket.shutdown.0, "read"), (socket.shutdown.1, "write")];
        End {
            inode: socket.ino.0,
            cookie: socket.cookie,
            network_namespace: socket.namespace.0,
            address: named(&socket.name),
            file: socket.file.map(|file| File {
                device: format::device(file.dev),
                inode: file.ino,
                path: self.path(id),
            }),
            uid: socket.uid,
            user: socket.uid.and_then(|uid| self.user(uid)),
            unread_bytes: socket.unread_bytes(),
            unread_messages: socket.messages.map(|messages| messages.count),
            first_message_bytes: first.filter(|_| is_datagram),
            unsent_bytes: unsent,
            memory: socket.memory.map(|memory| Memory {
                sent_bytes: memory.sent_bytes,
                send_limit_bytes: memory.send_limit_bytes,
                received_bytes: memory.received_bytes,
                dropped_messages: memory.drops,
            }),
            shutdown: directions.iter().filter(|(is_shut, _)| *is_shut).map(|(_, word)| *word).collect(),
            processes: self.owners(id),
        }
    }

    fn owners(&mut self, id: SocketId) -> Vec<OwnerFields<'a>> {
        let snapshot = self.snapshot;
        let mut owners: Vec<OwnerFields> = Vec::new();
        for owner in &snapshot[id].owners {
            match owners.last_mut().filter(|last| last.pid == owner.pid.0) {
                Some(last) => last.descriptors.push(owner.fd),
                None => {
                    let process = snapshot.processes.get(&owner.pid).map(|process| self.process(process));
                    owners.push(OwnerFields { pid: owner.pid.0, descriptors: vec![owner.fd], process });
                }
            }
        }
        owners
    }

    /// Returns the attributes of a process.
    pub(crate) fn process(&mut self, process: &'a Process) -> ProcessFields<'a> {
        ProcessFields {
            command: Bytes(&process.command),
            command_line: process.command_line.as_ref().map(|line| line.iter().map(|a| Bytes(a)).collect()),
            uid: process.uid,
            user: process.uid.and_then(|uid| self.user(uid)),
            place: WorkloadFields::of(&process.workload),
        }
    }

    fn service(&mut self, name: &'a Address) -> Option<&'static str> {
        let recognised = || recognise(name).map(|service| service.label());
        *self.services.entry(name.as_pathname()?).or_insert_with(recognised)
    }

    fn user(&mut self, uid: u32) -> Option<String> {
        self.users.entry(uid).or_insert_with(|| names::user(uid)).clone()
    }
}

impl<'a> WorkloadFields<'a> {
    fn of(place: &'a Workload) -> WorkloadFields<'a> {
        match place {
            Workload::Container { runtime, id, pod } => WorkloadFields {
                container: Some(id),
                runtime: Some(runtime),
                pod: pod.as_deref(),
                ..WorkloadFields::default()
            },
            Workload::Unit { name, .. } => WorkloadFields { unit: Some(name), ..WorkloadFields::default() },
            Workload::Session { id, .. } => WorkloadFields { session: Some(id), ..WorkloadFields::default() },
            _ => WorkloadFields::default(),
        }
    }
}

/// Appends a line for each thing that could not be read.
pub(crate) fn missing(missing: &[Missing], text: &mut Vec<u8>) {
    #[derive(Serialize)]
    struct Line {
        schema: u32,
        event: &'static str,
        missing: String,
        errno: Option<i32>,
    }
    for one in missing {
        let words = escaped(&one.to_string()).to_string();
        push_json(&Line { schema: SCHEMA, event: "missing", missing: words, errno: one.errno }, text);
    }
}

fn named(address: &Address) -> Option<AddressText<'_>> {
    (!address.is_unnamed()).then_some(AddressText(address))
}
