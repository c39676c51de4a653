//! What the blocks of a file mean. Pure.

use std::collections::{HashMap, VecDeque};

use stoop_bpf::{End, SocketKind};

use super::block::{Fields, Order};
use super::label::{BETWEEN, Label, UNREAD, of_data};
use super::packet::Packet;
use super::{
    COMMENT, FIN, IF_DROP, IF_TSRESOL, INTERFACE, LINK_DBUS, LINK_RAW, NAMES, OS_DROP, PACKET, RST, SECTION,
    STATISTICS, SYN, TCP,
};
use crate::follow::{Data, Endpoint, Flow, FlowId, Piece, Side, What};
use crate::reorder::{Cause, Loss};

/// An address and a port of the written packets.
type Place = ([u8; 4], u16);

/// How many connections are remembered. Of more, those are forgotten that began first.
const FLOWS_MAX: usize = 100_000;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Contents {
    order: Order,
    interfaces: Vec<Interface>,
    flows: HashMap<FlowId, Conversation>,
    /// Connections in the order in which they began.
    begun: VecDeque<FlowId>,
    /// The connections of this section, by the numbers that they have in it.
    by_number: HashMap<u64, FlowId>,
    /// Connections by the addresses of both ends, and ports if these matter.
    by_ends: HashMap<[Place; 2], (FlowId, Side)>,
    labels: HashMap<u64, Label>,
    last_flow: FlowId,
    last_end: u64,
    skipped: u64,
}

#[derive(Clone, Copy, Debug)]
struct Interface {
    link: u16,
    resolution: u8,
    /// How many packets it has dropped so far.
    dropped: u64,
    /// How many programs the system has skipped so far.
    skipped: u64,
}

#[derive(Debug)]
struct Conversation {
    flow: Flow,
    keys: [[([u8; 4], u16); 2]; 2],
    /// The next sequence number of each end.
    sequence: [Option<u32>; 2],
}

impl Contents {
    pub(super) fn order(&self) -> Order {
        self.order
    }

    pub(super) fn set_order(&mut self, order: Order) {
        self.order = order;
    }

    /// Returns how many packets and other blocks were left out.
    pub(super) fn skipped(&self) -> u64 {
        self.skipped
    }

    pub(super) fn flow(&self, id: FlowId) -> Option<&Flow> {
        self.flows.get(&id).map(|conversation| &conversation.flow)
    }

    pub(super) fn label(&self, end: End) -> Option<&Label> {
        self.labels.get(&end.cookie?)
    }

    /// Takes a block. One that is malformed is counted.
    pub(super) fn block(&mut self, kind: u32, body: &[u8], ready: &mut VecDeque<Piece>) {
        let fields = Fields::new(body, self.order);
        let done = match kind {
            SECTION => {
                self.interfaces.clear();
                self.by_number.clear();
                self.by_ends.clear();
                Some(())
            }
            INTERFACE => self.interface(fields),
            NAMES => self.names(fields),
            STATISTICS => self.statistics(fields, ready),
            PACKET => self.packet(fields, ready),
            _ => None,
        };
        self.skipped += u64::from(done.is_none());
    }

    fn interface(&mut self, mut fields: Fields<'_>) -> Option<()> {
        let link = fields.u16()?;
        fields.bytes(6)?;
        let mut resolution = 6;
        while let Some((code, value)) = fields.option() {
            if let (IF_TSRESOL, [value]) = (code, value) {
                resolution = *value;
            }
        }
        self.interfaces.push(Interface { link, resolution, dropped: 0, skipped: 0 });
        Some(())
    }

