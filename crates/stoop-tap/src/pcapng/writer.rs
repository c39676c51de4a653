//! Writing. Pure.

use std::collections::HashMap;

use stoop_bpf::SocketKind;

use super::block::{end_of_options, push, push_option};
use super::label::{BETWEEN, Label};
use super::packet::Parts;
use super::{
    ACK, APPLICATION, BYTE_ORDER, COMMENT, FIN, HARDWARE_OS, IF_DROP, IF_NAME, IF_TSRESOL, INTERFACE,
    LINK_DBUS, LINK_RAW, NAMES, OS_DROP, PACKET, PSH, RST, SECTION, STATISTICS, SYN, TCP, UDP,
};
use crate::decode::Protocol;
use crate::decode::dbus::message_len;
use crate::follow::{Data, FlowId, Side};
use crate::reorder::{Cause, Loss};

/// The numbers of the interfaces.
const RAW: u32 = 0;
const DBUS: u32 = 1;
const SNAP: u32 = 0x4_0000;
/// The longest payload of one packet.
const SEGMENT_MAX: usize = 60_000;
/// The longest captured part of a message.
const MESSAGE_MAX: usize = 65_000;
/// By how much one packet may advance the sequence number, of which half is behind the other.
const GAP_MAX: u32 = 1 << 30;
/// The first port of clients; the connection's number is added.
const CLIENT_PORT: u64 = 10_000;

/// Writes a capture into memory; the caller moves the bytes to where they belong.
///
/// All times are nanoseconds since 1970.
///
/// # Examples
///
/// ```
/// use stoop_tap::pcapng::{Label, Writer};
/// use stoop_tap::{Data, Protocol, Side, SocketKind};
///
/// let mut writer = Writer::new("example");
/// let mut server = Label::default();
/// server.address = Some("/run/app.sock".into());
/// writer.open(1, SocketKind::STREAM, Protocol::Http1, [&Label::default(), &server], 5_000);
/// writer.data(1, Side::First, 6_000, &Data::new(b"GET / HTTP/1.1\r\n\r\n".to_vec()));
/// let file = writer.take();
/// assert_eq!(file[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
/// ```
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    flows: HashMap<FlowId, Conversation>,
    /// Beginnings of D-Bus messages that are continued in this file.
    begun: HashMap<FlowId, [Vec<u8>; 2]>,
    /// How many events were lost.
    lost: u64,
    /// How many events at most were not seen, because the kernel skipped programs.
    skipped: u64,
}

/// A connection in the file.
#[derive(Debug)]
struct Conversation {
    transport: u8,
    addresses: [[u8; 4]; 2],
    ports: [u16; 2],
    /// The next sequence number of each end.
    sequence: [u32; 2],
    /// For D-Bus: the beginning of a message of each end, and the ends in words.
    messages: Option<([Vec<u8>; 2], [String; 2])>,
}

impl Writer {
    /// Begins a file: a section, and an interface for each link type, with nanoseconds.
    pub fn new(application: &str) -> Writer {
        let mut writer =
            Writer { bytes: Vec::new(), flows: HashMap::new(), begun: HashMap::new(), lost: 0, skipped: 0 };
        let mut section = Vec::new();
        section.extend(BYTE_ORDER.to_le_bytes());
        section.extend([1, 0, 0, 0]);
        section.extend(u64::MAX.to_le_bytes());
        push_option(&mut section, HARDWARE_OS, b"Linux");
        push_option(&mut section, APPLICATION, application.as_bytes());
        end_of_options(&mut section);
        push(&mut writer.bytes, SECTION, &section);
        for (link, name) in [(LINK_RAW, &b"unix"[..]), (LINK_DBUS, b"dbus")] {
            let mut interface = Vec::new();
            interface.extend(link.to_le_bytes());
            interface.extend([0, 0]);
            interface.extend(SNAP.to_le_bytes());
            push_option(&mut interface, IF_NAME, name);
            push_option(&mut interface, IF_TSRESOL, &[9]);
            end_of_options(&mut interface);
            push(&mut writer.bytes, INTERFACE, &interface);
        }
        writer
    }

