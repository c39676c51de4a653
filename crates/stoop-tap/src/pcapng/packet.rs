//! IPv4 packets with TCP or UDP. Pure.

use super::{TCP, UDP};

/// A packet that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Packet<'b> {
    pub(super) transport: u8,
    /// The address and the port of the sender and of the receiver.
    pub(super) ends: [([u8; 4], u16); 2],
    pub(super) flags: u8,
    pub(super) sequence: u32,
    /// The captured part of the payload.
    pub(super) payload: &'b [u8],
    /// Its true length.
    pub(super) len: u32,
}

impl<'b> Packet<'b> {
    /// Parses a packet of which only the beginning may have been captured. `None` if it is of
    /// another protocol, or its headers are incomplete.
    pub(super) fn parse(bytes: &'b [u8], true_len: u32) -> Option<Packet<'b>> {
        let header = usize::from(bytes.first()? & 0xf) * 4;
        if bytes[0] >> 4 != 4 || header < 20 {
            return None;
        }
        let address = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
        let (transport, from, to) = (*bytes.get(9)?, address(12)?, address(16)?);
        let segment = bytes.get(header..)?;
        let short = |at: usize| Some(u16::from_be_bytes(segment.get(at..at + 2)?.try_into().ok()?));
        let ends = [(from, short(0)?), (to, short(2)?)];
        let (flags, sequence, skipped) = match transport {
            TCP => {
                let sequence = u32::from_be_bytes(segment.get(4..8)?.try_into().ok()?);
                (*segment.get(13)?, sequence, usize::from(segment[12] >> 4) * 4)
            }
            UDP => (0, 0, 8),
            _ => return None,
        };
        let payload = segment.get(skipped..)?;
        let len = true_len.checked_sub((header + skipped) as u32)?.max(payload.len() as u32);
        Some(Packet { transport, ends, flags, sequence, payload, len })
    }
}

/// What a packet consists of that is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'b> {
    pub(super) transport: u8,
    /// The address and the port of the sender and of the receiver.
    pub(super) ends: [([u8; 4], u16); 2],
    pub(super) flags: u8,
    pub(super) sequence: u32,
    pub(super) acknowledged: u32,
    pub(super) payload: &'b [u8],
    pub(super) len: u32,
}

impl Parts<'_> {
    /// Returns the packet. Its lengths are as large as they can be if the payload is longer.
    pub(super) fn packet(&self) -> Vec<u8> {
        let mut segment = Vec::with_capacity(self.payload.len() + 20);
        segment.extend(self.ends[0].1.to_be_bytes());
        segment.extend(self.ends[1].1.to_be_bytes());
        if self.transport == TCP {
            segment.extend(self.sequence.to_be_bytes());
            segment.extend(self.acknowledged.to_be_bytes());
            segment.extend([5 << 4, self.flags, 0xff, 0xff, 0, 0, 0, 0]);
        } else {
            segment.extend((8 + self.len.min(65_507) as u16).to_be_bytes());
            segment.extend([0, 0]);
        }
        let len = (20 + segment.len() as u32).saturating_add(self.len).min(65_535) as u16;
        let mut packet = vec![0x45, 0];
        packet.extend(len.to_be_bytes());
        packet.extend([0, 0, 0x40, 0, 64, self.transport, 0, 0]);
        packet.extend(self.ends[0].0);
        packet.extend(self.ends[1].0);
        let sum = checksum(&packet).to_be_bytes();
        packet[10..12].copy_from_slice(&sum);
        packet.extend(segment);
        packet.extend(self.payload);
        packet
    }
}

fn checksum(header: &[u8]) -> u16 {
    let words = header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(pair[1]));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
