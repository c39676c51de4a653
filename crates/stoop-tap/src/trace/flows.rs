//! From transfers at single sockets to connections. Pure.
//!
//! If both ends of a connection are traced, each byte is seen twice: it is shown when the first of
//! the two calls returns.

use std::collections::{HashMap, VecDeque};

use stoop_bpf::{End, SocketKind};

use super::call::{Act, Transfer};
use crate::follow::{Data, Endpoint, Flow, FlowId, Piece, Side, What};

/// How many datagrams to one receiver are remembered, to recognize them at the other end.
const UNMATCHED_MAX: usize = 256;
/// How much of a datagram is compared.
const COMPARED_BYTES: usize = 256;
/// Marks the cookies of ends that have no known socket.
const UNKNOWN: u64 = 1 << 63;

/// A socket, as the kernel describes it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    pub(crate) inode: u32,
    pub(crate) kind: SocketKind,
    pub(crate) peer: Option<u32>,
    /// A path, or a zero byte and an abstract name.
    pub(crate) name: Option<Vec<u8>>,
    /// The name of the peer, of datagram sockets.
    pub(crate) peer_name: Option<Vec<u8>>,
}

/// A call that has returned.
#[derive(Clone, Debug)]
pub(crate) struct Observed {
    pub(crate) time_ns: u64,
    pub(crate) process: (u32, Vec<u8>),
    pub(crate) socket: Socket,
    pub(crate) act: Act,
    /// A negative `errno`, or what was transferred.
    pub(crate) result: Result<Vec<Transfer>, i32>,
}

/// A socket's inode, and for datagrams the address at the other end.
type Other = (u32, Option<Vec<u8>>);
/// A datagram that was seen at one end: the inode of that socket, and the bytes.
type Unmatched = (Act, u32, Vec<u8>);

/// The connections of the traced processes.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    flows: HashMap<FlowId, Conversation>,
    /// Connections by a socket, and for datagrams the address at the other end.
    by_end: HashMap<Other, (FlowId, Side)>,
    /// The addresses of ends whose sockets are not known, and of listeners.
    addresses: HashMap<End, Vec<u8>>,
    /// Datagrams that were seen at one end, by their receiver.
    unmatched: HashMap<Vec<u8>, VecDeque<Unmatched>>,
    last_flow: FlowId,
}

#[derive(Debug)]
struct Conversation {
    flow: Flow,
    /// What was sent, received and shown of each direction, in bytes or messages.
    directions: [Direction; 2],
}

#[derive(Clone, Copy, Debug, Default)]
struct Direction {
    sent: u64,
    received: u64,
    shown: u64,
}

