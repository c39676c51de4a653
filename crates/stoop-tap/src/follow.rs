//! Connections and directions, from events. Pure.

use std::collections::{HashMap, HashSet, VecDeque};

use stoop_bpf::{BufferKey, End, Event, Message, Received, SocketKind};

use crate::direction::{Contents, Direction};
use crate::passed::Passed;
use crate::reorder::{Entry, Loss};
use crate::sockets::{Learn, Sockets};

/// How many messages per thread are remembered to find those that a call has peeked at.
const COPIES_MAX: usize = 256;
/// How long a message waits for the name of its receiver, in nanoseconds.
const UNCLEAR_MAX_NS: u64 = 1_000_000_000;
/// How many messages are remembered whose files were reported before them.
const PASSING_MAX: usize = 1_000;
/// How many connections are remembered. Of more, the half that was used last.
const FLOWS_MAX: usize = 50_000;

/// The number of a connection: from 1, in the order of their first events.
pub type FlowId = u64;

/// One end of a connection: 0 is the one that sent first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The end that was seen sending first.
    First,
    /// The other one.
    Second,
}

impl Side {
    /// Returns the other end.
    pub fn other(self) -> Side {
        match self {
            Side::First => Side::Second,
            Side::Second => Side::First,
        }
    }

    /// Returns 0 or 1.
    pub fn index(self) -> usize {
        self as usize
    }
}

/// What is known of one end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Endpoint {
    /// The socket's inode and cookie.
    pub socket: End,
    /// The process that received at this end most recently, or sent first, and the name of its
    /// thread. Unknown if neither was seen.
    pub process: Option<(u32, Vec<u8>)>,
}

/// A connection: two sockets between which data was seen. Each sender of datagrams to a socket is
/// one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Flow {
    /// The type of the sockets.
    pub kind: SocketKind,
    /// Both ends, by [`Side::index`].
    pub ends: [Endpoint; 2],
    /// The numbers of both sockets.
    numbers: [u64; 2],
    last_ns: u64,
    directions: [Direction; 2],
}

impl Flow {
    /// Creates a connection between two ends that a file, or another way of capturing, has named.
    pub fn new(kind: SocketKind, ends: [Endpoint; 2]) -> Flow {
        Flow { kind, ends, numbers: [0; 2], last_ns: 0, directions: Default::default() }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Piece {
    /// When, on `CLOCK_MONOTONIC`, in nanoseconds. 0 for losses.
    pub time_ns: u64,
    /// The connection; 0 if it concerns none.
    pub flow: FlowId,
    /// The end that sent.
    pub from: Side,
    /// What.
    pub what: What,
}

impl Piece {
    /// Creates a piece.
    pub fn new(time_ns: u64, flow: FlowId, from: Side, what: What) -> Piece {
        Piece { time_ns, flow, from, what }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
    /// A process connected to this listener.
    Connect {
        /// The listener.
        listener: End,
        /// The process, and the name of its thread.
        process: (u32, Vec<u8>),
    },
    /// Data.
    Data(Data),
    /// The receiver was told that nothing follows.
    End,
    /// The receiver got this `errno`.
    Error(i32),
    /// That many bytes were received before they could be seen.
    Missed(u64),
    /// Events were lost. Data may be missing in any connection from here on.
    Lost(Loss),
}

/// A message, or a part of a stream as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Data {
    /// The captured bytes: all, or as many as were asked for.
    pub bytes: Vec<u8>,
    /// The true length.
    pub len: u32,
    /// The number of file descriptors attached.
    pub fds: u16,
    /// What the first of these are, as far as that is known.
    pub files: Vec<Passed>,
    /// Whether it waited in the queue and no process had received it: [`Follow::looks_with`] has
    /// seen it there.
    pub is_unread: bool,
}

impl Data {
    /// Creates data without file descriptors, all of which was captured.
    pub fn new(bytes: Vec<u8>) -> Data {
        Data { len: u32::try_from(bytes.len()).unwrap_or(u32::MAX), bytes, ..Data::default() }
    }
}

/// Follows connections.
#[derive(Debug, Default)]
pub struct Follow {
    /// Whether all sockets are captured, so that a message without a receiver is kept.
    all: bool,
    sockets: Sockets,
    flows: HashMap<FlowId, Flow>,
    by_ends: HashMap<(u64, u64), (FlowId, Side)>,
    /// The end to which a socket last sent.
    partners: HashMap<u64, u64>,
    /// Which process sent first with a socket.
    senders: HashMap<u64, (u32, Vec<u8>)>,
    copies: HashMap<u32, VecDeque<Copied>>,
    unclear: HashMap<u32, Vec<(Event, Message, Vec<u8>)>>,
    /// The files of messages that are still to be reported.
    passing: HashMap<BufferKey, Vec<Passed>>,
    last_flow: FlowId,
    /// The thread that looks at what is unread.
    looker: Option<u32>,
    /// How often events were lost.
    losses: u64,
}

/// A message that a thread received.
#[derive(Clone, Copy, Debug)]
struct Copied {
    flow: FlowId,
    from: Side,
    contents: Contents,
    copied: u32,
}

impl Follow {
    /// Creates a value without connections. If `all` sockets are captured, messages whose receiver
    /// stays unknown are kept.
    pub fn new(all: bool) -> Follow {
        Follow { all, ..Follow::default() }
    }

    /// Takes what this thread peeks at for what is unread: it is not the receiver. When it is
    /// received later, it is not reported again, if the capture sees receives.
    #[must_use]
    pub fn looks_with(self, thread: Option<u32>) -> Follow {
        Follow { looker: thread, ..self }
    }

    /// Returns a connection.
    pub fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id)
    }