    /// Begins another file, which is to follow what [`Writer::take`] returned. Connections must be
    /// begun again in it.
    pub fn restart(&mut self, application: &str) {
        let next = Writer::new(application);
        let before = std::mem::replace(self, next);
        self.begun = before.begun;
        for (id, flow) in before.flows {
            if let Some((begun, _)) = flow.messages {
                self.begun.insert(id, begun);
            }
        }
    }

    /// Begins a connection. The ends are that which sent first, then the other one.
    pub fn open(
        &mut self,
        flow: FlowId,
        kind: SocketKind,
        protocol: Protocol,
        ends: [&Label; 2],
        time_ns: u64,
    ) {
        let transport = if kind == SocketKind::STREAM { TCP } else { UDP };
        let [_, _, _, _, _, high, middle, low] = flow.to_be_bytes();
        let addresses = [[127, 1 + (high & 0x3f), middle, low], [127, 65 + (high & 0x3f), middle, low]];
        let client = (CLIENT_PORT + flow % 50_000) as u16;
        // The server of MySQL sends first.
        let caller = if protocol == Protocol::Mysql { Side::Second } else { Side::First };
        let mut ports = [port(protocol); 2];
        ports[caller.index()] = client;
        let is_dbus = protocol == Protocol::Dbus;
        let begun = self.begun.remove(&flow).unwrap_or_default();
        let messages = is_dbus.then(|| (begun, ends.map(Label::to_string)));
        let conversation = Conversation { transport, addresses, ports, sequence: [1, 1], messages };
        self.names(flow, kind, &addresses, ends);
        self.flows.insert(flow, conversation);
        if transport == TCP && !is_dbus {
            let comment = format!("{} to {}", ends[caller.index()], ends[caller.other().index()]);
            self.handshake(flow, caller, time_ns, &comment);
        }
    }

    /// Returns whether a connection was begun.
    pub fn has(&self, flow: FlowId) -> bool {
        self.flows.contains_key(&flow)
    }

    /// Writes data. `len` is its true length if not all of it was captured. Of a message, at most
    /// 65,000 bytes are written.
    pub fn data(&mut self, flow: FlowId, from: Side, time_ns: u64, data: &Data) {
        let Data { bytes, len, .. } = data;
        let (comment, len) = (super::label::of(data), *len);
        let Some(conversation) = self.flows.get(&flow) else { return };
        if conversation.messages.is_some() {
            return self.messages(flow, from, time_ns, data, &comment);
        }
        let mut left = len.max(bytes.len() as u32).min(GAP_MAX);
        if conversation.transport == UDP || bytes.is_empty() {
            let bytes = &bytes[..bytes.len().min(MESSAGE_MAX)];
            return self.packet(flow, from, time_ns, PSH | ACK, (bytes, left), &comment);
        }
        let mut parts = bytes.chunks(SEGMENT_MAX).peekable();
        let mut comment = &comment[..];
        while let Some(part) = parts.next() {
            let true_len = if parts.peek().is_some() { part.len() as u32 } else { left };
            self.packet(flow, from, time_ns, PSH | ACK, (part, true_len), comment);
            left = left.saturating_sub(part.len() as u32);
            comment = "";
        }
    }

    /// Writes that so many bytes of a connection were not seen.
    pub fn missed(&mut self, flow: FlowId, from: Side, time_ns: u64, len: u64) {
        if let Some(messages) = self.flows.get_mut(&flow).and_then(|flow| flow.messages.as_mut()) {
            messages.0[from.index()].clear();
            return;
        }
        let mut left = len;
        while left > 0 {
            let len = left.min(GAP_MAX.into()) as u32;
            self.packet(flow, from, time_ns, PSH | ACK, (&[], len), &format!("{len} bytes not seen"));
            left -= u64::from(len);
        }
    }

