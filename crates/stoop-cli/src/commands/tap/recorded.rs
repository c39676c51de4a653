//! A relay's recording as pieces.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read};
use std::time::Duration;

use stoop::{Address, Kind};
use stoop_inspect::Workload;
use stoop_relay::record::{self, Entry, Process, Record, Recording, Tail};
use stoop_tap::{Data, End, Endpoint, FileType, Flow, FlowId, Passed, Piece, Side, SocketKind, What};

use super::names::{Label, is_container};

/// `ECONNRESET`: what a reader gets of a connection that was reset.
const RESET: i32 = 104;
/// `EMFILE`: why a message could not be received.
const NO_DESCRIPTORS: i32 = 24;

/// The pieces of a recording.
#[derive(Debug)]
pub(super) struct Recorded<R> {
    recording: Recording<R>,
    start: Duration,
    kind: SocketKind,
    /// The address of the relay.
    listen: Option<Address>,
    flows: HashMap<FlowId, Flow>,
    labels: HashMap<u64, Label>,
    ready: VecDeque<Piece>,
}

impl<R: Read> Recorded<R> {
    pub(super) fn new(recording: Recording<R>) -> Recorded<R> {
        Recorded {
            recording,
            start: Duration::ZERO,
            kind: SocketKind::STREAM,
            listen: None,
            flows: HashMap::new(),
            labels: HashMap::new(),
            ready: VecDeque::new(),
        }
    }

    pub(super) fn tail(&self) -> Option<Tail> {
        self.recording.tail()
    }

    pub(super) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id)
    }

    pub(super) fn label(&self, end: End) -> Option<&Label> {
        self.labels.get(&end.cookie?)
    }

    /// Returns the next piece.
    pub(super) fn next(&mut self) -> Option<io::Result<Piece>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Some(Ok(piece));
            }
            match self.recording.next()? {
                Ok(record) => self.take(record),
                Err(error) => return Some(Err(error)),
            }
        }
    }

    fn take(&mut self, record: Record) {
        let Record { time, connection, entry, .. } = record;
        let time_ns = u64::try_from((self.start + time).as_nanos()).unwrap_or(u64::MAX);
        let (from, what) = match entry {
            Entry::Started { unix_time, kind, listen, .. } => {
                self.start = unix_time;
                self.kind = kind_of(kind);
                self.listen = String::from_utf8(listen).ok().and_then(|text| text.parse().ok());
                return;
            }
            Entry::Opened { client, server } => return self.opened(time_ns, connection, &client, &server),
            Entry::Data { from, bytes, files, .. } => {
                let mut data = Data::default();
                data.len = bytes.len() as u32;
                data.fds = files.len() as u16;
                data.files = files.into_iter().map(passed).collect();
                data.bytes = bytes;
                (from, What::Data(data))
            }
            Entry::Ended { from } => (from, What::End),
            Entry::Reset { from } => (from, What::Error(RESET)),
            Entry::Lost { from } => (from, What::Error(NO_DESCRIPTORS)),
            _ => return,
        };
        if !self.flows.contains_key(&connection) {
            self.open(connection, [Label::default(), self.server(&Process::default())]);
        }
        self.ready.push_back(Piece::new(time_ns, connection, side(from), what));
    }

    fn opened(&mut self, time_ns: u64, connection: u64, client: &Process, server: &Process) {
        let labels = [label(client), self.server(server)];
        let client = labels[0].process.clone();
        self.open(connection, labels);
        let listener = self.flows[&connection].ends[1].socket;
        if let Some(process) = client.filter(|_| self.kind != SocketKind::DATAGRAM) {
            let what = What::Connect { listener, process };
            self.ready.push_back(Piece::new(time_ns, 0, Side::First, what));
        }
    }

    /// The server's end has the address to which the client has connected.
    fn server(&self, process: &Process) -> Label {
        Label { address: self.listen.clone(), ..label(process) }
    }

    fn open(&mut self, connection: FlowId, labels: [Label; 2]) {
        let mut number = 2 * connection;
        let ends = labels.map(|label| {
            number += 1;
            let mut end = Endpoint::default();
            end.socket.cookie = Some(number);
            end.process = label.process.clone();
            self.labels.insert(number, label);
            end
        });
        self.flows.insert(connection, Flow::new(self.kind, ends));
    }
}

fn kind_of(kind: Kind) -> SocketKind {
    match kind {
        Kind::Datagram => SocketKind::DATAGRAM,
        Kind::SeqPacket => SocketKind::SEQPACKET,
        _ => SocketKind::STREAM,
    }
}

fn side(side: record::Side) -> Side {
    match side {
        record::Side::Client => Side::First,
        record::Side::Server => Side::Second,
    }
}

fn passed(file: record::PassedFile) -> Passed {
    let file_type = match file.file_type {
        record::FileType::Regular if file.path.starts_with(b"/memfd:") => FileType::Memory,
        record::FileType::Regular => FileType::Regular,
        record::FileType::Directory => FileType::Directory,
        record::FileType::Pipe => FileType::Pipe,
        record::FileType::Socket => FileType::Socket,
        record::FileType::CharacterDevice => FileType::CharacterDevice,
        record::FileType::BlockDevice => FileType::BlockDevice,
        _ => FileType::Other,
    };
    Passed::new(file_type, file.path)
}

fn label(process: &Process) -> Label {
    let group = [b"0::", &process.cgroup[..], b"\n"].concat();
    let workload = Workload::from_cgroup(&group);
    let (is_container, workload) = (is_container(&workload), workload.to_string());
    Label {
        is_container,
        process: process.pid.map(|pid| (pid, process.command.clone())),
        address: None,
        workload: Some(workload).filter(|text| !process.cgroup.is_empty() && text != "-"),
    }
}