impl Flows {
    /// Returns a connection.
    pub(crate) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id).map(|conversation| &conversation.flow)
    }

    /// Returns the address of an end whose socket is not known, or to which a process connected.
    pub(crate) fn address(&self, end: End) -> Option<&[u8]> {
        self.addresses.get(&end).map(Vec::as_slice)
    }

    /// Takes a call and returns what it means.
    pub(crate) fn next(&mut self, observed: Observed) -> Vec<Piece> {
        let Observed { time_ns, process, socket, act, result } = observed;
        match (act, result) {
            (Act::Connect, Ok(transfers)) => self.connected(time_ns, process, &socket, transfers),
            (Act::Connect, Err(_)) => Vec::new(),
            (_, Ok(transfers)) => {
                let pieces = transfers
                    .into_iter()
                    .filter_map(|transfer| self.transfer(time_ns, &process, &socket, act, transfer));
                pieces.collect()
            }
            (Act::Receive, Err(errno)) => {
                let (flow, own) = self.flow_of(&socket, act, None, &process);
                vec![Piece::new(time_ns, flow, own.other(), What::Error(errno))]
            }
            (Act::Send, Err(_)) => Vec::new(),
        }
    }

    fn connected(
        &mut self,
        time_ns: u64,
        process: (u32, Vec<u8>),
        socket: &Socket,
        mut transfers: Vec<Transfer>,
    ) -> Vec<Piece> {
        let address = transfers.pop().and_then(|transfer| transfer.address);
        let Some(address) = address.filter(|_| socket.kind != SocketKind::DATAGRAM) else {
            return Vec::new();
        };
        let (id, own) = self.flow_of(socket, Act::Send, None, &process);
        if let Some(conversation) = self.flows.get(&id) {
            self.addresses.insert(conversation.flow.ends[own.other().index()].socket, address.clone());
        }
        let listener = End { cookie: Some(UNKNOWN | 1 << 62 | id), inode: None };
        self.addresses.insert(listener, address);
        vec![Piece::new(time_ns, 0, Side::First, What::Connect { listener, process })]
    }

    fn transfer(
        &mut self,
        time_ns: u64,
        process: &(u32, Vec<u8>),
        socket: &Socket,
        act: Act,
        mut transfer: Transfer,
    ) -> Option<Piece> {
        let is_datagram = socket.kind == SocketKind::DATAGRAM;
        if is_datagram && self.was_seen(socket, act, &transfer) {
            return None;
        }
        let (id, own) = self.flow_of(socket, act, transfer.address.take().filter(|_| is_datagram), process);
        let from = if act == Act::Send { own } else { own.other() };
        if act == Act::Receive && transfer.len == 0 && socket.kind == SocketKind::STREAM {
            return Some(Piece::new(time_ns, id, from, What::End));
        }
        let direction = &mut self.flows.get_mut(&id)?.directions[from.index()];
        let is_stream = socket.kind == SocketKind::STREAM;
        let len = if is_stream { transfer.len.into() } else { 1 };
        let known = if is_datagram { 0 } else { direction.known(act, len) };
        if known == len {
            return None;
        }
        let Transfer { mut bytes, len, fds, .. } = transfer;
        bytes.drain(..bytes.len().min(known as usize));
        let data = Data { bytes, len: len - known as u32, fds, ..Data::default() };
        Some(Piece::new(time_ns, id, from, What::Data(data)))
    }

    /// Returns whether a datagram was seen at its other end, and remembers it if it was not.
    fn was_seen(&mut self, socket: &Socket, act: Act, transfer: &Transfer) -> bool {
        let inode = |inode: u32| inode.to_ne_bytes().to_vec();
        let receiver = match act {
            Act::Send => transfer.address.clone().or(socket.peer_name.clone()).or(socket.peer.map(inode)),
            _ => socket.name.clone().or(Some(inode(socket.inode))),
        };
        let seen = self.unmatched.entry(receiver.unwrap_or_default()).or_default();
        let begin = &transfer.bytes[..transfer.bytes.len().min(COMPARED_BYTES)];
        let is_same =
            |other: &(Act, u32, Vec<u8>)| other.0 != act && other.1 == transfer.len && other.2 == begin;
        if let Some(at) = seen.iter().position(is_same) {
            seen.remove(at);
            return true;
        }
        if seen.len() == UNMATCHED_MAX {
            seen.pop_front();
        }
        seen.push_back((act, transfer.len, begin.to_vec()));
        false
    }

    /// Returns the connection of a socket and the end that it is, and creates it if it is new.
    fn flow_of(
        &mut self,
        socket: &Socket,
        act: Act,
        address: Option<Vec<u8>>,
        process: &(u32, Vec<u8>),
    ) -> (FlowId, Side) {
        let key = (socket.inode, address);
        let peer = socket.peer.filter(|_| key.1.is_none());
        let known = self.by_end.get(&key).copied();
        let known = known.or_else(|| {
            let (id, side) = self.by_end.get(&(peer?, None)).copied()?;
            Some((id, side.other()))
        });
        let (id, own) = known.unwrap_or_else(|| self.open(socket.kind, act, key.1.clone()));
        self.by_end.insert(key, (id, own));
        if let Some(conversation) = self.flows.get_mut(&id) {
            let end = &mut conversation.flow.ends[own.index()];
            end.socket = End { cookie: None, inode: Some(socket.inode) };
            end.process = Some(process.clone());
            let other = &mut conversation.flow.ends[own.other().index()].socket;
            if let Some(peer) = peer.filter(|_| other.inode.is_none()) {
                let before = std::mem::replace(other, End { cookie: None, inode: Some(peer) });
                if let Some(address) = self.addresses.get(&before).cloned() {
                    self.addresses.insert(*other, address);
                }
            }
        }
        (id, own)
    }

    fn open(&mut self, kind: SocketKind, act: Act, address: Option<Vec<u8>>) -> (FlowId, Side) {
        self.last_flow += 1;
        let id = self.last_flow;
        let own = if act == Act::Send { Side::First } else { Side::Second };
        let ends = [0, 1].map(|side| {
            let socket = End { cookie: Some(UNKNOWN | id << 1 | side), inode: None };
            Endpoint { socket, process: None }
        });
        if let Some(address) = address {
            self.addresses.insert(ends[own.other().index()].socket, address);
        }
        let flow = Flow::new(kind, ends);
        self.flows.insert(id, Conversation { flow, directions: Default::default() });
        (id, own)
    }
}

