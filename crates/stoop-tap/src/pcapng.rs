//! A pcapng writer, for Wireshark. Pure.
//!
//! A connection is written as TCP over IPv4 (link type `RAW`): each end gets an address from
//! 127.0.0.0/8 and a port by which Wireshark knows the protocol. Messages of datagram and seqpacket
//! sockets are written as UDP. D-Bus connections are written as `DBUS` messages. What the ends are
//! is in comments, and in name resolution blocks.

use std::collections::HashMap;

use crate::decode::Protocol;
use crate::decode::dbus::message_len;
use crate::follow::{FlowId, Side};
use stoop_bpf::SocketKind;

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const NAMES: u32 = 4;
const PACKET: u32 = 6;
const LINK_RAW: u16 = 101;
const LINK_DBUS: u16 = 231;
/// The numbers of the interfaces.
const RAW: u32 = 0;
const DBUS: u32 = 1;
const SNAP: u32 = 0x4_0000;
/// Option codes.
const COMMENT: u16 = 1;
const IF_NAME: u16 = 2;
const IF_TSRESOL: u16 = 9;
const HARDWARE_OS: u16 = 3;
const APPLICATION: u16 = 4;

/// The longest payload of one packet.
const SEGMENT_MAX: usize = 60_000;
const TCP: u8 = 6;
const UDP: u8 = 17;
const SYN: u8 = 2;
const FIN: u8 = 1;
const PSH: u8 = 8;
const ACK: u8 = 16;
/// The first port of clients; the connection's number is added.
const CLIENT_PORT: u64 = 10_000;