    /// Writes that the receiver got this `errno` instead of what this end has sent.
    pub fn error(&mut self, flow: FlowId, from: Side, time_ns: u64, errno: i32) {
        if self.is_segments(flow) {
            self.packet(flow, from, time_ns, RST | ACK, (&[], 0), &format!("errno {errno}"));
        }
    }

    /// Ends a direction.
    pub fn end(&mut self, flow: FlowId, from: Side, time_ns: u64) {
        if self.is_segments(flow) {
            self.packet(flow, from, time_ns, FIN | ACK, (&[], 0), "");
        }
    }

    /// Writes that events were lost.
    pub fn lost(&mut self, time_ns: u64, loss: Loss) {
        let (option, total) = match loss.cause {
            Cause::BufferFull => (IF_DROP, &mut self.lost),
            Cause::ProgramSkipped => (OS_DROP, &mut self.skipped),
        };
        *total = total.saturating_add(loss.count);
        let mut block = statistics(time_ns);
        push_option(&mut block, option, &total.to_le_bytes());
        end_of_options(&mut block);
        push(&mut self.bytes, STATISTICS, &block);
    }

    /// Writes that a process has connected to a listener.
    pub fn connected(&mut self, time_ns: u64, client: &Label, listener: &Label) {
        let mut block = statistics(time_ns);
        let comment = format!("connect {}{BETWEEN}{}", client.fields(), listener.fields());
        push_option(&mut block, COMMENT, comment.as_bytes());
        end_of_options(&mut block);
        push(&mut self.bytes, STATISTICS, &block);
    }

    /// Returns what was written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Whether the connection is written as TCP.
    fn is_segments(&self, flow: FlowId) -> bool {
        self.flows.get(&flow).is_some_and(|flow| flow.transport == TCP && flow.messages.is_none())
    }

    /// Writes the D-Bus messages that end in these bytes. The authentication is left out, which has
    /// no link type; what follows a gap, too, up to the next message that begins a piece.
    fn messages(&mut self, flow: FlowId, from: Side, time_ns: u64, data: &Data, files: &str) {
        let Some((begun, ends)) = self.flows.get_mut(&flow).and_then(|flow| flow.messages.as_mut()) else {
            return;
        };
        let way = if from == Side::First { "1 to 2" } else { "2 to 1" };
        let mut comment =
            format!("connection {flow}, {way}: {} to {}", ends[from.index()], ends[from.other().index()]);
        let is_cut = data.len as usize > data.bytes.len();
        let mut pending = std::mem::take(&mut begun[from.index()]);
        pending.extend(&data.bytes);
        let (whole, rest) = whole_messages(&pending);
        begun[from.index()] = if is_cut { Vec::new() } else { rest.to_vec() };
        if !files.is_empty() {
            // They come with the begin of a message, which may be the first of several.
            comment = format!("{files}; {comment}");
        }
        for message in whole {
            self.packet_block(DBUS, time_ns, message, message.len() as u32, &comment);
        }
    }

    fn handshake(&mut self, flow: FlowId, caller: Side, time_ns: u64, comment: &str) {
        self.packet(flow, caller, time_ns, SYN, (&[], 0), comment);
        self.packet(flow, caller.other(), time_ns, SYN | ACK, (&[], 0), "");
        self.packet(flow, caller, time_ns, ACK, (&[], 0), "");
    }

    /// Writes a packet with this payload and its true length, and counts what the sender has sent.
    fn packet(
        &mut self,
        flow: FlowId,
        from: Side,
        time_ns: u64,
        flags: u8,
        (payload, true_len): (&[u8], u32),
        comment: &str,
    ) {
        let Some(conversation) = self.flows.get_mut(&flow) else { return };
        let packet = conversation.packet(from, flags, payload, true_len);
        let missing = true_len.saturating_sub(payload.len() as u32);
        self.packet_block(RAW, time_ns, &packet, (packet.len() as u32).saturating_add(missing), comment);
    }