    /// Takes the next event in order and returns what it means.
    pub fn next(&mut self, entry: Entry) -> Vec<Piece> {
        let mut pieces = Vec::new();
        match entry {
            Entry::Lost(loss) => {
                self.losses += 1;
                let what = What::Lost(loss);
                pieces.push(Piece { time_ns: 0, flow: 0, from: Side::First, what });
            }
            Entry::Event(event, bytes) => match event.what {
                stoop_bpf::What::Copied(message) => self.copied(event, message, bytes, &mut pieces),
                stoop_bpf::What::Received(received) => self.received(event, received, &mut pieces),
                stoop_bpf::What::Connected => pieces.push(connect(&event)),
                stoop_bpf::What::Sent => self.sent(&event),
                stoop_bpf::What::Passed(file) => self.passed(&file),
                _ => {}
            },
        }
        pieces
    }

    /// Returns messages whose receiver did not become known, and forgets these.
    pub fn give_up(&mut self, now_ns: u64) -> Vec<Piece> {
        let mut old = Vec::new();
        for waiting in self.unclear.values_mut() {
            let len =
                waiting.partition_point(|(event, ..)| event.time_ns.saturating_add(UNCLEAR_MAX_NS) < now_ns);
            old.extend(waiting.drain(..len));
        }
        self.unclear.retain(|_, waiting| !waiting.is_empty());
        let mut pieces = Vec::new();
        for (event, message, bytes) in old {
            if self.all || message.is_wanted == Some(true) {
                self.deliver(event, message, bytes, &mut pieces);
            }
        }
        pieces
    }

    fn copied(&mut self, mut event: Event, message: Message, bytes: Vec<u8>, pieces: &mut Vec<Piece>) {
        if event.receiver == End::default() {
            let sender = self.sockets.number(event.sender);
            let known = self.partners.get(&sender).filter(|_| event.kind != SocketKind::DATAGRAM);
            match known.and_then(|partner| self.sockets.end(*partner)) {
                Some(receiver) => event.receiver = receiver,
                None => {
                    let waiting = self.unclear.entry(event.tid).or_default();
                    waiting.retain(|(other, ..)| {
                        other.sender == event.sender || other.kind == SocketKind::DATAGRAM
                    });
                    return waiting.push((event, message, bytes));
                }
            }
        }
        self.deliver(event, message, bytes, pieces);
    }

    /// Remembers a file of the message that is reported next.
    fn passed(&mut self, file: &stoop_bpf::PassedFile) {
        if self.passing.len() >= PASSING_MAX {
            self.passing.clear();
        }
        let files = self.passing.entry(file.buffer).or_default();
        if file.place == 0 {
            files.clear();
        }
        files.push(Passed::of(file));
    }

    /// Remembers which process sends with a socket.
    fn sent(&mut self, event: &Event) {
        let (sender, receiver) = (self.sockets.number(event.sender), self.sockets.number(event.receiver));
        let process = (event.pid, event.command.as_bytes().to_vec());
        let flow = self.by_ends.get(&(sender, receiver)).copied();
        if let Some((flow, side)) = flow.and_then(|(id, side)| Some((self.flows.get_mut(&id)?, side))) {
            flow.ends[side.index()].process.get_or_insert_with(|| process.clone());
        }
        self.senders.insert(sender, process);
    }

    fn received(&mut self, event: Event, received: Received, pieces: &mut Vec<Piece>) {
        for (mut copy, message, bytes) in self.unclear.remove(&event.tid).unwrap_or_default() {
            let same_sender = event.sender.cookie.is_none() || event.sender.cookie == copy.sender.cookie;
            if same_sender && copy.kind == event.kind {
                copy.receiver = event.receiver;
                self.deliver(copy, message, bytes, pieces);
            } else if self.all {
                self.deliver(copy, message, bytes, pieces);
            }
        }
        if received.peeked {
            return self.keep_peeked(event, received.result);
        }
        let what = match received.result {
            0 if event.kind == SocketKind::STREAM => What::End,
            negative if negative < 0 => What::Error(negative.saturating_neg()),
            _ => return,
        };
        if event.sender != End::default() {
            let (flow, from) = self.flow_of(&event);
            pieces.push(Piece { time_ns: event.time_ns, flow, from, what });
        }
    }