/// Writes a capture into memory; the caller moves the bytes to where they belong.
///
/// # Examples
///
/// ```
/// use stoop_tap::pcapng::Writer;
/// use stoop_tap::{Protocol, Side, SocketKind};
///
/// let mut writer = Writer::new("example");
/// let ends = ["curl (pid 12)", "/run/app.sock"];
/// writer.open(1, SocketKind::STREAM, Protocol::Http1, ends, 5_000);
/// writer.data(1, Side::First, 6_000, b"GET / HTTP/1.1\r\n\r\n", 18, 0);
/// let file = writer.take();
/// assert_eq!(file[..4], [0x0a, 0x0d, 0x0d, 0x0a]);
/// ```
#[derive(Debug)]
pub struct Writer {
    bytes: Vec<u8>,
    flows: HashMap<FlowId, Conversation>,
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
        let mut writer = Writer { bytes: Vec::new(), flows: HashMap::new() };
        let mut section = Vec::new();
        section.extend(0x1a2b_3c4du32.to_le_bytes());
        section.extend([1, 0, 0, 0]);
        section.extend(u64::MAX.to_le_bytes());
        option(&mut section, HARDWARE_OS, b"Linux");
        option(&mut section, APPLICATION, application.as_bytes());
        end_of_options(&mut section);
        writer.block(SECTION, &section);
        for (link, name) in [(LINK_RAW, &b"unix"[..]), (LINK_DBUS, b"dbus")] {
            let mut interface = Vec::new();
            interface.extend(link.to_le_bytes());
            interface.extend([0, 0]);
            interface.extend(SNAP.to_le_bytes());
            option(&mut interface, IF_NAME, name);
            option(&mut interface, IF_TSRESOL, &[9]);
            end_of_options(&mut interface);
            writer.block(INTERFACE, &interface);
        }
        writer
    }

    /// Begins a connection at this time (nanoseconds since 1970). The ends are described in words:
    /// that which sent first, then the other one.
    pub fn open(
        &mut self,
        flow: FlowId,
        kind: SocketKind,
        protocol: Protocol,
        ends: [&str; 2],
        time_ns: u64,
    ) {
        let transport = if kind == SocketKind::STREAM { TCP } else { UDP };
        let [_, _, _, _, _, high, middle, low] = flow.to_be_bytes();
        let addresses = [[127, 1 + (high & 0x3f), middle, low], [127, 65 + (high & 0x3f), middle, low]];
        let client = (CLIENT_PORT + flow % 50_000) as u16;
        let ports = [client, port(protocol)];
        let is_dbus = protocol == Protocol::Dbus;
        let messages = is_dbus.then(|| ([Vec::new(), Vec::new()], ends.map(str::to_owned)));
        let conversation = Conversation { transport, addresses, ports, sequence: [1, 1], messages };
        self.names(&addresses, ends);
        self.flows.insert(flow, conversation);
        if transport == TCP && !is_dbus {
            let comment = format!("{} to {}", ends[0], ends[1]);
            self.handshake(flow, time_ns, &comment);
        }
    }

    /// Returns whether a connection was begun.
    pub fn has(&self, flow: FlowId) -> bool {
        self.flows.contains_key(&flow)
    }

    /// Writes data. `len` is its true length if not all of it was captured.
    pub fn data(&mut self, flow: FlowId, from: Side, time_ns: u64, bytes: &[u8], len: u32, fds: u16) {
        let comment = match fds {
            0 => String::new(),
            1 => "1 file descriptor".to_owned(),
            fds => format!("{fds} file descriptors"),
        };
        if self.flows.get(&flow).is_some_and(|flow| flow.messages.is_some()) {
            return self.messages(flow, from, time_ns, bytes, len as usize > bytes.len());
        }
        let mut parts = bytes.chunks(SEGMENT_MAX).peekable();
        let mut left = len.max(bytes.len() as u32);
        if parts.peek().is_none() {
            self.packet(flow, from, time_ns, PSH | ACK, &[], left, &comment);
            return;
        }
        let mut comment = &comment[..];
        while let Some(part) = parts.next() {
            let true_len = if parts.peek().is_some() { part.len() as u32 } else { left };
            self.packet(flow, from, time_ns, PSH | ACK, part, true_len, comment);
            left -= part.len() as u32;
            comment = "";
        }
    }

    /// Ends a direction.
    pub fn end(&mut self, flow: FlowId, from: Side, time_ns: u64) {
        if self.flows.get(&flow).is_some_and(|flow| flow.transport == TCP && flow.messages.is_none()) {
            self.packet(flow, from, time_ns, FIN | ACK, &[], 0, "");
        }
    }

    /// Returns what was written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Writes the D-Bus messages that end in these bytes. The authentication is left out, which has
    /// no link type; what follows a gap, too, up to the next message that begins a piece.
    fn messages(&mut self, flow: FlowId, from: Side, time_ns: u64, bytes: &[u8], is_cut: bool) {
        let Some((begun, ends)) = self.flows.get_mut(&flow).and_then(|flow| flow.messages.as_mut()) else {
            return;
        };
        let comment = format!("{} to {}", ends[from.index()], ends[from.other().index()]);
        let mut pending = std::mem::take(&mut begun[from.index()]);
        pending.extend(bytes);
        let mut rest = &pending[..];
        let mut whole = Vec::new();
        loop {
            match message_len(rest) {
                Some(len) if len > 0 && len <= rest.len() => {
                    whole.push(&rest[..len]);
                    rest = &rest[len..];
                }
                Some(_) => break,
                // A line of the authentication.
                None => match rest.iter().position(|byte| *byte == b'\n' || *byte == 0) {
                    Some(end) => rest = &rest[end + 1..],
                    None => rest = &[],
                },
            }
        }
        begun[from.index()] = if is_cut { Vec::new() } else { rest.to_vec() };
        for message in whole {
            self.packet_block(DBUS, time_ns, message, message.len() as u32, &comment);
        }
    }

    fn handshake(&mut self, flow: FlowId, time_ns: u64, comment: &str) {
        self.packet(flow, Side::First, time_ns, SYN, &[], 0, comment);
        self.packet(flow, Side::Second, time_ns, SYN | ACK, &[], 0, "");
        self.packet(flow, Side::First, time_ns, ACK, &[], 0, "");
    }

    /// Writes a packet, and counts what the sender has sent.
    #[expect(clippy::too_many_arguments, reason = "the parts of one packet")]
    fn packet(
        &mut self,
        flow: FlowId,
        from: Side,
        time_ns: u64,
        flags: u8,
        payload: &[u8],
        true_len: u32,
        comment: &str,
    ) {
        let Some(conversation) = self.flows.get_mut(&flow) else { return };
        let packet = conversation.packet(from, flags, payload, true_len);
        let missing = true_len.saturating_sub(payload.len() as u32);
        self.packet_block(RAW, time_ns, &packet, packet.len() as u32 + missing, comment);
    }

    fn packet_block(&mut self, interface: u32, time_ns: u64, packet: &[u8], true_len: u32, comment: &str) {
        let mut block = Vec::with_capacity(packet.len() + 64);
        block.extend(interface.to_le_bytes());
        block.extend(((time_ns >> 32) as u32).to_le_bytes());
        block.extend((time_ns as u32).to_le_bytes());
        block.extend((packet.len() as u32).to_le_bytes());
        block.extend(true_len.to_le_bytes());
        block.extend(packet);
        block.resize(block.len().next_multiple_of(4), 0);
        if !comment.is_empty() {
            option(&mut block, COMMENT, comment.as_bytes());
            end_of_options(&mut block);
        }
        self.block(PACKET, &block);
    }

    /// A name resolution block: an IPv4 address and a name each.
    fn names(&mut self, addresses: &[[u8; 4]; 2], ends: [&str; 2]) {
        let mut block = Vec::new();
        for (address, name) in addresses.iter().zip(ends) {
            let mut value = address.to_vec();
            // Wireshark takes a name up to a blank.
            value.extend(name.bytes().map(|byte| if byte.is_ascii_graphic() { byte } else { b'_' }));
            value.push(0);
            option(&mut block, 1, &value);
        }
        end_of_options(&mut block);
        self.block(NAMES, &block);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let len = (body.len() as u32 + 12).to_le_bytes();
        self.bytes.extend(kind.to_le_bytes());
        self.bytes.extend(len);
        self.bytes.extend(body);
        self.bytes.extend(len);
    }
}