impl Direction {
    /// Counts what a call has moved, and returns how much of it was seen at the other end.
    fn known(&mut self, act: Act, len: u64) -> u64 {
        let moved = if act == Act::Send { &mut self.sent } else { &mut self.received };
        let known = self.shown.saturating_sub(*moved).min(len);
        *moved += len;
        self.shown = self.shown.max(*moved);
        known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(inode: u32, peer: u32, kind: SocketKind) -> Socket {
        Socket { inode, kind, peer: Some(peer).filter(|peer| *peer != 0), name: None, peer_name: None }
    }

    fn call(socket: Socket, act: Act, bytes: &[u8]) -> Observed {
        let transfer = Transfer { bytes: bytes.to_vec(), len: bytes.len() as u32, ..Transfer::default() };
        Observed { time_ns: 1, process: (7, b"x".to_vec()), socket, act, result: Ok(vec![transfer]) }
    }

    fn shown(pieces: Vec<Piece>) -> Vec<(FlowId, Side, Vec<u8>)> {
        let data = |piece: Piece| match piece.what {
            What::Data(data) => (piece.flow, piece.from, data.bytes),
            other => panic!("{other:?}"),
        };
        pieces.into_iter().map(data).collect()
    }

    #[test]
    fn bytes_that_both_ends_report_are_shown_once_whichever_comes_first() {
        let (a, b) = (|| socket(1, 2, SocketKind::STREAM), || socket(2, 1, SocketKind::STREAM));
        let mut flows = Flows::default();
        let mut seen = Vec::new();
        for (socket, act, bytes) in [
            (a(), Act::Send, &b"abc"[..]),
            (b(), Act::Receive, b"ab"),
            (b(), Act::Receive, b"cde"),
            (a(), Act::Send, b"def"),
            (b(), Act::Receive, b"f"),
            (b(), Act::Send, b"xy"),
        ] {
            seen.extend(shown(flows.next(call(socket, act, bytes))));
        }
        let text = |from| -> Vec<u8> {
            seen.iter().filter(|piece| piece.1 == from).flat_map(|piece| piece.2.clone()).collect()
        };
        assert_eq!((text(Side::First), text(Side::Second)), (b"abcdef".to_vec(), b"xy".to_vec()));
        assert!(seen.iter().all(|piece| piece.0 == 1));
    }

    #[test]
    fn a_connection_keeps_its_number_when_its_peer_becomes_known() {
        let mut flows = Flows::default();
        let connect = Transfer { address: Some(b"/run/x".to_vec()), ..Transfer::default() };
        let mut observed = call(socket(1, 0, SocketKind::STREAM), Act::Connect, b"");
        observed.result = Ok(vec![connect]);
        let pieces = flows.next(observed);
        let What::Connect { listener, .. } = &pieces[0].what else { panic!("{pieces:?}") };
        assert_eq!(flows.address(*listener), Some(&b"/run/x"[..]));
        for peer in [0, 2] {
            let seen = shown(flows.next(call(socket(1, peer, SocketKind::STREAM), Act::Send, b"a")));
            assert_eq!(seen, [(1, Side::First, b"a".to_vec())]);
            assert_eq!(flows.address(flows.flow(1).unwrap().ends[1].socket), Some(&b"/run/x"[..]));
        }
        let end = flows.next(call(socket(1, 2, SocketKind::STREAM), Act::Receive, b""));
        assert_eq!(end, [Piece::new(1, 1, Side::Second, What::End)]);
    }

    #[test]
    fn a_datagram_that_both_ends_report_is_shown_once() {
        let mut flows = Flows::default();
        let to = |bytes: &[u8]| {
            let mut sent = call(socket(1, 0, SocketKind::DATAGRAM), Act::Send, bytes);
            sent.result.as_mut().unwrap()[0].address = Some(b"/run/log".to_vec());
            sent
        };
        let at = |bytes: &[u8]| {
            let mut received = call(socket(2, 0, SocketKind::DATAGRAM), Act::Receive, bytes);
            received.socket.name = Some(b"/run/log".to_vec());
            received
        };
        let connected = |bytes: &[u8]| {
            let mut sent = call(socket(1, 2, SocketKind::DATAGRAM), Act::Send, bytes);
            sent.socket.peer_name = Some(b"/run/log".to_vec());
            sent
        };
        let order = [
            to(b"a"),
            at(b"a"),
            at(b"b"),
            connected(b"b"),
            to(b"a"),
            to(b"a"),
            at(b"a"),
            connected(b"c"),
            at(b"c"),
        ];
        let seen: Vec<_> =
            order.into_iter().flat_map(|call| shown(flows.next(call))).map(|one| one.2).collect();
        assert_eq!(seen, [b"a", b"b", b"a", b"a", b"c"]);
    }
}