    /// Marks the messages that a call has left in the queue: the last ones of this thread. Of a
    /// stream as many as it returned bytes, else one, whose length the result may exceed or be
    /// (`MSG_TRUNC`).
    fn keep_peeked(&mut self, event: Event, result: i32) {
        let is_stream = event.kind == SocketKind::STREAM;
        let mut left = if is_stream || result < 0 { i64::from(result) } else { 1 };
        for copied in self.copies.remove(&event.tid).unwrap_or_default().iter().rev() {
            if left <= 0 {
                return;
            }
            left -= if is_stream { i64::from(copied.copied) } else { 1 };
            if let Some(flow) = self.flows.get_mut(&copied.flow) {
                flow.directions[copied.from.index()].keep(copied.contents);
            }
        }
    }

    fn deliver(&mut self, event: Event, message: Message, mut bytes: Vec<u8>, pieces: &mut Vec<Piece>) {
        let (id, from) = self.flow_of(&event);
        let copies = self.copies.entry(event.tid).or_default();
        if copies.len() == COPIES_MAX {
            copies.pop_front();
        }
        let contents = Contents::of(&message, &bytes, event.kind == SocketKind::STREAM);
        copies.push_back(Copied { flow: id, from, contents, copied: message.copied });
        let mut files = self.passing.remove(&message.buffer).unwrap_or_default();
        files.truncate(message.fds.into());
        let Some(flow) = self.flows.get_mut(&id) else { return };
        let is_unread = self.looker == Some(event.tid);
        if !is_unread {
            let receiver = &mut flow.ends[from.other().index()];
            receiver.process = Some((event.pid, event.command.as_bytes().to_vec()));
        }
        let direction = &mut flow.directions[from.index()];
        let reported = direction.reported(&message, &bytes, self.losses);
        let len = message.len.saturating_sub(reported.unwrap_or(message.consumed));
        let what = match reported {
            None if message.consumed == 0 => {
                What::Data(Data { bytes, len, fds: message.fds, files, is_unread })
            }
            Some(_) if len == 0 => return,
            Some(reported) if bytes.len() > reported as usize => {
                let bytes = bytes.split_off(reported as usize);
                What::Data(Data { bytes, len, is_unread, ..Data::default() })
            }
            _ => What::Missed(len.into()),
        };
        pieces.push(Piece { time_ns: event.time_ns, flow: id, from, what });
    }

    /// Forgets the connections that were not used for longest, and their sockets.
    fn forget_half(&mut self) {
        let mut times: Vec<u64> = self.flows.values().map(|flow| flow.last_ns).collect();
        let middle = times.len() / 2;
        let (_, median, _) = times.select_nth_unstable(middle);
        let median = *median;
        self.flows.retain(|_, flow| flow.last_ns > median);
        let flows = &self.flows;
        self.by_ends.retain(|_, (id, _)| flows.contains_key(id));
        let used: HashSet<u64> = flows.values().flat_map(|flow| flow.numbers).collect();
        self.partners.retain(|number, _| used.contains(number));
        self.senders.retain(|number, _| used.contains(number));
        self.sockets.retain(&used);
        self.copies.clear();
    }

    /// Returns the connection of an event and the end that sent, and creates it if it is new.
    fn flow_of(&mut self, event: &Event) -> (FlowId, Side) {
        let (sender, receiver) = (self.sockets.number(event.sender), self.sockets.number(event.receiver));
        if sender != 0 && receiver != 0 {
            self.partners.insert(sender, receiver);
            self.partners.insert(receiver, sender);
        }
        if let Some((id, side)) = self.by_ends.get(&(sender, receiver)).copied() {
            if let Some(flow) = self.flows.get_mut(&id) {
                flow.last_ns = event.time_ns;
                flow.ends[side.index()].socket.learn(event.sender);
                flow.ends[side.other().index()].socket.learn(event.receiver);
            }
            return (id, side);
        }
        if self.flows.len() >= FLOWS_MAX {
            self.forget_half();
        }
        self.last_flow += 1;
        let id = self.last_flow;
        let process = |number: u64| self.senders.get(&number).cloned();
        let ends = [
            Endpoint { socket: event.sender, process: process(sender) },
            Endpoint { socket: event.receiver, process: process(receiver) },
        ];
        self.flows.insert(
            id,
            Flow {
                kind: event.kind,
                ends,
                numbers: [sender, receiver],
                last_ns: event.time_ns,
                directions: Default::default(),
            },
        );
        self.by_ends.insert((sender, receiver), (id, Side::First));
        self.by_ends.insert((receiver, sender), (id, Side::Second));
        (id, Side::First)
    }
}

fn connect(event: &Event) -> Piece {
    let process = (event.pid, event.command.as_bytes().to_vec());
    let what = What::Connect { listener: event.receiver, process };
    Piece { time_ns: event.time_ns, flow: 0, from: Side::First, what }
}