impl Conversation {
    fn packet(&mut self, from: Side, flags: u8, payload: &[u8], true_len: u32) -> Vec<u8> {
        let (own, other) = (from.index(), from.other().index());
        let mut transport = Vec::with_capacity(payload.len() + 20);
        transport.extend(self.ports[own].to_be_bytes());
        transport.extend(self.ports[other].to_be_bytes());
        if self.transport == TCP {
            let synchronizes = u32::from(flags & SYN != 0);
            let sequence = self.sequence[own].wrapping_sub(synchronizes);
            let acknowledged = if flags & ACK == 0 { 0 } else { self.sequence[other] };
            transport.extend(sequence.to_be_bytes());
            transport.extend(acknowledged.to_be_bytes());
            transport.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
            let finishes = u32::from(flags & FIN != 0);
            self.sequence[own] = self.sequence[own].wrapping_add(true_len + finishes);
        } else {
            transport.extend((8 + true_len.min(65_507) as u16).to_be_bytes());
            transport.extend([0, 0]);
        }
        let len = (20 + transport.len() as u32 + true_len).min(65_535) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, self.transport, 0, 0]);
        packet.extend(self.addresses[own]);
        packet.extend(self.addresses[other]);
        let sum = checksum(&packet).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
        packet.extend(transport);
        packet.extend(payload);
        packet
    }
}

/// The port by which Wireshark recognizes a protocol.
fn port(protocol: Protocol) -> u16 {
    match protocol {
        Protocol::Http1 | Protocol::Http2 => 80,
        Protocol::Redis => 6379,
        Protocol::Postgres => 5432,
        Protocol::Syslog => 514,
        _ => 9,
    }
}

fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

fn option(block: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(60_000)];
    block.extend(code.to_le_bytes());
    block.extend((value.len() as u16).to_le_bytes());
    block.extend(value);
    block.resize(block.len().next_multiple_of(4), 0);
}

fn end_of_options(block: &mut Vec<u8>) {
    block.extend([0; 4]);
}