    /// The names of a connection's ends. Names that others have added are not of interest.
    fn names(&mut self, mut fields: Fields<'_>) -> Option<()> {
        let mut addresses = Vec::new();
        while let Some((record, value)) = fields.option() {
            if record == 1 {
                addresses.push(<[u8; 4]>::try_from(value.get(..4)?).ok()?);
            }
        }
        let comment = comment(fields);
        let mut parts = comment.split(BETWEEN);
        let mut words = parts.next()?.split(' ');
        let (Some("connection"), Some(number), Some("type"), Some(kind)) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Some(());
        };
        let (number, kind) = (number.parse().ok()?, SocketKind(kind.parse().ok()?));
        let labels = [(); 2].map(|()| Label::of_fields(parts.next().unwrap_or_default()));
        let [first, second] = addresses.try_into().ok()?;
        if !self.by_number.contains_key(&number) {
            let id = self.open(number, kind, labels, [(first, 0), (second, 0)]);
            self.by_number.insert(number, id);
        }
        Some(())
    }

    /// Begins a connection, with the number that it has in the file if that is free.
    fn open(
        &mut self,
        number: u64,
        kind: SocketKind,
        labels: [Label; 2],
        ends: [([u8; 4], u16); 2],
    ) -> FlowId {
        let is_free = number != 0 && !self.flows.contains_key(&number);
        let id = if is_free { number } else { self.last_flow.wrapping_add(1).max(1) };
        self.last_flow = self.last_flow.max(id);
        let endpoints = labels.map(|label| self.end(label));
        let keys = [ends, [ends[1], ends[0]]];
        let flow = Flow::new(kind, endpoints);
        self.flows.insert(id, Conversation { flow, keys, sequence: [None; 2] });
        self.by_ends.insert(keys[1], (id, Side::Second));
        self.by_ends.insert(keys[0], (id, Side::First));
        self.begun.push_back(id);
        if self.begun.len() > FLOWS_MAX {
            self.forget_oldest();
        }
        id
    }

    fn forget_oldest(&mut self) {
        let Some(conversation) = self.begun.pop_front().and_then(|id| self.flows.remove(&id)) else { return };
        for end in &conversation.flow.ends {
            end.socket.cookie.map(|cookie| self.labels.remove(&cookie));
        }
        for key in &conversation.keys {
            self.by_ends.remove(key);
        }
    }

    /// Numbers an end.
    fn end(&mut self, label: Label) -> Endpoint {
        self.last_end += 1;
        let process = label.process.clone();
        self.labels.insert(self.last_end, label);
        Endpoint { socket: End { cookie: Some(self.last_end), inode: None }, process }
    }

    fn statistics(&mut self, mut fields: Fields<'_>, ready: &mut VecDeque<Piece>) -> Option<()> {
        let number = fields.u32()? as usize;
        let time = fields.time()?;
        let interface = self.interfaces.get_mut(number)?;
        let time_ns = interface.nanoseconds(time)?;
        let mut text = String::new();
        while let Some((code, value)) = fields.option() {
            match code {
                IF_DROP | OS_DROP => {
                    let total = fields.order().u64(value.try_into().ok()?);
                    let (before, cause) = match code {
                        IF_DROP => (&mut interface.dropped, Cause::BufferFull),
                        _ => (&mut interface.skipped, Cause::ProgramSkipped),
                    };
                    let count = total.saturating_sub(std::mem::replace(before, total));
                    if count > 0 {
                        let what = What::Lost(Loss::new(count, cause));
                        ready.push_back(Piece::new(time_ns, 0, Side::First, what));
                    }
                }
                COMMENT => text = String::from_utf8_lossy(value).into_owned(),
                _ => {}
            }
        }
        if let Some((client, listener)) =
            text.strip_prefix("connect ").and_then(|text| text.split_once(BETWEEN))
        {
            let process = Label::of_fields(client).process?;
            let listener = self.end(Label::of_fields(listener)).socket;
            ready.push_back(Piece::new(time_ns, 0, Side::First, What::Connect { listener, process }));
        }
        Some(())
    }

    fn packet(&mut self, mut fields: Fields<'_>, ready: &mut VecDeque<Piece>) -> Option<()> {
        let interface = *self.interfaces.get(fields.u32()? as usize)?;
        let time_ns = interface.nanoseconds(fields.time()?)?;
        let (captured, len) = (fields.u32()?, fields.u32()?);
        let bytes = fields.padded(captured as usize)?;
        let comment = comment(fields);
        match interface.link {
            LINK_RAW => self.segment(&Packet::parse(bytes, len)?, time_ns, &comment, ready),
            LINK_DBUS => {
                let (flow, from) = self.of_comment(&comment)?;
                let (fds, files) = of_data(&comment);
                let (bytes, len) = (bytes.to_vec(), len.max(captured));
                let data = Data { bytes, len, fds, files, is_unread: is_unread(&comment) };
                ready.push_back(Piece::new(time_ns, flow, from, What::Data(data)));
                Some(())
            }
            _ => None,
        }
    }

    /// Returns the connection of a D-Bus message.
    fn of_comment(&self, comment: &str) -> Option<(FlowId, Side)> {
        let ends = comment.rsplit_once("; ").map_or(comment, |(_, ends)| ends);
        let (number, way) = ends.strip_prefix("connection ")?.split_once(", ")?;
        let from = if way.starts_with("1 to 2") { Side::First } else { Side::Second };
        Some((*self.by_number.get(&number.parse().ok()?)?, from))
    }

    fn segment(
        &mut self,
        packet: &Packet<'_>,
        time_ns: u64,
        comment: &str,
        ready: &mut VecDeque<Piece>,
    ) -> Option<()> {
        let (flow, from) = self.of_packet(packet);
        let mut push = |what| ready.push_back(Piece::new(time_ns, flow, from, what));
        let mut payload = (packet.payload, packet.len);
        if packet.transport == TCP {
            let expected = &mut self.flows.get_mut(&flow)?.sequence[from.index()];
            let start = packet.sequence.wrapping_add(u32::from(packet.flags & SYN != 0));
            let ahead = expected.map_or(0, |expected| start.wrapping_sub(expected) as i32);
            if ahead > 0 {
                push(What::Missed(ahead.unsigned_abs().into()));
            }
            // What was sent again is left out.
            let again = ahead.min(0).unsigned_abs();
            payload = (payload.0.get(again as usize..).unwrap_or_default(), payload.1.saturating_sub(again));
            let finishes = u32::from(packet.flags & FIN != 0);
            let next = start.wrapping_add(packet.len).wrapping_add(finishes);
            let is_new = expected.is_none_or(|expected| next.wrapping_sub(expected) as i32 > 0);
            if is_new {
                *expected = Some(next);
            }
        }
        let (bytes, len) = payload;
        if comment.ends_with(" bytes not seen") && bytes.is_empty() && len > 0 {
            push(What::Missed(len.into()));
        } else if len > 0 || packet.transport != TCP {
            let (fds, files) = of_data(comment);
            push(What::Data(Data { bytes: bytes.to_vec(), len, fds, files, is_unread: is_unread(comment) }));
        }
        if packet.flags & RST != 0 {
            let errno = comment.strip_prefix("errno ").and_then(|number| number.parse().ok());
            push(What::Error(errno.unwrap_or(RESET)));
        } else if packet.flags & FIN != 0 {
            push(What::End);
        }
        Some(())
    }

    /// Returns the connection of a packet and the end that sent it. A connection without names
    /// begins with its first packet.
    fn of_packet(&mut self, packet: &Packet<'_>) -> (FlowId, Side) {
        let named = packet.ends.map(|(address, _)| (address, 0));
        if let Some(known) = self.by_ends.get(&named).or_else(|| self.by_ends.get(&packet.ends)) {
            return *known;
        }
        let kind = if packet.transport == TCP { SocketKind::STREAM } else { SocketKind::DATAGRAM };
        let labels = packet.ends.map(|([a, b, c, d], port)| Label {
            address: Some(format!("{a}.{b}.{c}.{d}:{port}")),
            ..Label::default()
        });
        (self.open(0, kind, labels, packet.ends), Side::First)
    }
}

/// `ECONNRESET`: what a reader gets of a connection that was reset.
const RESET: i32 = 104;

impl Interface {
    /// Returns a time of this interface in nanoseconds, if it has any that fits.
    fn nanoseconds(&self, time: u64) -> Option<u64> {
        let units = match self.resolution {
            power @ 0..=19 => 10u128.pow(power.into()),
            power @ 0x80..=0xbf => 1 << (power & 0x7f),
            _ => return None,
        };
        u64::try_from(u128::from(time) * 1_000_000_000 / units).ok()
    }
}

/// Returns the first comment among options.
fn comment(mut options: Fields<'_>) -> String {
    while let Some((code, value)) = options.option() {
        if code == COMMENT {
            return String::from_utf8_lossy(value).into_owned();
        }
    }
    String::new()
}

/// Whether a comment says that nothing had received the data.
fn is_unread(comment: &str) -> bool {
    comment == UNREAD || comment.strip_prefix(UNREAD).is_some_and(|rest| rest.starts_with("; "))
}