    fn packet_block(&mut self, interface: u32, time_ns: u64, packet: &[u8], true_len: u32, comment: &str) {
        let mut block = Vec::with_capacity(packet.len() + 64);
        block.extend(interface.to_le_bytes());
        push_time(&mut block, time_ns);
        block.extend((packet.len() as u32).to_le_bytes());
        block.extend(true_len.to_le_bytes());
        block.extend(packet);
        block.resize(block.len().next_multiple_of(4), 0);
        if !comment.is_empty() {
            push_option(&mut block, COMMENT, comment.as_bytes());
            end_of_options(&mut block);
        }
        push(&mut self.bytes, PACKET, &block);
    }

    /// A name resolution block: an IPv4 address and a name each, and the connection as a comment.
    fn names(&mut self, flow: FlowId, kind: SocketKind, addresses: &[[u8; 4]; 2], ends: [&Label; 2]) {
        let mut block = Vec::new();
        for (address, end) in addresses.iter().zip(ends) {
            let mut value = address.to_vec();
            // Wireshark takes a name up to a blank.
            let name = end.to_string();
            value.extend(name.bytes().map(|byte| if byte.is_ascii_graphic() { byte } else { b'_' }));
            value.push(0);
            push_option(&mut block, 1, &value);
        }
        end_of_options(&mut block);
        let [first, second] = ends.map(Label::fields);
        let comment = format!("connection {flow} type {}{BETWEEN}{first}{BETWEEN}{second}", kind.0);
        push_option(&mut block, COMMENT, comment.as_bytes());
        end_of_options(&mut block);
        push(&mut self.bytes, NAMES, &block);
    }
}

impl Conversation {
    fn packet(&mut self, from: Side, flags: u8, payload: &[u8], len: u32) -> Vec<u8> {
        let (own, other) = (from.index(), from.other().index());
        let end = |at: usize| (self.addresses[at], self.ports[at]);
        let parts = Parts {
            transport: self.transport,
            ends: [end(own), end(other)],
            flags,
            sequence: self.sequence[own].wrapping_sub(u32::from(flags & SYN != 0)),
            acknowledged: if flags & ACK == 0 { 0 } else { self.sequence[other] },
            payload,
            len,
        };
        let finishes = u32::from(flags & FIN != 0);
        self.sequence[own] = self.sequence[own].wrapping_add(len).wrapping_add(finishes);
        parts.packet()
    }
}

/// Splits off the D-Bus messages that are whole, and lines of the authentication.
fn whole_messages(pending: &[u8]) -> (Vec<&[u8]>, &[u8]) {
    let (mut whole, mut rest) = (Vec::new(), pending);
    loop {
        match message_len(rest) {
            Some(len) if len > 0 && len <= rest.len() => {
                whole.push(&rest[..len]);
                rest = &rest[len..];
            }
            Some(_) => return (whole, rest),
            // A line of the authentication.
            None => match rest.iter().position(|byte| *byte == b'\n' || *byte == 0) {
                Some(end) => rest = &rest[end + 1..],
                None => rest = &[],
            },
        }
    }
}

/// The port by which Wireshark recognizes a protocol.
fn port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Http1 | Protocol::Http2 | Protocol::Grpc => 80,
        Protocol::Redis => 6379,
        Protocol::Mysql => 3306,
        Protocol::Postgres => 5432,
        Protocol::Syslog => 514,
        Protocol::X11 => 6000,
        _ => 9,
    }
}

fn statistics(time_ns: u64) -> Vec<u8> {
    let mut block = RAW.to_le_bytes().to_vec();
    push_time(&mut block, time_ns);
    block
}

fn push_time(block: &mut Vec<u8>, time_ns: u64) {
    block.extend(((time_ns >> 32) as u32).to_le_bytes());
    block.extend((time_ns as u32).to_le_bytes());
}
